// What servers send: the answers to the client's commands, and words out of turn. Those to errands
// are taken by errands.cc.
#include <fmt/format.h>

#include <algorithm>

#include "common/mysql/packets.h"
#include "worker/split/asking.h"
#include "worker/split/holdings.h"
#include "worker/split/pins.h"
#include "worker/split/prepared.h"
#include "worker/split/programs.h"
#include "worker/split/route.h"
#include "worker/split/steps.h"
#include "worker/split/warnings.h"

namespace sluice::worker::split {
namespace {

using mysql::Walk;

/// Errors that home would not decide in another way: the statement was stopped, not refused.
/// errmsg-utf8.txt: ER_QUERY_INTERRUPTED, ER_STATEMENT_TIMEOUT; MySQL's ER_QUERY_TIMEOUT.
bool stands(uint16_t error) {
  return error == 1317 || error == 1969 || error == 3024;
}

}  // namespace

bool runs_something(const SessionState& s) {
  using mysql::Command;
  const auto command = static_cast<Command>(s.conversation.command);
  return command == Command::query || command == Command::stmt_execute ||
         command == Command::stmt_bulk_execute;
}

void deliver(SessionState& s, ByteSpan bytes, Actions& out) {
  if (bytes.empty() || s.split->now.refused) return;
  if (s.split->kill.step == KillStep::judging) {
    auto& kept = s.split->kill.answer;
    kept.insert(kept.end(), bytes.begin(), bytes.end());
    return;
  }
  s.split->now.delivered = true;
  if (s.split->now.recorded) note_answer(*s.split, bytes);
  s.bytes_out += bytes.size();
  out.send(Side::client, bytes);
}

namespace {

/// The statement in `split.now.bytes` is prepared: what the client gets to know it by. Mostly
/// home's own id; another one, if an earlier home has given that away. A text that was too long to
/// be looked at is not there: the statement runs at home, and may do anything.
uint32_t note_prepared(Split& split, const Prepared& prepared) {
  auto& all = split.statements;
  Statement statement{.id = new_id(split, prepared.id),
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

/// Commands that are no statements, and have a ROW_COUNT() all the same.
bool answers_with_ok(const SessionState& s) {
  const auto command = static_cast<mysql::Command>(s.conversation.command);
  return command == mysql::Command::ping || command == mysql::Command::init_db ||
         command == mysql::Command::stmt_reset;
}

/// A server leaves out the columns of an execution if it has told the same before, to a client
/// that keeps them (MariaDB, CACHE_METADATA). So that the client has what home has told, home alone
/// tells it of others than it was prepared with.
bool may_tell_columns(const SessionState& s) {
  return s.conversation.command == static_cast<uint8_t>(mysql::Command::stmt_execute) &&
         keeps_shapes(s.conversation.capabilities);
}

/// Home has told other columns.
void stay_home(Statement& statement) {
  statement.reshaped = true;
  statement.unsure = false;
  statement.reads = statement.only_asks = statement.wish.can_be = false;
  statement.why_home = stats::Route::kept;
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
  auto* statement = statement_by_id(split, split.now.prepared_id);
  if (statement == nullptr) return;
  const bool failed = s.conversation.error != 0;
  if (may_tell_columns(s) && s.conversation.columns) stay_home(*statement);
  if (command == Command::stmt_execute) {
    statement->long_data = false;
    statement->cursor = !failed && (s.conversation.status & mysql::kCursorExists) != 0;
  } else if (command == Command::stmt_fetch) {
    statement->cursor &= !failed && (s.conversation.status & mysql::kLastRowSent) == 0;
  } else if (command == Command::stmt_reset) {
    statement->cursor = false;
  }
}

void note_shape(Split& split) {
  if (split.now.prepared.empty()) return;
  const auto shape = shape_of(split.now.prepared);
  release(split.now.prepared);
  if (auto* statement = statement_by_id(split, split.last_prepared)) statement->shape = shape;
}

}  // namespace

void command_answered(SessionState& s, const Surroundings& w, Actions& out) {
  auto& split = *s.split;
  if (std::exchange(split.now.refused, false)) {
    Bytes packet;
    mysql::append_packet(packet, 1, mysql::encode_error(kNeedsPrepare, "HY000", kColumnsChanged));
    deliver(s, out.keep(std::move(packet)), out);
  }
  publish_writes(s, w);
  if (split.now.statement || answers_with_ok(s)) split.last.row_count = knows(split.now.at);
  const bool selected = s.conversation.error == 0 &&
                        (split.now.selects || (split.now.may_select && s.conversation.rows));
  if (selected) {
    split.last.found_rows = knows(split.now.at);
    split.last.counted = split.now.counts_rows;
  }
  const bool diagnosed = note_diagnostics(s);
  note_shape(split);
  note_variables(s, runs_something(s));
  if (split.now.at == Side::server) {
    note_what_stays(s);
    const bool may_write = !split.now.proved_read && !split.now.leaves_variables;
    split.last.read.written_since |= runs_something(s) && may_write;
    // An answer with rows does not tell of the write that made them. Neither does an error, and
    // part of what it was about may have stayed: rows of a table without transactions, all that a
    // procedure did before.
    const bool tells = !s.conversation.rows && s.conversation.error == 0;
    if (!tells && runs_something(s) && !split.now.proved_read) note_untold_write(split, w);
    if (s.conversation.error == mysql::kConnectionKilled) split.kept.tied = "it was killed";
    split.status = s.conversation.status;
    note_transaction(s, w);
    if (split.now.uses_up && s.conversation.error == 0) split.kept.next_at_home = false;
    note_programs(s);
    note_holdings(s);
    if (split.now.sets_results && s.conversation.error == 0) note_collation(split);
    // A variable was set, and none was told: that of what is told.
    if (split.now.sets_session && split.now.changed && !split.now.told)
      split.kept.pinned = why::kTracking;
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
  if (split.now.sets_passing && split.now.told && split.home_link.step == Step::ready)
    ask_news(s, out);
  if (s.held.empty()) ask_in_time(s, w, out);
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

/// This connection home has never told the columns that the client knows. If it tells none now,
/// they are those of the preparation, and the client has others by now. It has read only.
bool takes_for_others(const SessionState& s) {
  const auto* statement = statement_by_id(*s.split, s.split->now.prepared_id);
  return statement != nullptr && statement->unsure && s.conversation.rows &&
         !s.conversation.columns;
}

/// The command that a reader has begun to answer runs at home instead.
void leave_reader(SessionState& s, const Surroundings& w, bool answered, Actions& out) {
  if (!answered) drop_leg(s, Side::reader, out);
  again_at_home(s, w, out);
}

/// Bytes of the answer that the client waits for.
Taken answer_bytes(SessionState& s, const Surroundings& w, Side side, ByteSpan bytes,
                   Actions& out) {
  auto& split = *s.split;
  const bool first = !split.now.delivered;
  const bool keeps_columns = first && !split.now.refused && may_tell_columns(s);
  if (keeps_columns && !first_packet(bytes)) return {0, false};
  if (first && s.conversation.command == static_cast<uint8_t>(mysql::Command::stmt_prepare))
    bytes = prepared_answer(split, bytes, out);
  const auto walk = s.conversation.walk(bytes);
  const bool answered = walk.why == Walk::Why::answered;
  if (answered && side == Side::reader && first && s.conversation.error != 0 &&
      !stands(s.conversation.error)) {
    again_at_home(s, w, out);
    return {walk.taken, true};
  }
  if (keeps_columns && side == Side::server) split.now.refused = takes_for_others(s);
  if (keeps_columns && side == Side::reader && s.conversation.columns) {
    leave_reader(s, w, answered, out);
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
  // Behind the OK of a login: nothing has been asked yet.
  if (s.phase == Phase::proving) {
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
