#include "worker/split/programs.h"

#include <fmt/format.h>

#include "common/mysql/protocol.h"
#include "worker/split/asking.h"
#include "worker/split/holdings.h"
#include "worker/split/lending.h"
#include "worker/split/pins.h"
#include "worker/split/steps.h"
#include "worker/split/warnings.h"

namespace sluice::worker::split {

using sql::Effect;

namespace {

constexpr int64_t kIdleNs = kSecondNs;

/// Whether the answer had no place for news of the session's variables: servers tell them with an
/// OK packet, and keep them until they have one to tell of.
bool could_not_tell(const SessionState& s, bool program) {
  const auto& answer = s.conversation;
  if (answer.error != 0) return program;
  return answer.rows && (answer.capabilities & mysql::kDeprecateEof) == 0;
}

}  // namespace

void take_programs(Split& split, const sql::Statement& statement, std::string_view text) {
  const auto& effects = statement.effects;
  split.now.program = effects.any(kProgram);
  split.now.may_change = split.now.program || sql::writes_tables(statement.verb) ||
                         (statement.verb == sql::Verb::With && !statement.read());
  constexpr auto kText = sql::Effects(Effect::Prepares) | Effect::ExecutesImmediate;
  const bool has_text = effects.any(kText) || statement.verb == sql::Verb::Compound;
  if (has_text && contains(text, "temporary")) split.kept.pinned = why::kTemporaryTable;
}

void note_programs(SessionState& s) {
  auto& split = *s.split;
  const bool program = std::exchange(split.now.program, false);
  if (!split.now.may_change) return;
  if (split.now.changed && split.kept.pinned.empty()) split.kept.pinned = why::kProgram;
  // CREATE TEMPORARY TABLE ... SELECT is none of the news, and user variables are not told of.
  split.kept.may_have_traces |= program && split.settings.mode.flavour == sql::Flavour::Mariadb;
  split.kept.news_due |= could_not_tell(s, program);
}

bool has_untold(const Split& split) {
  return (split.kept.may_have_traces || split.kept.news_due) && why_pinned(split).empty();
}

void ask_news(SessionState& s, Actions& out) {
  // What is told of this SET is told with all that has waited for it.
  run_errand(s, Side::server, Errand::news, mysql::Command::query,
             "SET @@session.time_zone=@@session.time_zone", out);
}

void ask_untold_by_programs(SessionState& s, Actions& out) {
  auto& kept = s.split->kept;
  if (std::exchange(kept.news_due, false)) ask_news(s, out);
  if (kept.may_have_traces)
    run_errand(s, Side::server, Errand::traces, mysql::Command::query,
               "SELECT CONCAT(VARIABLE_VALUE, ' ', "
               "(SELECT COUNT(*) FROM information_schema.USER_VARIABLES)) "
               "FROM information_schema.SESSION_STATUS "
               "WHERE VARIABLE_NAME='COM_CREATE_TEMPORARY_TABLE'",
               out);
}

namespace {

/// One of the questions uses up the warnings.
bool can_ask_programs(const Split& split) {
  return has_untold(split) && !has_diagnostics(split.last, Side::server);
}

/// There mostly is nothing to ask: that comes first. Questions change what FOUND_ROWS() and
/// ROW_COUNT() say; people may ask for that after a while. A session that is tied is not asked for
/// nothing: a statement makes handlers that others wait for begin at their first row again.
bool may_ask(const Split& split) {
  return (has_unsure_variables(split) || can_ask_programs(split)) &&
         split.home_link.step == Step::ready && split.home_link.errands.empty() &&
         (split.status & mysql::kInTransaction) == 0 && !split.kept.asks_rows &&
         !is_interactive(split) && why_tied(split).why.empty();
}

void ask_all(SessionState& s, Actions& out) {
  if (has_unsure_variables(*s.split)) ask_variables(s, out);
  if (can_ask_programs(*s.split)) ask_untold_by_programs(s, out);
}

}  // namespace

void ask_in_time(SessionState& s, const Surroundings& w, Actions& out) {
  auto& split = *s.split;
  if (s.phase != Phase::relaying || !may_ask(split)) return;
  if (w.service.transaction_replay) return ask_all(s, out);
  if (split.ask_ns == 0) split.ask_ns = w.now_ns + kIdleNs;
}

void ask_when_idle(SessionState& s, Actions& out) {
  s.split->ask_ns = 0;
  if (is_idle(s) && may_ask(*s.split)) ask_all(s, out);
}

void note_traces(Split& split, std::string_view said) {
  split.kept.may_have_traces = false;
  if (!said.starts_with("0 ")) split.kept.pinned = why::kTemporaryTable;
  if (!said.ends_with(fmt::format(" {}", split.variables.list.size()))) tie_to_variables(split);
}

}  // namespace sluice::worker::split
