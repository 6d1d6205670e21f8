// Connections that sluice makes by itself, as the client's account: the reader, and another home
// where the first one was lost. Chosen by the router, logged in to, closed.
#include <fmt/format.h>

#include <algorithm>

#include "common/base/clock.h"
#include "common/mysql/packets.h"
#include "worker/auth/native.h"
#include "worker/split/steps.h"

namespace sluice::worker::split {
namespace {

constexpr std::string_view kNative = "mysql_native_password";
constexpr uint8_t kOk = 0x00, kSwitch = 0xFE;

/// Capabilities that shape what either side sends after the login: both servers must have them.
constexpr uint64_t kShaping = mysql::kProtocol41 | mysql::kDeprecateEof | mysql::kSessionTrack |
                              mysql::kOptionalResultsetMetadata | mysql::kMariadbCacheMetadata |
                              mysql::kPluginAuth;

/// The leg of a side, to be filled in.
ServerLeg& leg_of(SessionState& s, Side side) {
  return side == Side::server ? s.home : s.split->reader;
}

void say(SessionState& s, Side side, ByteSpan payload, Actions& out) {
  Bytes packet;
  mysql::append_packet(packet, ++link(s, side).own.client_sequence, payload);
  out.send_made(side, std::move(packet));
}

/// The proof for a scramble; empty where the account has no password.
Bytes proof_for(const Split& split, ByteSpan scramble) {
  const auto stage1 = as_bytes(split.credentials.proof.reveal());
  if (stage1.empty()) return {};
  const auto response = native_response(stage1, scramble);
  return response ? Bytes(response->begin(), response->end()) : Bytes{};
}

void log_in(SessionState& s, const Surroundings& w, Side side, Actions& out) {
  const auto& split = *s.split;
  auto& to = link(s, side);
  to.step = Step::proving;
  const auto& answer = split.credentials.answer;
  const auto parsed = mysql::parse_handshake_response(answer);
  if (!parsed) return on_leg_failed(s, w, side, "no login is known", out);
  const bool native = parsed->plugin.empty() || parsed->plugin == kNative;
  auto payload =
      mysql::with_auth_response(answer, *parsed, native ? proof_for(split, to.scramble) : Bytes{});
  if (leg(s, side).tls) payload[1] |= static_cast<std::byte>(mysql::kSsl >> 8);
  if (side == Side::server) ask_for_tracking(payload);
  say(s, side, payload, out);
}

void greeted(SessionState& s, const Surroundings& w, Side side, const PacketView& packet,
             Actions& out) {
  auto& to = link(s, side);
  if (const auto error = mysql::parse_error(packet.payload))
    return on_leg_failed(s, w, side, std::string(error->message), out);
  const auto greeting = mysql::parse_greeting(packet.payload);
  if (!greeting) return on_leg_failed(s, w, side, "malformed greeting", out);
  if (side == Side::server && s.home.server == s.split->lost) return home_is_alive(s, w, out);
  const auto wanted = s.conversation.capabilities & kShaping;
  if ((greeting->capabilities & wanted) != wanted)
    return on_leg_failed(s, w, side, "it speaks another protocol than the session", out);
  to.scramble.assign(greeting->scramble.begin(), greeting->scramble.end());
  to.own.client_sequence = packet.sequence;
  leg_of(s, side).connection_id = greeting->connection_id;
  const auto* server = w.server(leg(s, side).server);
  const auto mode = server ? server->tls.mode : config::TlsMode::off;
  if (mode == config::TlsMode::off) return log_in(s, w, side, out);
  if (greeting->capabilities & mysql::kSsl) {
    to.step = Step::securing;
    say(s, side, mysql::encode_ssl_request(s.split->credentials.answer), out);
    out.start_tls(side);
  } else if (mode == config::TlsMode::required) {
    on_leg_failed(s, w, side, "does not offer TLS, which is required", out);
  } else {
    log_in(s, w, side, out);
  }
}

/// Logged in. A reader reads only from here on, by the server's own rule: a statement that was
/// taken for a read and is none is refused with error 1792 and runs at home.
void ready(SessionState& s, const Surroundings& w, Side side, Actions& out) {
  auto& split = *s.split;
  link(s, side).step = Step::ready;
  s.deadline_ns = split.kill.by_ns;
  if (side == Side::reader) {
    out.log(fmt::format("reads go to {}", split.reader.server));
    run_errand(s, side, Errand::settings, mysql::Command::query,
               "SET SESSION TRANSACTION READ ONLY", out);
    stop_victim(s, out);
  } else {
    out.log(fmt::format("goes on with {}", s.home.server));
    restore(s, out);
  }
  split.waiting = false;
  go_on(s, w, out);
}

void proved(SessionState& s, const Surroundings& w, Side side, const PacketView& packet,
            Actions& out) {
  link(s, side).own.client_sequence = packet.sequence;
  const auto first = packet.payload.empty() ? kOk : static_cast<uint8_t>(packet.payload[0]);
  if (first == kOk) return ready(s, w, side, out);
  if (first == kSwitch) {
    const auto wanted = mysql::parse_auth_switch(packet.payload);
    if (wanted && wanted->plugin == kNative)
      return say(s, side, proof_for(*s.split, wanted->data), out);
  }
  const auto error = mysql::parse_error(packet.payload);
  on_leg_failed(s, w, side, error ? std::string(error->message) : "it wants another proof", out);
}

/// Whether a server is told of clients as the one was that the login was judged for: with another
/// address it could give another account.
bool is_told_alike(const SessionState& s, const Surroundings& w, std::string_view name) {
  const auto* server = w.server(name);
  return server != nullptr && server->proxy_protocol == s.split->credentials.announced;
}

void call(SessionState& s, const Surroundings& w, Side side, std::string server, Actions& out) {
  auto& to = leg_of(s, side);
  to = {};
  to.server = std::move(server);
  link(s, side) = {};
  link(s, side).step = Step::connecting;
  s.deadline_ns = connect_deadline_ns(to, w);
  connect(s, w, side, out);
}

/// Whether a further server can be logged in to. The account may have become known since the login.
bool can_log_in(SessionState& s, const Surroundings& w, Actions& out) {
  auto& kept = s.split->credentials;
  if (kept.known || kept.response.empty() || w.accounts == nullptr) return kept.known;
  for (std::size_t i = 0; i < w.accounts->size() && !kept.known; ++i) {
    const auto key = w.accounts->key(i);
    if (!key || key->user != kept.user) continue;
    const auto account = w.accounts->at(i);
    if (!account) continue;
    for (const auto& proof : account->proofs) {
      const auto hash = proof.plugin == kNative ? native_hash(proof.text) : std::nullopt;
      const auto stage1 = hash ? native_proof(*hash, kept.scramble, kept.response) : std::nullopt;
      if (!stage1) continue;
      kept.known = true;
      kept.proof = Secret(std::string(as_text(*stage1)));
      wipe(kept.response);
    }
  }
  if (!kept.known) out.refresh_accounts();
  return kept.known;
}

}  // namespace

bool may_choose(const SessionState& s, int64_t now_ns) {
  const auto& split = *s.split;
  if (split.home_link.step == Step::none) return true;
  return split.reader_link.step == Step::none && split.kept.pinned.empty() &&
         split.reader_after_ns <= now_ns;
}

bool call_reader(SessionState& s, const Surroundings& w, Actions& out) {
  auto& split = *s.split;
  if (!split.kept.pinned.empty() || split.reader_after_ns > w.now_ns) return false;
  split.reader_after_ns = w.now_ns + kAgainNs;
  if (!can_log_in(s, w, out)) return false;
  const auto* chosen = w.router.reader(w.service, w.servers);
  if (chosen == nullptr || !is_told_alike(s, w, chosen->state->name)) return false;
  call(s, w, Side::reader, chosen->state->name, out);
  return true;
}

bool call_replica(SessionState& s, const Surroundings& w, const std::string& name, Actions& out) {
  const auto is_it = [&](const ServerView& view) {
    return view.state->name == name && view.state->role == cluster::Role::replica;
  };
  if (std::ranges::none_of(w.servers, is_it) || !is_told_alike(s, w, name) ||
      !can_log_in(s, w, out))
    return false;
  drop_leg(s, Side::reader, out);
  s.split->last.select_at = Side::server;  // what was found there can't be asked about any more
  call(s, w, Side::reader, name, out);
  return true;
}

bool call_home(SessionState& s, const Surroundings& w, Actions& out) {
  const auto route = w.router.route(w.service, w.servers, {});
  if (!route || !is_told_alike(s, w, route->server) || !can_log_in(s, w, out)) return false;
  call(s, w, Side::server, route->server, out);
  return true;
}

void drop_leg(SessionState& s, Side side, Actions& out) {
  auto& split = *s.split;
  if (link(s, side).step == Step::none) return;
  out.close(side);
  leg_of(s, side) = {};
  link(s, side) = {};
  for (auto& statement : split.statements) {
    if (side == Side::server) {
      statement.home_id = 0;
      statement.home_has_types = false;
    } else {
      statement.reader_id = 0;
      statement.reader_has_types = false;
    }
  }
}

void login_bytes(SessionState& s, const Surroundings& w, Side side, ByteSpan bytes, Actions& out) {
  auto& from = link(s, side);
  from.received.insert(from.received.end(), bytes.begin(), bytes.end());
  const auto packet = first_packet(from.received);
  if (!packet) {
    if (from.received.size() > kMaxLoginPacket) on_leg_failed(s, w, side, "packet too large", out);
    return;
  }
  if (packet->size != from.received.size())
    return on_leg_failed(s, w, side, "bytes behind a packet of the login", out);
  const Bytes whole = std::exchange(from.received, {});
  const auto view = *first_packet(whole);
  if (from.step == Step::connecting) return greeted(s, w, side, view, out);
  if (from.step == Step::proving) return proved(s, w, side, view, out);
  on_leg_failed(s, w, side, "it spoke out of turn", out);
}

void on_secured(SessionState& s, const Surroundings& w, Side side, tls::Info info, Actions& out) {
  leg_of(s, side).tls = std::make_unique<tls::Info>(std::move(info));
  log_in(s, w, side, out);
}

void late(SessionState& s, const Surroundings& w, Actions& out) {
  s.deadline_ns = 0;
  if (kill_late(s, w, out)) return;
  for (const Side side : {Side::server, Side::reader}) {
    const auto step = link(s, side).step;
    if (step != Step::none && step != Step::ready)
      return on_leg_failed(s, w, side, "its login took too long", out);
  }
  home_late(s, w, out);
}

void keep_proof(SessionState& s) {
  const auto& exchange = s.login->exchange;
  auto& kept = s.split->credentials;
  if (exchange.plugin != kNative) return;
  kept.known = exchange.response.empty();
  kept.user = s.login->user;
  kept.scramble = exchange.scramble;
  kept.response = exchange.response;
}

}  // namespace sluice::worker::split
