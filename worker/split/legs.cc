// Connections that sluice makes by itself, as the client's account: the reader, and another home
// where the first one was lost. Chosen by the router, logged in to, closed.
#include <fmt/format.h>

#include <algorithm>

#include "common/base/clock.h"
#include "common/mysql/packets.h"
#include "worker/auth/identity.h"
#include "worker/split/asking.h"
#include "worker/split/holdings.h"
#include "worker/split/lending.h"
#include "worker/split/programs.h"
#include "worker/split/route.h"
#include "worker/split/steps.h"
#include "worker/split/warnings.h"

namespace sluice::worker::split {
namespace {

constexpr std::string_view kNative = "mysql_native_password", kSha2 = "caching_sha2_password",
                           kSha256 = "sha256_password";
/// How long no replica is logged in to after one has refused the proof: its account may come by
/// replication, but most likely the password was changed.
constexpr int64_t kProofAgainNs = 10 * kSecondNs;

/// Capabilities that shape what either side sends after the login: both servers must have them.
constexpr uint64_t kShaping = mysql::kProtocol41 | mysql::kDeprecateEof | mysql::kSessionTrack |
                              mysql::kOptionalResultsetMetadata | mysql::kMariadbCacheMetadata |
                              mysql::kPluginAuth;

void say(SessionState& s, Side side, ByteSpan payload, Actions& out) {
  Bytes packet;
  mysql::append_packet(packet, ++link(s, side).own.client_sequence, payload);
  out.send_made(side, std::move(packet));
}

OwnLeg own_leg(const SessionState& s, const Surroundings& w, Side side) {
  const auto& to = leg(s, side);
  const auto* server = w.server(to.server);
  return {.secure = to.tls != nullptr || (server && server->address.is_unix()),
          .believes_key = server && server->public_key_retrieval};
}

void log_in(SessionState& s, const Surroundings& w, Side side, Actions& out) {
  const auto& split = *s.split;
  auto& to = link(s, side);
  to.step = Step::proving;
  const auto& answer = split.credentials.answer;
  const auto parsed = mysql::parse_handshake_response(answer);
  if (!parsed) return on_leg_failed(s, w, side, "no login is known", out);
  to.proof.plugin = parsed->plugin.empty() ? kNative : parsed->plugin;
  auto response = own_response(to.proof, split.credentials.secret, own_leg(s, w, side));
  auto payload = mysql::with_auth_response(answer, *parsed, response);
  wipe(response);
  if (leg(s, side).tls) payload[1] |= static_cast<std::byte>(mysql::kSsl >> 8);
  if (side == Side::server) ask_for_tracking(payload);
  say(s, side, payload, out);
  wipe(payload);
}

void greeted(SessionState& s, const Surroundings& w, Side side, const PacketView& packet,
             Actions& out) {
  auto& to = link(s, side);
  if (const auto error = mysql::parse_error(packet.payload))
    return on_leg_failed(s, w, side, std::string(error->message), out);
  const auto greeting = mysql::parse_greeting(packet.payload);
  if (!greeting) return on_leg_failed(s, w, side, "malformed greeting", out);
  if (side == Side::server) {
    const bool known = s.home.server == s.split->lost;
    if (known && greeting->connection_id > s.split->lost_id) return home_is_alive(s, w, out);
    s.split->lost.clear();
    if (!s.split->last_words.empty()) return on_leg_failed(s, w, side, "it was started anew", out);
  }
  const auto wanted = s.conversation.capabilities & kShaping;
  if ((greeting->capabilities & wanted) != wanted)
    return on_leg_failed(s, w, side, "it speaks another protocol than the session", out);
  to.proof.scramble.assign(greeting->scramble.begin(), greeting->scramble.end());
  to.own.client_sequence = packet.sequence;
  leg_of(s, side).connection_id = greeting->connection_id;
  const auto* server = w.server(leg(s, side).server);
  const auto mode = server ? server->tls.mode : config::TlsMode::off;
  if (mode == config::TlsMode::off) return log_in(s, w, side, out);
  if (greeting->capabilities & mysql::kSsl) {
    to.step = Step::securing;
    auto request = mysql::encode_ssl_request(s.split->credentials.answer);
    if (side == Side::server) ask_for_tracking(request);
    say(s, side, request, out);
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
  link(s, side).proof = {};
  link(s, side).by_ns = 0;
  if (side == Side::reader) {
    split.reader_failure.clear();
    out.log(fmt::format("reads go to {}", split.reader.server));
    read_only(s, out);
    if (!link(s, side).restoring) stop_victim(s, out);
  } else {
    out.log(fmt::format("goes on with {}", s.home.server));
    split.lending.own = split.lending.granted = false;
    restore(s, w, out);
  }
  if (link(s, side).restoring) return;
  split.waiting = false;
  go_on(s, w, out);
}

bool is_more_data(ByteSpan payload) {
  return !payload.empty() && payload[0] == std::byte{0x01};
}

/// It would refuse the next login as well: the account is not what it was.
bool is_refused_for_good(const mysql::ErrorPacket& error) {
  constexpr uint16_t kForGood[] = {mysql::kAccessDenied, mysql::kAccessDeniedNoPassword,
                                   mysql::kAccountLocked, mysql::kAccountLockedMysql,
                                   mysql::kPasswordExpired};
  return std::ranges::find(kForGood, error.number) != std::end(kForGood);
}

void proved(SessionState& s, const Surroundings& w, Side side, const PacketView& packet,
            Actions& out) {
  auto& to = link(s, side);
  auto& credentials = s.split->credentials;
  to.own.client_sequence = packet.sequence;
  auto turn = own_turn(to.proof, credentials.secret, own_leg(s, w, side), packet.payload);
  if (turn.say) {
    say(s, side, *turn.say, out);
    wipe(*turn.say);
  }
  if (turn.verdict == OwnTurn::Verdict::accepted) return ready(s, w, side, out);
  if (turn.verdict == OwnTurn::Verdict::open) return;
  const auto error = mysql::parse_error(packet.payload);
  if (error && side == Side::server && w.service.pool > 0 && is_refused_for_good(*error))
    return end(s, w,
               {error->number, std::string(error->state),
                fmt::format("{} (sluice: this session can't go on with {})", error->message,
                            s.home.server)},
               out);
  if (side == Side::reader) credentials.after_ns = w.now_ns + kProofAgainNs;
  on_leg_failed(s, w, side, std::move(turn.why), out);
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
  if (side == Side::server) s.split->look_ns = 0;
  if (w.service.pool == 0) return dial(s, w, side, out);
  link(s, side).step = Step::queued;
  link(s, side).by_ns = w.now_ns + int64_t{w.service.pool_timeout_ms} * kMillisecondNs;
  out.acquire(side);
}

/// How clients of caching_sha2_password say that they have no password.
bool says_nothing(ByteSpan response) {
  return response.empty() || (response.size() == 1 && response[0] == std::byte{0});
}

void know(Credentials& credentials, AccountSecret secret) {
  credentials.known = true;
  credentials.secret = std::move(secret);
  wipe(credentials.response);
}

/// The password may have become known since the login, by that of another session.
void look_for_password(Credentials& kept, const Surroundings& w) {
  const auto* password =
      w.passwords ? w.passwords->find(kept.user, kept.scramble, kept.response) : nullptr;
  if (password != nullptr) know(kept, {.password = *password});
}

/// And so may the account.
void look_for_account(Credentials& kept, const accounts::Table& table) {
  if (const auto stage1 = native_proof_of(table, kept.user, kept.scramble, kept.response))
    know(kept, {.sha1 = Secret(std::string(as_text(*stage1)))});
}

bool can_log_in(SessionState& s, const Surroundings& w, Actions& out) {
  if (worker::split::can_log_in(s, w)) return true;
  const auto& kept = s.split->credentials;
  if (w.accounts != nullptr && !kept.sha2 && !kept.response.empty()) out.refresh_accounts();
  return false;
}

}  // namespace

void dial(SessionState& s, const Surroundings& w, Side side, Actions& out) {
  link(s, side).step = Step::connecting;
  link(s, side).by_ns = connect_deadline_ns(leg(s, side), w);
  connect(s, w, side, out);
}

bool can_log_in(SessionState& s, const Surroundings& w) {
  auto& kept = s.split->credentials;
  if (kept.known || kept.response.empty()) return kept.known;
  if (kept.sha2)
    look_for_password(kept, w);
  else if (w.accounts != nullptr)
    look_for_account(kept, *w.accounts);
  return kept.known;
}

void read_only(SessionState& s, Actions& out) {
  run_errand(s, Side::reader, Errand::settings, mysql::Command::query,
             "SET SESSION TRANSACTION READ ONLY", out);
}

bool is_time_to_compare(const Split& split, int64_t now_ns) {
  return split.reader_link.step == Step::ready && split.compare_ns <= now_ns;
}

bool runs_on_reader(const SessionState& s) {
  return runs_on(s, Side::reader);
}

bool may_choose(const SessionState& s, int64_t now_ns) {
  const auto& split = *s.split;
  if (split.home_link.step == Step::none || is_time_to_compare(split, now_ns)) return true;
  return split.reader_link.step == Step::none && split.reader_after_ns <= now_ns &&
         reads_anywhere(split);
}

bool call_reader(SessionState& s, const Surroundings& w, Actions& out) {
  auto& split = *s.split;
  // None were looked at if what is answered just now ends a transaction: the next read calls.
  if (w.servers.empty() || !why_pinned(split).empty() || split.reader_after_ns > w.now_ns)
    return false;
  split.reader_after_ns = w.now_ns + kAgainNs;
  if (split.credentials.after_ns > w.now_ns || !can_log_in(s, w, out)) return false;
  const auto* chosen = w.router.reader(w.service, w.servers);
  if (chosen == nullptr || !is_told_alike(s, w, chosen->state->name)) return false;
  call(s, w, Side::reader, chosen->state->name, out);
  return true;
}

bool call_replica(SessionState& s, const Surroundings& w, const std::string& name, Actions& out) {
  const auto* state = w.state(name);
  if (state == nullptr || state->role != cluster::Role::replica || !is_told_alike(s, w, name) ||
      !can_log_in(s, w, out))
    return false;
  drop_leg(s, Side::reader, out);
  call(s, w, Side::reader, name, out);
  return true;
}

namespace {

/// The primary. Who has only lent its connection to one that is draining goes on there.
std::string home_of(const SessionState& s, const Surroundings& w) {
  if (auto route = w.router.route(w.service, w.servers, {})) return std::move(route->server);
  const auto* state = w.state(s.split->lending.from);
  const bool drains = state != nullptr && state->admin == cluster::Admin::draining &&
                      state->health == cluster::Health::up;
  return drains ? state->name : std::string();
}

}  // namespace

bool call_home(SessionState& s, const Surroundings& w, Actions& out) {
  const auto server = home_of(s, w);
  if (server.empty() || !is_told_alike(s, w, server) || !can_log_in(s, w, out)) return false;
  call(s, w, Side::server, server, out);
  return true;
}

void take_leave(const SessionState& s, Side side, Actions& out) {
  const auto& from = side == Side::server ? s.split->home_link : s.split->reader_link;
  if (from.step != Step::ready || !from.errands.empty() || runs_on(s, side)) return;
  Bytes packet;
  const auto quit = static_cast<std::byte>(mysql::Command::quit);
  mysql::append_packet(packet, 0, ByteSpan(&quit, 1));
  out.send_made(side, std::move(packet));
}

void drop_leg(SessionState& s, Side side, Actions& out) {
  if (link(s, side).step == Step::none) return;
  take_leave(s, side, out);
  out.close(side);
  forget_leg(s, side);
}

void forget_leg(SessionState& s, Side side) {
  auto& split = *s.split;
  leg_of(s, side) = {};
  link(s, side) = {};
  auto& last = split.last;
  if (side == Side::server) {
    split.greeting_gone = true;
    split.kept.profiled = false;
    forget_rows(last, side);
    if (last.drawn == Drawn::known) last.drawn = Drawn::gone;
    last.home_has_old = false;
    // A transaction that is run again brings back its own.
    if (split.transaction.commands.empty()) forget_diagnostics(last, side);
  } else {
    last.read.others_gone = true;
    last.read.there = false;
  }
  for (auto* list : {&split.statements, &split.transaction.closed}) {
    for (auto& statement : *list) {
      if (side == Side::server) {
        statement.home_id = 0;
        statement.home_has_types = statement.cursor = false;
      } else {
        statement.reader_id = 0;
        statement.reader_has_types = false;
      }
    }
  }
}

void login_bytes(SessionState& s, const Surroundings& w, Side side, ByteSpan bytes, Actions& out) {
  auto& from = link(s, side);
  from.received.insert(from.received.end(), bytes.begin(), bytes.end());
  const Bytes whole = std::exchange(from.received, {});
  ByteSpan rest = whole;
  // That a fast answer was right, and the OK, are two packets that need not come one by one.
  while (!rest.empty()) {
    const auto packet = first_packet(rest);
    if (!packet) {
      if (rest.size() > kMaxLoginPacket) return on_leg_failed(s, w, side, "packet too large", out);
      from.received.assign(rest.begin(), rest.end());
      return;
    }
    rest = rest.subspan(packet->size);
    const bool more = from.step == Step::proving && is_more_data(packet->payload);
    if (!rest.empty() && !more)
      return on_leg_failed(s, w, side, "bytes behind a packet of the login", out);
    if (from.step != Step::connecting && from.step != Step::proving)
      return on_leg_failed(s, w, side, "it spoke out of turn", out);
    if (from.step == Step::connecting)
      greeted(s, w, side, *packet, out);
    else
      proved(s, w, side, *packet, out);
    if (!more || from.step != Step::proving) return;
  }
}

void on_secured(SessionState& s, const Surroundings& w, Side side, tls::Info info, Actions& out) {
  leg_of(s, side).tls = std::make_unique<tls::Info>(std::move(info));
  log_in(s, w, side, out);
}

std::string why_not_known(const Credentials& credentials) {
  if (credentials.known || (!credentials.sha2 && !credentials.response.empty())) return {};
  return "its password is not known to sluice";
}

void keep_proof(SessionState& s, const Surroundings& w) {
  const auto& exchange = s.login->exchange;
  auto& kept = s.split->credentials;
  kept.sha2 = exchange.plugin == kSha2;
  if (!kept.sha2 && exchange.plugin != kNative && exchange.plugin != kSha256) return;
  kept.user = s.login->user;
  kept.scramble = exchange.scramble;
  kept.response = exchange.response;
  if (!exchange.known.empty()) {
    know(kept, {.password = exchange.known});
  } else if (kept.sha2 && says_nothing(kept.response)) {
    know(kept, {});
  } else if (kept.sha2) {
    look_for_password(kept, w);
  } else if (exchange.plugin == kNative) {
    kept.known = kept.response.empty();
  } else {
    kept = {.answer = std::move(kept.answer), .announced = kept.announced};
  }
  if (kept.known && !kept.secret.password.empty() && w.passwords != nullptr)
    w.passwords->remember(kept.user, kept.secret.password, w.now_ns);
}

}  // namespace sluice::worker::split
