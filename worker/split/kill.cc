// KILL by the id that a client knows. Home decides, and does its part; where the victim is a
// session of sluice that runs something on a replica, that is stopped there as well: by the
// killer's own reader, so the replica judges the killer's rights too. What other workers say of the
// victim is not trusted further than that: a replica of the cluster, and KILL QUERY. Where sessions
// share connections (pool), the victim's worker is asked first which one home has to kill; that
// much a worker has to be believed.
#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "common/mysql/packets.h"
#include "worker/split/command.h"
#include "worker/split/prepared.h"
#include "worker/split/steps.h"
#include "worker/sql/classify.h"

namespace sluice::worker::split {
namespace {

constexpr int64_t kPatienceNs = 3 * kSecondNs;     // the client waits for its answer
constexpr int64_t kPauseNs = 50 * kMillisecondNs;  // a login on a replica takes less, mostly

void seek(SessionState& s, Actions& out) {
  auto& kill = s.split->kill;
  ++kill.round;
  kill.step = kill.answer.empty() ? KillStep::finding : KillStep::seeking;
  out.seek();
}

/// What home says of the victim, by the id that the client knows.
Bytes answer_of(Killing& kill) {
  auto answer = std::exchange(kill.answer, {});
  const auto packet = first_packet(answer);
  const auto error = packet ? mysql::parse_error(packet->payload) : tl::unexpected(ParseError{});
  if (kill.home_id == 0 || kill.home_id == kill.victim.id || !error) return answer;
  std::string message(error->message);
  const auto id = fmt::to_string(kill.home_id);
  if (const auto at = message.find(id); at != std::string::npos)
    message.replace(at, id.size(), fmt::to_string(kill.victim.id));
  Bytes out;
  mysql::append_packet(out, packet->sequence,
                       mysql::encode_error(error->number, error->state, message));
  return out;
}

/// The KILL is not carried out at all.
void refuse(SessionState& s, const Surroundings& w, std::string_view why, Actions& out) {
  auto& kill = s.split->kill;
  const auto id = kill.victim.id;
  kill = {.round = kill.round};
  refuse_next(s, w, {mysql::kUnknownError, "HY000", fmt::format("sluice: KILL {}: {}", id, why)},
              out);
}

/// Home can be told whom the client means.
void found(SessionState& s, const Surroundings& w, const OnReplica& victim, Actions& out) {
  auto& kill = s.split->kill;
  kill.home_id = victim.known ? victim.home_id : kill.victim.id;
  kill.step = KillStep::none;
  go_on(s, w, out);
}

void finish(SessionState& s, const Surroundings& w, Actions& out) {
  auto& split = *s.split;
  const auto answer = out.keep(answer_of(split.kill));
  split.kill = {.round = split.kill.round};
  deliver(s, answer, out);
  command_answered(s, w, out);
}

}  // namespace

bool is_known_as(const SessionState& s, std::string_view server, uint32_t id) {
  const bool by_home = s.home.server == server && s.home.connection_id == id;
  if (s.split && s.split->kept.knows_id && by_home) return true;
  if (s.told_server == server) return s.told_id == id;
  // It has left the server that its client knows: here it has the id that lists of processes show.
  return by_home;
}

OnReplica on_replica(const SessionState& s) {
  if (!s.split || s.phase < Phase::relaying || s.phase > Phase::ending) return {};
  const auto& split = *s.split;
  if (s.conversation.expect != mysql::Expect::nothing) {
    if (split.now.at != Side::reader) return {};
    // An errand that is ahead of the command must not be hit in its place.
    if (!split.reader_link.errands.empty()) return {.waits = true};
    return {split.reader.server, split.reader.connection_id};
  }
  return {.waits = split.waiting && split.home_by_ns == 0 && !s.held.empty()};
}

bool is_killing(const Split& split) {
  return split.kill.step > KillStep::judging;
}

Victim victim_of(const sql::Statement& statement) {
  using What = sql::Kill::What;
  const auto& kill = statement.kill;
  const bool of_connection = kill.what == What::Connection || kill.what == What::Query;
  if (statement.statements != 1 || !of_connection || !kill.known ||
      kill.id > std::numeric_limits<uint32_t>::max())
    return {};
  return {static_cast<uint32_t>(kill.id), kill.what == What::Connection};
}

bool knows_victim(SessionState& s, const Surroundings& w, Actions& out) {
  auto& kill = s.split->kill;
  if (kill.victim.id == 0 || !w.lends || kill.home_id != 0) return true;
  kill.by_ns = w.now_ns + kPatienceNs;
  kill.server = s.told_server;
  seek(s, out);
  return false;
}

ByteSpan kill_for_home(SessionState& s, ByteSpan command, Actions& out) {
  const auto& kill = s.split->kill;
  const auto kind = kind_of(command);
  Bytes payload;
  ByteWriter to(payload);
  if (kind == mysql::Command::process_kill) {
    to.byte(static_cast<uint8_t>(kind));
    to.fixed<uint32_t>(kill.home_id);
  } else {
    const auto* prepared =
        kind == mysql::Command::stmt_execute ? statement_of(*s.split, command) : nullptr;
    const auto text = prepared != nullptr ? std::string_view(prepared->text) : text_of(command);
    const auto id = sql::classify(text, s.split->settings.mode).kill.id_text;
    const auto at = static_cast<std::size_t>(id.data() - text.data());
    to.byte(static_cast<uint8_t>(mysql::Command::query));
    to.text(text.substr(0, at));
    to.text(fmt::to_string(kill.home_id));
    to.text(text.substr(at + id.size()));
  }
  Bytes packet;
  mysql::append_packet(packet, 0, payload);
  return out.keep(std::move(packet));
}

uint32_t hold_home(SessionState& s, const Surroundings& w, Actions& out) {
  constexpr int64_t kHeldNs = kSecondNs;  // a KILL is on its way to home
  if (!s.split || s.phase != Phase::relaying) return s.home.connection_id;
  auto& split = *s.split;
  split.lending.held_ns = w.now_ns + kHeldNs;
  if (split.home_link.step == Step::ready && !split.home_link.restoring)
    return s.home.connection_id;
  if (split.home_link.step == Step::none && split.home_by_ns == 0 && !split.waiting)
    call_home(s, w, out);
  return 0;
}

void killed_at_home(SessionState& s, const Surroundings& w, Actions& out) {
  if (s.conversation.error != 0 || s.phase != Phase::relaying) return finish(s, w, out);
  s.split->kill.by_ns = w.now_ns + kPatienceNs;
  s.split->kill.server = w.lends ? s.told_server : s.home.server;
  seek(s, out);
}

void on_sought(SessionState& s, const Surroundings& w, uint32_t round, const OnReplica& victim,
               Actions& out) {
  if (!s.split || s.phase != Phase::relaying) return;
  auto& kill = s.split->kill;
  const bool asked = kill.step == KillStep::seeking || kill.step == KillStep::finding;
  if (!asked || kill.round != round) return;
  if (victim.waits) {
    kill.step = KillStep::pausing;
    kill.again_ns = std::min(w.now_ns + kPauseNs, kill.by_ns);
    return;
  }
  if (kill.step == KillStep::finding) return found(s, w, victim, out);
  if (victim.server.empty()) return finish(s, w, out);
  kill.step = KillStep::calling;
  kill.reader_id = victim.connection_id;
  const auto& split = *s.split;
  if (split.reader_link.step == Step::ready && split.reader.server == victim.server)
    return stop_victim(s, out);
  if (!call_replica(s, w, victim.server, out)) give_up_kill(s, w, "it can't be logged in to", out);
}

void stop_victim(SessionState& s, Actions& out) {
  auto& kill = s.split->kill;
  if (kill.step != KillStep::calling) return;
  kill.step = KillStep::stopping;
  run_errand(s, Side::reader, Errand::kill, mysql::Command::query,
             fmt::format("KILL QUERY {}", kill.reader_id), out);
}

void victim_stopped(SessionState& s, const Surroundings& w, uint16_t error, Actions& out) {
  auto& split = *s.split;
  if (split.kill.step != KillStep::stopping) return;
  if (error != 0) return give_up_kill(s, w, fmt::format("it refuses with error {}", error), out);
  out.log(fmt::format("KILL {}: its statement is stopped on {} too", split.kill.victim.id,
                      split.reader.server));
  finish(s, w, out);
}

void give_up_kill(SessionState& s, const Surroundings& w, std::string_view why, Actions& out) {
  out.log(fmt::format("KILL {}: what it runs on a replica is not stopped: {}",
                      s.split->kill.victim.id, why));
  finish(s, w, out);
}

void kill_late(SessionState& s, const Surroundings& w, Actions& out) {
  const auto& kill = s.split->kill;
  const bool judged = !kill.answer.empty();
  if (kill.step == KillStep::finding)
    refuse(s, w, "no answer came in time from the other workers", out);
  else if (kill.step != KillStep::pausing)
    give_up_kill(s, w, "no answer came in time", out);
  else if (w.now_ns < kill.by_ns)
    seek(s, out);
  else if (judged)
    give_up_kill(s, w, "it has waited for one for too long", out);
  else
    refuse(s, w,
           "its session has no connection to the primary, and got none; sluicectl kill session "
           "ends it",
           out);
}

void on_said_killed(SessionState& s, const Surroundings& w, Actions& out) {
  if (!s.split || s.phase != Phase::relaying) return;
  s.split->killed_ns = w.now_ns;
  if (w.service.pool > 0 && was_killed(*s.split)) return home_is_alive(s, w, out);
  look_at_home(s, w, out);
}

}  // namespace sluice::worker::split
