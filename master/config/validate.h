// The checks that need more than one key.
#pragma once

#include "common/config/config.h"
#include "master/config/problems.h"

namespace sluice::config {

/// Whether every file could be read: if not, what seems to be missing may stand in the others.
enum class Completeness : uint8_t { whole, partial };

void validate(const Config& config, const Places& places, Completeness completeness,
              Problems& problems);

}  // namespace sluice::config
