#include "worker/split/warnings.h"

#include <algorithm>

#include "worker/split/asking.h"
#include "worker/split/steps.h"

namespace sluice::worker::split {
namespace {

/// Answers up to this length are kept.
constexpr std::size_t kMaxKept = 16 * 1024;

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

/// Warnings and errors stay until a statement uses tables when it is run or prepared, or raises
/// others (MariaDB sql_parse.cc, mysql_execute_command(); sql_prepare.cc,
/// check_prepared_statement()). Whether they are its own. Where it is not sure that older ones are
/// replaced, home can tell; if those went with a connection, nobody can.
bool note_diagnostics(SessionState& s) {
  auto& split = *s.split;
  auto& last = split.last;
  const bool raised = s.conversation.error != 0 || s.conversation.warnings != 0;
  // Of several statements the last one tells of its own warnings alone.
  if (!raised && !split.now.several && !split.now.uses_tables) return false;
  const bool replaced = raised || split.now.clears;
  if (!replaced && last.diagnostics == Knows::nobody) {
    release(last.warnings.answer);
    return false;
  }
  const bool at_home = has_diagnostics(last, Side::server);
  const bool may_be_older = !replaced && split.now.at == Side::server && at_home;
  last.home_has_old = split.now.at == Side::reader && (last.home_has_old || at_home);
  last.diagnostics = knows(split.now.at);
  last.diagnosed = raised || split.now.several || may_be_older;
  last.warnings = {};
  return true;
}

bool has_diagnostics(const Last& last, Side side) {
  return last.diagnosed && last.diagnostics == knows(side);
}

void forget_diagnostics(Last& last, Side side) {
  if (has_diagnostics(last, side)) last.diagnostics = Knows::nobody;
}

bool has_untold_warnings(const Split& split) {
  const auto& last = split.last;
  return has_diagnostics(last, Side::server) && !last.warnings.too_long &&
         (last.warnings.answer.empty() || last.warnings.version != split.settings.version);
}

void ask_warnings(SessionState& s, Actions& out) {
  run_errand(s, Side::server, Errand::warnings, mysql::Command::query, "SHOW WARNINGS", out);
}

void keep_warnings(Bytes& answer, ByteSpan more) {
  more = more.first(std::min(more.size(), kMaxKept + 1 - answer.size()));
  answer.insert(answer.end(), more.begin(), more.end());
}

void note_warnings(Split& split, Bytes answer, uint16_t error) {
  const bool too_long = error != 0 || answer.size() > kMaxKept;
  split.last.warnings = {.answer = too_long ? Bytes() : std::move(answer),
                         .version = split.settings.version,
                         .too_long = too_long};
}

bool are_kept_warnings(const Split& split, std::string_view text) {
  const auto& last = split.last;
  // What the packets say of the session is that it is in no transaction.
  constexpr uint16_t kOfTransaction = mysql::kAutocommit | mysql::kInTransaction;
  return last.diagnostics == Knows::nobody && !last.warnings.answer.empty() &&
         last.warnings.version == split.settings.version &&
         (split.status & kOfTransaction) == mysql::kAutocommit && shows_warnings(text);
}

void answer_with_warnings(SessionState& s, Actions& out) {
  auto& last = s.split->last;
  ++s.conversation.commands;
  s.bytes_out += last.warnings.answer.size();
  out.send_made(Side::client, Bytes(last.warnings.answer));
  last.found_rows = last.row_count = Knows::nobody;  // as many rows no connection has had
}

}  // namespace sluice::worker::split
