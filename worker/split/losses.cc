// Servers that are lost, and what becomes of the session and of the command under way.
#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>

#include "common/mysql/packets.h"
#include "worker/split/holdings.h"
#include "worker/split/lending.h"
#include "worker/split/pins.h"
#include "worker/split/programs.h"
#include "worker/split/steps.h"

namespace sluice::worker::split {
namespace {

constexpr int64_t kLookNs = 200 * kMillisecondNs;  // between looks for a primary

/// By which name a reason is counted.
stats::Pin pin_of(std::string_view why) {
  using stats::Pin;
  constexpr std::pair<std::string_view, Pin> kPins[] = {
      {why::kTemporaryTable, Pin::temporary_table},
      {why::kRole, Pin::role},
      {why::kUserVariables, Pin::user_variable},
      {why::kProgram, Pin::program},
  };
  const auto found = std::ranges::find(kPins, why, &std::pair<std::string_view, Pin>::first);
  return found == std::end(kPins) ? Pin::other : found->second;
}

}  // namespace

Tie why_tied(const Split& split) {
  using stats::Pin;
  if (auto why = why_not_known(split.credentials); !why.empty())
    return {Pin::password, std::move(why)};
  if (auto why = why_not_again(split); !why.empty()) return {Pin::transaction, std::move(why)};
  if (split.kept.next_at_home) return {Pin::other, "it has said what its next transaction is like"};
  if (!split.kept.pinned.empty()) return {pin_of(split.kept.pinned), split.kept.pinned};
  if (const auto* holding = first_holding(split); holding != nullptr)
    return {holding->kind, std::string(in_words(*holding))};
  const auto can_be_prepared = [&](const Statement& one) {
    return !one.text.empty() && !one.long_data && one.settings_version == split.settings.version &&
           one.database_version == split.settings.database_version;
  };
  if (!std::ranges::all_of(split.statements, can_be_prepared))
    return {Pin::statement, "a statement that it has prepared can't be prepared in the same way"};
  return {pin_of(split.kept.tied), split.kept.tied};
}

namespace {

/// Why it can't go on with another primary, where this one can't be asked any more.
std::string why_not_elsewhere(const Split& split) {
  auto why = why_tied(split).why;
  if (!why.empty()) return why;
  if (split.transaction.due || !split.transaction.commands.empty())
    return split.transaction.untold ? "what it was in before its transaction is not known" : "";
  if (has_unsure_variables(split)) return std::string(why::kUserVariables);
  return has_untold(split) ? "a program may have changed the session" : "";
}

}  // namespace

bool is_idle(const SessionState& s) {
  return s.phase == Phase::relaying && s.conversation.at_boundary() && s.held.empty() &&
         !s.split->waiting && !s.split->transaction.due;
}

void end(SessionState& s, const Surroundings& w, End why, Actions& out) {
  s.end = std::make_unique<End>(std::move(why));
  end_now(s, w, out);
}

namespace {

void reader_failed(SessionState& s, const Surroundings& w, const std::string& why, Actions& out) {
  auto& split = *s.split;
  if (split.reader_link.step == Step::none) return;
  split.reader_failure = fmt::format("replica {}: {}", split.reader.server, why);
  out.log(split.reader_failure);
  const bool asked = runs_on(s, Side::reader);
  drop_leg(s, Side::reader, out);
  split.reader_after_ns = w.now_ns + kAgainNs;
  if (split.kill.step == KillStep::calling || split.kill.step == KillStep::stopping) {
    if (split.home_by_ns == 0) split.waiting = false;
    return give_up_kill(s, w, why, out);
  }
  if (asked && split.now.delivered)
    return end(s, w,
               {mysql::kServerShutdown, "08S01",
                "sluice: the replica was lost while its answer came: " + why},
               out);
  if (asked || (split.waiting && split.home_by_ns == 0)) again_at_home(s, w, out);
}

/// A connection on which no command has run yet is lost; another one takes its place. One that was
/// borrowed may have been about to be closed: the next one is the session's own.
void not_restored(SessionState& s, const Surroundings& w, const std::string& why, Actions& out) {
  auto& split = *s.split;
  out.log(fmt::format("{}: {}", s.home.server, why));
  split.lending.own |= split.home_link.borrowed;
  drop_leg(s, Side::server, out);
  split.left.clear();
  split.look_ns = w.now_ns + (split.lending.own ? 0 : kLookNs);
  if (s.phase == Phase::ending) return end_now(s, w, out);
}

/// Nobody knows what became of the command: it is never sent again.
void answer_lost(SessionState& s, const std::string& server, Actions& out) {
  Bytes packet;
  mysql::append_packet(
      packet, static_cast<uint8_t>(s.conversation.server_sequence + 1),
      mysql::encode_error(mysql::kNetReadInterrupted, "08S01",
                          fmt::format("sluice: {} was lost while it ran this command; whether the "
                                      "command took effect is not known",
                                      server)));
  s.bytes_out += packet.size();
  out.send_made(Side::client, std::move(packet));
  s.conversation.take_back();
  ++s.conversation.commands;
}

/// A session that can't go on elsewhere, and has nothing under way: servers close connections that
/// were idle for too long without a word, and drivers know what to do then. Others need a reason.
bool look_whether_alive(SessionState& s, const Surroundings& w, const std::string& why,
                        Actions& out) {
  auto& split = *s.split;
  const auto server = s.home.server;
  if (why != kClosed || w.service.pool > 0 || split.lost.empty()) return false;
  out.log(fmt::format("{}: {}", server, why));
  split.last_words = fmt::format(
      "sluice: this session was on {}: {}; it can't go on elsewhere: {}; please connect again",
      server, why, why_not_elsewhere(split));
  drop_leg(s, Side::server, out);
  s.home.server = server;
  dial(s, w, Side::server, out);
  return true;
}

/// What is known of a primary that is gone: whether that one is alive can be told later.
void note_lost(SessionState& s, const Surroundings& w) {
  auto& split = *s.split;
  const auto* state = w.state(s.home.server);
  const bool alive = state != nullptr && state->health != cluster::Health::down;
  split.lost = alive ? s.home.server : std::string();
  split.lost_id = s.home.connection_id;
}

/// What home has not told of its writes, nobody will; the next one is asked what it has of all.
void note_lost_writes(SessionState& s, const Surroundings& w, bool under_way) {
  auto& split = *s.split;
  const auto& errands = split.home_link.errands;
  if (under_way) note_untold_write(split, w);
  if (std::ranges::find(errands, Errand::written) != errands.end()) split.writes.uncertain = true;
  split.writes.everything = false;
  split.writes.lost |= split.writes.uncertain;
}

void home_lost(SessionState& s, const Surroundings& w, const std::string& why, Actions& out) {
  auto& split = *s.split;
  const auto server = s.home.server;
  const bool asked = runs_on(s, Side::server);
  auto tied = why_not_elsewhere(split);
  if (why == kClosed) split.closed_ns = w.now_ns;
  if (w.service.pool > 0 && was_killed(split)) return home_is_alive(s, w, out);
  if (!tied.empty() && !asked && is_idle(s) && look_whether_alive(s, w, why, out)) return;
  const bool within = (split.status & mysql::kInTransaction) != 0;
  const bool again = asked && w.service.transaction_replay && may_be_sent_again(split);
  if (tied.empty() && asked && within && !again) tied = "a command may have ended its transaction";
  out.log(fmt::format("{}: {}", server, why));
  if (!tied.empty() || (asked && !s.conversation.between_server_packets()) ||
      s.conversation.client_owes())
    return end(s, w,
               {mysql::kServerShutdown, "08S01",
                fmt::format("sluice: this session was on {}: {}; it can't go on elsewhere: {}; "
                            "please connect again",
                            server, why, tied.empty() ? "a command was cut" : tied)},
               out);
  if (std::ranges::any_of(split.home_link.errands, is_waited_for)) split.waiting = false;
  note_lost_writes(s, w, asked && !split.now.proved_read);
  drop_leg(s, Side::server, out);
  const bool comes_again = within && split.transaction.insert_id_within;
  if (!comes_again) split.last.insert_id_gone |= std::exchange(split.last.insert_id_due, false);
  split.left.clear();
  if (split.kill.step == KillStep::judging || split.kill.step == KillStep::finding)
    split.kill = {.round = split.kill.round};
  if (again)
    put_back(s);
  else if (asked)
    answer_lost(s, server, out);
  transaction_lost(split);
  if (!runs_on(s, Side::reader)) split.now.bytes.clear();  // a read may still have to come home
  if (s.phase == Phase::ending) return end_now(s, w, out);
  if (w.service.pool == 0 && split.killed_ns != 0) split.look_ns = w.now_ns;
  go_on(s, w, out);
}

}  // namespace

void on_leg_failed(SessionState& s, const Surroundings& w, Side side, std::string why,
                   Actions& out) {
  if (side == Side::reader) return reader_failed(s, w, why, out);
  if (s.split->quits) {
    out.log("closed by the client");
    return begin_closing(s, w, out);
  }
  if (s.split->home_link.restoring) return not_restored(s, w, why, out);
  const auto step = s.split->home_link.step;
  if (step == Step::ready) {
    note_lost(s, w);
    return home_lost(s, w, why, out);
  }
  if (step == Step::none) return;
  if (!s.split->last_words.empty())
    return end(s, w, {mysql::kServerShutdown, "08S01", s.split->last_words}, out);
  out.log(fmt::format("{}: {}", s.home.server, why));
  drop_leg(s, Side::server, out);
  s.split->look_ns = w.now_ns + kLookNs;
}

void watch_stalled(SessionState& s, const Surroundings& w) {
  constexpr int64_t kStalledNs = 3 * kSecondNs;
  s.split->stalled_bytes = s.bytes_out;
  s.split->stalled_by_ns = w.now_ns + kStalledNs;
}

void reader_stalled(SessionState& s, const Surroundings& w, Actions& out) {
  auto& split = *s.split;
  split.stalled_by_ns = 0;
  const auto* state = w.state(split.reader.server);
  const bool down =
      runs_on(s, Side::reader) && state != nullptr && state->health == cluster::Health::down;
  if (!down) return;
  if (s.bytes_out != split.stalled_bytes || !s.unsent_to_client.empty())
    watch_stalled(s, w);
  else
    on_leg_failed(s, w, Side::reader, state->reason, out);
}

void on_errand_refused(SessionState& s, const Surroundings& w, Side side, Actions& out) {
  constexpr std::string_view kWhy = "it can't be brought to the session's settings";
  const auto& to = link(s, side);
  const auto& t = s.split->transaction;
  if (side == Side::server && t.due && !t.broken.empty())
    return end(s, w,
               {mysql::kServerShutdown, "08S01",
                fmt::format("sluice: the transaction of this session was lost with its primary, "
                            "and can't be run again on {}: {}; please connect again",
                            s.home.server, t.broken)},
               out);
  if (side != Side::server || !to.restoring || to.borrowed)
    return on_leg_failed(s, w, side, std::string(kWhy), out);
  end(s, w,
      {mysql::kServerShutdown, "08S01",
       fmt::format("sluice: this session can't go on with {}: {}; please connect again",
                   s.home.server, kWhy)},
      out);
}

bool leave_home(SessionState& s, const Surroundings& w, const std::string& why, Actions& out) {
  auto& split = *s.split;
  if (split.quits) {  // home was about to close it
    on_leg_failed(s, w, Side::server, why, out);
    return true;
  }
  if (split.home_link.restoring || split.home_link.step != Step::ready) {
    const bool awaited = split.home_link.restoring || split.home_by_ns != 0;  // by a command
    on_leg_failed(s, w, Side::server, why, out);
    if (awaited) await_home(s, w, out);
    return true;
  }
  if (!why_not_elsewhere(split).empty()) return false;
  const auto* state = w.state(s.home.server);
  const bool down = state != nullptr && state->health == cluster::Health::down;  // never answers
  if ((runs_on(s, Side::server) || s.conversation.client_owes()) && !down)
    split.left = why;
  else
    home_lost(s, w, why, out);
  return true;
}

void await_home(SessionState& s, const Surroundings& w, Actions& out) {
  auto& split = *s.split;
  split.waiting = true;
  if (split.home_by_ns == 0)
    split.home_by_ns = w.now_ns + int64_t{w.service.login_timeout_ms} * kMillisecondNs;
  if (split.transaction.due) {
    start_replay_clock(s, w);
    split.home_by_ns = split.transaction.by_ns;
  }
  if (split.home_link.step == Step::none && !call_home(s, w, out))
    split.look_ns = w.now_ns + kLookNs;
}

void home_late(SessionState& s, const Surroundings& w, Actions& out) {
  auto& split = *s.split;
  split.look_ns = 0;
  const auto& t = split.transaction;
  if (t.due && t.by_ns != 0 && w.now_ns >= t.by_ns)
    return end(s, w,
               {mysql::kServerShutdown, "08S01",
                "sluice: the primary was lost, and its transaction could not be run again within "
                "transaction_replay_timeout; please connect again"},
               out);
  if (split.home_by_ns == 0) return look_at_home(s, w, out);
  if (w.now_ns < split.home_by_ns) return await_home(s, w, out);
  split.home_by_ns = 0;
  split.waiting = split.lending.granted = false;
  const auto route = w.router.route(w.service, w.servers, {});
  refuse_next(s, w,
              {mysql::kCantConnect, "08S01",
               "sluice: " + (route ? "the primary can't be reached" : route.error().message)},
              out);
}

/// Once: where home can't be reached, nobody has killed the session.
void look_at_home(SessionState& s, const Surroundings& w, Actions& out) {
  auto& split = *s.split;
  if (split.home_link.step != Step::none || split.lost.empty()) return;
  // Where sessions share connections, one that comes from others would not show it: was_killed().
  if (std::exchange(split.killed_ns, 0) != 0 && w.service.pool == 0) call_home(s, w, out);
}

bool was_killed(const Split& split) {
  constexpr int64_t kBetweenNs = 5 * kSecondNs;
  return split.killed_ns != 0 && split.closed_ns != 0 &&
         std::abs(split.killed_ns - split.closed_ns) < kBetweenNs;
}

void home_is_alive(SessionState& s, const Surroundings& w, Actions& out) {
  const auto& lost = s.split->lost;
  const auto why = fmt::format("Connection was killed (sluice: {} has ended it, and is alive)",
                               lost.empty() ? s.home.server : lost);
  if (!s.conversation.at_boundary())
    return end(s, w, {mysql::kConnectionKilled, "70100", why}, out);
  // An idle connection is closed by servers without a word. Drivers know that it is gone then; some
  // would take the error for one of the statement that comes next.
  out.log(why);
  begin_closing(s, w, out);
}

void pool_late(SessionState& s, const Surroundings& w, Actions& out) {
  auto& split = *s.split;
  const auto server = s.home.server;
  drop_leg(s, Side::server, out);
  split.home_by_ns = 0;
  split.waiting = false;
  out.unserved();
  refuse_next(s, w,
              {mysql::kTooManyConnections, "08004",
               fmt::format("Too many connections (sluice: service {} keeps {} to each server, and "
                           "those to {} are in use{}{})",
                           w.service.name, w.service.pool, server, w.pool_use.empty() ? "" : ": ",
                           w.pool_use)},
              out);
}

void restore(SessionState& s, const Surroundings& w, Actions& out) {
  auto& split = *s.split;
  auto& home = split.home_link;
  split.lost.clear();
  note_use_of_home(split, w);
  split.status &= mysql::kAutocommit;
  if (w.service.pool == 0) {
    split.home_by_ns = 0;
  } else {
    home.restoring = split.waiting = true;
    home.by_ns = connect_deadline_ns(s.home, w);
    if (!home.borrowed) ask_account(s, Side::server, out);
  }
  if (!has_options_of_login(split)) {  // 0: they may
    const std::string on(2, '\0'), off("\1\0", 2);
    run_errand(s, Side::server, Errand::option, mysql::Command::set_option,
               split.settings.mode.multi_statements ? on : off, out);
  }
  if (const auto statement = settings_statement(split, 0); !statement.empty())
    run_errand(s, Side::server, Errand::settings, mysql::Command::query, statement, out);
  const bool has_database = !home.borrowed && split.settings.database == s.database;
  if (!has_database && !split.settings.database.empty())
    run_errand(s, Side::server, Errand::database, mysql::Command::init_db, split.settings.database,
               out);
  if (const auto statement = variables_statement(split, 0); !statement.empty())
    run_errand(s, Side::server, Errand::settings, mysql::Command::query, statement, out);
  if (split.status == 0)
    run_errand(s, Side::server, Errand::settings, mysql::Command::query,
               "SET @@session.autocommit=0", out);
  if (split.last.insert_id != 0)
    run_errand(s, Side::server, Errand::settings, mysql::Command::query,
               fmt::format("SET @@session.last_insert_id={}", split.last.insert_id), out);
  track(s, out);
}

}  // namespace sluice::worker::split
