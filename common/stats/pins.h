// What keeps a session of a service with a pool from lending its connection to the primary: the
// counters of a service, and their names.
#pragma once

#include "common/base/enum_names.h"

namespace sluice::stats {

enum class Pin : uint8_t {
  command,  ///< one is under way, or an answer of it is not sent yet
  transaction,
  autocommit,  ///< it is off
  locked_tables,
  temporary_table,
  role,  ///< or another user
  user_variable,
  named_lock,
  handler,
  named_statement,  ///< PREPARE
  statement,        ///< a prepared one that can't be prepared again in the same way
  cursor,
  diagnostics,    ///< warnings, or a count of rows, may be asked for
  connection_id,  ///< it knows the id of the connection
  program,        ///< a procedure or a block has changed the session
  password,       ///< sluice can't log in as its account again
  other,          ///< what it has set can't be set again
};
inline constexpr std::size_t kPins = 17;

}  // namespace sluice::stats

namespace sluice {
template <>
inline constexpr auto kEnumNames<stats::Pin> =
    names("kept_by_command", "kept_by_transaction", "kept_by_autocommit", "kept_by_locked_tables",
          "kept_by_temporary_table", "kept_by_role", "kept_by_user_variable", "kept_by_named_lock",
          "kept_by_handler", "kept_by_named_statement", "kept_by_statement", "kept_by_cursor",
          "kept_by_diagnostics", "kept_by_connection_id", "kept_by_program", "kept_by_password",
          "kept_by_other");
static_assert(kEnumNames<stats::Pin>.size() == stats::kPins);
}  // namespace sluice
