// Sending a command to the server that runs it, with what has to be sent ahead of it.
#include <fmt/format.h>

#include <algorithm>

#include "common/mysql/packets.h"
#include "worker/split/asking.h"
#include "worker/split/command.h"
#include "worker/split/prepared.h"
#include "worker/split/programs.h"
#include "worker/split/steps.h"

namespace sluice::worker::split {

using mysql::Command;

void pass(SessionState& s, Side side, ByteSpan bytes, Actions& out) {
  s.bytes_in += bytes.size();
  out.send(side, bytes);
}

void run_on(SessionState& s, Side side, ByteSpan command, Actions& out) {
  auto& split = *s.split;
  s.conversation.one_command(command);
  split.now.at = side;
  split.now.only_home = false;
  out.count(side == Side::reader ? stats::Route::replica : split.now.why_home);
  if (split.now.unheeded) out.unheeded();
  pass(s, side, command, out);
}

void answer_with_error(SessionState& s, const End& end, Actions& out) {
  ++s.conversation.commands;
  Bytes answer;
  mysql::append_packet(answer, 1, mysql::encode_error(end.number, end.sql_state, end.message));
  s.bytes_out += answer.size();
  out.send_made(Side::client, std::move(answer));
}

namespace {

void refuse_question(SessionState& s, std::string_view what, std::string_view why, Actions& out) {
  answer_with_error(s,
                    {mysql::kUnknownError, "HY000",
                     fmt::format("sluice: {} is not known any more: {}", what, why)},
                    out);
}

const End kDataLost{mysql::kUnknownError, "HY000",
                    "sluice: a parameter of it is not known: what was sent of it ahead found no "
                    "connection to the primary"};

}  // namespace

bool refuse_incomplete(SessionState& s, const Surroundings& w, Statement& statement,
                       ByteSpan command, Actions& out) {
  if (!is_whole(command)) {  // the rest would be taken for the next one
    end(s, w, kDataLost, out);
    return false;
  }
  if (kind_of(command) == Command::stmt_send_long_data) {
    ++s.conversation.commands;
    return true;
  }
  statement.data_lost = statement.long_data = false;
  answer_with_error(s, kDataLost, out);
  return true;
}

bool refuse_gone(SessionState& s, std::string_view what, Actions& out) {
  refuse_question(s, what, "its connection was lost, lent, or asked something else since", out);
  return true;
}

void run_errand(SessionState& s, Side side, Errand errand, Command command, std::string_view text,
                Actions& out) {
  Bytes payload, packet;
  payload.reserve(1 + text.size());
  payload.push_back(static_cast<std::byte>(command));
  payload.insert(payload.end(), as_bytes(text).begin(), as_bytes(text).end());
  mysql::append_packet(packet, 0, payload);
  link(s, side).errands.push_back(errand);
  note_errand(*s.split, side, errand);
  out.send_made(side, std::move(packet));
}

std::optional<ByteSpan> command_for_home(SessionState& s, ByteSpan command, Actions& out) {
  if (!names_statement(kind_of(command))) return command;
  auto* statement = statement_of(*s.split, command);
  return statement != nullptr ? command_for_home(s, *statement, command, out)
                              : unknown_at_home(*s.split, command, out);
}

std::optional<ByteSpan> command_for_home(SessionState& s, Statement& statement, ByteSpan command,
                                         Actions& out) {
  if (statement.home_id == 0) {
    prepare_on(s, Side::server, statement, out);
    return std::nullopt;
  }
  if (kind_of(command) == Command::stmt_execute)
    if (const auto made = execution_for(statement, Side::server, command, out); !made.empty())
      return made;
  return with_id(command, statement.home_id, out);
}

void prepare_on(SessionState& s, Side side, const Statement& statement, Actions& out) {
  link(s, side).preparing = statement.id;
  run_errand(s, side, Errand::prepare, Command::stmt_prepare, statement.text, out);
  s.split->waiting = true;
}

void note_use_of_home(Split& split, const Surroundings& w) {
  constexpr int64_t kIdle = 5 * kSecondNs;  // wait_timeout is longer, mostly by far
  split.idle_home_ns = w.now_ns + kIdle;
}

namespace {

/// Keeps a command of a transaction that may have to be run again: an execution with its types,
/// which can be others by then.
void record(Split& split, const Surroundings& w, ByteSpan command, Actions& out) {
  if (!may_be_recorded(split, w) || !is_whole(command)) return;
  const auto kind = kind_of(command);
  if (kind == Command::stmt_execute) {
    auto* statement = statement_of(split, command);
    command = statement ? execution_with_types(*statement, command, out) : ByteSpan();
    if (command.empty()) return;
  } else if (kind != Command::query) {
    return;
  }
  split.now.untold = has_unsure_variables(split) || has_untold(split);
  split.now.insert_id_due = split.last.insert_id_due;
  split.now.takes_lost = takes_lost(split);
  split.now.recorded = true;
  split.now.bytes.assign(command.begin(), command.end());
  split.transaction.answer = {};
}

/// Statements that home has not got yet are read as they were at first, so what changes that has to
/// wait for them. False if one is due.
bool are_prepared(SessionState& s, Actions& out) {
  auto& split = *s.split;
  if (!split.now.may_set_reading) return true;
  const auto due = std::ranges::find_if(split.statements, [&](const Statement& one) {
    return one.home_id == 0 && !one.text.empty() && is_as_prepared(split, one);
  });
  if (due == split.statements.end()) return true;
  prepare_on(s, Side::server, *due, out);
  return false;
}

}  // namespace

bool run_at_home(SessionState& s, const Surroundings& w, ByteSpan command, Actions& out) {
  auto& split = *s.split;
  if (split.home_link.restoring) {
    split.waiting = true;
    return false;
  }
  if (split.home_link.step != Step::ready) {
    await_home(s, w, out);
    return false;
  }
  if (!replay(s, w, out) || !are_prepared(s, out) || !knows_victim(s, w, out)) return false;
  const auto again = read_again(s, out);
  if (again == Again::begun) return false;
  if (again == Again::impossible) {
    const auto& asked = split.now.asked;
    refuse_question(s, asked.diagnostics ? "what the statement before warned of" : kRows,
                    "a replica has run that, and it can't be run again on the primary", out);
    return true;
  }
  const auto to_send =
      split.kill.home_id != 0 ? kill_for_home(s, command, out) : command_for_home(s, command, out);
  if (!to_send) return false;
  record(split, w, command, out);
  const auto* statement =
      names_statement(kind_of(command)) ? statement_of(split, command) : nullptr;
  split.now.prepared_id = statement != nullptr ? statement->id : 0;
  if (split.kill.victim.id != 0) split.kill.step = KillStep::judging;
  note_use_of_home(split, w);
  run_on(s, Side::server, *to_send, out);
  return true;
}

bool run_read(SessionState& s, const Surroundings& w, ByteSpan command, std::string_view name,
              Actions& out) {
  const auto ready = ready_to_read(s, w, name, out);
  if (ready == Ready::no) return run_at_home(s, w, command, out);
  if (ready == Ready::soon || !are_questions_prepared(s, out)) return false;
  keep_home(s, w, out);
  s.split->now.bytes.assign(command.begin(), command.end());
  run_on(s, Side::reader, command, out);
  return true;
}

}  // namespace sluice::worker::split
