// The client's commands, one at a time: where each is to run.
#include <algorithm>

#include "common/mysql/packets.h"
#include "worker/split/asking.h"
#include "worker/split/command.h"
#include "worker/split/lending.h"
#include "worker/split/prepared.h"
#include "worker/split/route.h"
#include "worker/split/steps.h"
#include "worker/split/warnings.h"

namespace sluice::worker::split {
namespace {

using mysql::Command;
using mysql::kHeaderSize;

/// Of a COM_PROCESS_KILL; 0 if it has none.
uint32_t process_of(ByteSpan command) {
  return ByteReader(command.subspan(kHeaderSize + 1)).fixed<uint32_t>("id").value_or(0);
}

/// The statement runs where the client wants it, unless what the session is in says otherwise.
void heed(Split& split, const Target& target, Plan& plan) {
  if (plan.at_once || target.to == Target::To::wherever) return;
  const bool read = plan.side == Side::reader;
  const bool home = target.to == Target::To::home;
  plan.side = home ? Side::server : plan.wished;
  if (split.now.only_home) return;
  if (home && read) split.now.why_home = stats::Route::hint;
  if (!home && plan.kept) split.now.why_home = why_kept(split);
}

bool run_query(SessionState& s, const Surroundings& w, ByteSpan command, Actions& out) {
  auto& split = *s.split;
  auto plan = plan_query(split, text_of(command));
  if (!plan.gone.empty()) {
    if (!are_kept_warnings(split, text_of(command))) return refuse_gone(s, plan.gone, out);
    answer_with_warnings(s, out);
    return true;
  }
  if (plan.asks_id && w.service.pool > 0 && !has_own_id(s, out)) return false;
  const auto target = target_of(s, w, plan.hint, out);
  heed(split, target, plan);
  if (plan.side != Side::reader || split.now.only_home) return run_at_home(s, w, command, out);
  if (plan.variables && has_unsure_variables(split)) {
    if (split.home_link.step != Step::ready) return run_at_home(s, w, command, out);
    ask_variables(s, out);
    split.waiting = true;
    return false;
  }
  if (!plan.at_once) return run_read(s, w, command, target.server, out);
  // An answer of the reader's would tell a client within a transaction that it is in none.
  if (!reads_anywhere(split)) return run_at_home(s, w, command, out);
  bring_up_to_date(s, out);
  split.now.bytes.assign(command.begin(), command.end());
  run_on(s, Side::reader, command, out);
  return true;
}

/// Whether the session may go to another replica now.
bool is_compared(SessionState& s, const Surroundings& w) {
  auto& split = *s.split;
  if (!is_time_to_compare(split, w.now_ns) || w.servers.empty()) return false;
  // Not all at once, or all would go where there is little to do.
  constexpr int64_t kEvery = kSecondNs;
  split.compare_ns = w.now_ns + kEvery + static_cast<int64_t>(s.id % 97) * (kEvery / 97);
  return true;
}

/// Its turn has come, perhaps not for the first time: where it has to run may be decided already.
void begin_command(SessionState& s, const Surroundings& w) {
  auto& split = *s.split;
  auto& now = split.now;
  now.begin({.at = now.at,
             .only_home = now.only_home,
             .may_move = now.may_move || is_compared(s, w),
             .why_home = now.only_home ? now.why_home : stats::Route::command});
  split.kill.victim = {};
}

/// A prepared statement is executed, or one that was not looked into: then it may do anything.
void take_execution(Split& split, const Statement* statement) {
  auto& now = split.now;
  now.statement = true;
  now.selects = statement != nullptr && statement->selects;
  now.may_select = statement == nullptr || statement->program;
  now.uses_tables = statement == nullptr || statement->uses_tables;
  now.clears = statement != nullptr && !statement->program;
}

/// At home.
void take_execution_at_home(Split& split, const Statement* statement) {
  auto& now = split.now;
  now.program = now.may_set_reading = statement == nullptr || statement->program;
  now.uses_up = statement != nullptr && statement->uses_up;
  if (statement != nullptr && statement->sets_next) split.kept.next_at_home = true;
  now.begins = statement != nullptr && statement->begins;
  now.may_change = statement == nullptr || !statement->proved_read;
  now.proved_read = statement != nullptr && statement->proved_read;
}

bool run_execute(SessionState& s, const Surroundings& w, ByteSpan command, Actions& out) {
  constexpr std::size_t kFlagsAt = kHeaderSize + 1 + 4;
  auto& split = *s.split;
  auto* statement = statement_of(split, command);
  take_execution(split, statement);
  if (statement != nullptr && statement->data_lost)
    return refuse_incomplete(s, w, *statement, command, out);
  if (statement != nullptr)
    if (const auto gone = what_is_gone(split, statement->asked); !gone.empty())
      return refuse_gone(s, gone, out);
  const bool cursor = command.size() <= kFlagsAt || byte_at(command, kFlagsAt) != 0;
  const auto target = statement != nullptr
                          ? target_of(s, w, {statement->wish.to, statement->wish.server}, out)
                          : Target{};
  const bool wanted_home = target.to == Target::To::home;
  const bool wanted_there = target.to == Target::To::replica && statement->wish.can_be &&
                            !(statement->program && ties_functions(split));
  const bool asks = statement != nullptr && statement->only_asks && !wanted_home &&
                    can_reader_tell(split, statement->asked);
  const bool reads =
      asks || wanted_there || (statement != nullptr && statement->reads && !wanted_home);
  // Another execution closes the cursor of the one before.
  const bool may_read = reads && !statement->long_data && !cursor && !statement->cursor &&
                        !split.now.only_home && reads_anywhere(split) &&
                        (statement->reader_id != 0 || is_as_prepared(split, *statement));
  const auto at_home = [&] {
    if (statement != nullptr && !split.now.only_home && !statement->reads)
      split.now.why_home = statement->why_home;
    take_execution_at_home(split, statement);
    if (statement != nullptr) {
      split.kill.victim = statement->kills;
      split.now.asked = statement->asked;
      if (!statement->holdings.empty()) split.now.holdings = statement->holdings;
    }
    if (statement != nullptr && statement->sets_untold) take_untold(split, statement->text);
    split.now.repeats =
        statement != nullptr && statement->repeats && !statement->long_data && !cursor;
    return run_at_home(s, w, command, out);
  };
  if (!may_read) {
    if (statement != nullptr && statement->reads && !split.now.only_home)
      split.now.why_home =
          wanted_home && reads_anywhere(split) ? stats::Route::hint : why_kept(split);
    return at_home();
  }
  const auto ready = asks ? Ready::now : ready_to_read(s, w, target.server, out);
  if (ready == Ready::no) return at_home();
  if (ready == Ready::soon || (!asks && !are_questions_prepared(s, out))) return false;
  if (statement->reader_id == 0) {  // its answer brings the id, which the execution needs
    prepare_on(s, Side::reader, *statement, out);
    return false;
  }
  const auto for_reader = execution_for(*statement, Side::reader, command, out);
  if (for_reader.empty()) return at_home();
  if (asks) bring_up_to_date(s, out);
  keep_home(s, w, out);
  split.now.bytes.assign(command.begin(), command.end());
  run_on(s, Side::reader, for_reader, out);
  return true;
}

/// Where it was never prepared there is nothing to close.
bool close_statement(SessionState& s, const Surroundings& w, ByteSpan command, Actions& out) {
  auto& split = *s.split;
  auto* statement = statement_of(split, command);
  if (statement == nullptr) return run_at_home(s, w, command, out);
  if (statement->reader_id != 0)
    out.send(Side::reader, with_id(command, statement->reader_id, out));
  if (statement->home_id != 0)
    run_on(s, Side::server, with_id(command, statement->home_id, out), out);
  else
    ++s.conversation.commands;
  forget_read_of(split, *statement);
  note_closed(split, w, *statement);
  split.statements.erase(split.statements.begin() + (statement - split.statements.data()));
  return true;
}

/// The client waits until its connection is closed: what its home does, if it has one.
bool quit(SessionState& s, const Surroundings& w, ByteSpan command, Actions& out) {
  if (s.split->home_link.step != Step::ready) {
    out.log("closed by the client");
    begin_closing(s, w, out);
    return true;
  }
  s.split->quits = true;
  run_on(s, Side::server, command, out);
  return true;
}

/// Home is about to forget what the session has written last, which may not be known here yet.
bool ask_before_it_forgets(SessionState& s, Actions& out) {
  const bool asks = std::exchange(s.split->writes.uncertain, false);
  if (asks) ask_what_is_written(s, out);
  return asks;
}

/// Runs one command; false if it has to wait.
bool run(SessionState& s, const Surroundings& w, ByteSpan command, Actions& out) {
  auto& split = *s.split;
  const auto kind = kind_of(command);
  begin_command(s, w);
  split.now.may_set_reading = kind == Command::init_db;
  if (kind == Command::quit) return quit(s, w, command, out);
  // How statements are to be read is not known before the first errands are answered.
  const bool statement =
      kind == Command::query || kind == Command::stmt_prepare || kind == Command::stmt_execute;
  if (statement && split.home_link.step == Step::ready && !split.home_link.errands.empty())
    return false;
  if (is_whole(command)) {
    switch (kind) {
      case Command::query:
        return run_query(s, w, command, out);
      case Command::stmt_prepare:
        if (w.service.pool > 0 && asks_for_id(split, text_of(command)) && !has_own_id(s, out))
          return false;
        split.now.bytes.assign(command.begin(), command.end());  // note_prepared() looks at it
        break;
      case Command::stmt_execute:
        return run_execute(s, w, command, out);
      case Command::stmt_close:
        return close_statement(s, w, command, out);
      case Command::stmt_reset:
        if (auto* statement = statement_of(split, command))
          statement->long_data = statement->data_lost = false;
        break;
      case Command::set_option:  // 0: the text of a command may have several statements
        split.settings.mode.multi_statements =
            command.size() > kHeaderSize + 1 && byte_at(command, kHeaderSize + 1) == 0;
        break;
      case Command::process_kill:
        split.kill.victim = {process_of(command), true};
        break;
      case Command::reset_connection:
        if (split.home_link.step == Step::ready) ask_before_it_forgets(s, out);
        break;
      default:
        break;
    }
  }
  if (kind == Command::query || kind == Command::stmt_execute ||
      kind == Command::stmt_bulk_execute) {
    auto* statement = kind == Command::query ? nullptr : statement_of(split, command);
    if (statement != nullptr && statement->data_lost)
      return refuse_incomplete(s, w, *statement, command, out);
    take_execution(split, statement);
    take_execution_at_home(split, statement);
  }
  if (kind == Command::stmt_send_long_data)
    if (auto* statement = statement_of(split, command)) {
      statement->long_data = true;
      if (statement->data_lost) return refuse_incomplete(s, w, *statement, command, out);
    }
  return run_at_home(s, w, command, out);
}

/// A COM_CHANGE_USER that names a plugin which no account has, so that the server asks for a proof
/// for a scramble of its own: the client's is for that of the greeting it saw (MariaDB
/// sql/sql_acl.cc and MySQL sql/auth/sql_authentication.cc, server_mpvio_read_packet()).
Bytes asking_for_proof(const SessionState& s, ByteSpan command) {
  const auto payload = command.subspan(kHeaderSize);
  const auto change = mysql::parse_change_user(payload, s.conversation.capabilities);
  if (!change || change->plugin.empty()) return {command.begin(), command.end()};
  const auto begin = static_cast<std::size_t>(as_bytes(change->plugin).data() - payload.data());
  Bytes made;
  ByteWriter w(made);
  w.raw(payload.first(begin));
  w.text("sluice_greeting_gone");
  w.raw(payload.subspan(begin + change->plugin.size()));
  Bytes out;
  mysql::append_packet(out, 0, made);
  return out;
}

/// Takes commands from the front of `bytes` as far as their turn has come; returns how many bytes.
std::size_t run_commands(SessionState& s, const Surroundings& w, ByteSpan bytes, Actions& out) {
  auto& split = *s.split;
  std::size_t taken = 0;
  while (s.phase == Phase::relaying) {
    const auto rest = bytes.subspan(taken);
    if (!rest.empty() && s.conversation.client_owes()) {  // more of what was run just now
      const auto n = s.conversation.one_command(rest);
      pass(s, split.now.at, rest.first(n), out);
      taken += n;
      if (n > 0) continue;
    }
    if (!s.conversation.at_boundary() || split.waiting || is_killing(split)) break;
    if (rest.size() < kHeaderSize) break;
    const auto whole = kHeaderSize + payload_length(rest);
    const bool begun = rest.size() > kHeaderSize && whole > kMaxLookedAt;
    if (rest.size() < whole && !begun) break;  // the rest will come
    const auto command = rest.first(std::min(whole, rest.size()));
    if (kind_of(command) == Command::change_user) {
      if (split.home_link.step != Step::ready) {
        await_home(s, w, out);
        break;
      }
      split.waiting = ask_before_it_forgets(s, out);
      if (!split.home_link.errands.empty()) break;
      drop_leg(s, Side::reader, out);
      if (split.greeting_gone && command.size() == whole)
        s.held = asking_for_proof(s, command);
      else
        s.held.assign(command.begin(), command.end());
      s.held.insert(s.held.end(), rest.begin() + static_cast<std::ptrdiff_t>(command.size()),
                    rest.end());
      change_user(s, w, out);
      return bytes.size();
    }
    if (!run(s, w, command, out)) break;
    taken += command.size();
  }
  return taken;
}

}  // namespace

bool next_names(const SessionState& s, const Statement& statement) {
  const auto packet = first_packet(s.held);
  if (!packet) return false;
  const auto command = ByteSpan(s.held).first(packet->size);
  return names_statement(kind_of(command)) && statement_of(*s.split, command) == &statement;
}

void put_back(SessionState& s) {
  auto& split = *s.split;
  if (!split.now.bytes.empty()) s.conversation.take_back();
  s.bytes_in -= split.now.bytes.size();
  Bytes front = std::exchange(split.now.bytes, {});
  front.insert(front.end(), s.held.begin(), s.held.end());
  s.held = std::move(front);
}

void from_client(SessionState& s, const Surroundings& w, ByteSpan bytes, Actions& out) {
  auto& split = *s.split;
  if (s.conversation.client_owes()) {  // the rest of a long command, or a file
    const auto n = s.conversation.one_command(bytes);
    pass(s, split.now.at, bytes.first(n), out);
    bytes = bytes.subspan(n);
  }
  if (!s.held.empty()) {
    s.held.insert(s.held.end(), bytes.begin(), bytes.end());
    return go_on(s, w, out);
  }
  const auto taken = run_commands(s, w, bytes, out);
  if (taken < bytes.size()) {
    const auto rest = bytes.subspan(taken);
    s.held.assign(rest.begin(), rest.end());
  }
}

void go_on(SessionState& s, const Surroundings& w, Actions& out) {
  if (s.held.empty()) return;
  const auto held = out.keep(std::exchange(s.held, {}));
  const auto taken = run_commands(s, w, held, out);
  if (taken == held.size()) return;
  const auto rest = held.subspan(taken);
  s.held.insert(s.held.end(), rest.begin(), rest.end());
}

void again_at_home(SessionState& s, const Surroundings& w, Actions& out, stats::Route why) {
  auto& split = *s.split;
  split.now.only_home = true;
  split.now.why_home = why;
  split.waiting = false;
  put_back(s);
  if (s.phase == Phase::ending) return end_now(s, w, out);
  go_on(s, w, out);
}

namespace {

/// Clients take what comes after one that is not for the answer to the next one.
bool is_answered(Command kind) {
  return kind != Command::quit && kind != Command::stmt_close &&
         kind != Command::stmt_send_long_data;
}

}  // namespace

void refuse_next(SessionState& s, const Surroundings& w, const End& end, Actions& out) {
  if (s.held.empty()) return;  // a connection was wanted for no command of its own: hold_home()
  const auto packet = first_packet(s.held);
  if (!packet) {
    s.end = std::make_unique<End>(end);
    return end_now(s, w, out);
  }
  const auto command = ByteSpan(s.held).first(packet->size);
  const auto kind = kind_of(command);
  if (kind == Command::stmt_send_long_data)
    if (auto* statement = statement_of(*s.split, command)) statement->data_lost = true;
  s.held.erase(s.held.begin(), s.held.begin() + static_cast<std::ptrdiff_t>(packet->size));
  if (is_answered(kind))
    answer_with_error(s, end, out);
  else
    ++s.conversation.commands;
  go_on(s, w, out);
}

bool wants_client(const SessionState& s) {
  constexpr std::size_t kMaxAhead = 64 * 1024;
  const auto& split = *s.split;
  const bool next_is_due = s.conversation.at_boundary() && !split.waiting && !is_killing(split);
  return s.held.size() <= (next_is_due ? kMaxLookedAt : kMaxAhead);
}

}  // namespace sluice::worker::split
