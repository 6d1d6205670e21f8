// The client's answer to the greeting, and the account that it would log in to.
#include <fmt/format.h>

#include "common/accounts/match.h"
#include "common/mysql/packets.h"
#include "common/proxy_protocol/header.h"
#include "worker/auth/identity.h"
#include "worker/session/steps.h"
#include "worker/split/split.h"

namespace sluice::worker {
namespace {

constexpr std::string_view kProxyHeader = "PROXY header";

/// Why what has come so far can't become an answer; nothing if it can.
std::string_view why_no_answer(const Login& login) {
  ByteReader in(login.from_client);
  const auto length = in.fixed<uint32_t>("length", 3);
  const auto sequence = in.fixed<uint8_t>("sequence");
  if (!length || !sequence) return {};
  if (proxy_protocol::could_be_header(login.from_client)) return kProxyHeader;
  if (*length > kMaxLoginPacket) return "packet too large";
  return *sequence == login.client_sequence ? std::string_view() : "wrong sequence number";
}

void client_asks_for_tls(SessionState& s, const Surroundings& w, const PacketView& packet,
                         Actions& out) {
  auto& login = *s.login;
  if (w.service.tls.mode == config::TlsMode::off)
    return refuse(s, w, handshake_error("this service does not offer TLS"), out);
  if (s.client_tls) return refuse(s, w, handshake_error("TLS inside TLS"), out);
  // What is sent in clear behind the wish for TLS would be taken for what came encrypted.
  if (packet.size != login.from_client.size()) {
    out.warn("bytes behind a request for TLS");
    return refuse(s, w, handshake_error("bytes behind the request for TLS"), out);
  }
  release(login.from_client);
  ++login.client_sequence;
  s.phase = Phase::securing_client;
  out.start_tls(Side::client);
}

/// A client that sets flags for what was not offered, or for its own TLS with us, would otherwise
/// have the server speak a protocol that sluice does not follow.
void hide_own_capabilities(Bytes& answer, uint64_t hidden) {
  for (std::size_t i = 0; i < 4; ++i) answer[i] &= static_cast<std::byte>(~(hidden >> (8 * i)));
}

/// Where TLS is required a client has to use it; on a Unix socket nobody can listen in, and servers
/// with require_secure_transport see it the same way.
bool must_use_tls(const SessionState& s, const Surroundings& w) {
  return w.service.tls.mode == config::TlsMode::required && !s.client_tls && !s.client_ip.empty();
}

bool server_will_use_tls(const SessionState& s, const Surroundings& w) {
  const auto* server = w.server(s.home.server);
  return server && server->tls.mode != config::TlsMode::off &&
         (s.login->server_capabilities & mysql::kSsl);
}

ClientIdentity identity_of(const SessionState& s, const Surroundings& w) {
  const auto* server = w.server(s.home.server);
  const bool announced = server && server->proxy_protocol;
  const auto name = [&](const std::string& ip) {
    return std::string(w.names.find(ip, w.now_ns).value_or(""));
  };
  const bool own = judged_by_own_address(w.service, s.client_ip);
  const accounts::Peer outgoing{s.outgoing_ip, name(s.outgoing_ip)};
  const accounts::Peer client{s.client_ip, name(s.client_ip)};
  return {.user = s.login->user,
          .as_itself = own ? client : outgoing,
          .as_seen = own && announced ? client : outgoing,
          .tls = client_tls_of(s)};
}

/// Asks for the names that would decide; false while they are not known and may still come.
bool names_known(SessionState& s, const Surroundings& w, Actions& out) {
  if (!accounts::names_matter(*w.accounts, s.login->user)) return true;
  bool known = true;
  for (const auto* ip : {&s.client_ip, &s.outgoing_ip}) {
    const bool localhost = ip->empty() || *ip == "127.0.0.1" || *ip == "::1";
    if (localhost || w.names.find(*ip, w.now_ns)) continue;
    known = false;
    out.resolve(*ip);
  }
  return known || (s.phase == Phase::judging && w.now_ns >= s.deadline_ns);
}

/// Starts to wait for what may be known in a moment.
void wait_for_lookup(SessionState& s, const Surroundings& w) {
  if (s.phase == Phase::judging) return;
  s.phase = Phase::judging;
  s.deadline_ns = w.now_ns + kLookupNs;
}

void go_on(SessionState& s, const Surroundings& w, Actions& out) {
  auto& login = *s.login;
  s.deadline_ns = w.now_ns + int64_t{w.service.login_timeout_ms} * kMillisecondNs;
  if (s.end) s.deadline_ns = std::min(s.deadline_ns, w.now_ns + kLookupNs);
  if (login.change_user || !server_will_use_tls(s, w)) return start_proof(s, w, out);
  s.phase = Phase::securing_server;
  auto wish = mysql::encode_ssl_request(login.answer);
  // Servers believe the capabilities in this packet, not those in the answer that follows.
  if (w.router.splits() && (login.server_capabilities & mysql::kSessionTrack))
    split::ask_for_tracking(wish);
  Bytes request;
  mysql::append_packet(request, ++login.server_sequence, wish);
  out.send_made(Side::server, std::move(request));
  out.start_tls(Side::server);
}

/// The login may not succeed. Who does not know the password learns no more than that: the server
/// judges a proof that can't be right, which looks the same for every reason there is.
void doom(SessionState& s, const Surroundings& w, const Judgement& judgement, Actions& out) {
  auto text = fmt::format("login as {} is refused: {}", quoted_account(s.login->user, s.client_ip),
                          judgement.reason);
  // An account that can't be used this way is a matter for whoever made it.
  if (judgement.verdict == Judgement::Verdict::unknown)
    out.log(std::move(text));
  else
    out.warn(std::move(text));
  s.login->exchange.doomed = true;
  go_on(s, w, out);
}

bool is_allowed(const Surroundings& w, const Judgement& judgement) {
  return judgement.verdict == Judgement::Verdict::other && judgement.tolerable &&
         w.service.account_mismatch == config::AccountMismatch::allow;
}

void conclude(SessionState& s, const Surroundings& w, const Judgement& judgement, Actions& out) {
  using V = Judgement::Verdict;
  switch (judgement.verdict) {
    case V::same:
    case V::absent:
      return go_on(s, w, out);
    case V::other:
      if (is_allowed(w, judgement)) {
        out.log("login allowed though " + judgement.reason);
        return go_on(s, w, out);
      }
      if (proves_account(s, judgement))
        return refuse(s, w, access_denied(s, judgement.reason), out);
      return doom(s, w, judgement, out);
    case V::no_host:
      return refuse(s, w,
                    {mysql::kHostNotAllowed, "HY000",
                     fmt::format("Host '{}' is not allowed to connect to this server (sluice: no "
                                 "account covers it)",
                                 s.client_ip.empty() ? "localhost" : s.client_ip)},
                    out);
    case V::unknown:
    case V::tls:
      return doom(s, w, judgement, out);
  }
}

}  // namespace

bool needs_lookup(const SessionState& s, const Surroundings& w) {
  const auto* server = w.server(s.home.server);
  const bool address_differs =
      !(server && server->proxy_protocol) && judged_by_own_address(w.service, s.client_ip);
  // The server judges REQUIRE SSL and the like by our TLS; where there is none, it refuses.
  const bool tls_differs = s.home.tls || server_will_use_tls(s, w);
  return address_differs || tls_differs;
}

bool tables_are_fresh(SessionState& s, const Surroundings& w, Actions& out) {
  auto& login = *s.login;
  if (login.asked_ns == 0) {
    login.asked_ns = w.now_ns;
    out.refresh_accounts();
    return false;
  }
  return w.accounts_began_ns >= login.asked_ns || w.now_ns >= s.deadline_ns;
}

void answer_bytes(SessionState& s, const Surroundings& w, ByteSpan bytes, Actions& out) {
  auto& buffered = s.login->from_client;
  buffered.insert(buffered.end(), bytes.begin(), bytes.end());
  take_answer(s, w, out);
}

void take_answer(SessionState& s, const Surroundings& w, Actions& out) {
  auto& login = *s.login;
  if (const auto why = why_no_answer(login); !why.empty()) {
    if (why == kProxyHeader) out.warn("a PROXY header from an address that is not trusted");
    return refuse(s, w, handshake_error(std::string(why)), out);
  }
  const auto packet = first_packet(login.from_client);
  if (!packet) return;
  if (mysql::is_ssl_request(packet->payload)) return client_asks_for_tls(s, w, *packet, out);
  if (must_use_tls(s, w))
    return refuse(s, w,
                  {mysql::kSecureTransportRequired, "HY000",
                   "Connections using insecure transport are prohibited (sluice: this service "
                   "requires TLS)"},
                  out);
  const auto answer = mysql::parse_handshake_response(packet->payload);
  if (!answer)
    return refuse(s, w, handshake_error(fmt::format("malformed {}", answer.error().field)), out);
  s.user = login.user = answer->user;
  s.database = login.database = answer->database;
  login.plugin = answer->plugin;
  login.with_password = !answer->auth_response.empty();
  s.conversation.capabilities &= answer->capabilities;
  // Like servers, which do not look at what they have offered: PHP's mysqlnd compresses uninvited.
  login.compresses = (answer->capabilities & mysql::kCompress) != 0;
  s.conversation.capabilities &= ~uint64_t{mysql::kCompress};  // a matter of the client's leg
  login.answer.assign(packet->payload.begin(), packet->payload.end());
  hide_own_capabilities(login.answer, not_offered(w));
  // Commands that follow ahead of the login's end wait for it.
  s.held.assign(login.from_client.begin() + static_cast<std::ptrdiff_t>(packet->size),
                login.from_client.end());
  wipe(login.from_client);
  await_turn(s, w, out);
}

void await_turn(SessionState& s, const Surroundings& w, Actions& out) {
  const auto allowed = w.service.max_failed_logins;
  if (w.guard == nullptr || allowed == 0) return judge_login(s, w, out);
  const auto turn = w.guard->admit(s.client_ip, s.login->user, allowed, w.now_ns);
  if (!turn)
    return refuse(
        s, w, access_denied(s, "too many logins from this address have failed; try again later"),
        out);
  if (*turn <= w.now_ns) return judge_login(s, w, out);
  s.phase = Phase::slowed;
  s.deadline_ns = *turn;
}

void judge_login(SessionState& s, const Surroundings& w, Actions& out) {
  if (!needs_lookup(s, w)) return go_on(s, w, out);
  wait_for_lookup(s, w);
  if (w.accounts == nullptr) {
    if (!tables_are_fresh(s, w, out) || w.now_ns < s.deadline_ns) return;
    return refuse(s, w, access_denied(s, "the accounts of the cluster are not loaded yet"), out);
  }
  if (!names_known(s, w, out)) return;
  const auto judgement = judge(*w.accounts, identity_of(s, w));
  // The tables may be older than the account: one that is new gets in at the first try.
  if (judgement.verdict != Judgement::Verdict::same && !is_allowed(w, judgement) &&
      !tables_are_fresh(s, w, out))
    return;
  conclude(s, w, judgement, out);
}

void bytes_out_of_turn(SessionState& s, const Surroundings& w, ByteSpan bytes, Actions& out) {
  auto& buffered = s.login->from_server;
  buffered.insert(buffered.end(), bytes.begin(), bytes.end());
  const auto packet = first_packet(buffered);
  if (!packet && buffered.size() <= kMaxLoginPacket) return;
  const auto error = packet ? mysql::parse_error(packet->payload) : tl::unexpected(ParseError{});
  if (!error) return refuse(s, w, handshake_error("malformed packet from the server"), out);
  refuse(s, w,
         {error->number, std::string(error->state.empty() ? "08S01" : error->state),
          std::string(error->message)},
         out);
}

void on_secured(SessionState& s, const Surroundings& w, Side side, tls::Info info, Actions& out) {
  if (s.split && s.phase >= Phase::relaying && side != Side::client)
    return split::on_secured(s, w, side, std::move(info), out);
  (side == Side::client ? s.client_tls : s.home.tls) = std::make_unique<tls::Info>(std::move(info));
  if (side == Side::client && s.phase == Phase::securing_client) s.phase = Phase::greeted;
  if (side == Side::server && s.phase == Phase::securing_server) start_proof(s, w, out);
}

void on_tls_failed(SessionState& s, const Surroundings& w, Side side, std::string why,
                   Actions& out) {
  if (s.split && s.phase == Phase::relaying && side != Side::client)
    return split::on_leg_failed(s, w, side, "TLS: " + why, out);
  if (s.phase >= Phase::closing) return over(s, out);
  out.warn(fmt::format("TLS with the {}: {}", enum_name(side), why));
  if (side == Side::client) return over(s, out);
  if (s.phase >= Phase::relaying) return on_closed(s, w, side, out);
  refuse(s, w,
         {mysql::kCantConnect, "08S01",
          fmt::format("sluice: TLS with server {}: {}", s.home.server, why)},
         out);
}

}  // namespace sluice::worker
