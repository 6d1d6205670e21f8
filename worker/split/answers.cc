// What servers send: the answers to the client's commands, to sluice's own, and words out of turn.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "common/mysql/packets.h"
#include "worker/split/asking.h"
#include "worker/split/pins.h"
#include "worker/split/prepared.h"
#include "worker/split/programs.h"
#include "worker/split/route.h"
#include "worker/split/steps.h"

namespace sluice::worker::split {
namespace {

using mysql::Walk;

/// Errors that home would not decide in another way: the statement was stopped, not refused.
/// errmsg-utf8.txt: ER_QUERY_INTERRUPTED, ER_STATEMENT_TIMEOUT; MySQL's ER_QUERY_TIMEOUT.
bool stands(uint16_t error) {
  return error == 1317 || error == 1969 || error == 3024;
}

}  // namespace

void deliver(SessionState& s, ByteSpan bytes, Actions& out) {
  if (bytes.empty()) return;
  if (s.split->kill.step == KillStep::judging) {
    auto& kept = s.split->kill.answer;
    kept.insert(kept.end(), bytes.begin(), bytes.end());
    return;
  }
  s.split->now.delivered = true;
  note_answer(*s.split, bytes);
  s.bytes_out += bytes.size();
  out.send(Side::client, bytes);
}

namespace {

/// The id in the answer to a COM_STMT_PREPARE, and how many parameters the statement has.
/// MySQL manual, "COM_STMT_PREPARE_OK".
struct Prepared {
  uint32_t id = 0;
  uint16_t parameters = 0;
};
std::optional<Prepared> parse_prepared(ByteSpan bytes) {
  const auto packet = first_packet(bytes);
  if (!packet) return std::nullopt;
  ByteReader in(packet->payload);
  const auto marker = in.fixed<uint8_t>("marker");
  const auto id = in.fixed<uint32_t>("statement_id");
  (void)in.fixed<uint16_t>("columns");
  const auto parameters = in.fixed<uint16_t>("parameters");
  if (!parameters || *marker != 0) return std::nullopt;
  return Prepared{*id, *parameters};
}

/// The statement in `split.now.bytes` is prepared: what the client gets to know it by. Mostly
/// home's own id; another one, if an earlier home has given that away. A text that was too long to
/// be looked at is not there: the statement runs at home, and may do anything.
uint32_t note_prepared(Split& split, const Prepared& prepared) {
  auto& all = split.statements;
  const auto known = std::ranges::lower_bound(all, prepared.id, {}, &Statement::id);
  const bool taken = known != all.end() && known->id == prepared.id;
  Statement statement{.id = taken ? all.back().id + 1 : prepared.id,
                      .home_id = prepared.id,
                      .parameters = prepared.parameters,
                      .program = true,
                      .settings_version = split.settings.version,
                      .database_version = split.settings.database_version};
  constexpr std::size_t kTextAt = mysql::kHeaderSize + 1;
  if (split.now.bytes.size() > kTextAt) {
    statement.text = as_text(ByteSpan(split.now.bytes).subspan(kTextAt));
    plan_prepared(split, statement.text, statement);
    split.now.uses_tables = statement.uses_tables && !statement.program;
  }
  const auto id = split.last_prepared = statement.id;
  all.insert(std::ranges::upper_bound(all, id, {}, &Statement::id), std::move(statement));
  return id;
}

/// The beginning of the answer to a COM_STMT_PREPARE, as the client is to have it.
ByteSpan prepared_answer(Split& split, ByteSpan bytes, Actions& out) {
  const auto prepared = parse_prepared(bytes);
  split.last_prepared = 0;
  if (!prepared) return bytes;
  const auto id = note_prepared(split, *prepared);
  if (id == prepared->id) return bytes;
  Bytes patched(bytes.begin(), bytes.end());
  for (std::size_t i = 0; i < 4; ++i)
    patched[mysql::kHeaderSize + 1 + i] = static_cast<std::byte>(id >> (8 * i));
  return out.keep(std::move(patched));
}

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
  if (!replaced && last.diagnostics_gone) {
    release(last.warnings);
    return false;
  }
  const bool at_home = has_diagnostics(last, Side::server);
  const bool may_be_older = !replaced && split.now.at == Side::server && at_home;
  last.home_has_old = split.now.at == Side::reader && (last.home_has_old || at_home);
  last.diagnostics_at = split.now.at;
  last.diagnostics = raised || split.now.several || may_be_older;
  forget_warnings(last);
  return true;
}

/// Commands that are no statements, and have a ROW_COUNT() all the same.
bool answers_with_ok(const SessionState& s) {
  const auto command = static_cast<mysql::Command>(s.conversation.command);
  return command == mysql::Command::ping || command == mysql::Command::init_db ||
         command == mysql::Command::stmt_reset;
}

bool runs_something(const SessionState& s) {
  using mysql::Command;
  const auto command = static_cast<Command>(s.conversation.command);
  return command == Command::query || command == Command::stmt_execute ||
         command == Command::stmt_bulk_execute;
}

/// What the answered command leaves in its connection to the primary.
void note_what_stays(SessionState& s) {
  using mysql::Command;
  auto& split = *s.split;
  const auto command = static_cast<Command>(s.conversation.command);
  if (runs_something(s) && !(split.now.statement && split.now.proved_read))
    split.last.insert_id_due = true;
  if (split.now.may_change && s.conversation.error == 0) split.last.insert_id_gone = false;
  if (split.now.prepared_id == 0) return;
  const auto statement = std::ranges::find(split.statements, split.now.prepared_id, &Statement::id);
  if (statement == split.statements.end()) return;
  const bool failed = s.conversation.error != 0;
  if (command == Command::stmt_execute)
    statement->cursor = !failed && (s.conversation.status & mysql::kCursorExists) != 0;
  else if (command == Command::stmt_fetch)
    statement->cursor &= !failed && (s.conversation.status & mysql::kLastRowSent) == 0;
  else if (command == Command::stmt_reset)
    statement->cursor = false;
}

/// Whoever reads has to ask what that was.
void wrote_untold(Split& split, const Surroundings& w) {
  if (w.writes != nullptr)
    w.writes->doubt();
  else
    split.writes.uncertain = true;
}

}  // namespace

namespace {

void note_shape(Split& split) {
  if (split.now.prepared.empty()) return;
  const auto shape = shape_of(split.now.prepared);
  release(split.now.prepared);
  const auto prepared = std::ranges::find(split.statements, split.last_prepared, &Statement::id);
  if (prepared != split.statements.end()) prepared->shape = shape;
}

}  // namespace

void command_answered(SessionState& s, const Surroundings& w, Actions& out) {
  auto& split = *s.split;
  publish_writes(s, w);
  if (split.now.statement || answers_with_ok(s)) {
    split.last.statement_at = split.now.at;
    split.last.statement_gone = false;
  }
  const bool selected = s.conversation.error == 0 &&
                        (split.now.selects || (split.now.may_select && s.conversation.rows));
  if (selected) {
    split.last.select_at = split.now.at;
    split.last.select_gone = false;
  }
  const bool diagnosed = note_diagnostics(s);
  note_shape(split);
  note_variables(s, runs_something(s));
  if (split.now.at == Side::server) {
    note_what_stays(s);
    const bool may_write = !split.now.proved_read && !split.now.leaves_variables;
    split.last.written_since |= runs_something(s) && may_write;
    // An answer with rows does not tell of the write that made them. Neither does an error, and
    // part of what it was about may have stayed: rows of a table without transactions, all that a
    // procedure did before.
    const bool tells = !s.conversation.rows && s.conversation.error == 0;
    if (!tells && runs_something(s) && !split.now.proved_read) wrote_untold(split, w);
    if (split.now.uses_up && s.conversation.error == 0) split.kept.next_at_home = false;
    if (s.conversation.error == mysql::kConnectionKilled) split.kept.tied = "it was killed";
    split.status = s.conversation.status;
    note_transaction(s, w);
    note_programs(s);
    if (split.now.sets_results && s.conversation.error == 0) note_collation(split);
    // A variable was set, and none was told: that of what is told.
    if (split.now.sets_session && split.now.changed && !split.now.told)
      split.kept.pinned = why::kTracking;
    split.now.sets_session = false;
    if (s.conversation.command == static_cast<uint8_t>(mysql::Command::reset_connection) &&
        s.conversation.error == 0)
      begin(s, w, out);
  } else {
    ++split.reads;
    if (s.conversation.error != 0) split.now.bytes.clear();  // it would not be stopped again
    if (split.now.statement) note_read(split, selected, diagnosed);
  }
  constexpr std::size_t kKept = 1024;  // of a buffer that the next command will want
  split.now.bytes.clear();
  if (split.now.bytes.capacity() > kKept) release(split.now.bytes);
  if (s.phase == Phase::ending) return end_now(s, w, out);
  ask_untold(s, out);
  if (!split.left.empty() && !leave_home(s, w, std::string(split.left), out))
    return on_leg_failed(s, w, Side::server, std::string(split.left), out);
  if (!s.held.empty()) go_on(s, w, out);
}

namespace {

/// The answer to the command under way is over.
void answer_over(SessionState& s, const Surroundings& w, Actions& out) {
  if (s.split->kill.step == KillStep::judging) return killed_at_home(s, w, out);
  command_answered(s, w, out);
}

mysql::Command command_in(ByteSpan packet) {
  constexpr auto kAt = mysql::kHeaderSize;
  return packet.size() > kAt ? static_cast<mysql::Command>(packet[kAt]) : mysql::Command::query;
}

mysql::Command command_of(const Split& split, Errand errand) {
  switch (errand) {
    case Errand::read_again:
      return command_in(split.last.read);
    case Errand::replay: {
      const auto& t = split.transaction;
      return command_in(t.commands[t.replayed].command);
    }
    case Errand::track:
    case Errand::settings:
    case Errand::written:
    case Errand::catch_up:
    case Errand::account:
    case Errand::insert_id:
    case Errand::variables:
    case Errand::news:
    case Errand::traces:
    case Errand::warnings:
    case Errand::kill:
      return mysql::Command::query;
    case Errand::reset:
      return mysql::Command::reset_connection;
    case Errand::database:
      return mysql::Command::init_db;
    case Errand::prepare:
      return mysql::Command::stmt_prepare;
  }
  return mysql::Command::query;
}

/// Tables have changed since the client was told of the statement's columns, and it would not be
/// told again. Another one at home is refused like one that can't be prepared there.
bool note_other_shape(Split& split, Side side, Statement& statement) {
  if (side == Side::reader)
    statement.reads = statement.only_asks = false;
  else
    split.now.reshaped = true;
  return true;
}

/// The answer to Errand::prepare; false if it is none.
bool note_prepared_there(Split& split, Side side, uint32_t which, ByteSpan answer) {
  const auto prepared = parse_prepared(answer);
  const auto statement = std::ranges::find(split.statements, which, &Statement::id);
  if (!prepared || prepared->id == 0 || statement == split.statements.end()) return false;
  const bool same = statement->shape == 0 || statement->shape == shape_of(answer);
  if (!same) return note_other_shape(split, side, *statement);
  if (side == Side::server) {
    statement->home_id = prepared->id;
    statement->home_has_types = false;
  } else {
    statement->reader_id = prepared->id;
    statement->reader_has_types = false;
  }
  return true;
}

/// Home can't prepare what an earlier home could: the command that needs it gets the error. Where
/// it was only to be there before the next command, it is prepared nowhere from here on.
void prepare_failed(SessionState& s, const Surroundings& w, ByteSpan answer, Actions& out) {
  const auto statement =
      std::ranges::find(s.split->statements, s.split->home_link.preparing, &Statement::id);
  if (statement != s.split->statements.end() && !next_names(s, *statement))
    return statement->text.clear();
  const auto packet = first_packet(answer);
  const auto error = packet ? mysql::parse_error(packet->payload) : tl::unexpected(ParseError{});
  if (!error) return;
  s.split->waiting = false;
  refuse_next(s, w,
              {error->number, std::string(error->state.empty() ? "HY000" : error->state),
               std::string(error->message)},
              out);
}

/// MariaDB errmsg-utf8.txt, ER_NEED_REPREPARE.
bool refuse_reshaped(SessionState& s, const Surroundings& w, ByteSpan answer, Actions& out) {
  Bytes close;
  mysql::append_packet(close, 0, answer.subspan(mysql::kHeaderSize, 5));
  close[mysql::kHeaderSize] = static_cast<std::byte>(mysql::Command::stmt_close);
  out.send_made(Side::server, std::move(close));
  s.split->waiting = false;
  refuse_next(s, w,
              {1615, "HY000",
               "Prepared statement needs to be re-prepared (sluice: its columns have changed)"},
              out);
  return true;
}

/// The one value in an answer of one row: its last packet but one.
std::string value_in(ByteSpan answer) {
  ByteSpan row, last;
  for (auto packet = first_packet(answer); packet; packet = first_packet(answer)) {
    row = std::exchange(last, packet->payload);
    answer = answer.subspan(packet->size);
  }
  return std::string(ByteReader(row).lenenc_text("value").value_or(""));
}

void note_insert_id(Split& split, std::string_view said) {
  split.last.insert_id_due = false;
  const auto [end, error] =
      std::from_chars(said.data(), said.data() + said.size(), split.last.insert_id);
  if (error != std::errc() || said.empty()) split.kept.tied = "it does not tell its last insert id";
}

/// What home says of the session's last write, or of everybody's.
void note_answered_write(Split& split, uint16_t error, std::string_view said) {
  auto& writes = split.writes;
  if (error == 0) note_write(split, said);
  if (!std::exchange(writes.everything, false)) return;
  writes.published = writes.version;
  if (error != 0) {
    split.now.only_home = true;
    split.now.why_home = stats::Route::behind;
    return;
  }
  writes.seen_version = writes.asked_version;
  writes.seen_doubts = writes.asked_doubts;
}

/// How long a replica that has not caught up in time is not waited for again, which would hold up
/// each read of the session.
int64_t pause_ns(const Surroundings& w) {
  return 10 * int64_t{w.service.causal_reads_timeout_ms} * kMillisecondNs;
}

/// The answer to an errand is over. False if the connection is of no use any more.
bool errand_done(SessionState& s, const Surroundings& w, Side side, Actions& out) {
  auto& from = link(s, side);
  const auto errand = from.errands.front();
  from.errands.erase(from.errands.begin());
  auto answer = std::exchange(from.answer, {});
  if (errand == Errand::written) note_answered_write(*s.split, from.own.error, value_in(answer));
  if (errand == Errand::account) return note_account(s, side, value_in(answer));
  if (errand == Errand::insert_id) {
    note_insert_id(*s.split, value_in(answer));
    return true;
  }
  if (errand == Errand::variables) {
    note_variables_are(*s.split, from.own.error == 0 ? value_in(answer) : "");
    return true;
  }
  if (errand == Errand::warnings) {
    note_warnings(*s.split, std::move(answer), from.own.error);
    return true;
  }
  if (errand == Errand::catch_up) {
    auto& split = *s.split;
    const bool there = from.own.error == 0 && value_in(answer) == "0";
    from.patient_after_ns = there ? 0 : std::max(from.patient_after_ns, w.now_ns + pause_ns(w));
    if (!there) {
      --from.written_version;
      split.now.only_home = true;
      split.now.why_home = stats::Route::behind;
    }
    return true;
  }
  if (errand == Errand::replay) return replayed_alike(*s.split);
  if (errand == Errand::read_again) {
    note_read_again(*s.split);
    return true;
  }
  if (errand == Errand::news) return true;
  if (errand == Errand::traces) {
    note_traces(*s.split, from.own.error == 0 ? value_in(answer) : "");
    return true;
  }
  if (errand == Errand::kill) {
    victim_stopped(s, w, from.own.error, out);
    return true;
  }
  if (errand == Errand::prepare && from.own.error == 0) {
    if (!note_prepared_there(*s.split, side, from.preparing, answer)) return false;
    if (!std::exchange(s.split->now.reshaped, false)) return true;
    return !s.split->transaction.due && refuse_reshaped(s, w, answer, out);
  }
  if (from.own.error == 0) return true;
  if (errand == Errand::prepare && side == Side::server && s.split->transaction.due) {
    s.split->transaction.broken = "the next primary can't prepare a statement of it";
    return false;
  }
  if (errand == Errand::prepare && side == Side::server) {
    prepare_failed(s, w, answer, out);
    return true;
  }
  if (errand == Errand::prepare) {  // home will say why
    for (auto& statement : s.split->statements)
      if (statement.id == from.preparing) statement.reads = statement.only_asks = false;
    return true;
  }
  if (errand == Errand::written) return true;
  if (errand != Errand::track) return false;
  if (side == Side::server) {
    s.split->kept.pinned = "the server does not tell what changes in a session";
    out.log("no statement goes to a replica: " + s.split->kept.pinned);
  }
  return true;
}

/// What is asked for the sake of its answer, which sluice looks into.
bool is_question(Errand errand) {
  return errand >= Errand::prepare && errand != Errand::reset && errand != Errand::replay &&
         errand != Errand::news && errand != Errand::read_again && errand != Errand::warnings;
}

/// One more errand of a connection that is brought to what the session was is answered: after the
/// last one commands may run there.
void restored(SessionState& s, Side side) {
  auto& to = link(s, side);
  if (!to.errands.empty()) return;
  to.restoring = s.split->waiting = false;
  s.deadline_ns = 0;
  if (side == Side::server) s.split->home_by_ns = 0;
}

/// What was taken of the bytes of an answer.
struct Taken {
  std::size_t size = 0;  ///< 0: a packet that is not whole
  bool over = false;     ///< the answer
};

/// Whether an errand can't be answered like this: sluice sends no files, and keeps no more than a
/// value.
bool is_no_answer(const Link& from) {
  constexpr std::size_t kMaxAnswer = 128 * 1024;
  return from.own.expect == mysql::Expect::endless || from.own.expect == mysql::Expect::file ||
         from.answer.size() > kMaxAnswer;
}

/// What is prepared can have a long answer. Its first packet is an id, or an error.
void keep_answer(Link& from, Errand errand, ByteSpan bytes) {
  const auto most = errand == Errand::prepare
                        ? kMaxPrepared - std::min(kMaxPrepared, from.answer.size())
                        : bytes.size();
  const auto kept = bytes.first(std::min(most, bytes.size()));
  from.answer.insert(from.answer.end(), kept.begin(), kept.end());
}

/// Bytes of the answer to an errand, from the front of `bytes`.
Taken errand_bytes(SessionState& s, const Surroundings& w, Side side, ByteSpan bytes,
                   Actions& out) {
  auto& from = link(s, side);
  const auto errand = from.errands.front();
  if (from.own.expect == mysql::Expect::nothing) {
    from.own.capabilities = s.conversation.capabilities;
    from.own.sent(command_of(*s.split, errand));
  }
  const auto walk = from.own.walk(bytes);
  auto taken = walk.taken;
  if (errand == Errand::replay) note_answer(*s.split, bytes.first(taken));
  if (errand == Errand::warnings) keep_warnings(from.answer, bytes.first(taken));
  if (walk.why == Walk::Why::session_state) {
    const auto packet = first_packet(bytes.subspan(taken))->size;
    if (side == Side::server && errand != Errand::reset)
      note_changes(*s.split, bytes.subspan(taken, packet));
    if (errand == Errand::replay || errand == Errand::warnings) {
      Bytes& told = out.make();
      for_client(*s.split, bytes.subspan(taken, packet), told);
      errand == Errand::replay ? note_answer(*s.split, told) : keep_warnings(from.answer, told);
    }
    from.own.from_server(bytes.subspan(taken, packet));
    taken += packet;
  }
  if (is_question(errand)) keep_answer(from, errand, bytes.first(taken));
  if (is_no_answer(from)) {
    on_leg_failed(s, w, side, "it gave no answer to what sluice asked", out);
    return {bytes.size(), true};
  }
  if (from.own.expect != mysql::Expect::nothing) return {taken};
  if (!errand_done(s, w, side, out)) {
    on_errand_refused(s, w, side, out);
    return {bytes.size(), true};
  }
  if (from.restoring)
    restored(s, side);
  else if (is_waited_for(errand))
    s.split->waiting = false;
  if (!s.split->waiting) go_on(s, w, out);
  return {taken, true};
}

/// A server that has nothing to answer speaks: it is about to close the connection.
void out_of_turn(SessionState& s, const Surroundings& w, Side side, ByteSpan bytes, Actions& out) {
  const auto packet = first_packet(bytes);
  const auto error = packet ? mysql::parse_error(packet->payload) : tl::unexpected(ParseError{});
  if (side == Side::server && error && error->number == mysql::kIdleTooLong) {
    out.log(std::string(error->message));
    return begin_closing(s, w, out);  // as servers do that say nothing
  }
  if (side == Side::server && error && error->number == mysql::kConnectionKilled)
    s.split->kept.tied = "it was killed";
  on_leg_failed(s, w, side, "it spoke out of turn", out);
}

void keep_prepared(Split& split, ByteSpan bytes) {
  auto& kept = split.now.prepared;
  const auto part = bytes.first(std::min(bytes.size(), kMaxPrepared - kept.size()));
  kept.insert(kept.end(), part.begin(), part.end());
}

/// Bytes of the answer that the client waits for.
Taken answer_bytes(SessionState& s, const Surroundings& w, Side side, ByteSpan bytes,
                   Actions& out) {
  auto& split = *s.split;
  const bool first = !split.now.delivered;
  if (first && s.conversation.command == static_cast<uint8_t>(mysql::Command::stmt_prepare))
    bytes = prepared_answer(split, bytes, out);
  const auto walk = s.conversation.walk(bytes);
  const bool answered = walk.why == Walk::Why::answered;
  if (answered && side == Side::reader && first && s.conversation.error != 0 &&
      !stands(s.conversation.error)) {
    again_at_home(s, w, out);
    return {walk.taken, true};
  }
  if (s.conversation.command == static_cast<uint8_t>(mysql::Command::stmt_prepare) &&
      keeps_shapes(s.conversation.capabilities))
    keep_prepared(split, bytes.first(walk.taken));
  deliver(s, bytes.first(walk.taken), out);
  if (walk.why != Walk::Why::session_state) {
    if (answered) answer_over(s, w, out);
    return {walk.taken, answered};
  }
  const auto rest = bytes.subspan(walk.taken);
  const auto packet = rest.first(first_packet(rest)->size);
  if (side == Side::server) {
    note_changes(split, packet);
    if (split.settings.tracked_by_client) split.kept.pinned = why::kTracking;
  }
  s.conversation.from_server(packet);
  Bytes& told = out.make();
  for_client(split, packet, told);
  deliver(s, told, out);
  const bool over = s.conversation.expect == mysql::Expect::nothing;
  if (over) answer_over(s, w, out);
  return {walk.taken + packet.size(), over};
}

/// How many answers a server owes.
std::size_t due(const SessionState& s, const Link& from, Side side) {
  return from.errands.size() + (runs_on(s, side) ? 1 : 0);
}

}  // namespace

void from_server(SessionState& s, const Surroundings& w, Side side, ByteSpan bytes, Actions& out) {
  auto& from = link(s, side);
  if (from.step != Step::ready) return login_bytes(s, w, side, bytes, out);
  if (s.phase == Phase::proving) {  // behind the OK of a login: nothing has been asked yet
    s.end = std::make_unique<End>(End{mysql::kServerShutdown, "08S01",
                                      fmt::format("sluice: {} spoke out of turn", s.home.server)});
    return;
  }
  if (!from.received.empty()) {
    from.received.insert(from.received.end(), bytes.begin(), bytes.end());
    bytes = out.keep(std::exchange(from.received, {}));
  }
  // What is sent from here on can't have been answered by these bytes.
  auto answers = due(s, from, side);
  while (!bytes.empty()) {
    if (s.phase != Phase::relaying && s.phase != Phase::ending) return;
    if (link(s, side).step != Step::ready) return;  // it was closed under way
    if (answers == 0) return out_of_turn(s, w, side, bytes, out);
    const auto taken = from.errands.empty() ? answer_bytes(s, w, side, bytes, out)
                                            : errand_bytes(s, w, side, bytes, out);
    if (taken.size == 0) {
      from.received.assign(bytes.begin(), bytes.end());
      return;
    }
    publish_writes(s, w);
    if (taken.over) --answers;
    bytes = bytes.subspan(taken.size);
  }
}

}  // namespace sluice::worker::split
