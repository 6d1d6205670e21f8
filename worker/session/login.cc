#include "worker/session/login.h"

#include <fmt/format.h>

#include <algorithm>

#include "common/base/clock.h"
#include "common/mysql/packets.h"
#include "worker/auth/identity.h"

namespace sluice::worker {
namespace {

// What sluice can't carry (compression, TLS inside the connection: later) is not offered.
constexpr uint64_t kNotOffered = mysql::kSsl | mysql::kCompress | mysql::kZstd;
// A closed connection with unread bytes is reset, and the reset can overtake our last words. So we
// close our half, and wait a moment for the client to close its own.
constexpr int64_t kLingerNs = 2 * kSecondNs;

constexpr uint8_t kOk = 0x00, kErr = 0xFF;

End handshake_error(std::string why) {
  return {mysql::kHandshakeError, "08S01", "sluice: bad handshake: " + std::move(why)};
}

End access_denied(const SessionState& s, std::string_view user, std::string_view why) {
  return {mysql::kAccessDenied, "28000",
          fmt::format("Access denied for user {} (sluice: {})", quoted_account(user, s.client_ip),
                      why)};
}

void try_next(SessionState& s, const Surroundings& w, std::string why, Actions& out) {
  out.log(fmt::format("server {} failed the connection: {}", s.server, why));
  out.close(Side::server);
  s.login->tried.push_back(std::exchange(s.server, {}));
  s.login->last_failure = std::move(why);
  s.login->from_server.clear();
  choose_server(s, w, out);
}

int64_t connect_deadline(const SessionState& s, const Surroundings& w) {
  uint32_t timeout_ms = 3000;
  for (const auto& server : w.configured)
    if (server.name == s.server) timeout_ms = server.connect_timeout_ms;
  return w.now_ns + int64_t{timeout_ms} * kMillisecondNs;
}

/// No greeting in time: another server is tried. Where there is none, the same one is asked again
/// as long as the login may take and the monitor calls it up. A server whose queue of connections
/// is full is late, not down: the kernel drops what comes and tries again after 1, 3, 7 s.
void greeting_late(SessionState& s, const Surroundings& w, Actions& out) {
  auto tried = s.login->tried;
  tried.push_back(s.server);
  const int64_t end_ns = s.accepted_ns + int64_t{w.service.login_timeout_ms} * kMillisecondNs;
  if (connect_deadline(s, w) > end_ns || w.router.route(w.service, w.servers, tried))
    return try_next(s, w, "no greeting in time", out);
  out.log(fmt::format("server {} is late with its greeting; connecting again", s.server));
  out.close(Side::server);
  s.login->from_server.clear();
  choose_server(s, w, out);
}

/// The server's greeting goes to the client as it is, less what sluice can't carry.
void greet(SessionState& s, const Surroundings& w, const PacketView& packet, Actions& out) {
  auto greeting = mysql::parse_greeting(packet.payload);
  if (!greeting)
    return try_next(s, w, fmt::format("malformed greeting ({})", greeting.error().field), out);
  greeting->capabilities &= ~kNotOffered;
  s.conversation.capabilities =
      greeting->capabilities;  // what was offered, till the client answers
  s.server_connection_id = greeting->connection_id;
  Bytes bytes;
  mysql::append_packet(bytes, 0, mysql::encode_greeting(*greeting));
  out.send_made(Side::client, std::move(bytes));
  s.phase = Phase::greeted;
  s.deadline_ns = s.accepted_ns + int64_t{w.service.login_timeout_ms} * kMillisecondNs;
}

void server_greets(SessionState& s, const Surroundings& w, Actions& out) {
  const auto& bytes = s.login->from_server;
  const auto packet = first_packet(bytes);
  if (!packet) {
    if (bytes.size() > kMaxLoginPacket) try_next(s, w, "greeting too large", out);
    return;
  }
  if (const auto error = mysql::parse_error(packet->payload)) {
    // Its own words (1040 Too many connections, 1129 host blocked) for the client, if no other
    // serves.
    End end{error->number, std::string(error->state.empty() ? "08004" : error->state),
            std::string(error->message)};
    s.end = std::make_unique<End>(std::move(end));
    return try_next(s, w, std::string(error->message), out);
  }
  if (packet->size != bytes.size()) return try_next(s, w, "bytes behind the greeting", out);
  s.end.reset();
  greet(s, w, *packet, out);
  s.login->from_server = {};
}

/// What the client sends while the proof is settled: answers to the server's questions, and with
/// some drivers their first commands. A COM_CHANGE_USER among these is kept until it can be judged.
void pass_on(SessionState& s, const Surroundings& w, ByteSpan bytes, Actions& out) {
  std::size_t taken = 0;
  if (!s.judged) {
    taken = s.conversation.from_client(bytes);
    out.send_made(Side::server, Bytes(bytes.begin(), bytes.end()));
  } else {
    s.held.insert(s.held.end(), bytes.begin(), bytes.end());
    taken = s.conversation.from_client(s.held, mysql::Command::change_user);
    const auto end = s.held.begin() + static_cast<std::ptrdiff_t>(taken);
    if (taken > 0) out.send_made(Side::server, Bytes(s.held.begin(), end));
    s.held.erase(s.held.begin(), end);
    if (s.held.size() > kMaxLoginPacket)
      return refuse(s, w.now_ns, handshake_error("too much is sent ahead of the login's end"), out);
  }
  s.bytes_in += taken;
}

/// The client's answer goes to the server with the flags that were not offered taken out: a client
/// that sets them all the same would otherwise speak a protocol that sluice does not follow.
void pass_answer_on(SessionState& s, const Surroundings& w, Actions& out) {
  Bytes bytes = std::move(s.login->from_client);
  s.login->from_client = {};
  const auto packet = first_packet(bytes);
  const auto refused = ~s.conversation.capabilities;
  for (std::size_t i = 0; i < 4; ++i)
    bytes[mysql::kHeaderSize + i] &= static_cast<std::byte>(~((refused & kNotOffered) >> (8 * i)));
  const auto answer = mysql::parse_handshake_response(packet->payload);
  s.conversation.capabilities &= answer->capabilities;
  s.phase = Phase::proving;
  s.conversation.begin_login(packet->sequence);
  s.deadline_ns = w.now_ns + int64_t{w.service.login_timeout_ms} * kMillisecondNs;
  const Bytes behind(bytes.begin() + static_cast<std::ptrdiff_t>(packet->size), bytes.end());
  bytes.resize(packet->size);
  s.bytes_in += bytes.size();
  out.send_made(Side::server, std::move(bytes));
  if (!behind.empty()) pass_on(s, w, behind, out);
}

void judge_login(SessionState& s, const Surroundings& w, Actions& out) {
  using Verdict = Judgement::Verdict;
  const bool asked = s.login->accounts_version != 0;
  if (w.accounts == nullptr) {
    if (!asked) out.refresh_accounts();
    s.login->accounts_version = 1;
    return;
  }
  const auto judgement = judge(*w.accounts, s.user, s.client_ip, s.outgoing_ip);
  if (judgement.verdict == Verdict::same) return pass_answer_on(s, w, out);
  if (judgement.verdict == Verdict::other &&
      w.service.account_mismatch == config::AccountMismatch::allow) {
    out.log("login allowed though " + judgement.reason);
    return pass_answer_on(s, w, out);
  }
  if (!asked) {  // the tables may be older than the account
    s.login->accounts_version = w.accounts_version;
    return out.refresh_accounts();
  }
  refuse(s, w.now_ns, access_denied(s, s.user, judgement.reason), out);
}

void client_answers(SessionState& s, const Surroundings& w, Actions& out) {
  const auto& bytes = s.login->from_client;
  const auto packet = first_packet(bytes);
  if (!packet) {
    if (bytes.size() > kMaxLoginPacket + mysql::kHeaderSize)
      refuse(s, w.now_ns, handshake_error("packet too large"), out);
    return;
  }
  if (packet->sequence != 1)
    return refuse(s, w.now_ns, handshake_error("wrong sequence number"), out);
  if (mysql::is_ssl_request(packet->payload))
    return refuse(s, w.now_ns, handshake_error("this service does not offer TLS"), out);
  const auto answer = mysql::parse_handshake_response(packet->payload);
  if (!answer)
    return refuse(s, w.now_ns, handshake_error(fmt::format("malformed {}", answer.error().field)),
                  out);
  s.user = answer->user;
  s.database = answer->database;
  s.judged = needs_judging(w.service, s.client_ip);
  if (!s.judged) return pass_answer_on(s, w, out);
  s.phase = Phase::judging;
  s.deadline_ns = w.now_ns + kRefreshNs;
  judge_login(s, w, out);
}

/// The server's part of the proof goes on packet by packet, up to its OK or ERR.
void server_proves(SessionState& s, const Surroundings& w, ByteSpan bytes, Actions& out) {
  auto& buffered = s.login->from_server;
  buffered.insert(buffered.end(), bytes.begin(), bytes.end());
  const Bytes joined = std::exchange(buffered, {});
  ByteSpan rest = joined;
  while (!rest.empty()) {
    const auto packet = first_packet(rest);
    if (!packet || packet->payload.empty()) {
      if (packet || rest.size() > kMaxLoginPacket)
        return refuse(s, w.now_ns, handshake_error("malformed packet from the server"), out);
      buffered.assign(rest.begin(), rest.end());
      return;
    }
    const auto whole = rest.first(packet->size);
    rest = rest.subspan(packet->size);
    s.conversation.from_server(whole);
    s.bytes_out += whole.size();
    out.send_made(Side::client, Bytes(whole.begin(), whole.end()));
    const auto marker = static_cast<uint8_t>(packet->payload[0]);
    if (marker == kErr) {
      const auto error = mysql::parse_error(packet->payload);
      out.log(fmt::format("login refused by {}: {}", s.server, error ? error->message : "?"));
      return begin_closing(s, w.now_ns, out);
    }
    if (marker != kOk) continue;
    s.phase = Phase::relaying;
    s.deadline_ns = 0;
    s.login.reset();
    out.log("logged in");
    if (!rest.empty()) {
      s.bytes_out += rest.size();
      s.conversation.from_server(rest);
      out.send_made(Side::client, Bytes(rest.begin(), rest.end()));
    }
    if (!s.held.empty()) relay_held(s, w, out);
    return;
  }
}

}  // namespace

std::optional<PacketView> first_packet(ByteSpan bytes) {
  ByteReader in(bytes);
  const auto length = in.fixed<uint32_t>("length", 3);
  const auto sequence = in.fixed<uint8_t>("sequence");
  if (!length || !sequence) return std::nullopt;
  const auto payload = in.bytes(*length, "payload");
  if (!payload) return std::nullopt;
  return PacketView{*sequence, *payload, mysql::kHeaderSize + *length};
}

void on_accepted(SessionState& s, const Surroundings& w, Actions& out) {
  s.login = std::make_unique<Login>();
  s.accepted_ns = s.active_ns = w.now_ns;
  s.deadline_ns = w.now_ns + int64_t{w.service.login_timeout_ms} * kMillisecondNs;
  if (w.known) choose_server(s, w, out);
}

void on_limit(SessionState& s, const Surroundings& w, Actions& out) {
  refuse(s, w.now_ns,
         {mysql::kTooManyConnections, "08004",
          fmt::format("Too many connections (sluice: service {} allows {})", w.service.name,
                      w.service.max_connections)},
         out);
}

void choose_server(SessionState& s, const Surroundings& w, Actions& out) {
  const auto route = w.router.route(w.service, w.servers, s.login->tried);
  if (!route) {
    if (s.end) return refuse(s, w.now_ns, std::move(*std::exchange(s.end, nullptr)), out);
    auto why = "sluice: " + route.error().message;
    if (!s.login->last_failure.empty()) why += " (" + s.login->last_failure + ")";
    return refuse(s, w.now_ns, {mysql::kCantConnect, "08S01", std::move(why)}, out);
  }
  s.server = route->server;
  s.phase = Phase::connecting;
  s.deadline_ns = connect_deadline(s, w);
  out.connect(s.server);
}

void refuse(SessionState& s, int64_t now_ns, End end, Actions& out) {
  uint8_t sequence = 0;  // in place of the greeting
  if (s.phase == Phase::greeted || s.phase == Phase::judging)
    sequence = 2;  // the client's answer is 1
  if (s.phase == Phase::proving)
    sequence = static_cast<uint8_t>(s.conversation.server_sequence + 1);
  Bytes packet;
  mysql::append_packet(packet, sequence,
                       mysql::encode_error(end.number, end.sql_state, end.message));
  out.log("refused: " + end.message);
  out.send_made(Side::client, std::move(packet));
  begin_closing(s, now_ns, out);
}

void begin_closing(SessionState& s, int64_t now_ns, Actions& out) {
  s.phase = Phase::closing;
  s.deadline_ns = now_ns + kLingerNs;
  s.held = {};
  s.unsent_to_server = {};
  out.close(Side::server);
  out.finish_client();
}

void on_connected(SessionState& s, std::string outgoing_ip) {
  s.outgoing_ip = std::move(outgoing_ip);
}

void on_connect_failed(SessionState& s, const Surroundings& w, std::string why, Actions& out) {
  if (s.phase == Phase::connecting) try_next(s, w, std::move(why), out);
}

void excuse_absent_client(Actions& out) {
  Bytes packet;
  mysql::append_packet(packet, 1, mysql::encode_handshake_response("client_left"));
  out.send_made(Side::server, std::move(packet));
}

void login_bytes(SessionState& s, const Surroundings& w, Side from, ByteSpan bytes, Actions& out) {
  if (from == Side::client && s.phase == Phase::proving) return pass_on(s, w, bytes, out);
  if (from == Side::client) {
    auto& buffered = s.login->from_client;
    buffered.insert(buffered.end(), bytes.begin(), bytes.end());
    return client_answers(s, w, out);
  }
  if (s.phase == Phase::proving) return server_proves(s, w, bytes, out);
  auto& buffered = s.login->from_server;
  buffered.insert(buffered.end(), bytes.begin(), bytes.end());
  if (s.phase == Phase::connecting) return server_greets(s, w, out);
  // It spoke out of turn: it gave up waiting for the client, or is shutting down.
  const auto packet = first_packet(buffered);
  if (!packet && buffered.size() <= kMaxLoginPacket) return;
  const auto error = packet ? mysql::parse_error(packet->payload) : tl::unexpected(ParseError{});
  if (!error) return refuse(s, w.now_ns, handshake_error("malformed packet from the server"), out);
  refuse(s, w.now_ns,
         {error->number, std::string(error->state.empty() ? "08S01" : error->state),
          std::string(error->message)},
         out);
}

void login_server_closed(SessionState& s, const Surroundings& w, Actions& out) {
  if (s.phase == Phase::connecting)
    return try_next(s, w, "closed the connection before its greeting", out);
  refuse(s, w.now_ns,
         {mysql::kServerShutdown, "08S01",
          fmt::format("sluice: server {} closed the connection during the login", s.server)},
         out);
}

void login_deadline(SessionState& s, const Surroundings& w, Actions& out) {
  switch (s.phase) {
    case Phase::connecting:
      return greeting_late(s, w, out);
    case Phase::judging:
      return login_accounts(s, w, out);
    case Phase::waiting:
      return refuse(
          s, w.now_ns,
          {mysql::kCantConnect, "08S01",
           fmt::format("sluice: nothing is known about cluster {} yet", w.service.cluster)},
          out);
    default:
      return refuse(s, w.now_ns,
                    {mysql::kNetReadInterrupted, "08S01", "sluice: the login took too long"}, out);
  }
}

void login_accounts(SessionState& s, const Surroundings& w, Actions& out) {
  if (w.accounts == nullptr && w.now_ns >= s.deadline_ns)
    return refuse(s, w.now_ns,
                  access_denied(s, s.user, "the accounts of the cluster are not loaded yet"), out);
  judge_login(s, w, out);
}

std::optional<End> judge_change_user(const SessionState& s, const Surroundings& w,
                                     ByteSpan payload) {
  const auto change = mysql::parse_change_user(payload, s.conversation.capabilities);
  if (!change)
    return End{mysql::kMalformedPacket, "HY000",
               fmt::format("sluice: malformed COM_CHANGE_USER ({})", change.error().field)};
  if (w.accounts == nullptr)
    return access_denied(s, change->user, "the accounts are not loaded yet");
  const auto judgement = judge(*w.accounts, change->user, s.client_ip, s.outgoing_ip);
  if (judgement.verdict == Judgement::Verdict::same) return std::nullopt;
  if (judgement.verdict == Judgement::Verdict::other &&
      w.service.account_mismatch == config::AccountMismatch::allow)
    return std::nullopt;
  return access_denied(s, change->user, judgement.reason);
}

}  // namespace sluice::worker
