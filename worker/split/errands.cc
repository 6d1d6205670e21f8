// The answers to what sluice itself asks servers, on the client's account.
#include <algorithm>
#include <charconv>

#include "common/mysql/packets.h"
#include "common/stats/last_writes.h"
#include "worker/split/asking.h"
#include "worker/split/prepared.h"
#include "worker/split/programs.h"
#include "worker/split/steps.h"
#include "worker/split/warnings.h"

namespace sluice::worker::split {

using mysql::Walk;

namespace {

mysql::Command command_in(ByteSpan packet) {
  constexpr auto kAt = mysql::kHeaderSize;
  return packet.size() > kAt ? static_cast<mysql::Command>(packet[kAt]) : mysql::Command::query;
}

mysql::Command command_of(const Split& split, Errand errand) {
  switch (errand) {
    case Errand::read_again:
      return command_in(split.last.read.command);
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
    case Errand::option:
      return mysql::Command::set_option;
  }
  return mysql::Command::query;
}

/// Tables have changed since the client was told of the statement's columns, and it would not be
/// told again. Another one at home is refused like one that can't be prepared there.
bool note_other_shape(Split& split, Side side, Statement& statement) {
  if (side == Side::reader)
    statement.reads = statement.only_asks = statement.wish.can_be = false;
  else
    split.now.reshaped = true;
  return true;
}

/// The answer to Errand::prepare; false if it is none.
bool note_prepared_there(Split& split, Side side, uint32_t which, ByteSpan answer) {
  const auto prepared = parse_prepared(answer);
  auto* statement = known_statement(split, which);
  if (!prepared || prepared->id == 0 || statement == nullptr) return false;
  const bool may_be_unsure = statement->proved_read || split.transaction.due;
  const bool same = (statement->shape == 0 || statement->shape == shape_of(answer)) &&
                    (!statement->reshaped || may_be_unsure);
  if (!same) return note_other_shape(split, side, *statement);
  if (side == Side::server) {
    statement->home_id = prepared->id;
    statement->home_has_types = false;
    statement->unsure = statement->reshaped;
  } else {
    statement->reader_id = prepared->id;
    statement->reader_has_types = false;
  }
  return true;
}

/// Home can't prepare what an earlier home could, or not in the same way: the command that needs it
/// gets the error. Where it was only to be there before the next command, it is prepared nowhere
/// from here on.
void not_prepared(SessionState& s, const Surroundings& w, const End& error, Actions& out) {
  auto* statement = statement_by_id(*s.split, s.split->home_link.preparing);
  if (statement != nullptr && !next_names(s, *statement)) return statement->text.clear();
  s.split->waiting = false;
  refuse_next(s, w, error, out);
}

void prepare_failed(SessionState& s, const Surroundings& w, ByteSpan answer, Actions& out) {
  const auto packet = first_packet(answer);
  const auto error = packet ? mysql::parse_error(packet->payload) : tl::unexpected(ParseError{});
  if (!error) return;
  not_prepared(s, w,
               {error->number, std::string(error->state.empty() ? "HY000" : error->state),
                std::string(error->message)},
               out);
}

bool reshaped_at_home(SessionState& s, const Surroundings& w, ByteSpan answer, Actions& out) {
  if (s.split->transaction.due) {
    s.split->transaction.broken = "the columns of a statement of it have changed";
    return false;
  }
  Bytes close;
  mysql::append_packet(close, 0, answer.subspan(mysql::kHeaderSize, 5));
  close[mysql::kHeaderSize] = static_cast<std::byte>(mysql::Command::stmt_close);
  out.send_made(Side::server, std::move(close));
  not_prepared(s, w, {kNeedsPrepare, "HY000", std::string(kColumnsChanged)}, out);
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
void note_answered_write(SessionState& s, const Surroundings& w, uint16_t error,
                         std::string_view said) {
  auto& split = *s.split;
  auto& writes = split.writes;
  if (!std::exchange(writes.everything, false)) {
    if (error == 0) note_write(split, said);
    return;
  }
  const auto known = std::exchange(writes.asked_known, {});
  if (error == 0) {
    note_all_writes(split, said);
    // GTIDs began anew, or the primary has lost some: what nobody has can't be waited for.
    if (w.writes != nullptr && !stats::has_all(said, known)) w.writes->begin_anew(said);
  }
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

/// What the session has written has come to its replica, or has not in time.
void note_caught_up(SessionState& s, const Surroundings& w, bool there) {
  auto& split = *s.split;
  auto& from = split.reader_link;
  from.patient_after_ns = there ? 0 : std::max(from.patient_after_ns, w.now_ns + pause_ns(w));
  if (there) return;
  --from.written_version;
  if (w.writes != nullptr) {  // has home got that at all? It is asked before the next read
    split.writes.seen_version = 0;
    split.writes.seen_doubts = ~uint64_t{0};
  }
  split.now.only_home = true;
  split.now.why_home = stats::Route::behind;
}

bool prepare_answered(SessionState& s, const Surroundings& w, Side side, ByteSpan answer,
                      Actions& out) {
  auto& split = *s.split;
  const auto& from = link(s, side);
  if (from.own.error == 0) {
    if (!note_prepared_there(split, side, from.preparing, answer)) return false;
    if (!std::exchange(split.now.reshaped, false)) return true;
    return reshaped_at_home(s, w, answer, out);
  }
  if (side == Side::reader) {  // home will say why
    for (auto& statement : split.statements)
      if (statement.id == from.preparing)
        statement.reads = statement.only_asks = statement.wish.can_be = false;
  } else if (split.transaction.due) {
    split.transaction.broken = "the next primary can't prepare a statement of it";
    return false;
  } else {
    prepare_failed(s, w, answer, out);
  }
  return true;
}

void note_tracked(SessionState& s, Side side, Actions& out) {
  if (side != Side::server) return;
  if (link(s, side).own.error == 0) return note_collation_of_login(s, out);
  s.split->kept.pinned = "the server does not tell what changes in a session";
  out.log("no statement goes to a replica: " + s.split->kept.pinned);
}

/// The answer to an errand is over. False if the connection is of no use any more.
bool errand_done(SessionState& s, const Surroundings& w, Side side, Actions& out) {
  auto& split = *s.split;
  auto& from = link(s, side);
  const auto errand = from.errands.front();
  from.errands.erase(from.errands.begin());
  auto answer = std::exchange(from.answer, {});
  const bool ok = from.own.error == 0;
  switch (errand) {
    case Errand::settings:
    case Errand::database:
    case Errand::reset:
    case Errand::option:
      return ok;
    case Errand::track:
      note_tracked(s, side, out);
      return true;
    case Errand::prepare:
      return prepare_answered(s, w, side, answer, out);
    case Errand::written:
      note_answered_write(s, w, from.own.error, value_in(answer));
      return true;
    case Errand::catch_up:
      note_caught_up(s, w, ok && value_in(answer) == "0");
      return true;
    case Errand::replay:
      return replayed_alike(split);
    case Errand::kill:
      victim_stopped(s, w, from.own.error, out);
      return true;
    case Errand::account:
      return note_account(s, side, value_in(answer));
    case Errand::insert_id:
      note_insert_id(split, value_in(answer));
      return true;
    case Errand::variables:
      note_variables_are(split, ok ? value_in(answer) : "");
      return true;
    case Errand::traces:
      note_traces(split, ok ? value_in(answer) : "");
      return true;
    case Errand::read_again:
      note_read_again(split, ok);
      return true;
    case Errand::warnings:
      note_warnings(split, std::move(answer), from.own.error);
      return true;
    case Errand::news:
      return true;
  }
  return false;
}

/// What is asked for the sake of its answer, which sluice looks into.
bool is_question(Errand errand) {
  return errand >= Errand::prepare && errand != Errand::reset && errand != Errand::replay &&
         errand != Errand::news && errand != Errand::read_again && errand != Errand::warnings &&
         errand != Errand::option;
}

/// One more errand of a connection that is brought to what the session was is answered: after the
/// last one commands may run there.
void restored(SessionState& s, Side side, Actions& out) {
  auto& to = link(s, side);
  if (!to.errands.empty()) return;
  to.restoring = s.split->waiting = false;
  to.by_ns = 0;
  if (side == Side::server) s.split->home_by_ns = 0;
  if (side == Side::reader) stop_victim(s, out);
}

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

}  // namespace

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
    // Of what a transaction does again all is known that concerns the session.
    if (side == Side::server && errand != Errand::reset && errand != Errand::replay)
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
    restored(s, side, out);
  else if (is_waited_for(errand))
    s.split->waiting = false;
  if (!s.split->waiting) go_on(s, w, out);
  return {taken, true};
}

}  // namespace sluice::worker::split
