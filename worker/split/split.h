// A session whose reads may run on a replica. The client logs in to the primary, its `home`, as
// with every router, and everything runs there, but for statements of which it is proved that a
// replica gives the same answer. Those go to the `reader`: a connection of the same account to one
// replica, made when the first of them comes, brought to the session's settings, and read-only by
// the server's own rule. What the reader refuses, or fails to answer, home is asked.
//
// A session that has nothing which only its primary knows survives that: it goes on with the next
// one, brought to the same settings.
//
// One command is under way at a time. commands.cc sends them, answers.cc follows the answers,
// settings.cc learns what the session has set, legs.cc makes connections, losses.cc deals with
// those that are lost, kill.cc with KILL.
#pragma once

#include "worker/session/engine.h"

namespace sluice::worker::split {

/// The state of a session whose client has answered the greeting.
std::unique_ptr<Split> prepared(const SessionState& s, const Surroundings& w);
/// The login, or the change of the user, was accepted: the OK for the client, and what follows it.
Bytes ok_for_client(const Split& split, ByteSpan payload);
void begin(SessionState& s, const Surroundings& w, Actions& out);
/// Why no further server can be logged in to; empty: it can, or that may yet turn out.
std::string why_not_known(const Credentials& credentials);
/// The accounts were read again.
void on_accounts(SessionState& s, const Surroundings& w);

void from_client(SessionState& s, const Surroundings& w, ByteSpan bytes, Actions& out);
void from_server(SessionState& s, const Surroundings& w, Side side, ByteSpan bytes, Actions& out);
void on_secured(SessionState& s, const Surroundings& w, Side side, tls::Info info, Actions& out);
/// Why a connection is lost that the server has closed.
inline constexpr std::string_view kClosed = "it closed the connection";
/// A server connection is lost, or could not be had.
void on_leg_failed(SessionState& s, const Surroundings& w, Side side, std::string why,
                   Actions& out);
/// When something that is waited for is over; 0: never.
int64_t deadline_of(const SessionState& s);
/// It is.
void late(SessionState& s, const Surroundings& w, Actions& out);
/// The cluster's state has changed.
void on_view(SessionState& s, const Surroundings& w, Actions& out);
/// Its server may not be used any more, for `why`: whether the session goes on with another one.
bool leave_home(SessionState& s, const Surroundings& w, const std::string& why, Actions& out);

/// Tells a server that the connection ends, if it is in a state to hear it; else it would count and
/// log an aborted one.
void take_leave(const SessionState& s, Side side, Actions& out);
/// Whether clients mean this session by that id of a connection to `server`.
bool is_known_as(const SessionState& s, std::string_view server, uint32_t id);
/// What a session runs on a replica.
struct OnReplica {
  std::string server;          ///< empty: nothing
  uint32_t connection_id = 0;  ///< the replica's own
  bool waits = false;          ///< nothing yet, but in a moment
  bool known = false;          ///< the session is one of sluice's
  uint32_t home_id = 0;        ///< its connection home, where that was asked; 0: it has none yet
};
OnReplica on_replica(const SessionState& s);
/// A session that somebody is about to kill: its connection home, which it keeps for a moment; 0:
/// it has none, and gets one.
uint32_t hold_home(SessionState& s, const Surroundings& w, Actions& out);
/// The answer to Action::Kind::seek of this round.
void on_sought(SessionState& s, const Surroundings& w, uint32_t round, const OnReplica& victim,
               Actions& out);
/// Somebody says that its home has been told to end the connection. That is not taken for granted:
/// if home closes the connection, or has done so, sluice looks whether it is alive.
void on_said_killed(SessionState& s, const Surroundings& w, Actions& out);

/// Makes an answer to a greeting ask for news of the session.
void ask_for_tracking(Bytes& answer);
/// Whether the client waits for an answer of its replica.
bool runs_on_reader(const SessionState& s);
/// Whether one more of the client's commands can be taken.
bool wants_client(const SessionState& s);
/// Whether a server may be chosen with the next event.
bool may_choose(const SessionState& s, int64_t now_ns);

}  // namespace sluice::worker::split
