// From the merged tree to the typed structs, by the schema.
#pragma once

#include "master/config/document.h"
#include "master/config/parse.h"
#include "master/config/problems.h"

namespace sluice::config {

/// Judges each key by itself and stores it; `places` learns where every key stands. What needs more
/// than one key to be judged is validate()'s business.
Config read(const Node& root, const Inputs& inputs, Places& places, Problems& problems);

}  // namespace sluice::config
