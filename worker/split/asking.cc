#include "worker/split/asking.h"

#include <algorithm>

#include "worker/split/command.h"
#include "worker/split/prepared.h"
#include "worker/split/steps.h"
#include "worker/split/warnings.h"
#include "worker/sql/classify.h"

namespace sluice::worker::split {
namespace {

using mysql::Command;
using sql::Effect;

/// Reads up to this length are kept after they were answered, and so are warnings.
constexpr std::size_t kMaxKept = 16 * 1024;

bool mentions(const Split& split, const sql::Statement& statement, std::string_view text,
              std::string_view name) {
  const auto wanted = sql::identifier_bits(name);
  return (statement.mentioned & wanted) == wanted && sql::mentions(text, split.settings.mode, name);
}

/// @@pseudo_thread_id is the id of the connection as well.
bool has_pseudo_thread_id(std::string_view text) {
  return text.find("@@") != std::string_view::npos && contains(text, "pseudo_thread_id");
}

/// A connection knows the last value that it drew from each sequence.
std::string_view take_sequences(Split& split, const sql::Statement& statement,
                                std::string_view text) {
  const auto has = [&](std::string_view name) { return mentions(split, statement, text, name); };
  auto& last = split.last;
  const bool value = has("VALUE");
  const bool asks = has("LASTVAL") || has("CURRVAL") || (value && has("PREVIOUS"));
  split.kept.asks_rows |= asks;
  split.kept.asks_sequences |= asks;
  if (has("NEXTVAL") || (value && has("NEXT"))) last.drawn = Drawn::known;
  if (!asks || last.drawn != Drawn::gone) return {};
  last.drawn = Drawn::nothing;
  return "the last value of the sequence";
}

/// The same where the text was not looked into.
bool names_diagnostics(std::string_view text) {
  constexpr std::string_view kNames[] = {"show warnings", "show errors", "show count",
                                         "warning_count", "error_count", "get diagnostics"};
  return std::ranges::any_of(kNames, [&](auto name) { return contains(text, name); });
}

/// What a statement asks about those before it. One that is put together at run time asks when it
/// is executed.
Asked take_asked(Split& split, const sql::Statement& statement, std::string_view text) {
  const auto& effects = statement.effects;
  if (effects.has(Effect::Executes)) return split.kept.asked_by_name;
  if (effects.any(sql::Effects(Effect::Prepares) | Effect::ExecutesImmediate)) {
    const Asked within{.found_rows = contains(text, "found_rows"),
                       .row_count = contains(text, "row_count"),
                       .diagnostics = names_diagnostics(text)};
    if (effects.has(Effect::ExecutesImmediate)) return within;
    split.kept.asked_by_name.found_rows |= within.found_rows;
    split.kept.asked_by_name.row_count |= within.row_count;
    return {};
  }
  const bool identity = text.find("@@") != std::string_view::npos &&
                        (contains(text, "identity") || contains(text, "last_insert_id"));
  const bool id = !effects.has(Effect::WritesInsertId) &&
                  (identity || mentions(split, statement, text, "LAST_INSERT_ID"));
  if (!effects.has(Effect::ReadsDiagnostics)) return {.insert_id = id};
  const bool found = mentions(split, statement, text, "FOUND_ROWS");
  const bool count = mentions(split, statement, text, "ROW_COUNT");
  const bool raises = statement.verb == sql::Verb::Diagnostics && !contains(text, "diagnostics");
  return {.found_rows = found,
          .row_count = count,
          .insert_id = id,
          .diagnostics = !found && !count && !raises};
}

/// Several statements ask about the first of them, if that one writes.
Asked before_all(const sql::Statement& statement, const Asked& asked) {
  const bool within = statement.statements > 1 && sql::writes_tables(statement.verb);
  return within ? Asked{.found_rows = asked.found_rows} : asked;
}

bool only_asks(const sql::Statement& statement, std::string_view text) {
  return statement.reason == sql::Reason::Diagnostics && statement.user_variables_read == 0 &&
         (statement.verb == sql::Verb::Select || statement.verb == sql::Verb::Show) &&
         statement.effects == sql::Effects(Effect::ReadsDiagnostics) && !contains(text, "from") &&
         !contains(text, "insert_id") && !contains(text, "connection_id");
}

/// What of it the reader has, or an earlier one had.
Asked at_reader(const Last& last, const Asked& asked) {
  return {.found_rows = asked.found_rows && last.found_rows == Knows::reader,
          .row_count = asked.row_count && last.row_count == Knows::reader,
          .diagnostics = asked.diagnostics && last.diagnostics == Knows::reader};
}

/// Whether the read that is kept leaves all that once more.
bool is_of_last_read(const Last& last, const Asked& asked, const Asked& there) {
  auto wanted = asked;
  wanted.insert_id = false;
  if (there.found_rows && last.read.written_since) return false;  // there can be others by now
  return !last.read.command.empty() && there == wanted &&
         (!there.found_rows || last.read.selected) && (!there.diagnostics || last.read.diagnosed);
}

}  // namespace

bool contains(std::string_view text, std::string_view lower) {
  const auto same = [](char a, char b) { return (a >= 'A' && a <= 'Z' ? a | 0x20 : a) == b; };
  return std::search(text.begin(), text.end(), lower.begin(), lower.end(), same) != text.end();
}

bool asks_for_id(const Split& split, std::string_view text) {
  return sql::mentions(text, split.settings.mode, "CONNECTION_ID") || has_pseudo_thread_id(text);
}

Questions take_questions(Split& split, const sql::Statement& statement, std::string_view text) {
  Questions out;
  const bool selects = statement.verb == sql::Verb::Select || statement.verb == sql::Verb::With;
  split.now.clears = sql::writes_tables(statement.verb) || (selects && statement.statements == 1);
  if (statement.read()) return out;
  out.id = mentions(split, statement, text, "CONNECTION_ID") || has_pseudo_thread_id(text);
  split.kept.knows_id |= out.id;
  out.gone = take_sequences(split, statement, text);
  out.before = take_asked(split, statement, text);
  out.only = only_asks(statement, text);
  split.kept.asks_rows |= out.before.found_rows || out.before.row_count;
  if (out.gone.empty()) out.gone = what_is_gone(split, before_all(statement, out.before));
  return out;
}

std::string_view what_is_gone(const Split& split, const Asked& asked) {
  const auto& last = split.last;
  if (asked.insert_id && last.insert_id_gone) return "the last insert id";
  if ((asked.found_rows && last.found_rows == Knows::nobody) ||
      (asked.row_count && last.row_count == Knows::nobody))
    return kRows;
  return asked.diagnostics && last.diagnostics == Knows::nobody
             ? "what the statement before warned of"
             : "";
}

bool would_mix_up(const Split& split) {
  const auto& last = split.last;
  return last.diagnostics == Knows::reader && (last.diagnosed || last.home_has_old) &&
         last.read.diagnosed && !last.read.command.empty();
}

bool can_reader_tell(const Split& split, const Asked& asked) {
  const auto there = at_reader(split.last, asked);
  return split.last.read.there && split.reader_link.step == Step::ready && there.any() &&
         there == asked;
}

void note_errand(Split& split, Side side, Errand errand) {
  auto& last = split.last;
  if (errand == Errand::catch_up || errand == Errand::account) last.read.there = false;
  if (errand == Errand::written || errand == Errand::insert_id || errand == Errand::variables ||
      errand == Errand::traces || errand == Errand::warnings)
    forget_rows(last, side);
  if (errand == Errand::news && last.row_count == knows(side)) last.row_count = Knows::nobody;
  if (errand == Errand::traces) forget_diagnostics(last, side);  // itself it uses one
}

void note_read(Split& split, bool selected, bool diagnosed) {
  auto& last = split.last;
  if (!selected && last.read.selected &&
      last.found_rows == Knows::reader) {  // any read has the same ROW_COUNT()
    last.read.diagnosed &= !diagnosed;
    return;
  }
  const bool leaves_all = (selected || last.found_rows != Knows::reader) &&
                          (diagnosed || !has_diagnostics(last, Side::reader));
  last.read.others_gone &= !leaves_all;
  last.read.there = !last.read.others_gone;
  last.read.written_since = false;
  last.read.selected = selected;
  last.read.diagnosed = diagnosed;
  std::swap(last.read.command, split.now.bytes);
  if (last.read.command.size() > kMaxKept) release(last.read.command);
}

void forget_read_of(Split& split, const Statement& statement) {
  auto& read = split.last.read.command;
  if (read.empty() || !names_statement(kind_of(read))) return;
  if (statement_of(split, read) == &statement) read.clear();
}

Again read_again(SessionState& s, Actions& out) {
  auto& split = *s.split;
  const auto there = at_reader(split.last, split.now.asked);
  if (!there.any()) return Again::not_needed;
  if (!is_of_last_read(split.last, split.now.asked, there)) return Again::impossible;
  const auto command = command_for_home(s, split.last.read.command, out);
  if (!command) return Again::begun;
  split.home_link.errands.push_back(Errand::read_again);
  split.waiting = true;
  out.send(Side::server, out.keep({command->begin(), command->end()}));
  return Again::begun;
}

void note_read_again(Split& split, bool done) {
  auto& last = split.last;
  if (!done) {
    forget_rows(last, Side::reader);
    forget_diagnostics(last, Side::reader);
    last.read.command.clear();
    return;
  }
  last.row_count = Knows::home;
  if (last.read.selected) last.found_rows = Knows::home;
  if (last.read.diagnosed) last.diagnostics = Knows::home;
  if (!split.transaction.commands.empty())
    split.transaction.broken = "it asks about a read on a replica";
}

bool can_do_without(const Split& split, Side side) {
  const auto& last = split.last;
  if (side == Side::server) return !has_diagnostics(last, side) || !last.warnings.too_long;
  if (last.read.others_gone) return true;
  const bool rows = split.kept.asks_rows;
  const auto there =
      at_reader(last, {.found_rows = rows, .row_count = rows, .diagnostics = last.diagnosed});
  if (there.found_rows && last.read.written_since) return false;
  return !there.any() || is_of_last_read(last, there, there);
}

void forget_rows(Last& last, Side side) {
  if (last.found_rows == knows(side)) last.found_rows = Knows::nobody;
  if (last.row_count == knows(side)) last.row_count = Knows::nobody;
}

bool are_questions_prepared(SessionState& s, Actions& out) {
  auto& split = *s.split;
  if (!split.kept.asks_prepared) return true;
  const auto due = std::ranges::find_if(split.statements, [](const Statement& one) {
    return one.only_asks && one.reader_id == 0 && !one.text.empty();
  });
  if (due == split.statements.end()) return true;
  prepare_on(s, Side::reader, *due, out);
  return false;
}

}  // namespace sluice::worker::split
