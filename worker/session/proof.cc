// The proof that client and server settle between them, at a login and at a COM_CHANGE_USER
// (auth/exchange.h). The two legs count their packets apart: what passes from one to the other need
// not be one for one.
#include <fmt/format.h>

#include "common/mysql/packets.h"
#include "worker/auth/identity.h"
#include "worker/session/steps.h"
#include "worker/split/split.h"

namespace sluice::worker {
namespace {

constexpr uint8_t kErr = 0xFF;

void to_client(SessionState& s, ByteSpan payload, Actions& out) {
  Bytes packet;
  mysql::append_packet(packet, ++s.login->client_sequence, payload);
  s.bytes_out += packet.size();
  out.send_made(Side::client, std::move(packet));
}

void to_server(SessionState& s, ByteSpan payload, Actions& out) {
  auto& login = *s.login;
  const bool command = login.change_user && !login.answer.empty();  // begins a new count
  login.server_sequence = command ? uint8_t{0} : static_cast<uint8_t>(login.server_sequence + 1);
  Bytes packet;
  mysql::append_packet(packet, login.server_sequence, payload);
  s.bytes_in += packet.size();
  out.send_made(Side::server, std::move(packet));
}

/// The answer that the client gave, with the response that the server gets.
Bytes answer_with(const SessionState& s, ByteSpan response) {
  const auto& answer = s.login->answer;
  if (s.login->change_user) {
    const auto parsed = mysql::parse_change_user(answer, s.conversation.capabilities);
    return mysql::with_auth_response(answer, *parsed, response);
  }
  const auto parsed = mysql::parse_handshake_response(answer);
  auto out = mysql::with_auth_response(answer, *parsed, response);
  if (s.home.tls) out[1] |= static_cast<std::byte>(mysql::kSsl >> 8);
  if (s.split && (s.login->server_capabilities & mysql::kSessionTrack))
    split::ask_for_tracking(out);
  return out;
}

/// After the exchange: what was held behind it comes next, unless the session is to end.
void go_on_relaying(SessionState& s, const Surroundings& w, Actions& out) {
  if (s.end) {
    s.phase = Phase::ending;
    return end_now(s, w, out);
  }
  s.phase = Phase::relaying;
  s.deadline_ns = 0;
  if (!s.held.empty()) relay_from_client(s, w, {}, out);
}

/// The client as the server would name it, were it connected directly from where it is judged by.
std::string client_host(const SessionState& s, const Surroundings& w) {
  const auto& ip = judged_by_own_address(w.service, s.client_ip) ? s.client_ip : s.outgoing_ip;
  if (w.accounts == nullptr) return ip;
  const std::string name(w.names.find(ip, w.now_ns).value_or(""));
  const auto seen = accounts::as_seen_by(*w.accounts, {ip, name});
  return seen.name.empty() ? seen.ip : seen.name;
}

/// Whether the error is that of a proof that is not right, or of an account that is not there.
/// MariaDB has another number for plugins that know no password (sql/sql_acl.cc
/// login_failed_error()).
bool is_denial(const mysql::ErrorPacket& error) {
  return error.number == mysql::kAccessDenied || error.number == mysql::kAccessDeniedNoPassword;
}

/// What the server says of a login that sluice had to judge by itself names the proxy's address.
Bytes refusal_of(const SessionState& s, const Surroundings& w, ByteSpan payload) {
  const auto error = mysql::parse_error(payload);
  const bool ours = s.login->exchange.doomed || judged_by_own_address(w.service, s.client_ip);
  if (error && (!ours || !is_denial(*error))) return {payload.begin(), payload.end()};
  auto text = "Access denied for user " + quoted_account(s.login->user, client_host(s, w));
  const auto number = error ? error->number : uint16_t{mysql::kAccessDenied};
  if (number == mysql::kAccessDenied)
    text += fmt::format(" (using password: {})", s.login->with_password ? "YES" : "NO");
  return mysql::encode_error(number, "28000", text);
}

/// Where the tables were asked about the login, a wrong user had to wait for tables that might know
/// it. So has a wrong password, else the two could be told apart.
void refused(SessionState& s, const Surroundings& w, ByteSpan payload, Actions& out) {
  auto& login = *s.login;
  const bool by_server = static_cast<uint8_t>(payload[0]) == kErr;
  const auto error = mysql::parse_error(payload);
  const bool denied = !error || is_denial(*error);
  if (w.guard && denied) w.guard->failed(s.client_ip, login.user, w.now_ns);
  login.answer = refusal_of(s, w, payload);
  out.log(fmt::format("login refused by {}: {}", s.home.server,
                      error ? error->message : "(it was not)"));
  // The server leaves a session whose COM_CHANGE_USER it refused as it was, or closes it. One that
  // it did not refuse, and we do, has to end.
  login.change_user = login.change_user && by_server;
  if (!login.change_user) out.close(Side::server);
  s.phase = Phase::refusing;
  s.deadline_ns = w.now_ns + kLookupNs;
  deliver_refusal(s, w, out);
}

/// The server's OK is the client's. What either said ahead of it comes next.
void accepted(SessionState& s, const Surroundings& w, ByteSpan payload, Actions& out) {
  auto& login = *s.login;
  if (login.compresses && !s.held.empty())
    return refuse(s, w, handshake_error("a command ahead of the login's end, and not compressed"),
                  out);
  const auto for_client = s.split ? split::ok_for_client(*s.split, payload) : Bytes{};
  to_client(s, s.split ? ByteSpan(for_client) : payload, out);
  if (login.compresses) out.compress();
  out.log(login.change_user ? "changed the user" : "logged in");
  if (w.guard) w.guard->succeeded(s.client_ip, login.user, w.now_ns);
  s.user = login.user;
  s.database = login.database;
  if (login.change_user) ++s.conversation.commands;
  const Bytes behind = std::move(login.from_server);
  if (s.split) split::begin(s, w, out);
  s.login.reset();
  if (!behind.empty()) relay_from_server(s, w, out.keep(behind), out);
  go_on_relaying(s, w, out);
}

void take_turn(SessionState& s, const Surroundings& w, TurnResult turn, Actions& out) {
  if (!turn) return refuse(s, w, std::move(turn.error()), out);
  if (turn->verdict == Turn::Verdict::refused) return refused(s, w, turn->payload, out);
  if (turn->verdict == Turn::Verdict::accepted) return accepted(s, w, turn->payload, out);
  if (turn->for_us) return proof_from_server(s, w, {}, out);  // it may have gone on meanwhile
  auto& login = *s.login;
  if (turn->to == Side::client) {
    to_client(s, turn->payload, out);
  } else if (!login.answer.empty()) {
    to_server(s, answer_with(s, turn->payload), out);
    wipe(login.answer);
  } else {
    to_server(s, turn->payload, out);
  }
  wipe(turn->payload);
}

/// Home is not the server whose greeting the client saw, and has asked for a proof for a scramble
/// of its own. Connector/C 3.3 answers that with the one for the greeting all the same, as was seen
/// with mysql_change_user(): home gets what it has asked for.
void answer_for_home(const SessionState& s, const Surroundings& w, Bytes& said) {
  const auto& exchange = s.login->exchange;
  if (!s.split || !s.split->greeting_gone || w.accounts == nullptr ||
      exchange.plugin != "mysql_native_password")
    return;
  auto stage1 = native_proof_of(*w.accounts, s.login->user, s.split->told_scramble, said);
  if (!stage1) return;
  if (const auto response = native_response(*stage1, exchange.scramble))
    said.assign(response->begin(), response->end());
  ::explicit_bzero(stage1->data(), stage1->size());
}

}  // namespace

void deliver_refusal(SessionState& s, const Surroundings& w, Actions& out) {
  if (needs_lookup(s, w) && !tables_are_fresh(s, w, out)) return;
  to_client(s, s.login->answer, out);
  if (!s.login->change_user) return begin_closing(s, w, out);
  s.login.reset();
  if (s.split) {
    split::begin(s, w, out);  // the server has reset the session before it refused
    s.split->kept.tied = "the change of its user was refused";  // and MySQL closes it
  }
  go_on_relaying(s, w, out);
}

Legs legs_of(const SessionState& s, const Surroundings& w) {
  using config::ClearPasswords;
  const auto* server = w.server(s.home.server);
  // Not a COM_CHANGE_USER's: its session stays at home.
  const bool keeps = w.router.splits() && w.passwords != nullptr && !s.login->change_user;
  const auto& exchange = s.login->exchange;
  return {.client_encrypted = s.client_tls != nullptr,
          .client_local = s.client_ip.empty(),
          .server_encrypted = s.home.tls != nullptr,
          .server_local = server && server->address.is_unix(),
          .client_may_be_clear = w.service.clear_passwords == ClearPasswords::anywhere,
          .server_may_be_clear = server && server->clear_passwords == ClearPasswords::anywhere,
          .believes_server_key = server && server->public_key_retrieval,
          .many_factors = (s.conversation.capabilities & mysql::kMultiFactor) != 0,
          .own_key = w.own_key,
          .keeps_password = keeps,
          .asks_password = keeps && w.passwords->find(s.login->user, exchange.scramble,
                                                      exchange.response) == nullptr};
}

void start_proof(SessionState& s, const Surroundings& w, Actions& out) {
  s.phase = Phase::proving;
  auto& login = *s.login;
  if (w.router.splits() && !login.change_user) s.split = split::prepared(s, w);
  const auto legs = legs_of(s, w);
  const auto begin = [&](const auto& answer) {
    // A client that names none speaks for the one that all know.
    const bool named = !answer->plugin.empty();
    return begin_exchange(login.exchange, legs, named ? answer->plugin : "mysql_native_password",
                          login.scramble, answer->auth_response);
  };
  take_turn(s, w,
            login.change_user
                ? begin(mysql::parse_change_user(login.answer, s.conversation.capabilities))
                : begin(mysql::parse_handshake_response(login.answer)),
            out);
}

void proof_from_client(SessionState& s, const Surroundings& w, ByteSpan bytes, Actions& out) {
  s.held.insert(s.held.end(), bytes.begin(), bytes.end());
  const auto packet = first_packet(s.held);
  // A command ahead of the login's end waits for it, and so does what is not whole yet. No more is
  // read than wants_read() allows.
  if (!packet || packet->sequence != s.login->client_sequence + 1) return;
  s.login->client_sequence = packet->sequence;
  Bytes said(packet->payload.begin(), packet->payload.end());
  s.held.erase(s.held.begin(), s.held.begin() + static_cast<std::ptrdiff_t>(packet->size));
  if (s.login->change_user) answer_for_home(s, w, said);
  take_turn(s, w, exchange_from_client(s.login->exchange, legs_of(s, w), said), out);
  wipe(said);
}

void proof_from_server(SessionState& s, const Surroundings& w, ByteSpan bytes, Actions& out) {
  auto& buffered = s.login->from_server;
  buffered.insert(buffered.end(), bytes.begin(), bytes.end());
  if (awaits_client(s.login->exchange) && buffered.size() > kMaxLoginPacket)
    return refuse(s, w, handshake_error("packet too large"), out);
  while (s.login && !awaits_client(s.login->exchange)) {
    const auto packet = first_packet(s.login->from_server);
    if (!packet || packet->payload.empty()) {
      if (packet || s.login->from_server.size() > kMaxLoginPacket)
        refuse(s, w, handshake_error("malformed packet from the server"), out);
      return;
    }
    s.login->server_sequence = packet->sequence;
    const Bytes said(packet->payload.begin(), packet->payload.end());
    auto& rest = s.login->from_server;
    rest.erase(rest.begin(), rest.begin() + static_cast<std::ptrdiff_t>(packet->size));
    take_turn(s, w, exchange_from_server(s.login->exchange, legs_of(s, w), said), out);
  }
}

}  // namespace sluice::worker
