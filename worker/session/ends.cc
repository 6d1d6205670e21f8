// How sessions end: with an error for the client wherever a packet can stand.
#include <fmt/format.h>

#include "common/mysql/packets.h"
#include "worker/auth/exchange.h"
#include "worker/auth/identity.h"
#include "worker/session/steps.h"
#include "worker/split/split.h"

namespace sluice::worker {
namespace {

// A closed connection with unread bytes is reset, and the reset can overtake our last words. So we
// close our half, and wait a moment for the client to close its own.
constexpr int64_t kLingerNs = 2 * kSecondNs;

/// Number of a packet of ours that stands where the server's next one would.
uint8_t next_sequence(const SessionState& s) {
  if (s.login) return static_cast<uint8_t>(s.login->client_sequence + 1);
  if (s.conversation.expect == mysql::Expect::nothing)
    return 1;  // clients take it for the answer to their next command
  return static_cast<uint8_t>(s.conversation.server_sequence + 1);
}

void tell_client(SessionState& s, const End& end, Actions& out) {
  if (s.phase == Phase::securing_client) return;  // nothing can be said inside of a handshake
  // In place of the greeting it has number 0: nothing was said yet.
  const bool greeted = s.phase > Phase::connecting;
  Bytes packet;
  mysql::append_packet(packet, greeted ? next_sequence(s) : uint8_t{0},
                       mysql::encode_error(end.number, end.sql_state, end.message));
  s.bytes_out += packet.size();
  out.send_made(Side::client, std::move(packet));
}

/// No answer to the greeting will come: the client has left (a health check, most likely), or was
/// refused. A server that resolves names would count that against this host, and block it after
/// `max_connect_errors` in a row; a login that it can refuse does not count (MariaDB
/// sql/hostname.cc, Host_errors). MySQL makes up a plugin for a user whom it doesn't know, and may
/// ask for a switch to it (sql/auth/sql_authentication.cc, decoy_user()): an empty proof, which is
/// none for every plugin, lies ready for that.
void excuse_absent_client(const Login& login, Actions& out) {
  Bytes packets;
  mysql::append_packet(packets, static_cast<uint8_t>(login.server_sequence + 1),
                       mysql::encode_handshake_response("client_left"));
  mysql::append_packet(packets, static_cast<uint8_t>(login.server_sequence + 3), {});
  out.send_made(Side::server, std::move(packets));
}

/// The same in the middle of the proof: a wrong one, in a form that the plugin takes for one.
void excuse_missing_proof(const Login& login, Actions& out) {
  Bytes packet;
  mysql::append_packet(packet, static_cast<uint8_t>(login.server_sequence + 1),
                       Bytes(proof_size(login.exchange.plugin).value_or(1)));
  out.send_made(Side::server, std::move(packet));
}

void leave_server(const SessionState& s, Actions& out) {
  const bool waits =
      (s.phase >= Phase::greeted && s.phase <= Phase::judging) || s.phase == Phase::proving;
  if (waits && s.login && !s.login->change_user && s.home.unsent.empty()) {
    const bool proving = s.phase == Phase::proving && s.login->answer.empty();
    if (proving)
      excuse_missing_proof(*s.login, out);
    else
      excuse_absent_client(*s.login, out);
  }
  out.close(Side::server);
  if (!s.split) return;
  split::take_leave(s, Side::reader, out);
  out.close(Side::reader);
}

}  // namespace

End access_denied(const SessionState& s, std::string_view why) {
  return {mysql::kAccessDenied, "28000",
          fmt::format("Access denied for user {} (sluice: {})",
                      quoted_account(s.login->user, s.client_ip), why)};
}

End handshake_error(std::string why) {
  return {mysql::kHandshakeError, "08S01", "sluice: bad handshake: " + std::move(why)};
}

void refuse(SessionState& s, const Surroundings& w, End end, Actions& out) {
  out.log("refused: " + end.message);
  tell_client(s, end, out);
  begin_closing(s, w, out);
}

void end_now(SessionState& s, const Surroundings& w, Actions& out) {
  if (s.end && s.conversation.between_server_packets()) tell_client(s, *s.end, out);
  out.log(s.end ? s.end->message : "ended");
  begin_closing(s, w, out);
}

void begin_closing(SessionState& s, const Surroundings& w, Actions& out) {
  leave_server(s, out);
  s.phase = Phase::closing;
  s.deadline_ns = w.now_ns + kLingerNs;
  release(s.held);
  s.login.reset();
  release(s.home.unsent);
  out.finish_client();
}

void over(SessionState& s, Actions& out) {
  leave_server(s, out);
  s.phase = Phase::over;
  s.deadline_ns = 0;
  out.close(Side::client);
}

void login_cut(SessionState& s, const Surroundings& w, Actions& out) {
  refuse(s, w,
         {mysql::kServerShutdown, "08S01",
          fmt::format("sluice: server {} closed the connection during the login", s.home.server)},
         out);
}

void login_late(SessionState& s, const Surroundings& w, Actions& out) {
  if (s.end) return refuse(s, w, End(*s.end), out);
  refuse(s, w, {mysql::kNetReadInterrupted, "08S01", "sluice: the login took too long"}, out);
}

void on_order_to_end(SessionState& s, const Surroundings& w, End end, int64_t deadline_ns,
                     Actions& out) {
  if (s.phase >= Phase::closing) return;
  const bool logged_in = s.phase == Phase::relaying || s.phase == Phase::ending;
  if (!logged_in && !(s.login && s.login->change_user)) return refuse(s, w, std::move(end), out);
  s.end = std::make_unique<End>(std::move(end));
  s.deadline_ns = deadline_ns;
  if (!logged_in) return;  // a command like others: its answer is awaited (finish_proof())
  s.phase = Phase::ending;
  if (s.conversation.at_boundary()) end_now(s, w, out);
}

}  // namespace sluice::worker
