// Where commands of a split session ran, and why: the counters of a service, and their names.
#pragma once

#include "common/base/enum_names.h"

namespace sluice::stats {

enum class Route : uint8_t {
  replica,
  command,         ///< from here on at the primary: no statement, or one of a prepared kind
  write,           ///< it writes, or defines
  transaction,     ///< it begins, ends or shapes a transaction
  in_transaction,  ///< one is open, or autocommit is off
  session,         ///< it sets something for the session
  locking_read,
  variable,    ///< user or system variables
  function,    ///< functions that may write, or belong to a server; sequences, named locks
  server,      ///< what differs from server to server: SHOW, schemas of the server, diagnostics
  program,     ///< procedures, blocks, statements prepared by name
  unclear,     ///< it was not understood, or can be read in two ways
  kept,        ///< the session has something that only its primary knows
  no_replica,  ///< none can serve, or can be logged in to
  behind,      ///< the replica did not catch up with the session's writes in time
  refused,     ///< the replica refused it or was lost
  hint,        ///< the client wants it there
};
inline constexpr std::size_t kRoutes = 17;

}  // namespace sluice::stats

namespace sluice {
template <>
inline constexpr auto kEnumNames<stats::Route> =
    names("on_replica", "on_primary_command", "on_primary_write", "on_primary_transaction",
          "on_primary_in_transaction", "on_primary_session", "on_primary_locking_read",
          "on_primary_variable", "on_primary_function", "on_primary_server", "on_primary_program",
          "on_primary_unclear", "on_primary_kept", "on_primary_no_replica", "on_primary_behind",
          "on_primary_refused", "on_primary_hint");
static_assert(kEnumNames<stats::Route>.size() == stats::kRoutes);
}  // namespace sluice
