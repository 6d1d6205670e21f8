#include "worker/split/asking.h"

#include <algorithm>

#include "worker/split/prepared.h"
#include "worker/split/steps.h"
#include "worker/sql/classify.h"

namespace sluice::worker::split {
namespace {

using mysql::Command;
using sql::Effect;

/// Reads up to this length are kept after they were answered.
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
  last.drew |= has("NEXTVAL") || (value && has("NEXT"));
  if (!asks || last.drew || !std::exchange(last.drawn_is_gone, false)) return {};
  return "the last value of the sequence";
}

/// What a statement asks about those before it. One that is put together at run time asks when it
/// is executed.
Asked take_asked(Split& split, const sql::Statement& statement, std::string_view text) {
  const auto& effects = statement.effects;
  if (effects.has(Effect::Executes)) return split.kept.asked_by_name;
  if (effects.any(sql::Effects(Effect::Prepares) | Effect::ExecutesImmediate)) {
    const Asked within{.found_rows = contains(text, "found_rows"),
                       .row_count = contains(text, "row_count")};
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
  return {
      .found_rows = found, .row_count = count, .insert_id = id, .diagnostics = !found && !count};
}

bool only_asks(const sql::Statement& statement, std::string_view text) {
  return statement.reason == sql::Reason::Diagnostics && statement.user_variables_read == 0 &&
         (statement.verb == sql::Verb::Select || statement.verb == sql::Verb::Show) &&
         statement.effects == sql::Effects(Effect::ReadsDiagnostics) && !contains(text, "from") &&
         !contains(text, "insert_id") && !contains(text, "connection_id");
}

/// What of it the reader has, or an earlier one had.
Asked at_reader(const Last& last, const Asked& asked) {
  return {.found_rows = asked.found_rows && last.select_at == Side::reader,
          .row_count = asked.row_count && last.statement_at == Side::reader,
          .diagnostics = asked.diagnostics && last.diagnostics_at == Side::reader};
}

/// Whether the read that is kept leaves all that once more.
bool is_of_last_read(const Last& last, const Asked& asked, const Asked& there) {
  auto wanted = asked;
  wanted.insert_id = false;
  return !last.read.empty() && there == wanted && (!there.found_rows || last.read_selected) &&
         (!there.diagnostics || last.read_diagnosed);
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
  if (statement.read()) return out;
  out.id = mentions(split, statement, text, "CONNECTION_ID") || has_pseudo_thread_id(text);
  split.kept.knows_id |= out.id;
  out.gone = take_sequences(split, statement, text);
  out.before = take_asked(split, statement, text);
  out.only = only_asks(statement, text);
  split.kept.asks_rows |= out.before.found_rows || out.before.row_count;
  if (out.gone.empty()) out.gone = what_is_gone(split, out.before);
  return out;
}

std::string_view what_is_gone(const Split& split, const Asked& asked) {
  const auto& last = split.last;
  if (asked.insert_id && last.insert_id_gone) return "the last insert id";
  const bool rows =
      (asked.found_rows && last.select_gone) || (asked.row_count && last.statement_gone);
  return rows ? kRows : std::string_view();
}

bool would_mix_up(const Split& split) {
  const auto& last = split.last;
  return last.diagnostics_at == Side::reader && (last.diagnostics || last.home_has_old) &&
         last.read_diagnosed && !last.read.empty();
}

bool can_reader_tell(const Split& split, const Asked& asked) {
  const auto there = at_reader(split.last, asked);
  return split.last.read_there && split.reader_link.step == Step::ready && there.any() &&
         there == asked;
}

void note_errand(Split& split, Side side, Errand errand) {
  auto& last = split.last;
  if (errand == Errand::catch_up || errand == Errand::account) last.read_there = false;
  if (errand == Errand::written || errand == Errand::insert_id || errand == Errand::variables ||
      errand == Errand::temporary_tables)
    last.select_gone |= last.select_at == side;
}

void note_read(Split& split, bool selected, bool diagnosed) {
  auto& last = split.last;
  if (!selected && last.read_selected &&
      last.select_at == Side::reader) {  // any read has the same ROW_COUNT()
    last.read_diagnosed &= !diagnosed;
    return;
  }
  last.read_there = true;
  last.read_selected = selected;
  last.read_diagnosed = diagnosed;
  std::swap(last.read, split.now.bytes);
  if (last.read.size() > kMaxKept) release(last.read);
}

void forget_read_of(Split& split, const Statement& statement) {
  auto& read = split.last.read;
  if (read.empty() || !names_statement(static_cast<Command>(read[mysql::kHeaderSize]))) return;
  if (statement_of(split, read) == &statement) read.clear();
}

Again read_again(SessionState& s, Actions& out) {
  auto& split = *s.split;
  const auto there = at_reader(split.last, split.now.asked);
  if (!there.any()) return Again::not_needed;
  if (!is_of_last_read(split.last, split.now.asked, there)) return Again::impossible;
  const auto command = command_for_home(s, split.last.read, out);
  if (!command) return Again::begun;
  split.home_link.errands.push_back(Errand::read_again);
  split.waiting = true;
  out.send(Side::server, out.keep({command->begin(), command->end()}));
  return Again::begun;
}

void note_read_again(Split& split) {
  auto& last = split.last;
  last.statement_at = Side::server;
  if (last.read_selected) last.select_at = Side::server;
  if (last.read_diagnosed) last.diagnostics_at = Side::server;
  if (!split.transaction.commands.empty())
    split.transaction.broken = "it asks about a read on a replica";
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
