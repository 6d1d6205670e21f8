// Classification of statements: one pass over the text, no allocation, never slower than linear.
// Whatever isn't known to be harmless goes to the primary.
#pragma once

#include <cstdint>
#include <string_view>

#include "worker/sql/mode.h"
#include "worker/sql/statement.h"

namespace sluice::sql {

/// Longer texts go to the primary without being read to their end.
inline constexpr std::size_t kLongestRead = std::size_t{1} << 20;

/// Classifies the text of a COM_QUERY or COM_STMT_PREPARE. Views in the result lie in `text`.
Statement classify(std::string_view text, const Mode& mode);

/// The bits of Statement::mentioned that an identifier sets; at least one. If some of them are
/// missing there, the text doesn't mention it. `name` is plain: no quotes around it, none doubled.
uint64_t identifier_bits(std::string_view name);

/// Whether `text` has `name` (plain, as above) as an identifier, ignoring the case of ASCII. Names
/// beyond ASCII are held to be equal.
bool mentions(std::string_view text, const Mode& mode, std::string_view name);

/// Whether a database is one of the server's own, whose tables differ from server to server: the
/// classifier sees them named, but not that one is the current database.
bool is_server_schema(std::string_view database);

}  // namespace sluice::sql
