// The steps of a session between the sources of the engine (engine.h): who calls whom across them.
#pragma once

#include <optional>

#include "common/base/clock.h"
#include "worker/auth/exchange.h"
#include "worker/session/engine.h"

namespace sluice::worker {

/// A whole packet at the start of `bytes`.
struct PacketView {
  uint8_t sequence = 0;
  ByteSpan payload;
  std::size_t size = 0;  ///< with its header
};
std::optional<PacketView> first_packet(ByteSpan bytes);

/// Capabilities of the server that sluice can't carry, and TLS, which ends here on both legs.
inline constexpr uint64_t kNotOffered = mysql::kSsl | mysql::kCompress | mysql::kZstd;
/// The same, and where statements are read, what would stand in front of their text.
inline uint64_t not_offered(const Surroundings& w) {
  return kNotOffered | (w.router.splits() ? uint64_t{mysql::kQueryAttributes} : 0);
}

/// How long a client waits for what may be known in a moment: tables that are read again (at most
/// once a second), the name of its address.
inline constexpr int64_t kLookupNs = 3 * kSecondNs;

inline const ServerLeg& leg(const SessionState& s, Side side) {
  return side == Side::server ? s.home : s.split->reader;
}

// arrival.cc

/// Connects `side` to the server that its leg names, and tells that server who the client is.
void connect(const SessionState& s, const Surroundings& w, Side side, Actions& out);
int64_t connect_deadline_ns(const ServerLeg& leg, const Surroundings& w);
void header_bytes(SessionState& s, const Surroundings& w, ByteSpan bytes, Actions& out);
/// Asks the router, and connects to what it says or refuses the client with its reason.
void choose_server(SessionState& s, const Surroundings& w, Actions& out);
void greeting_bytes(SessionState& s, const Surroundings& w, ByteSpan bytes, Actions& out);
void greeting_cut(SessionState& s, const Surroundings& w, Actions& out);
void greeting_late(SessionState& s, const Surroundings& w, Actions& out);
void cluster_unknown(SessionState& s, const Surroundings& w, Actions& out);
void header_late(SessionState& s, const Surroundings& w, Actions& out);

// answer.cc

void answer_bytes(SessionState& s, const Surroundings& w, ByteSpan bytes, Actions& out);
/// What is in login->from_client: the answer to the greeting, if it is whole.
void take_answer(SessionState& s, const Surroundings& w, Actions& out);
/// Where the client's address has failed to log in often, it has to wait for its turn.
void await_turn(SessionState& s, const Surroundings& w, Actions& out);
/// The account of login->answer: lets it go on, waits for what is not known yet, or refuses.
void judge_login(SessionState& s, const Surroundings& w, Actions& out);
/// Whether the tables have to say anything about this login at all.
bool needs_lookup(const SessionState& s, const Surroundings& w);
/// Whether tables that were read after this login asked for them are here, or not to be had. Asks
/// for them when it is called first.
bool tables_are_fresh(SessionState& s, const Surroundings& w, Actions& out);
/// A server that speaks before it was told anything: its last words.
void bytes_out_of_turn(SessionState& s, const Surroundings& w, ByteSpan bytes, Actions& out);
// proof.cc

Legs legs_of(const SessionState& s, const Surroundings& w);
/// The answer goes to the server, and the two settle the proof.
void start_proof(SessionState& s, const Surroundings& w, Actions& out);
/// Says what `login->answer` holds by now, once it may be said.
void deliver_refusal(SessionState& s, const Surroundings& w, Actions& out);
void proof_from_client(SessionState& s, const Surroundings& w, ByteSpan bytes, Actions& out);
void proof_from_server(SessionState& s, const Surroundings& w, ByteSpan bytes, Actions& out);

// relay.cc

void relay_from_client(SessionState& s, const Surroundings& w, ByteSpan bytes, Actions& out);
void relay_from_server(SessionState& s, const Surroundings& w, ByteSpan bytes, Actions& out);
/// The COM_CHANGE_USER in `held`, once everything before it was answered: a login anew, judged and
/// proved like the first.
void change_user(SessionState& s, const Surroundings& w, Actions& out);

// ends.cc

End access_denied(const SessionState& s, std::string_view why);
End handshake_error(std::string why);
/// Ends a session that is not logged in, with an error for the client.
void refuse(SessionState& s, const Surroundings& w, End end, Actions& out);
/// Ends a session with the error that it was ordered to end with, if a packet can stand here.
void end_now(SessionState& s, const Surroundings& w, Actions& out);
/// The last step of every end that the client was told about: our half is closed, the client's
/// close is awaited for a moment.
void begin_closing(SessionState& s, const Surroundings& w, Actions& out);
void over(SessionState& s, Actions& out);
void login_cut(SessionState& s, const Surroundings& w, Actions& out);
void login_late(SessionState& s, const Surroundings& w, Actions& out);

}  // namespace sluice::worker
