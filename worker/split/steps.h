// The steps between the sources of the splitting engine (split.h).
#pragma once

#include "common/stats/pins.h"
#include "worker/session/steps.h"
#include "worker/split/split.h"
#include "worker/sql/statement.h"

namespace sluice::worker::split {

inline Link& link(SessionState& s, Side side) {
  return side == Side::server ? s.split->home_link : s.split->reader_link;
}

/// The leg of a side, to be filled in.
inline ServerLeg& leg_of(SessionState& s, Side side) {
  return side == Side::server ? s.home : s.split->reader;
}

/// Whether the client waits for an answer of this server.
inline bool runs_on(const SessionState& s, Side side) {
  return s.split->now.at == side && s.conversation.expect != mysql::Expect::nothing;
}

/// Whether a command waits for the answer, wherever it runs then.
inline bool is_waited_for(Errand errand) {
  return (errand >= Errand::prepare && errand <= Errand::replay) || errand == Errand::variables ||
         errand == Errand::news || errand == Errand::traces || errand == Errand::read_again;
}

/// How long a replica that failed, or was not there, is left alone.
inline constexpr int64_t kAgainNs = kSecondNs;

// split.cc

/// Has home tell what changes in the session.
void track(SessionState& s, Actions& out);

// commands.cc

/// Takes the next commands out of `held`, as far as their turn has come.
void go_on(SessionState& s, const Surroundings& w, Actions& out);
/// The command that the reader has or waits for runs at home, for `why`.
void again_at_home(SessionState& s, const Surroundings& w, Actions& out,
                   stats::Route why = stats::Route::refused);
/// The next command in `held` is answered with an error of sluice's own.
void refuse_next(SessionState& s, const Surroundings& w, const End& end, Actions& out);
/// Whether the command that waits is about that statement.
bool next_names(const SessionState& s, const Statement& statement);
/// The command that is under way comes first again in `held`.
void put_back(SessionState& s);

// running.cc

/// Sends a command, or the beginning of one that is too long to be looked at.
void run_on(SessionState& s, Side side, ByteSpan command, Actions& out);
/// Sends more of it.
void pass(SessionState& s, Side side, ByteSpan bytes, Actions& out);
/// Runs a command on the primary. False if it has to wait, for a primary or until a statement is
/// prepared there.
bool run_at_home(SessionState& s, const Surroundings& w, ByteSpan command, Actions& out);
/// Runs a read, by the replica of that name, if it has one. False if it has to wait.
bool run_read(SessionState& s, const Surroundings& w, ByteSpan command, std::string_view name,
              Actions& out);
/// Runs no command: the client gets an error of sluice's own.
void answer_with_error(SessionState& s, const End& end, Actions& out);
/// The same, because what it asks about went with a connection. True: it was run.
bool refuse_gone(SessionState& s, std::string_view what, Actions& out);
/// Servers keep the error of a COM_STMT_SEND_LONG_DATA, which is not answered, for the execution:
/// here it is. What else is sent ahead until then runs nowhere. False if the session ends.
bool refuse_incomplete(SessionState& s, const Surroundings& w, Statement& statement,
                       ByteSpan command, Actions& out);
/// Sends a command of sluice's own, whose answer the client does not see.
void run_errand(SessionState& s, Side side, Errand errand, mysql::Command command,
                std::string_view text, Actions& out);
/// The command as home has to get it, which knows statements by its own ids. Nothing if one has to
/// be prepared there before; that is begun.
std::optional<ByteSpan> command_for_home(SessionState& s, ByteSpan command, Actions& out);
/// The same for one that names this statement.
std::optional<ByteSpan> command_for_home(SessionState& s, Statement& statement, ByteSpan command,
                                         Actions& out);
/// Has a server prepare a statement; the next command waits.
void prepare_on(SessionState& s, Side side, const Statement& statement, Actions& out);
/// Home has a command, or gets one: it closes connections that have none for too long.
void note_use_of_home(Split& split, const Surroundings& w);

// reading.cc

/// Whether the reader (that of the name, if it has one) can run the next command at once. If not,
/// what is missing is begun and the command waits, or home runs it.
enum class Ready : uint8_t { now, soon, no };
Ready ready_to_read(SessionState& s, const Surroundings& w, std::string_view name, Actions& out);
/// Brings the reader to what the session has set since it was there last. Leaves what it knows of
/// the statement before, but for ROW_COUNT().
void bring_up_to_date(SessionState& s, Actions& out);
/// Its session is not idle, though home gets nothing of it: without a sign of life home would close
/// the connection after wait_timeout, and end the session with it.
void keep_home(SessionState& s, const Surroundings& w, Actions& out);
/// Home may have written something of which it has told nothing: whoever reads has to ask.
void note_untold_write(Split& split, const Surroundings& w);
/// Asks home what the session has written last.
void ask_what_is_written(SessionState& s, Actions& out);
/// Others get to know what the session has written.
void publish_writes(SessionState& s, const Surroundings& w);

// errands.cc

/// What was taken of the bytes of an answer.
struct Taken {
  std::size_t size = 0;  ///< 0: a packet that is not whole
  bool over = false;     ///< the answer
};

/// Bytes of the answer to an errand, from the front of `bytes`.
Taken errand_bytes(SessionState& s, const Surroundings& w, Side side, ByteSpan bytes, Actions& out);

// answers.cc

/// Whether the command that is answered runs statements.
bool runs_something(const SessionState& s);
/// Bytes of an answer, for the client.
void deliver(SessionState& s, ByteSpan bytes, Actions& out);
/// The command under way was answered, and the client has the answer.
void command_answered(SessionState& s, const Surroundings& w, Actions& out);

// kill.cc

/// Whether the next command has to wait until a KILL has done all that it is to do.
bool is_killing(const Split& split);
/// What a statement kills; nobody if it is no KILL, or if its victim is not written as a number.
Victim victim_of(const sql::Statement& statement);
/// Where sessions share connections the victim's may be another one than its client knows: false
/// while that is being asked. After that home gets kill_for_home() in place of the command.
bool knows_victim(SessionState& s, const Surroundings& w, Actions& out);
ByteSpan kill_for_home(SessionState& s, ByteSpan command, Actions& out);
/// Home has answered the KILL.
void killed_at_home(SessionState& s, const Surroundings& w, Actions& out);
/// The victim's replica is there.
void stop_victim(SessionState& s, Actions& out);
/// It has answered, with this error or 0.
void victim_stopped(SessionState& s, const Surroundings& w, uint16_t error, Actions& out);
/// Whatever is left of it is given up, for `why`; the client gets home's answer.
void give_up_kill(SessionState& s, const Surroundings& w, std::string_view why, Actions& out);
/// It has waited for long enough.
void kill_late(SessionState& s, const Surroundings& w, Actions& out);

// replay.cc

/// Whether the command that goes home belongs to a transaction that can be run again so far.
bool may_be_recorded(const Split& split, const Surroundings& w);
/// Bytes of the answer to such a command (Present::recorded), as the client gets them.
void note_answer(Split& split, ByteSpan bytes);
/// What such a command uses of the statements before its transaction is not there if that is run
/// again.
bool takes_lost(const Split& split);
/// The client closes a statement that such commands may execute.
void note_closed(Split& split, const Surroundings& w, const Statement& statement);
/// It was answered.
void note_transaction(SessionState& s, const Surroundings& w);
/// Why the open transaction keeps the session from going on with another primary; empty: it does
/// not, or there is none.
std::string why_not_again(const Split& split);
/// Whether the command under way, which was not answered, can't have ended a transaction.
bool may_be_sent_again(const Split& split);
/// Its primary is lost: it has to be run again.
void transaction_lost(Split& split);
/// Runs the next command of such a transaction again; true if there is none (left).
bool replay(SessionState& s, const Surroundings& w, Actions& out);
/// From here on the time runs in which that has to be done.
void start_replay_clock(SessionState& s, const Surroundings& w);
/// One of its commands was answered: whether as the first time.
bool replayed_alike(Split& split);

// settings.cc

/// What the session has written last, as servers name it.
void note_write(Split& split, std::string_view gtid);
/// What anybody has written, as home says after it was asked for all.
void note_all_writes(Split& split, std::string_view gtids);
/// Takes up what an OK packet with news of the session says.
void note_changes(Split& split, ByteSpan packet);
/// The same packet as the client would have got it from its server, into `out`, which is empty.
void for_client(const Split& split, ByteSpan packet, Bytes& out);
/// Whether a statement sets something of which its server does not tell.
bool sets_untold(const Split& split, std::string_view text);
/// Takes up what that is.
void take_untold(Split& split, std::string_view text);
/// After the statement: home is asked for it. The same for a collation that was not told.
void ask_untold(SessionState& s, Actions& out);
/// Takes up the collation that a SET NAMES says; once it was run, it is that of results.
void take_collation(Split& split, const sql::Statement& statement, std::string_view text);
void note_collation(Split& split);
/// The same for the login: once home has told the rest, results have the client's character set and
/// the connection's collation. If that can't be, home is asked, which leaves only the former.
void note_collation_of_login(SessionState& s, Actions& out);
/// What brings a connection to the session's settings; empty if it has them.
std::string settings_statement(const Split& split, uint32_t since);
void forget_settings(Split& split);

// variables.cc

/// Takes up what a statement sets; if that can't be set again elsewhere, the session is tied.
void take_variables(Split& split, const sql::Statement& statement, std::string_view text);
/// Whether all user variables in a text are known.
bool are_carried(const Split& split, std::string_view text);
/// A command was answered; `ran`: it has run something.
void note_variables(SessionState& s, bool ran);
/// They are not known any more.
void tie_to_variables(Split& split);
/// Whether home has to be asked before they are used elsewhere.
bool has_unsure_variables(const Split& split);
void ask_variables(SessionState& s, Actions& out);
/// The answer.
void note_variables_are(Split& split, std::string_view said);
/// What brings a connection to the session's user variables; empty if it has them.
std::string variables_statement(const Split& split, uint32_t since);

// legs.cc

/// Starts to connect to a replica; false if there is none, or none can be had.
bool call_reader(SessionState& s, const Surroundings& w, Actions& out);
/// Whether it is time to look whether another replica has less to do.
bool is_time_to_compare(const Split& split, int64_t now_ns);
/// Starts to connect to this replica, in place of another one; false if that can't be.
bool call_replica(SessionState& s, const Surroundings& w, const std::string& name, Actions& out);
/// Starts to connect to the primary; false if there is none.
bool call_home(SessionState& s, const Surroundings& w, Actions& out);
/// Connects to the server that the leg names.
void dial(SessionState& s, const Surroundings& w, Side side, Actions& out);
/// Makes it impossible for the reader to write.
void read_only(SessionState& s, Actions& out);
/// Whether a further server can be logged in to. The account may have become known since the login.
bool can_log_in(SessionState& s, const Surroundings& w);
void login_bytes(SessionState& s, const Surroundings& w, Side side, ByteSpan bytes, Actions& out);
/// Closes the connection; what was prepared there is gone.
void drop_leg(SessionState& s, Side side, Actions& out);
/// The same, of a connection that is not the session's any more.
void forget_leg(SessionState& s, Side side);

// lending.cc

/// Asks a server as whom it knows us.
void ask_account(SessionState& s, Side side, Actions& out);
/// Stands in front of the answer, and in no other one.
std::string mark_of(const SessionState& s, Side side);
/// Takes up the answer; false if the connection is not of the session's account.
bool note_account(SessionState& s, Side side, std::string_view said);

// losses.cc

/// What ties a session to its primary.
struct Tie {
  stats::Pin by{};
  std::string why;  ///< empty: nothing does
};
Tie why_tied(const Split& split);
/// A command has waited long enough for a connection of the pool.
void pool_late(SessionState& s, const Surroundings& w, Actions& out);
/// The command that comes next needs the primary, and there is none yet.
void await_home(SessionState& s, const Surroundings& w, Actions& out);
/// The reader is down in the middle of an answer. It may be the monitor alone that can't reach it,
/// so it is left only when nothing has come from it for a while.
void watch_stalled(SessionState& s, const Surroundings& w);
/// It was watched for long enough.
void reader_stalled(SessionState& s, const Surroundings& w, Actions& out);
/// Nothing is under way, and nothing waits.
bool is_idle(const SessionState& s);
/// The wait for a primary: tried again, or given up.
void home_late(SessionState& s, const Surroundings& w, Actions& out);
/// What a server was asked to become, it has refused to.
void on_errand_refused(SessionState& s, const Surroundings& w, Side side, Actions& out);
/// Ends the session with an error for the client.
void end(SessionState& s, const Surroundings& w, End why, Actions& out);
/// Looks whether a home that has closed the connection is alive, if it is said to have killed it.
void look_at_home(SessionState& s, const Surroundings& w, Actions& out);
/// Whether a home has closed the connection at about the time when somebody had killed it; it may
/// have another one by now.
bool was_killed(const Split& split);
/// A server that has closed the connection without being lost has ended the session: KILL, or a
/// time limit of its own.
void home_is_alive(SessionState& s, const Surroundings& w, Actions& out);
/// A connection to the primary is told what the session had set on the one before.
void restore(SessionState& s, const Surroundings& w, Actions& out);

/// Keeps what it takes to log in as the client, of the login that has just succeeded.
void keep_proof(SessionState& s, const Surroundings& w);

}  // namespace sluice::worker::split
