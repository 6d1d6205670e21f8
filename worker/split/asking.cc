#include "worker/split/asking.h"

#include <algorithm>

#include "worker/split/prepared.h"
#include "worker/split/steps.h"
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
  last.drew |= has("NEXTVAL") || (value && has("NEXT"));
  if (!asks || last.drew || !std::exchange(last.drawn_is_gone, false)) return {};
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

/// Whether it is sure to use tables, and so to leave no warnings but its own.
bool writes_tables(const sql::Statement& statement) {
  using sql::Verb;
  constexpr Verb kOfTables[] = {Verb::Insert, Verb::Replace, Verb::Update,
                                Verb::Delete, Verb::Load,    Verb::Truncate};
  return std::ranges::find(kOfTables, statement.verb) != std::end(kOfTables);
}

/// Several statements ask about the first of them, if that one writes.
Asked before_all(const sql::Statement& statement, const Asked& asked) {
  const bool within = statement.statements > 1 && writes_tables(statement);
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
  return {.found_rows = asked.found_rows && last.select_at == Side::reader,
          .row_count = asked.row_count && last.statement_at == Side::reader,
          .diagnostics = asked.diagnostics && last.diagnostics_at == Side::reader};
}

/// Whether the read that is kept leaves all that once more.
bool is_of_last_read(const Last& last, const Asked& asked, const Asked& there) {
  auto wanted = asked;
  wanted.insert_id = false;
  if (there.found_rows && last.written_since) return false;  // there can be others by now
  return !last.read.empty() && there == wanted && (!there.found_rows || last.read_selected) &&
         (!there.diagnostics || last.read_diagnosed);
}

/// SHOW WARNINGS, and nothing else.
bool shows_warnings(std::string_view text) {
  constexpr std::string_view kSpace = " \t\n\v\f\r", kShow = "show", kWarnings = "warnings";
  const auto trim = [&](std::string_view part) {
    part.remove_prefix(std::min(part.find_first_not_of(kSpace), part.size()));
    return part.substr(0, part.find_last_not_of(kSpace) + 1);
  };
  text = trim(text);
  if (text.ends_with(';')) text = trim(text.substr(0, text.size() - 1));
  const auto middle = trim(text.substr(std::min(kShow.size(), text.size())));
  return contains(text.substr(0, kShow.size()), kShow) && middle.size() == kWarnings.size() &&
         contains(middle, kWarnings) && text.size() > kShow.size() + kWarnings.size();
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
  split.now.clears = writes_tables(statement) || (selects && statement.statements == 1);
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
  if ((asked.found_rows && last.select_gone) || (asked.row_count && last.statement_gone))
    return kRows;
  return asked.diagnostics && last.diagnostics_gone ? "what the statement before warned of" : "";
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
      errand == Errand::traces || errand == Errand::warnings) {
    last.select_gone |= last.select_at == side;
    last.statement_gone |= last.statement_at == side;
  }
  if (errand == Errand::news) last.statement_gone |= last.statement_at == side;
  if (errand == Errand::traces)  // itself it uses one
    last.diagnostics_gone |= has_diagnostics(last, side);
}

void note_read(Split& split, bool selected, bool diagnosed) {
  auto& last = split.last;
  if (!selected && last.read_selected &&
      last.select_at == Side::reader) {  // any read has the same ROW_COUNT()
    last.read_diagnosed &= !diagnosed;
    return;
  }
  const bool leaves_all = (selected || last.select_at != Side::reader) &&
                          (diagnosed || !has_diagnostics(last, Side::reader));
  last.reader_left &= !leaves_all;
  last.read_there = !last.reader_left;
  last.written_since = false;
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

bool has_diagnostics(const Last& last, Side side) {
  return last.diagnostics && !last.diagnostics_gone && last.diagnostics_at == side;
}

bool can_do_without(const Split& split, Side side) {
  const auto& last = split.last;
  if (side == Side::server) return !has_diagnostics(last, side) || !last.warnings_too_long;
  if (last.reader_left) return true;
  const bool rows = split.kept.asks_rows;
  const auto there =
      at_reader(last, {.found_rows = rows, .row_count = rows, .diagnostics = last.diagnostics});
  if (there.found_rows && last.written_since) return false;
  return !there.any() || is_of_last_read(last, there, there);
}

bool has_untold_warnings(const Split& split) {
  const auto& last = split.last;
  return has_diagnostics(last, Side::server) && !last.warnings_too_long &&
         (last.warnings.empty() || last.warnings_version != split.settings.version);
}

void ask_warnings(SessionState& s, Actions& out) {
  run_errand(s, Side::server, Errand::warnings, Command::query, "SHOW WARNINGS", out);
}

void keep_warnings(Bytes& answer, ByteSpan more) {
  more = more.first(std::min(more.size(), kMaxKept + 1 - answer.size()));
  answer.insert(answer.end(), more.begin(), more.end());
}

void note_warnings(Split& split, Bytes answer, uint16_t error) {
  auto& last = split.last;
  last.warnings_too_long = error != 0 || answer.size() > kMaxKept;
  last.warnings_version = split.settings.version;
  last.warnings = last.warnings_too_long ? Bytes() : std::move(answer);
}

void forget_warnings(Last& last) {
  last.diagnostics_gone = last.warnings_too_long = false;
  release(last.warnings);
}

bool are_kept_warnings(const Split& split, std::string_view text) {
  const auto& last = split.last;
  // What the packets say of the session is that it is in no transaction.
  constexpr uint16_t kOfTransaction = mysql::kAutocommit | mysql::kInTransaction;
  return last.diagnostics_gone && !last.warnings.empty() &&
         last.warnings_version == split.settings.version &&
         (split.status & kOfTransaction) == mysql::kAutocommit && shows_warnings(text);
}

void note_told_warnings(Last& last) {
  last.select_at = last.statement_at = Side::server;
  last.select_gone = last.statement_gone = true;
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
