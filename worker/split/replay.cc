// The open transaction, kept so that it can be run again when its primary is lost. What the client
// was answered is kept as a checksum: if the next primary answers anything else, the client's view
// of its transaction would be wrong, and the session ends.
//
// Whatever may have ended the transaction is never sent twice: the transaction could have been
// committed, and would be so once more.
#include <fmt/format.h>

#include <algorithm>

#include "worker/split/command.h"
#include "worker/split/prepared.h"
#include "worker/split/steps.h"

namespace sluice::worker::split {
namespace {

using mysql::Command;

/// Errors after which a server may have rolled the transaction back, or parts of it.
/// errmsg-utf8.txt: ER_LOCK_WAIT_TIMEOUT, ER_LOCK_DEADLOCK, ER_XA_RBROLLBACK, ER_XA_RBTIMEOUT,
/// ER_XA_RBDEADLOCK, ER_ERROR_DURING_COMMIT, ER_ERROR_DURING_ROLLBACK, ER_CHECKREAD; MySQL's
/// ER_TRANSACTION_ROLLBACK_DURING_COMMIT.
constexpr uint16_t kRolledBack[] = {1205, 1213, 1402, 1613, 1614, 1180, 1181, 1020, 3101};

constexpr std::string_view kTooLong = "it is longer than transaction_replay_max_size";

bool is_in_transaction(uint16_t status) {
  return (status & mysql::kInTransaction) != 0;
}

/// Why the command that was just answered keeps the transaction from being run again.
std::string_view why_broken(const SessionState& s, const Surroundings& w) {
  const auto& split = *s.split;
  const auto& t = split.transaction;
  if (t.settings_version != split.settings.version ||
      t.database_version != split.settings.database_version)
    return "it has changed the session's settings";
  if (t.variables_version != split.variables.version) return "it has set user variables";
  if (!split.kept.holdings.empty()) return "it has held what belongs to its connection";
  if (split.kept.asks_sequences && split.last.drawn == Drawn::known)
    return "it asks for what it has drawn from a sequence";
  if (split.now.takes_lost && (!s.conversation.rows || split.now.uses_up))
    return "it has written what statements before it had left";
  switch (static_cast<Command>(s.conversation.command)) {
    case Command::query:
    case Command::stmt_execute:
      break;
    case Command::stmt_prepare:  // what a failed one warns of may be asked for
      return s.conversation.error == 0 ? "" : "a statement of it could not be prepared";
    case Command::stmt_reset:
    case Command::ping:
    case Command::statistics:
      return {};
    default:
      return "it has used a command that is not kept";
  }
  if (!split.now.recorded)
    return t.commands.empty() ? "it was begun by something else than BEGIN"
                              : "a command of it is too long";
  if (!split.now.repeats && !split.now.begins) return "it has run what may have ended it";
  if (split.now.begins && s.conversation.error != 0) return "a BEGIN of it has failed";
  if (std::ranges::find(kRolledBack, s.conversation.error) != std::end(kRolledBack))
    return "the server may have rolled it back";
  if (t.bytes + split.now.bytes.size() > w.service.transaction_replay_max_size) return kTooLong;
  return {};
}

/// An error tells nothing of the transaction. Whatever came before it may have stayed, and have
/// begun one: what a procedure has done, or the rows of a bulk execution.
bool may_have_begun(const SessionState& s) {
  const auto& split = *s.split;
  return s.conversation.error != 0 && runs_something(s) &&
         (split.status & mysql::kAutocommit) == 0 && !split.now.repeats && !split.now.begins;
}

}  // namespace

bool may_be_recorded(const Split& split, const Surroundings& w) {
  const bool open = is_in_transaction(split.status);
  const bool begins = split.now.begins || (!open && (split.status & mysql::kAutocommit) == 0);
  // Nothing is kept of one that was open before the setting, or that can't be run again.
  return w.service.transaction_replay && (begins || (open && !split.transaction.commands.empty()));
}

bool takes_lost(const Split& split) {
  const auto& t = split.transaction;
  const auto& asked = split.now.asked;
  const bool first = split.now.begins || t.commands.empty();
  const bool other_id =
      first ? split.last.insert_id_due : t.insert_id_before && !t.insert_id_within;
  return asked.found_rows || asked.diagnostics || (asked.row_count && first) ||
         (asked.insert_id && other_id);
}

void note_closed(Split& split, const Surroundings& w, const Statement& statement) {
  auto& t = split.transaction;
  const auto executes = [&](const Recorded& one) {
    return kind_of(one.command) == Command::stmt_execute && id_in(one.command) == statement.id;
  };
  if (std::ranges::none_of(t.commands, executes)) return;
  t.bytes += static_cast<uint32_t>(statement.text.size());
  if (t.bytes <= w.service.transaction_replay_max_size) {
    t.closed.push_back(statement);
    t.closed.back().home_id = t.closed.back().reader_id = 0;
    return;
  }
  t.broken = kTooLong;
  t.commands.clear();
  t.closed.clear();
}

void note_answer(Split& split, ByteSpan bytes) {
  split.transaction.answer.add(bytes);
}

void note_transaction(SessionState& s, const Surroundings& w) {
  auto& split = *s.split;
  auto& t = split.transaction;
  if (!w.service.transaction_replay && t.empty()) [[likely]]
    return;
  if (!w.service.transaction_replay || !is_in_transaction(split.status)) {
    t = {};
    if (w.service.transaction_replay && may_have_begun(s))
      t.broken = "a command that failed may have begun it";
    return;
  }
  // What was open before is committed.
  const bool begins = split.now.begins && s.conversation.error == 0;
  if ((t.commands.empty() && t.broken.empty()) || begins) {
    const auto answer = t.answer;
    t = {.answer = answer,
         .settings_version = split.settings.version,
         .database_version = split.settings.database_version,
         .variables_version = split.variables.version,
         .untold = split.now.untold,
         .insert_id_before = split.now.insert_id_due};
    if (split.kept.next_at_home) t.broken = "SET TRANSACTION was said of it";
  }
  if (!t.broken.empty()) return;
  t.broken = why_broken(s, w);
  if (!t.broken.empty()) {
    t.commands.clear();
    t.closed.clear();
    return;
  }
  if (!split.now.recorded) return;
  t.insert_id_within |= s.conversation.insert_id;
  t.bytes += static_cast<uint32_t>(split.now.bytes.size());
  t.commands.push_back({std::move(split.now.bytes), t.answer});
}

std::string why_not_again(const Split& split) {
  const auto& t = split.transaction;
  if (!t.broken.empty()) return "its transaction can't be run again: " + t.broken;
  if (!t.due && !is_in_transaction(split.status)) return {};
  return t.commands.empty() ? "it is in a transaction" : "";
}

bool may_be_sent_again(const Split& split) {
  const bool within = is_in_transaction(split.status);
  return !split.now.bytes.empty() && !split.now.delivered &&
         (split.now.begins ? !within : split.now.repeats);
}

void transaction_lost(Split& split) {
  auto& t = split.transaction;
  t.due = t.due || is_in_transaction(split.status);
  t.replayed = 0;
}

namespace {

/// As the next primary has to get it; nothing if a statement has to be prepared first.
std::optional<ByteSpan> next_command(SessionState& s, ByteSpan command, Actions& out) {
  auto* statement =
      names_statement(kind_of(command)) ? recorded_statement(*s.split, command) : nullptr;
  return statement != nullptr ? command_for_home(s, *statement, command, out) : command;
}

/// What the client has closed was prepared for this alone.
void close_again(Transaction& t, Actions& out) {
  for (auto& statement : t.closed) {
    if (statement.home_id == 0) continue;
    Bytes payload{static_cast<std::byte>(Command::stmt_close)}, packet;
    ByteWriter(payload).fixed<uint32_t>(std::exchange(statement.home_id, 0));
    mysql::append_packet(packet, 0, payload);
    out.send_made(Side::server, std::move(packet));
  }
}

}  // namespace

bool replay(SessionState& s, const Surroundings& w, Actions& out) {
  auto& split = *s.split;
  auto& t = split.transaction;
  if (!t.due) return true;
  if (!t.broken.empty()) {  // since it was lost
    on_errand_refused(s, w, Side::server, out);
    return false;
  }
  if (t.replayed == t.commands.size()) {
    split.status = split.home_link.own.status;
    t.due = false;
    t.by_ns = 0;
    close_again(t, out);
    out.log(fmt::format("its transaction of {} commands was run again", t.commands.size()));
    return true;
  }
  start_replay_clock(s, w);
  const auto command = next_command(s, t.commands[t.replayed].command, out);
  if (!command) return false;
  t.answer = {};
  split.home_link.errands.push_back(Errand::replay);
  split.waiting = true;
  out.send(Side::server, out.keep({command->begin(), command->end()}));
  return false;
}

void start_replay_clock(SessionState& s, const Surroundings& w) {
  auto& t = s.split->transaction;
  if (t.by_ns == 0)
    t.by_ns = w.now_ns + int64_t{w.service.transaction_replay_timeout_ms} * kMillisecondNs;
}

bool replayed_alike(Split& split) {
  auto& t = split.transaction;
  const bool alike = t.answer == t.commands[t.replayed++].answer;
  if (alike && is_in_transaction(split.home_link.own.status)) return true;
  t.broken = fmt::format("the next primary gave another answer to command {} of {}", t.replayed,
                         t.commands.size());
  return false;
}

}  // namespace sluice::worker::split
