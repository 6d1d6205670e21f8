// Wishes of the client, in comments.
#pragma once

#include <string_view>

#include "worker/sql/statement.h"

namespace sluice::sql {

/// "sluice route to primary|replica|server NAME", in any case but for NAME. What is anything else
/// is no hint.
Hint parse_hint(std::string_view comment);

}  // namespace sluice::sql
