// What has to be so before a replica may answer a read: it is there, knows the session's state, and
// has what was written.
#include <fmt/format.h>

#include <algorithm>

#include "worker/split/programs.h"
#include "worker/split/route.h"
#include "worker/split/steps.h"
#include "worker/split/warnings.h"

namespace sluice::worker::split {

using mysql::Command;

namespace {

/// What anybody has written on the primary that is asked.
constexpr std::string_view kAllOfMysql = "SELECT @@global.gtid_executed";
constexpr std::string_view kAllOfMariadb = "SELECT @@global.gtid_current_pos";

/// The replica that the client names takes the reader's place.
Ready move_reader(SessionState& s, const Surroundings& w, std::string_view name, Actions& out) {
  auto& split = *s.split;
  const auto& reader = split.reader_link;
  const bool failed = reader.step == Step::none && split.reader_after_ns > w.now_ns;
  const bool keeps = has_diagnostics(split.last, Side::reader);
  if (failed || !reader.errands.empty() || (keeps && !split.now.uses_tables)) return Ready::no;
  split.reader_after_ns = w.now_ns + kAgainNs;
  return call_replica(s, w, std::string(name), out) ? Ready::soon : Ready::no;
}

/// Another replica that has less to do; empty if the session stays. What is prepared on its replica
/// is worth more than that.
std::string better_replica(const SessionState& s, const Surroundings& w) {
  const auto& split = *s.split;
  const auto is_prepared = [](const Statement& statement) { return statement.reader_id != 0; };
  const auto* better = w.router.better_reader(w.servers, split.reader.server);
  if (better == nullptr || std::ranges::any_of(split.statements, is_prepared)) return {};
  return better->state->name;
}

Ready reader_ready(SessionState& s, const Surroundings& w, std::string_view name, Actions& out) {
  auto& split = *s.split;
  if (split.reader_link.restoring) return Ready::soon;
  if (std::exchange(split.now.may_move, false) && name.empty() &&
      split.reader_link.step == Step::ready)
    if (const auto better = better_replica(s, w); !better.empty())
      if (move_reader(s, w, better, out) == Ready::soon) return Ready::soon;
  const bool is_other = !name.empty() && split.reader.server != name;
  if (is_other && (split.reader_link.step == Step::none || split.reader_link.step == Step::ready))
    return move_reader(s, w, name, out);
  if (split.reader_link.step == Step::ready) return Ready::now;
  if (split.reader_link.step == Step::none && !call_reader(s, w, out)) return Ready::no;
  return Ready::soon;
}

}  // namespace

void bring_up_to_date(SessionState& s, Actions& out) {
  auto& split = *s.split;
  auto& reader = split.reader_link;
  if (std::exchange(reader.resets, false)) {  // it leaves the database
    run_errand(s, Side::reader, Errand::reset, Command::reset_connection, "", out);
    read_only(s, out);
  }
  if (reader.database_version != split.settings.database_version) {
    reader.database_version = split.settings.database_version;
    run_errand(s, Side::reader, Errand::database, Command::init_db, split.settings.database, out);
  }
  if (reader.settings_version != split.settings.version) {
    const auto statement = settings_statement(split, reader.settings_version);
    reader.settings_version = split.settings.version;
    if (!statement.empty())
      run_errand(s, Side::reader, Errand::settings, Command::query, statement, out);
  }
  if (reader.variables_version != split.variables.version) {
    const auto statement = variables_statement(split, reader.variables_version);
    reader.variables_version = split.variables.version;
    if (!statement.empty())
      run_errand(s, Side::reader, Errand::settings, Command::query, statement, out);
  }
}

namespace {

/// Takes up what the service's sessions have written. False if home has to be asked for that, which
/// is begun: what somebody has written was not told.
bool knows_of_others(SessionState& s, const Surroundings& w, Actions& out) {
  auto& split = *s.split;
  auto& writes = split.writes;
  const auto version = w.writes->version();
  if (version == writes.seen_version) return true;
  const auto doubts = w.writes->doubts();
  auto known = w.writes->read();
  if (known.torn || doubts != writes.seen_doubts) {
    if (split.home_link.step != Step::ready) return true;  // since this read has begun
    writes.asked_version = version;
    writes.asked_doubts = doubts;
    writes.asked_known = std::move(known.gtids);
    writes.everything = split.waiting = true;
    const bool mysql = split.settings.mode.flavour == sql::Flavour::Mysql;
    run_errand(s, Side::server, Errand::written, Command::query,
               mysql ? kAllOfMysql : kAllOfMariadb, out);
    return false;
  }
  writes.seen_version = version;
  note_write(split, known.gtids);
  writes.published = writes.version;
  return true;
}

/// How long a replica is waited for that may be behind. One that is further behind than that, or
/// was just now, is only asked: else each read of the session would be held up.
uint32_t wait_for_replica_ms(const SessionState& s, const Surroundings& w) {
  constexpr uint32_t kAtOnceMs = 1;  // to MySQL 0 is for ever
  const auto& split = *s.split;
  const auto patience_ms = w.service.causal_reads_timeout_ms;
  const auto* state = w.state(split.reader.server);
  const bool behind = state != nullptr && state->lag_ms.value_or(0) > patience_ms;
  return behind || w.now_ns < split.reader_link.patient_after_ns ? std::min(kAtOnceMs, patience_ms)
                                                                 : patience_ms;
}

/// What the session has written must be there before it reads. True if that is so; else the command
/// waits for the replica to catch up.
bool caught_up(SessionState& s, const Surroundings& w, Actions& out) {
  auto& split = *s.split;
  auto& reader = split.reader_link;
  if (w.service.causal_reads == config::CausalReads::off) return true;
  if (w.writes != nullptr && !knows_of_others(s, w, out)) return false;
  if (split.writes.uncertain && split.home_link.step == Step::ready) {
    split.writes.uncertain = false;
    ask_what_is_written(s, out);
    split.waiting = true;
    return false;
  }
  if (split.writes.gtid.empty()) reader.written_version = split.writes.version;
  if (reader.written_version == split.writes.version) return true;
  reader.written_version = split.writes.version;
  const auto wait_ms = wait_for_replica_ms(s, w);
  run_errand(
      s, Side::reader, Errand::catch_up, Command::query,
      fmt::format("SELECT {}('{}', {}.{:03})",
                  split.settings.mode.flavour == sql::Flavour::Mysql ? "WAIT_FOR_EXECUTED_GTID_SET"
                                                                     : "MASTER_GTID_WAIT",
                  split.writes.gtid, wait_ms / 1000, wait_ms % 1000),
      out);
  split.waiting = true;
  return false;
}

/// Whether it can be found out without its home which writes the session has to see.
bool knows_writes(const SessionState& s, const Surroundings& w) {
  const auto& split = *s.split;
  if (split.home_link.step == Step::ready || w.service.causal_reads == config::CausalReads::off)
    return true;
  if (w.writes == nullptr) return !split.writes.uncertain;
  return w.writes->doubts() == split.writes.seen_doubts && !w.writes->read().torn;
}

}  // namespace

Ready ready_to_read(SessionState& s, const Surroundings& w, std::string_view name, Actions& out) {
  auto& split = *s.split;
  if (!knows_writes(s, w)) {
    split.now.why_home = stats::Route::behind;
    return Ready::no;
  }
  const auto ready = reader_ready(s, w, name, out);
  if (ready == Ready::no) split.now.why_home = stats::Route::no_replica;
  if (ready == Ready::soon) split.waiting = true;
  if (ready != Ready::now) return ready;
  if (has_untold(split) && split.home_link.step == Step::ready) {
    ask_untold_by_programs(s, out);
    split.waiting = true;
    return Ready::soon;
  }
  bring_up_to_date(s, out);
  return caught_up(s, w, out) ? Ready::now : Ready::soon;
}

void keep_home(SessionState& s, const Surroundings& w, Actions& out) {
  auto& split = *s.split;
  if (w.now_ns < split.idle_home_ns || split.home_link.step != Step::ready) return;
  note_use_of_home(split, w);
  run_errand(s, Side::server, Errand::track, Command::ping, "", out);
}

void note_untold_write(Split& split, const Surroundings& w) {
  if (w.writes != nullptr)
    w.writes->doubt();
  else
    split.writes.uncertain = true;
}

void ask_what_is_written(SessionState& s, Actions& out) {
  auto& writes = s.split->writes;
  if (s.split->settings.mode.flavour == sql::Flavour::Mysql) {
    run_errand(s, Side::server, Errand::written, Command::query, kAllOfMysql, out);
  } else if (std::exchange(writes.lost, false)) {
    writes.everything = true;
    run_errand(s, Side::server, Errand::written, Command::query, kAllOfMariadb, out);
  } else {
    run_errand(s, Side::server, Errand::written, Command::query, "SELECT @@session.last_gtid", out);
  }
}

void publish_writes(SessionState& s, const Surroundings& w) {
  auto& writes = s.split->writes;
  if (w.writes == nullptr || writes.published == writes.version) return;
  writes.published = writes.version;
  w.writes->publish(writes.gtid);
}

}  // namespace sluice::worker::split
