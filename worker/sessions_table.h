// Sessions as rows for people and scripts.
#pragma once

#include <memory>
#include <string>

#include "common/ipc/messages.h"
#include "worker/session/session.h"

namespace sluice::worker {

/// "3-17": the 17th session of the third worker that was ever started.
std::string session_name(uint64_t id);
/// "10.0.0.7:51234", or "unix" for a client on a Unix socket.
std::string client_name(const SessionState& state);

/// A table of sessions, and a row of it. `stays`: why it can't go to another worker, where that is
/// wanted; empty: it can.
ipc::Table sessions_table();
ipc::Row session_row(const SessionState& s, std::string_view stays, int64_t now_ns);

/// What `explain sql` prints: where a statement would run, why, and how it was read.
ipc::Table explanation_table(std::string_view statement);

}  // namespace sluice::worker
