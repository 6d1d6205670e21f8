// The part of the engine (engine.h) up to the client's OK: choosing a server, its greeting, the
// client's answer, and the proof that the two settle between them.
#pragma once

#include <optional>

#include "common/base/clock.h"
#include "worker/session/engine.h"

namespace sluice::worker {

/// A whole packet at the start of `bytes`.
struct PacketView {
  uint8_t sequence = 0;
  ByteSpan payload;
  std::size_t size = 0;  ///< with its header
};
std::optional<PacketView> first_packet(ByteSpan bytes);

/// How long a client waits for tables that may know its account (they are read at most once a
/// second).
inline constexpr int64_t kRefreshNs = 3 * kSecondNs;

/// Asks the router, and connects to what it says or refuses the client with its reason.
void choose_server(SessionState& s, const Surroundings& w, Actions& out);
/// Ends a session that is not logged in, with an error for the client.
void refuse(SessionState& s, int64_t now_ns, End end, Actions& out);
/// The last step of every end that the client was told about: our half is closed, the client's
/// close is awaited for a moment.
void begin_closing(SessionState& s, int64_t now_ns, Actions& out);

/// The client has left without an answer to the greeting (a health check, most likely). A server
/// that resolves names would count that against this host, and block it after `max_connect_errors`
/// in a row; a login that it can refuse does not count (MariaDB sql/hostname.cc, Host_errors).
void excuse_absent_client(Actions& out);

void login_bytes(SessionState& s, const Surroundings& w, Side from, ByteSpan bytes, Actions& out);
void login_server_closed(SessionState& s, const Surroundings& w, Actions& out);
void login_deadline(SessionState& s, const Surroundings& w, Actions& out);
/// Goes on with what was held during the login of a session that is judged (engine.cc).
void relay_held(SessionState& s, const Surroundings& w, Actions& out);
void login_accounts(SessionState& s, const Surroundings& w, Actions& out);

/// Why a whole COM_CHANGE_USER packet may not go on to the server; nothing if it may.
std::optional<End> judge_change_user(const SessionState& s, const Surroundings& w,
                                     ByteSpan payload);

}  // namespace sluice::worker
