// The classification of a statement for people.
#pragma once

#include <string>
#include <string_view>

#include "worker/sql/mode.h"

namespace sluice::sql {

/// Where the statement may run, why, what it does to its session, and its tokens as the lexer sees
/// them, with the one that decided marked. Lines of text; what is not printable is escaped.
std::string explain(std::string_view text, const Mode& mode);

}  // namespace sluice::sql
