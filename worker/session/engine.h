// The life of a session: (state, event) in, (state, actions) out. Does no I/O and reads no clock,
// so a simulator can run thousands of sessions a second against scripted peers.
//
// The login is the server's own. sluice chooses a server, connects, and hands its greeting on, with
// the server's scramble and connection id; what the client answers goes to that server. So the
// server judges every proof, whatever the plugin, its errors are its own, KILL takes the id that
// the client knows, and the client's OK is the server's OK.
#pragma once

#include <span>

#include "common/accounts/table.h"
#include "worker/routers/router.h"
#include "worker/session/actions.h"

namespace sluice::worker {

/// What a session may look at; none of it changes during a call.
struct Surroundings {
  const config::Service& service;
  const Router& router;
  bool known = false;  ///< whether the monitor has told about the cluster yet
  std::span<const ServerView> servers;
  std::span<const config::Server> configured;
  const accounts::Table* accounts = nullptr;  ///< null until the first were loaded
  uint64_t accounts_version = 0;
  int64_t now_ns = 0;
};

/// Bytes that a peer may send before the login is done, at most; of one packet.
inline constexpr std::size_t kMaxLoginPacket = 64 * 1024;

// Events.

void on_accepted(SessionState& s, const Surroundings& w, Actions& out);
/// There are more connections than the service allows.
void on_limit(SessionState& s, const Surroundings& w, Actions& out);
/// The server's first bytes are about to come; it sees us at this address (empty: Unix socket).
void on_connected(SessionState& s, std::string outgoing_ip);
void on_connect_failed(SessionState& s, const Surroundings& w, std::string why, Actions& out);
void on_bytes(SessionState& s, const Surroundings& w, Side from, ByteSpan bytes, Actions& out);
void on_closed(SessionState& s, const Surroundings& w, Side side, Actions& out);
/// All bytes that waited for `side` were sent.
void on_sent(SessionState& s, Side side, Actions& out);
/// deadline_ns has passed.
void on_deadline(SessionState& s, const Surroundings& w, Actions& out);
/// The cluster's state has changed.
void on_view(SessionState& s, const Surroundings& w, Actions& out);
/// The accounts were read again (or could not be).
void on_accounts(SessionState& s, const Surroundings& w, Actions& out);
/// To be ended at the next command boundary, and cut at `deadline_ns`.
void on_order_to_end(SessionState& s, End end, int64_t now_ns, int64_t deadline_ns, Actions& out);

// What the runtime waits for: a function of the state alone.

bool wants_read(const SessionState& s, Side side);
inline Bytes& unsent(SessionState& s, Side side) {
  return side == Side::client ? s.unsent_to_client : s.unsent_to_server;
}
inline const Bytes& unsent(const SessionState& s, Side side) {
  return side == Side::client ? s.unsent_to_client : s.unsent_to_server;
}

}  // namespace sluice::worker
