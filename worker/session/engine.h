// The life of a session: (state, event) in, (state, actions) out. Does no I/O and reads no clock,
// so a simulator can run thousands of sessions a second against scripted peers.
//
// The login is the server's own. sluice chooses a server, connects, and hands its greeting on, with
// the server's scramble and connection id; what the client answers goes to that server. So the
// server judges every proof, whatever the plugin, its errors are its own, KILL takes the id that
// the client knows, and the client's OK is the server's OK.
//
// What happens in which phase stands in one table (engine.cc, kPhases). The functions are in
// arrival.cc (up to the greeting), answer.cc (the client's answer and its account), proof.cc (what
// client and server settle) and relay.cc.
#pragma once

#include <span>

#include "common/accounts/table.h"
#include "common/base/networks.h"
#include "common/stats/last_writes.h"
#include "common/stats/login_guard.h"
#include "worker/auth/names.h"
#include "worker/auth/passwords.h"
#include "worker/routers/router.h"
#include "worker/session/actions.h"
#include "worker/tls/rsa.h"

namespace sluice::worker {

/// What a session may look at; none of it changes during a call.
struct Surroundings {
  const config::Service& service;
  const Router& router;
  const Networks& announced_from;       ///< whose connections begin with a PROXY header
  bool known = false;                   ///< whether the monitor has told about the cluster yet
  std::span<const ServerView> servers;  ///< with their load, where one may be chosen
  std::span<const cluster::ServerState> states;  ///< the same servers, always
  std::span<const config::Server> configured;
  const accounts::Table* accounts = nullptr;  ///< null until the first were loaded
  int64_t accounts_began_ns = 0;  ///< when the last load of them began; 0: none was asked
  const Names& names;
  const tls::RsaKey* own_key =
      nullptr;  ///< for passwords of clients without TLS; null: there is none
  stats::LoginGuard* guard = nullptr;  ///< null: nobody is slowed
  Passwords* passwords = nullptr;      ///< of the cluster's accounts; null: none are kept
  /// What the service's sessions have written; null: only a session's own writes matter.
  const stats::LastWrites* writes = nullptr;
  bool lends = false;  ///< sessions of some service of the cluster share server connections
  int64_t now_ns = 0;
  std::string_view pool_use;  ///< who has the connections that a session has waited for in vain

  /// The settings of a server; null when it is not configured any more.
  const config::Server* server(std::string_view name) const;
  /// What is known of a server; null when it is not of the cluster.
  const cluster::ServerState* state(std::string_view name) const;
};

/// Bytes that a peer may send before the login is done, at most; of one packet.
inline constexpr std::size_t kMaxLoginPacket = 64 * 1024;

// Events.

void on_accepted(SessionState& s, const Surroundings& w, Actions& out);
/// There are more connections than the service allows.
void on_limit(SessionState& s, const Surroundings& w, Actions& out);
/// The server's first bytes are about to come; it sees us at this address (empty: Unix socket).
void on_connected(SessionState& s, std::string outgoing_ip);
void on_connect_failed(SessionState& s, const Surroundings& w, Side side, std::string why,
                       Actions& out);
/// The handshake that start_tls asked for is over; what `side` sends from here on is encrypted.
void on_secured(SessionState& s, const Surroundings& w, Side side, tls::Info info, Actions& out);
/// It failed, or what came later was no TLS. What there was to say to the peer has been said.
void on_tls_failed(SessionState& s, const Surroundings& w, Side side, std::string why,
                   Actions& out);
/// What a client sends is not the compressed protocol that it has asked for.
void on_frames_failed(SessionState& s, std::string why, Actions& out);
void on_bytes(SessionState& s, const Surroundings& w, Side from, ByteSpan bytes, Actions& out);
void on_closed(SessionState& s, const Surroundings& w, Side side, Actions& out);
/// All bytes that waited for `side` were sent.
void on_sent(SessionState& s, Side side, Actions& out);
/// deadline_of() has passed.
void on_deadline(SessionState& s, const Surroundings& w, Actions& out);
/// The cluster's state has changed.
void on_view(SessionState& s, const Surroundings& w, Actions& out);
/// The accounts were read again (or could not be), or a name became known.
void on_accounts(SessionState& s, const Surroundings& w, Actions& out);
/// To be ended at the next command boundary, and cut at `deadline_ns`.
void on_order_to_end(SessionState& s, const Surroundings& w, End end, int64_t deadline_ns,
                     Actions& out);

/// The number of the client's next packet, where that is no command.
std::optional<uint8_t> number_due(const SessionState& s);

/// Whether a server may be chosen with the next event: only then are they looked at.
bool may_choose(const SessionState& s, int64_t now_ns);

// What the runtime waits for: a function of the state alone.

/// When on_deadline() has to be called; 0: never.
int64_t deadline_of(const SessionState& s);
bool wants_read(const SessionState& s, Side side);
/// How much to read at most, of `room`. From a client that may ask for TLS no more than its packet:
/// it begins the handshake without waiting for an answer, and that is for the TLS layer to read.
/// What somebody smuggles in behind the request in clear is no handshake, and fails as one.
std::size_t read_limit(const SessionState& s, Side side, std::size_t room);
inline const Bytes& unsent(const SessionState& s, Side side) {
  if (side == Side::client) return s.unsent_to_client;
  return side == Side::server ? s.home.unsent : s.split->reader.unsent;
}
inline Bytes& unsent(SessionState& s, Side side) {
  return const_cast<Bytes&>(unsent(std::as_const(s), side));
}

}  // namespace sluice::worker
