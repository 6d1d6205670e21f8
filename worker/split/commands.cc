// The client's commands, one at a time: where each runs, and what has to be sent ahead of it.
#include <fmt/format.h>

#include <algorithm>

#include "common/mysql/packets.h"
#include "worker/split/lending.h"
#include "worker/split/route.h"
#include "worker/split/steps.h"

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

void pass(SessionState& s, Side side, ByteSpan bytes, Actions& out) {
  s.bytes_in += bytes.size();
  out.send(side, bytes);
}

/// Sends a command, or the beginning of one that is too long to be looked at.
void run_on(SessionState& s, Side side, ByteSpan command, Actions& out) {
  auto& split = *s.split;
  s.conversation.one_command(command);
  split.now.at = side;
  split.now.delivered = false;
  split.now.only_home = false;
  out.count(side == Side::reader ? stats::Route::replica : split.now.why_home);
  if (split.now.unheeded) out.unheeded();
  pass(s, side, command, out);
}

Statement* statement_of(Split& split, ByteSpan command) {
  if (command.size() < kHeaderSize + 5) return nullptr;
  const auto id = ByteReader(command.subspan(kHeaderSize + 1)).fixed<uint32_t>("id").value_or(0);
  const auto found = std::ranges::lower_bound(split.statements, id, {}, &Statement::id);
  return found == split.statements.end() || found->id != id ? nullptr : &*found;
}

/// Of a COM_PROCESS_KILL; 0 if it has none.
uint32_t process_of(ByteSpan command) {
  return ByteReader(command.subspan(kHeaderSize + 1)).fixed<uint32_t>("id").value_or(0);
}

bool names_statement(Command kind) {
  return kind == Command::stmt_execute || kind == Command::stmt_send_long_data ||
         kind == Command::stmt_close || kind == Command::stmt_reset ||
         kind == Command::stmt_fetch || kind == Command::stmt_bulk_execute;
}

constexpr std::size_t kIdAt = kHeaderSize + 1;

void put(Bytes& packet, std::size_t at, uint32_t value, std::size_t width) {
  for (std::size_t i = 0; i < width; ++i) packet[at + i] = static_cast<std::byte>(value >> (8 * i));
}

/// Clients take what comes after one that is not for the answer to the next one.
bool is_answered(Command kind) {
  return kind != Command::quit && kind != Command::stmt_close &&
         kind != Command::stmt_send_long_data;
}

/// The command with the id by which a server knows the statement.
ByteSpan with_id(ByteSpan command, uint32_t id, Actions& out) {
  Bytes& patched = out.make();
  patched.assign(command.begin(), command.end());
  put(patched, kIdAt, id, 4);
  return patched;
}

/// COM_STMT_EXECUTE as a server has to get it: its own id, and the parameters' types where it has
/// not seen them: clients send them once. MySQL manual, "COM_STMT_EXECUTE". Empty if it can't be
/// made.
ByteSpan execution_with(Statement& statement, uint32_t id, bool& has_types, ByteSpan command,
                        Actions& out) {
  constexpr std::size_t kBitmapAt = kIdAt + 4 + 1 + 4;
  const std::size_t bound_at = kBitmapAt + (statement.parameters + 7U) / 8;
  const std::size_t types = 2U * statement.parameters;
  bool insert = false;
  if (statement.parameters > 0) {
    if (command.size() <= bound_at) return {};
    if (byte_at(command, bound_at) == 1) {
      if (command.size() < bound_at + 1 + types) return {};
      const auto sent = command.subspan(bound_at + 1, types);
      statement.types.assign(sent.begin(), sent.end());
      statement.home_has_types = statement.reader_has_types = false;
    } else if (!has_types) {
      if (statement.types.size() != types) return {};
      insert = true;
    }
    has_types = true;
  }
  if (!insert && id == statement.id) return command;
  Bytes& patched = out.make();
  patched.assign(command.begin(), command.end());
  put(patched, kIdAt, id, 4);
  if (!insert) return patched;
  patched[bound_at] = std::byte{1};
  patched.insert(patched.begin() + static_cast<std::ptrdiff_t>(bound_at + 1),
                 statement.types.begin(), statement.types.end());
  put(patched, 0, static_cast<uint32_t>(patched.size() - kHeaderSize), 3);
  return patched;
}

ByteSpan execution_for(Statement& statement, Side side, ByteSpan command, Actions& out) {
  return side == Side::server
             ? execution_with(statement, statement.home_id, statement.home_has_types, command, out)
             : execution_with(statement, statement.reader_id, statement.reader_has_types, command,
                              out);
}

void prepare_on(SessionState& s, Side side, const Statement& statement, Actions& out) {
  link(s, side).preparing = statement.id;
  run_errand(s, side, Errand::prepare, Command::stmt_prepare, statement.text, out);
  s.split->waiting = true;
}

/// Keeps a command of a transaction that may have to be run again: an execution with its types,
/// which can be others by then.
void keep_for_replay(SessionState& s, const Surroundings& w, ByteSpan command, Actions& out) {
  const auto kind = kind_of(command);
  const bool whole = command.size() == kHeaderSize + payload_length(command);
  if (!is_kept(s, w) || !whole) return;
  if (kind == Command::stmt_execute) {
    bool no_types = false;
    auto* statement = statement_of(*s.split, command);
    command =
        statement ? execution_with(*statement, statement->id, no_types, command, out) : ByteSpan();
  } else if (kind != Command::query) {
    return;
  }
  s.split->now.bytes.assign(command.begin(), command.end());
}

/// Where connections change hands an id that a client knows may be that of another session by now:
/// the server would end the wrong one.
void refuse_kill(SessionState& s, Actions& out) {
  constexpr uint16_t kNotSupported = 1235;
  s.split->kill = {};
  ++s.conversation.commands;
  Bytes answer;
  mysql::append_packet(
      answer, 1,
      mysql::encode_error(kNotSupported, "42000",
                          "sluice: KILL by id can't be used where sessions share connections "
                          "(pool); see sluicectl kill session"));
  s.bytes_out += answer.size();
  out.send_made(Side::client, std::move(answer));
}

/// False if it has to wait, for a primary or until a statement is prepared there.
bool run_at_home(SessionState& s, const Surroundings& w, ByteSpan command, Actions& out) {
  auto& split = *s.split;
  if (split.kill.victim.id != 0 && w.service.pool > 0) {
    refuse_kill(s, out);
    return true;
  }
  if (split.home_link.restoring) {
    split.waiting = true;
    return false;
  }
  if (split.home_link.step != Step::ready) {
    await_home(s, w, out);
    return false;
  }
  if (!replay(s, w, out)) return false;
  const auto to_send = command_for_home(s, command, out);
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

/// Whether the reader can run the next command at once. If not, its login is begun, and the command
/// waits, or home runs it.
enum class Ready : uint8_t { now, soon, no };

/// The replica that the client names takes the reader's place.
Ready move_reader(SessionState& s, const Surroundings& w, std::string_view name, Actions& out) {
  auto& split = *s.split;
  const auto& reader = split.reader_link;
  const bool failed = reader.step == Step::none && split.reader_after_ns > w.now_ns;
  const bool keeps = split.last.diagnostics && split.last.diagnostics_at == Side::reader;
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

/// Brings the reader to what the session has set since it was there last.
void bring_up_to_date(SessionState& s, Actions& out) {
  auto& split = *s.split;
  auto& reader = split.reader_link;
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
    writes.everything = split.waiting = true;
    const bool mysql = split.settings.mode.flavour == sql::Flavour::Mysql;
    run_errand(s, Side::server, Errand::written, Command::query,
               mysql ? "SELECT @@global.gtid_executed" : "SELECT @@global.gtid_current_pos", out);
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

/// Its session is not idle, though home gets nothing of it: without a sign of life home would close
/// the connection after wait_timeout, and end the session with it.
void keep_home(SessionState& s, const Surroundings& w, Actions& out) {
  auto& split = *s.split;
  if (w.now_ns < split.idle_home_ns || split.home_link.step != Step::ready) return;
  note_use_of_home(split, w);
  run_errand(s, Side::server, Errand::track, Command::ping, "", out);
}

/// A read, by the replica of that name, if it has one; false if it has to wait.
bool run_read(SessionState& s, const Surroundings& w, ByteSpan command, std::string_view name,
              Actions& out) {
  if (!knows_writes(s, w)) {
    s.split->now.why_home = stats::Route::behind;
    return run_at_home(s, w, command, out);
  }
  switch (reader_ready(s, w, name, out)) {
    case Ready::no:
      s.split->now.why_home = stats::Route::no_replica;
      return run_at_home(s, w, command, out);
    case Ready::soon:
      s.split->waiting = true;
      return false;
    case Ready::now:
      break;
  }
  bring_up_to_date(s, out);
  if (!caught_up(s, w, out)) return false;
  keep_home(s, w, out);
  s.split->now.bytes.assign(command.begin(), command.end());
  run_on(s, Side::reader, command, out);
  return true;
}

void answer_with_error(SessionState& s, const End& end, Actions& out) {
  ++s.conversation.commands;
  Bytes answer;
  mysql::append_packet(answer, 1, mysql::encode_error(end.number, end.sql_state, end.message));
  s.bytes_out += answer.size();
  out.send_made(Side::client, std::move(answer));
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
  if (plan.gone) {
    answer_with_error(s,
                      {mysql::kUnknownError, "HY000",
                       "sluice: how many rows the statement before had is not known any more: its "
                       "connection was lent to another session; from here on it is not"},
                      out);
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
  if (split.reader_link.step != Step::ready || !reads_anywhere(split))
    return run_at_home(s, w, command, out);
  split.now.bytes.assign(command.begin(), command.end());
  run_on(s, Side::reader, command, out);
  return true;
}

/// Whether a server would read its text as home did when it was prepared.
bool is_as_prepared(const Split& split, const Statement& statement) {
  return statement.settings_version == split.settings.version &&
         statement.database_version == split.settings.database_version;
}

bool run_execute(SessionState& s, const Surroundings& w, ByteSpan command, Actions& out) {
  constexpr std::size_t kFlagsAt = kHeaderSize + 1 + 4;
  auto& split = *s.split;
  split.now.statement = split.now.selects = true;
  auto* statement = statement_of(split, command);
  split.now.uses_tables = statement == nullptr || statement->uses_tables;
  const bool cursor = command.size() <= kFlagsAt || byte_at(command, kFlagsAt) != 0;
  const auto target = statement != nullptr
                          ? target_of(s, w, {statement->wish.to, statement->wish.server}, out)
                          : Target{};
  const bool wanted_home = target.to == Target::To::home;
  const bool wanted_there = target.to == Target::To::replica && statement->wish.can_be &&
                            !(statement->program && ties_functions(split));
  const bool reads = wanted_there || (statement != nullptr && statement->reads && !wanted_home);
  const bool may_read = reads && !statement->long_data && !cursor && !split.now.only_home &&
                        reads_anywhere(split) &&
                        (statement->reader_id != 0 || is_as_prepared(split, *statement));
  const auto at_home = [&] {
    if (statement != nullptr && !split.now.only_home && !statement->reads)
      split.now.why_home = statement->why_home;
    split.now.program = statement == nullptr || statement->program;
    if (statement != nullptr) split.kill.victim = statement->kills;
    if (statement != nullptr && statement->sets_untold) take_untold(split, statement->text);
    split.now.changed = false;
    split.now.uses_up = split.now.program;
    split.now.proved_read = statement != nullptr && statement->reads;
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
  if (!knows_writes(s, w)) {
    split.now.why_home = stats::Route::behind;
    return at_home();
  }
  switch (reader_ready(s, w, target.server, out)) {
    case Ready::no:
      split.now.why_home = stats::Route::no_replica;
      return at_home();
    case Ready::soon:
      split.waiting = true;
      return false;
    case Ready::now:
      break;
  }
  bring_up_to_date(s, out);
  if (!caught_up(s, w, out)) return false;
  if (statement->reader_id == 0) {  // its answer brings the id, which the execution needs
    prepare_on(s, Side::reader, *statement, out);
    return false;
  }
  const auto for_reader = execution_for(*statement, Side::reader, command, out);
  if (for_reader.empty()) return at_home();
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
  split.now.statement = split.now.selects = split.now.uses_up = split.now.uses_tables = false;
  if (!split.now.only_home) split.now.why_home = stats::Route::command;
  split.now.begins = split.now.repeats = split.now.unheeded = false;
  split.now.sets_variables = split.now.leaves_variables = false;
  split.kill.victim = {};
  split.now.proved_read = true;  // no statement, or one that says otherwise
  split.now.bytes.clear();
  const auto kind = kind_of(command);
  const bool whole = command.size() == kHeaderSize + payload_length(command);
  if (kind == Command::quit) return quit(s, w, command, out);
  // How statements are to be read is not known before the first errands are answered.
  const bool statement =
      kind == Command::query || kind == Command::stmt_prepare || kind == Command::stmt_execute;
  if (statement && split.home_link.step == Step::ready && !split.home_link.errands.empty())
    return false;
  if (whole) {
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
      case Command::stmt_bulk_execute: {
        const auto* statement = statement_of(split, command);
        split.now.program = statement == nullptr || statement->program;
        split.now.proved_read = split.now.changed = false;
        break;
      }
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
  if (kind == Command::query && !whole) {  // it was not looked into
    split.now.program = true;
    split.now.proved_read = split.now.changed = false;
  }
  if (kind == Command::stmt_send_long_data)
    if (auto* statement = statement_of(split, command)) statement->long_data = true;
  return run_at_home(s, w, command, out);
}

/// Takes commands from the front of `bytes` as far as their turn has come; returns how many bytes.
std::size_t run_commands(SessionState& s, const Surroundings& w, ByteSpan bytes, Actions& out) {
  auto& split = *s.split;
  std::size_t taken = 0;
  while (s.conversation.at_boundary() && !split.waiting && !is_killing(split) &&
         s.phase == Phase::relaying) {
    const auto rest = bytes.subspan(taken);
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
      s.held.assign(rest.begin(), rest.end());
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
  return statement->home_id == statement->id ? command : with_id(command, statement->home_id, out);
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

void ask_what_is_written(SessionState& s, Actions& out) {
  const bool mysql = s.split->settings.mode.flavour == sql::Flavour::Mysql;
  run_errand(s, Side::server, Errand::written, Command::query,
             mysql ? "SELECT @@global.gtid_executed" : "SELECT @@session.last_gtid", out);
}

bool knows_writes(const SessionState& s, const Surroundings& w) {
  const auto& split = *s.split;
  if (w.writes == nullptr || split.home_link.step == Step::ready) return true;
  return w.writes->doubts() == split.writes.seen_doubts && !w.writes->read().torn;
}

void publish_writes(SessionState& s, const Surroundings& w) {
  auto& writes = s.split->writes;
  if (w.writes == nullptr || writes.published == writes.version) return;
  writes.published = writes.version;
  w.writes->publish(writes.gtid);
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
