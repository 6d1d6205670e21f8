// The client's commands, one at a time: where each runs, and what has to be sent ahead of it.
#include <fmt/format.h>

#include <algorithm>

#include "common/mysql/packets.h"
#include "worker/split/asking.h"
#include "worker/split/lending.h"
#include "worker/split/prepared.h"
#include "worker/split/programs.h"
#include "worker/split/route.h"
#include "worker/split/steps.h"
#include "worker/split/warnings.h"

namespace sluice::worker::split {
namespace {

using mysql::Command;
using mysql::kHeaderSize;

/// Commands up to this length are held until they are whole, and looked at; longer ones go home.
constexpr std::size_t kMaxLookedAt = 1024 * 1024;

uint8_t byte_at(ByteSpan bytes, std::size_t i) {
  return static_cast<uint8_t>(bytes[i]);
}

/// A packet without a byte is a command to servers: one that they don't know.
Command kind_of(ByteSpan command) {
  return static_cast<Command>(command.size() > kHeaderSize ? byte_at(command, kHeaderSize) : 0);
}

std::string_view text_of(ByteSpan command) {
  return as_text(command.subspan(kHeaderSize + 1));
}

std::size_t payload_length(ByteSpan header) {
  return byte_at(header, 0) | byte_at(header, 1) << 8 | byte_at(header, 2) << 16;
}

/// Whether it is all there, and short enough to be looked at.
bool is_whole(ByteSpan command) {
  return command.size() == kHeaderSize + payload_length(command) && command.size() <= kMaxLookedAt;
}

void pass(SessionState& s, Side side, ByteSpan bytes, Actions& out) {
  s.bytes_in += bytes.size();
  out.send(side, bytes);
}

/// Sends a command, or the beginning of one that is too long to be looked at.
void run_on(SessionState& s, Side side, ByteSpan command, Actions& out) {
  auto& split = *s.split;
  s.conversation.one_command(command);
  split.now.at = side;
  split.now.delivered = split.now.refused = false;
  split.now.only_home = false;
  out.count(side == Side::reader ? stats::Route::replica : split.now.why_home);
  if (split.now.unheeded) out.unheeded();
  pass(s, side, command, out);
}

/// Of a COM_PROCESS_KILL; 0 if it has none.
uint32_t process_of(ByteSpan command) {
  return ByteReader(command.subspan(kHeaderSize + 1)).fixed<uint32_t>("id").value_or(0);
}

/// Clients take what comes after one that is not for the answer to the next one.
bool is_answered(Command kind) {
  return kind != Command::quit && kind != Command::stmt_close &&
         kind != Command::stmt_send_long_data;
}

/// Keeps a command of a transaction that may have to be run again: an execution with its types,
/// which can be others by then.
void keep_for_replay(SessionState& s, const Surroundings& w, ByteSpan command, Actions& out) {
  const auto kind = kind_of(command);
  if (!is_kept(s, w) || !is_whole(command)) return;
  s.split->now.untold = has_unsure_variables(*s.split) || has_untold(*s.split);
  if (kind == Command::stmt_execute) {
    auto* statement = statement_of(*s.split, command);
    command = statement ? execution_with_types(*statement, command, out) : ByteSpan();
  } else if (kind != Command::query) {
    return;
  }
  s.split->now.bytes.assign(command.begin(), command.end());
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

void answer_with_error(SessionState& s, const End& end, Actions& out) {
  ++s.conversation.commands;
  Bytes answer;
  mysql::append_packet(answer, 1, mysql::encode_error(end.number, end.sql_state, end.message));
  s.bytes_out += answer.size();
  out.send_made(Side::client, std::move(answer));
}

void refuse_question(SessionState& s, std::string_view what, std::string_view why, Actions& out) {
  answer_with_error(s,
                    {mysql::kUnknownError, "HY000",
                     fmt::format("sluice: {} is not known any more: {}", what, why)},
                    out);
}

bool refuse_gone(SessionState& s, std::string_view what, Actions& out) {
  refuse_question(s, what, "its connection was lost, lent, or asked something else since", out);
  return true;
}

/// False if it has to wait, for a primary or until a statement is prepared there.
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
  keep_for_replay(s, w, command, out);
  const auto* statement =
      names_statement(kind_of(command)) ? statement_of(split, command) : nullptr;
  split.now.prepared_id = statement != nullptr ? statement->id : 0;
  if (split.kill.victim.id != 0) split.kill.step = KillStep::judging;
  note_use_of_home(split, w);
  run_on(s, Side::server, *to_send, out);
  return true;
}

/// A read, by the replica of that name, if it has one; false if it has to wait.
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

/// The client will know this connection by its id, so it must be one that nobody else knows so.
/// False if it is about to be replaced.
bool has_own_id(SessionState& s, Actions& out) {
  auto& split = *s.split;
  split.lending.own = split.lending.own || split.home_link.step == Step::none;
  if (split.home_link.step != Step::ready || !split.home_link.borrowed) return true;
  if (!can_be_replaced(s)) return true;
  if (has_to_ask(split)) {
    prepare_to_lend(s, out);
    return false;
  }
  split.lending.own = true;
  lend(s, Side::server);
  out.close(Side::server);
  return true;
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
  now.program = now.may_set_reading = now.uses_up = statement == nullptr || statement->program;
  now.may_change = statement == nullptr || !statement->proved_read;
  now.proved_read = statement != nullptr && statement->proved_read;
  now.changed = false;
}

bool run_execute(SessionState& s, const Surroundings& w, ByteSpan command, Actions& out) {
  constexpr std::size_t kFlagsAt = kHeaderSize + 1 + 4;
  auto& split = *s.split;
  auto* statement = statement_of(split, command);
  take_execution(split, statement);
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
      split.now.holdings = statement->holdings;
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

/// Runs one command; false if it has to wait.
bool run(SessionState& s, const Surroundings& w, ByteSpan command, Actions& out) {
  auto& split = *s.split;
  split.now.statement = split.now.selects = split.now.may_select = split.now.several = false;
  split.now.uses_up = split.now.uses_tables = split.now.program = split.now.may_change = false;
  split.now.sets_results = split.now.clears = split.now.sets_passing = false;
  split.now.passing.clear();
  split.now.holdings = {};
  if (!split.now.only_home) split.now.why_home = stats::Route::command;
  split.now.begins = split.now.repeats = split.now.unheeded = false;
  split.now.sets_variables = split.now.leaves_variables = false;
  split.kill.victim = {};
  split.now.asked = {};
  split.now.may_set_reading = kind_of(command) == Command::init_db;
  split.now.proved_read = true;  // no statement, or one that says otherwise
  split.now.bytes.clear();
  const auto kind = kind_of(command);
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
      case Command::quit:
        if (split.home_link.step == Step::ready) break;
        out.log("the client said goodbye");
        begin_closing(s, w, out);
        return true;
      case Command::stmt_reset:
        if (auto* statement = statement_of(split, command)) statement->long_data = false;
        break;
      case Command::set_option:  // 0: the text of a command may have several statements
        split.settings.mode.multi_statements =
            command.size() > kHeaderSize + 1 && byte_at(command, kHeaderSize + 1) == 0;
        break;
      case Command::process_kill:
        split.kill.victim = {process_of(command), true};
        break;
      case Command::reset_connection:
        drop_leg(s, Side::reader, out);
        break;
      default:
        break;
    }
  }
  if (kind == Command::query || kind == Command::stmt_execute ||
      kind == Command::stmt_bulk_execute) {
    const auto* statement = kind == Command::query ? nullptr : statement_of(split, command);
    take_execution(split, statement);
    take_execution_at_home(split, statement);
  }
  if (kind == Command::stmt_send_long_data)
    if (auto* statement = statement_of(split, command)) statement->long_data = true;
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

std::optional<ByteSpan> command_for_home(SessionState& s, ByteSpan command, Actions& out) {
  const auto kind = kind_of(command);
  auto* statement = names_statement(kind) ? statement_of(*s.split, command) : nullptr;
  if (statement == nullptr) return command;
  if (statement->home_id == 0) {
    prepare_on(s, Side::server, *statement, out);
    return std::nullopt;
  }
  if (kind == Command::stmt_execute)
    if (const auto made = execution_for(*statement, Side::server, command, out); !made.empty())
      return made;
  return with_id(command, statement->home_id, out);
}

void prepare_on(SessionState& s, Side side, const Statement& statement, Actions& out) {
  link(s, side).preparing = statement.id;
  run_errand(s, side, Errand::prepare, Command::stmt_prepare, statement.text, out);
  s.split->waiting = true;
}

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

void from_client(SessionState& s, const Surroundings& w, ByteSpan bytes, Actions& out) {
  auto& split = *s.split;
  if (is_time_to_compare(split, w.now_ns) && !w.servers.empty()) {
    // Not all at once, or all would go where there is little to do.
    constexpr int64_t kEvery = kSecondNs;
    split.compare_ns = w.now_ns + kEvery + static_cast<int64_t>(s.id % 97) * (kEvery / 97);
    split.now.may_move = true;
  }
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

void note_use_of_home(Split& split, const Surroundings& w) {
  constexpr int64_t kIdle = 5 * kSecondNs;  // wait_timeout is longer, mostly by far
  split.idle_home_ns = w.now_ns + kIdle;
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

void refuse_next(SessionState& s, const Surroundings& w, const End& end, Actions& out) {
  if (s.held.empty()) return;  // a connection was wanted for no command of its own: hold_home()
  const auto packet = first_packet(s.held);
  if (!packet) {
    s.end = std::make_unique<End>(end);
    return end_now(s, w, out);
  }
  const auto kind = kind_of(ByteSpan(s.held).first(packet->size));
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
