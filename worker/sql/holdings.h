// Statements that take or let go of what a session holds in its connection, in the plain forms that
// programs write: the names in them tell which GET_LOCK a RELEASE_LOCK belongs to.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "worker/sql/mode.h"

namespace sluice::sql {

/// "database.name", without quotes; `database` is for names that have none in front. Empty if
/// neither has one, or one is not of ASCII (which name that is depends on the character set), or
/// has a dot.
std::string full_name(std::string_view database, std::string_view name);

/// All that DROP [TEMPORARY] TABLE drops, as full names. Empty if the text is no such statement, or
/// has another one.
std::vector<std::string> dropped_tables(std::string_view text, const Mode& mode,
                                        std::string_view database);

/// SELECT or DO of one function for named locks, with constants.
struct LockCall {
  enum class What : uint8_t { none, takes, releases, releases_all };
  What what = What::none;
  std::string_view name;  ///< as it is written, with its quotes
};
LockCall lock_call(std::string_view text, const Mode& mode);

/// The name by which HANDLER ... OPEN or CLOSE knows it; empty if it is not as plain as that.
std::string handler_name(std::string_view text, const Mode& mode);

}  // namespace sluice::sql
