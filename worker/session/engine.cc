#include "worker/session/engine.h"

#include <fmt/format.h>

#include <algorithm>

#include "worker/session/steps.h"
#include "worker/split/split.h"

namespace sluice::worker {
namespace {

void nothing(SessionState&, const Surroundings&, ByteSpan, Actions&) {}
void never(SessionState& s, const Surroundings&, Actions&) {
  s.deadline_ns = 0;
}
void relaying_late(SessionState& s, const Surroundings& w, Actions& out) {
  if (s.split) return split::late(s, w, out);
  s.deadline_ns = 0;
}
void ignore(SessionState&, const Surroundings&, Actions&) {}
void close_all(SessionState& s, const Surroundings&, Actions& out) {
  over(s, out);
}

void server_left(SessionState& s, const Surroundings& w, Actions& out) {
  if (s.split && s.phase == Phase::relaying)
    return split::on_leg_failed(s, w, Side::server, std::string(split::kClosed), out);
  constexpr auto kQuit = static_cast<uint8_t>(mysql::Command::quit);
  out.log(s.conversation.command == kQuit ? "the client said goodbye" : "closed by the server");
  if (s.unsent_to_client.empty()) return over(s, out);
  begin_closing(s, w, out);
}

using Bytewise = void (*)(SessionState&, const Surroundings&, ByteSpan, Actions&);
using Step = void (*)(SessionState&, const Surroundings&, Actions&);

/// What a phase does with each event, and whom it listens to.
struct PhaseRow {
  Phase phase;
  bool reads_client, reads_server;
  Bytewise client_bytes, server_bytes;
  Step server_closed, late;
};
// clang-format off
constexpr PhaseRow kPhases[] = {
    // phase                 reads client, server  bytes of the client, of the server           server closes  deadline
    {Phase::announced,       true,  false,         header_bytes,       nothing,            ignore,         header_late},
    {Phase::waiting,         false, false,         nothing,            nothing,            ignore,         cluster_unknown},
    {Phase::connecting,      false, true,          nothing,            greeting_bytes,     greeting_cut,  greeting_late},
    {Phase::greeted,         true,  true,          answer_bytes,       bytes_out_of_turn,  login_cut,     login_late},
    {Phase::securing_client, true,  true,          nothing,            bytes_out_of_turn,  login_cut,     login_late},
    {Phase::slowed,          false, true,          nothing,            bytes_out_of_turn,  login_cut,     judge_login},
    {Phase::judging,         false, true,          nothing,            bytes_out_of_turn,  login_cut,     judge_login},
    {Phase::securing_server, false, true,          nothing,            nothing,            login_cut,     login_late},
    {Phase::proving,         true,  true,          proof_from_client,  proof_from_server,  login_cut,     login_late},
    {Phase::refusing,        false, false,         nothing,            nothing,            ignore,         deliver_refusal},
    {Phase::relaying,        true,  true,          relay_from_client,  relay_from_server,  server_left,   relaying_late},
    {Phase::ending,          false, true,          relay_from_client,  relay_from_server,  server_left,   end_now},
    {Phase::closing,         true,  false,         nothing,            nothing,            close_all,     close_all},
    {Phase::over,            false, false,         nothing,            nothing,            never,         never},
};
// clang-format on
constexpr bool in_order() {
  for (std::size_t i = 0; i < std::size(kPhases); ++i)
    if (kPhases[i].phase != static_cast<Phase>(i)) return false;
  return std::size(kPhases) == kEnumNames<Phase>.size();
}
static_assert(in_order(), "a row for each phase, in the order of the enum");

const PhaseRow& row_of(const SessionState& s) {
  return kPhases[static_cast<std::size_t>(s.phase)];
}

}  // namespace

void on_bytes(SessionState& s, const Surroundings& w, Side from, ByteSpan bytes, Actions& out) {
  s.active_ns = w.now_ns;
  if (from == Side::reader) return split::from_server(s, w, from, bytes, out);
  const auto& row = row_of(s);
  (from == Side::client ? row.client_bytes : row.server_bytes)(s, w, bytes, out);
}

void on_frames_failed(SessionState& s, std::string why, Actions& out) {
  out.warn(std::move(why));
  over(s, out);
}

void on_closed(SessionState& s, const Surroundings& w, Side side, Actions& out) {
  if (side == Side::server) return row_of(s).server_closed(s, w, out);
  if (side == Side::reader)
    return split::on_leg_failed(s, w, side, std::string(split::kClosed), out);
  out.log("closed by the client");
  over(s, out);
}

void on_sent(SessionState& s, Side side, Actions& out) {
  if (s.phase == Phase::closing && side == Side::client) out.finish_client();
}

void on_deadline(SessionState& s, const Surroundings& w, Actions& out) {
  row_of(s).late(s, w, out);
}

void on_accounts(SessionState& s, const Surroundings& w, Actions& out) {
  if (s.phase == Phase::judging) judge_login(s, w, out);
  if (s.phase == Phase::refusing) deliver_refusal(s, w, out);
  if (s.phase == Phase::relaying && s.split) split::on_accounts(s, w);
}

void on_view(SessionState& s, const Surroundings& w, Actions& out) {
  if (s.phase == Phase::waiting && w.known) return choose_server(s, w, out);
  if (s.phase != Phase::relaying) return;
  if (s.split) split::on_view(s, w, out);
  const auto server = std::ranges::find_if(
      w.servers, [&](const ServerView& view) { return view.state->name == s.home.server; });
  if (server == w.servers.end()) return;  // no longer configured: the old generation's business
  // One that has just come back into the configuration was not asked yet.
  if (server->state->health == cluster::Health::unknown) return;
  auto why = w.router.must_leave(w.service, *server->state);
  if (why.empty()) return;
  if (s.split && split::leave_home(s, w, why, out)) return;
  const auto primary = std::ranges::find_if(
      w.servers, [](const ServerView& view) { return view.state->role == cluster::Role::primary; });
  std::string message = fmt::format("sluice: this session was on {}: {}", s.home.server, why);
  if (primary != w.servers.end() && primary->state->name != s.home.server)
    message += fmt::format("; the primary is now {}", primary->state->name);
  constexpr int64_t kGraceNs = 3 * kSecondNs;  // a statement on it will hardly end well
  on_order_to_end(s, w, End{mysql::kServerShutdown, "08S01", message + "; please connect again"},
                  w.now_ns + kGraceNs, out);
}

std::optional<uint8_t> number_due(const SessionState& s) {
  if (s.login) return static_cast<uint8_t>(s.login->client_sequence + 1);
  if (s.conversation.expect == mysql::Expect::file)
    return static_cast<uint8_t>(s.conversation.server_sequence + 1);
  return std::nullopt;
}

bool may_choose(const SessionState& s, int64_t now_ns) {
  return s.phase <= Phase::connecting ||
         (s.phase == Phase::relaying && s.split && split::may_choose(s, now_ns));
}

int64_t deadline_of(const SessionState& s) {
  return s.split && s.phase == Phase::relaying ? split::deadline_of(s) : s.deadline_ns;
}

bool wants_read(const SessionState& s, Side side) {
  if (!unsent(s, other(side)).empty() && s.phase != Phase::closing) return false;  // a slow reader
  const auto& row = row_of(s);
  if (side != Side::client) return row.reads_server;
  if (s.split && s.phase == Phase::relaying)
    return s.split->reader.unsent.empty() && split::wants_client(s);
  if (s.phase == Phase::ending) return s.conversation.client_owes();
  return row.reads_client && s.held.size() <= kMaxLoginPacket;
}

std::size_t read_limit(const SessionState& s, Side side, std::size_t room) {
  // What is read may be a thousand times as long when it is opened.
  constexpr std::size_t kCompressed = 16 * 1024;
  if (side == Side::client && s.frames) return std::min(room, kCompressed);
  if (side == Side::server || s.phase != Phase::greeted || s.client_tls) return room;
  const auto& header = s.login->from_client;
  std::size_t packet = mysql::kHeaderSize;
  if (header.size() >= packet)
    packet += static_cast<std::size_t>(header[0]) | static_cast<std::size_t>(header[1]) << 8 |
              static_cast<std::size_t>(header[2]) << 16;
  return packet > header.size() ? std::min(packet - header.size(), room) : room;
}

}  // namespace sluice::worker
