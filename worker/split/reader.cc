// The reader: chosen among the replicas, logged in to as the client's account, given up when it
// fails. Nothing of it is the client's business: where there is none, home runs everything.
#include <fmt/format.h>

#include <algorithm>

#include "common/mysql/packets.h"
#include "worker/auth/native.h"
#include "worker/split/steps.h"

namespace sluice::worker::split {
namespace {

constexpr std::string_view kNative = "mysql_native_password";
constexpr int64_t kAgainNs = kSecondNs;  // after a failure
constexpr uint8_t kOk = 0x00, kSwitch = 0xFE;

/// Capabilities that shape what either side sends after the login: both servers must have them.
constexpr uint64_t kShaping = mysql::kProtocol41 | mysql::kDeprecateEof | mysql::kSessionTrack |
                              mysql::kOptionalResultsetMetadata | mysql::kMariadbCacheMetadata |
                              mysql::kPluginAuth;

void say(SessionState& s, ByteSpan payload, Actions& out) {
  auto& link = s.split->reader_link;
  Bytes packet;
  mysql::append_packet(packet, ++link.own.client_sequence, payload);
  out.send_made(Side::reader, std::move(packet));
}

/// The proof for a scramble; empty where the account has no password.
Bytes proof_for(const Split& split, ByteSpan scramble) {
  const auto stage1 = as_bytes(split.credentials.proof.reveal());
  if (stage1.empty()) return {};
  const auto response = native_response(stage1, scramble);
  return response ? Bytes(response->begin(), response->end()) : Bytes{};
}

void log_in(SessionState& s, const Surroundings& w, Actions& out) {
  auto& split = *s.split;
  auto& link = split.reader_link;
  link.step = Step::proving;
  const auto& answer = split.credentials.answer;
  const auto parsed = mysql::parse_handshake_response(answer);
  if (!parsed) return on_reader_failed(s, w, "no login is known", out);
  const bool native = parsed->plugin.empty() || parsed->plugin == kNative;
  auto payload = mysql::with_auth_response(answer, *parsed,
                                           native ? proof_for(split, link.scramble) : Bytes{});
  if (split.reader.tls) payload[1] |= static_cast<std::byte>(mysql::kSsl >> 8);
  say(s, payload, out);
}

void greeted(SessionState& s, const Surroundings& w, const PacketView& packet, Actions& out) {
  auto& split = *s.split;
  auto& link = split.reader_link;
  if (const auto error = mysql::parse_error(packet.payload))
    return on_reader_failed(s, w, std::string(error->message), out);
  const auto greeting = mysql::parse_greeting(packet.payload);
  if (!greeting) return on_reader_failed(s, w, "malformed greeting", out);
  const auto wanted = s.conversation.capabilities & kShaping;
  if ((greeting->capabilities & wanted) != wanted)
    return on_reader_failed(s, w, "it speaks an older protocol than the primary", out);
  link.scramble.assign(greeting->scramble.begin(), greeting->scramble.end());
  link.own.client_sequence = packet.sequence;
  split.reader.connection_id = greeting->connection_id;
  const auto* server = w.server(split.reader.server);
  const auto mode = server ? server->tls.mode : config::TlsMode::off;
  if (mode == config::TlsMode::off) return log_in(s, w, out);
  if (greeting->capabilities & mysql::kSsl) {
    link.step = Step::securing;
    say(s, mysql::encode_ssl_request(split.credentials.answer), out);
    out.start_tls(Side::reader);
  } else if (mode == config::TlsMode::required) {
    on_reader_failed(s, w, "does not offer TLS, which is required", out);
  } else {
    log_in(s, w, out);
  }
}

/// Logged in: from here on reads only, by the server's own rule. A statement that was taken for a
/// read and is none is refused with error 1792 and runs at home.
void ready(SessionState& s, const Surroundings& w, Actions& out) {
  auto& split = *s.split;
  split.reader_link.step = Step::ready;
  s.deadline_ns = 0;
  out.log(fmt::format("reads go to {}", split.reader.server));
  run_errand(s, Side::reader, Errand::settings, mysql::Command::query,
             "SET SESSION TRANSACTION READ ONLY", out);
  split.waiting = false;
  go_on(s, w, out);
}

void proved(SessionState& s, const Surroundings& w, const PacketView& packet, Actions& out) {
  auto& link = s.split->reader_link;
  link.own.client_sequence = packet.sequence;
  const auto first = packet.payload.empty() ? kOk : static_cast<uint8_t>(packet.payload[0]);
  if (first == kOk) return ready(s, w, out);
  if (first == kSwitch) {
    const auto wanted = mysql::parse_auth_switch(packet.payload);
    if (wanted && wanted->plugin == kNative) return say(s, proof_for(*s.split, wanted->data), out);
  }
  const auto error = mysql::parse_error(packet.payload);
  on_reader_failed(s, w, error ? std::string(error->message) : "it wants another proof", out);
}

}  // namespace

bool may_choose(const SessionState& s, int64_t now_ns) {
  const auto& split = *s.split;
  return split.reader_link.step == Step::none && split.credentials.known && split.pinned.empty() &&
         split.reader_after_ns <= now_ns;
}

bool call_reader(SessionState& s, const Surroundings& w, Actions& out) {
  auto& split = *s.split;
  if (!may_choose(s, w.now_ns)) return false;
  split.reader_after_ns = w.now_ns + kAgainNs;
  const auto* chosen = w.router.reader(w.service, w.servers);
  if (chosen == nullptr) return false;
  split.reader.server = chosen->state->name;
  split.reader_link = {};
  split.reader_link.step = Step::connecting;
  s.deadline_ns = connect_deadline_ns(split.reader, w);
  connect(s, w, Side::reader, out);
  return true;
}

void drop_reader(SessionState& s, Actions& out) {
  auto& split = *s.split;
  if (split.reader_link.step == Step::none) return;
  out.close(Side::reader);
  split.reader = {};
  split.reader_link = {};
  for (auto& statement : split.statements) {
    statement.reader_id = 0;
    statement.reader_has_types = false;
  }
}

void reader_login_bytes(SessionState& s, const Surroundings& w, ByteSpan bytes, Actions& out) {
  auto& link = s.split->reader_link;
  link.received.insert(link.received.end(), bytes.begin(), bytes.end());
  const auto packet = first_packet(link.received);
  if (!packet) {
    if (link.received.size() > kMaxLoginPacket) on_reader_failed(s, w, "packet too large", out);
    return;
  }
  if (packet->size != link.received.size())
    return on_reader_failed(s, w, "bytes behind a packet of the login", out);
  const Bytes whole = std::exchange(link.received, {});
  const auto view = *first_packet(whole);
  if (link.step == Step::connecting) return greeted(s, w, view, out);
  if (link.step == Step::proving) return proved(s, w, view, out);
  on_reader_failed(s, w, "it spoke out of turn", out);
}

void on_secured(SessionState& s, const Surroundings& w, tls::Info info, Actions& out) {
  s.split->reader.tls = std::make_unique<tls::Info>(std::move(info));
  log_in(s, w, out);
}

void on_reader_failed(SessionState& s, const Surroundings& w, std::string why, Actions& out) {
  if (!s.split || s.split->reader_link.step == Step::none) return;
  auto& split = *s.split;
  out.log(fmt::format("replica {}: {}", split.reader.server, why));
  const bool asked = split.at == Side::reader && s.conversation.expect != mysql::Expect::nothing;
  drop_reader(s, out);
  split.reader_after_ns = w.now_ns + kAgainNs;
  if (s.phase == Phase::relaying) s.deadline_ns = 0;
  if (!asked && !split.waiting) return;
  if (!asked || !split.delivered) return again_at_home(s, w, out);
  s.end = std::make_unique<End>(
      End{mysql::kServerShutdown, "08S01",
          fmt::format("sluice: the replica was lost while its answer came: {}", why)});
  end_now(s, w, out);
}

void late(SessionState& s, const Surroundings& w, Actions& out) {
  s.deadline_ns = 0;
  on_reader_failed(s, w, "its login took too long", out);
}

void find_proof(SessionState& s, const Surroundings& w) {
  const auto& exchange = s.login->exchange;
  auto& found = s.split->credentials;
  if (exchange.plugin != kNative) return;
  found.known = exchange.response.empty();
  if (found.known || w.accounts == nullptr) return;
  for (std::size_t i = 0; i < w.accounts->size() && !found.known; ++i) {
    const auto key = w.accounts->key(i);
    if (!key || key->user != s.login->user) continue;
    const auto account = w.accounts->at(i);
    if (!account) continue;
    for (const auto& proof : account->proofs) {
      const auto hash = proof.plugin == kNative ? native_hash(proof.text) : std::nullopt;
      const auto stage1 =
          hash ? native_proof(*hash, exchange.scramble, exchange.response) : std::nullopt;
      if (!stage1) continue;
      found.known = true;
      found.proof = Secret(std::string(as_text(*stage1)));
    }
  }
}

}  // namespace sluice::worker::split
