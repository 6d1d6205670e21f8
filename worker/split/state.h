// What a session whose statements are split between a primary and a replica has beside the rest of
// its state (session/state.h). One command is under way at a time; what the client sends ahead
// waits in `held`.
#pragma once

#include "common/base/secret.h"
#include "common/mysql/conversation.h"
#include "common/stats/pins.h"
#include "common/stats/routes.h"
#include "worker/auth/own_proof.h"
#include "worker/session/leg.h"
#include "worker/split/checksum.h"
#include "worker/sql/mode.h"
#include "worker/sql/statement.h"

namespace sluice::worker::split {

using ipc::tag;

/// How far a connection is that sluice makes by itself, as the client's account.
enum class Step : uint8_t {
  none,        ///< there is no connection
  connecting,  ///< up to the server's greeting
  securing,    ///< TLS
  proving,     ///< the account's proof
  ready,       ///< logged in
  queued,      ///< it comes from the service's pool, which has not given it yet
};

/// What sluice asks a server on its own account; the client does not see the answer.
enum class Errand : uint8_t {
  track,       ///< to report what changes in the session
  settings,    ///< to have the session's settings
  database,    ///< its current database
  prepare,     ///< a statement that the client has prepared elsewhere; a command waits from here on
  written,     ///< what the session has written last
  catch_up,    ///< to wait until it has that
  replay,      ///< a command of the open transaction, once more
  kill,        ///< to stop what another session runs there
  reset,       ///< to forget the session that had the connection before
  account,     ///< as whom it knows us
  insert_id,   ///< the last one that it has given
  variables,   ///< whether the user variables are as they were set
  news,        ///< what changed in the session, where an answer could not tell
  traces,      ///< of programs: how many temporary tables and user variables there are
  read_again,  ///< what a replica has read: the next command asks about it
  warnings,    ///< that may still be asked for: its connection is about to be lent
  option,      ///< whether a text may have several statements
};

/// What sluice knows of a server connection beyond its place in the session.
struct Link {
  Step step = Step::none;
  mysql::Conversation own;         ///< follows the answers to errands
  std::vector<Errand> errands;     ///< not answered yet; the first one is under way
  uint32_t settings_version = 0;   ///< of the settings that it has, or has been sent
  uint32_t database_version = 0;   ///< the same for the database
  uint32_t preparing = 0;          ///< the statement that Errand::prepare is for, by its home id
  uint32_t written_version = 0;    ///< of the session's writes that it is known to have
  uint32_t variables_version = 0;  ///< of the user variables that it has, or has been sent
  Bytes answer;                    ///< to an errand from Errand::prepare on
  OwnProof proof;                  ///< during the login
  Bytes received;                  ///< a packet that has to be seen whole and is not
  bool borrowed = false;           ///< another session has had the connection before
  bool restoring = false;          ///< no command may run there before the errands are answered
  bool resets = false;           ///< it has to forget the session first: the client has reset that
  int64_t patient_after_ns = 0;  ///< it has not caught up in time: it is not waited for before
  int64_t by_ns =
      0;  ///< it is lent, logged in or as the session was by then; 0: nothing is under way
  static auto fields(auto& m) {
    return std::tuple(tag<1>(m.step), tag<2>(m.own), tag<3>(m.errands), tag<4>(m.settings_version),
                      tag<5>(m.database_version), tag<6>(m.preparing), tag<7>(m.received),
                      tag<8>(m.proof), tag<9>(m.written_version), tag<10>(m.answer),
                      tag<11>(m.borrowed), tag<12>(m.restoring), tag<13>(m.variables_version),
                      tag<14>(m.patient_after_ns), tag<15>(m.resets), tag<16>(m.by_ns));
  }
};

/// A session variable that is not as it was at the login, and the value it has by now.
struct Setting {
  std::string name, value;
  uint32_t version = 0;  ///< of the settings that changed it last
  static auto fields(auto& m) {
    return std::tuple(tag<1>(m.name), tag<2>(m.value), tag<3>(m.version));
  }
};

/// What a session holds at home, and by which name it will let it go.
struct Holding {
  stats::Pin kind{};
  std::string name;  ///< empty: that can't be told
  bool operator==(const Holding&) const = default;
  static auto fields(auto& m) { return std::tuple(tag<1>(m.kind), tag<2>(m.name)); }
};

/// What a statement takes, and what it lets go; of that an empty name is all of the kind.
struct HoldingsChange {
  std::vector<Holding> taken, released;
  bool empty() const { return taken.empty() && released.empty(); }
  static auto fields(auto& m) { return std::tuple(tag<1>(m.taken), tag<2>(m.released)); }
};

/// What a KILL is about.
struct Victim {
  uint32_t id = 0;          ///< of a connection, as the client wrote it; 0: there is none
  bool connection = false;  ///< it is to end, not its statement alone
  static auto fields(auto& m) { return std::tuple(tag<1>(m.id), tag<2>(m.connection)); }
};

/// What of the statements before is asked about.
struct Asked {
  bool found_rows = false;   ///< FOUND_ROWS()
  bool row_count = false;    ///< ROW_COUNT()
  bool insert_id = false;    ///< LAST_INSERT_ID()
  bool diagnostics = false;  ///< warnings and errors
  bool any() const { return found_rows || row_count || insert_id || diagnostics; }
  bool operator==(const Asked&) const = default;
  static auto fields(auto& m) {
    return std::tuple(tag<1>(m.found_rows), tag<2>(m.row_count), tag<3>(m.diagnostics),
                      tag<4>(m.insert_id));
  }
};

/// Where the client wants a statement to run.
struct Wish {
  sql::Hint::To to = sql::Hint::To::None;
  std::string server;   ///< for Server
  bool can_be = false;  ///< it leaves nothing on the replica that runs it
  static auto fields(auto& m) {
    return std::tuple(tag<1>(m.to), tag<2>(m.server), tag<3>(m.can_be));
  }
};

/// A prepared statement. The client knows the id that the home server gave.
struct Statement {
  uint32_t id = 0;                      ///< that the client knows
  uint32_t home_id = 0, reader_id = 0;  ///< the servers' own; 0: not prepared there
  uint16_t parameters = 0;
  bool reads = false;        ///< may run on a replica
  bool proved_read = false;  ///< it can't write
  bool selects = false;      ///< FOUND_ROWS() is its, once it was run
  bool program = false;      ///< runs what was not looked into
  bool begins = false;       ///< a transaction
  bool repeats = false;      ///< within a transaction it may be run again with it
  /// Of the session when it was prepared: a statement keeps what it was read under.
  uint32_t settings_version = 0, database_version = 0;
  bool uses_tables = false;
  bool long_data = false;  ///< the home server has parts of its parameters
  bool data_lost = false;  ///< and others have found no connection: it is not executed
  bool uses_up = false;    ///< what SET TRANSACTION said of the next transaction
  bool cursor = false;     ///< the home server has rows of it that were not fetched
  std::string text;        ///< empty: too long to be prepared anywhere else
  /// Checksum of the columns and parameters that the client was told of, if it keeps that: servers
  /// don't tell them again then. 0: it does not, or they are too many.
  uint64_t shape = 0;
  bool reshaped = false;  ///< home has told such a client of other columns since
  bool unsure = false;    ///< and that was an earlier connection home
  Bytes types;            ///< of the parameters, as the client sent them last
  bool home_has_types = false, reader_has_types = false;
  bool sets_next = false;                         ///< SET TRANSACTION
  bool sets_untold = false;                       ///< a variable of the session (sql/assignments.h)
  stats::Route why_home = stats::Route::command;  ///< why it runs there, if it does not read
  Victim kills;                                   ///< it is a KILL
  Wish wish;
  Asked asked;             ///< of the statements before each execution
  bool only_asks = false;  ///< and nothing else: whatever server ran those can answer
  HoldingsChange holdings;
  static auto fields(auto& m) {
    return std::tuple(tag<1>(m.id), tag<2>(m.reader_id), tag<3>(m.parameters), tag<4>(m.reads),
                      tag<5>(m.long_data), tag<6>(m.text), tag<7>(m.types),
                      tag<8>(m.reader_has_types), tag<14>(m.home_has_types), tag<15>(m.why_home),
                      tag<9>(m.program), tag<10>(m.home_id), tag<11>(m.uses_tables),
                      tag<12>(m.settings_version), tag<13>(m.database_version), tag<16>(m.repeats),
                      tag<17>(m.cursor), tag<20>(m.kills), tag<21>(m.wish), tag<22>(m.sets_untold),
                      tag<23>(m.asked), tag<24>(m.only_asks), tag<25>(m.proved_read),
                      tag<26>(m.selects), tag<31>(m.shape), tag<28>(m.reshaped), tag<29>(m.unsure),
                      tag<30>(m.holdings), tag<32>(m.sets_next), tag<33>(m.begins),
                      tag<34>(m.data_lost), tag<35>(m.uses_up));
  }
};

/// What it takes to log in to a further server as the client's account.
struct Credentials {
  Bytes answer;            ///< the client's answer to the greeting, without its proof
  bool known = false;      ///< whether the proof can be made
  bool announced = false;  ///< by a PROXY header, to the server that judged the login
  std::string user;
  Bytes scramble, response;  ///< that the client proved itself with; until the account is known
  AccountSecret secret;
  bool sha2 = false;     ///< scramble and response are of caching_sha2_password
  int64_t after_ns = 0;  ///< no replica is logged in to before: the last one refused the proof
  static auto fields(auto& m) {
    return std::tuple(tag<1>(m.answer), tag<2>(m.known), tag<3>(m.secret), tag<4>(m.user),
                      tag<5>(m.scramble), tag<6>(m.response), tag<7>(m.announced), tag<8>(m.sha2),
                      tag<9>(m.after_ns));
  }
};

/// Plain facts of a command: all of them begin anew with it.
struct Facts {
  // How far it is.
  Side at = Side::server;  ///< who runs it
  bool only_home = false;  ///< the next one is a command that the reader did not answer
  bool may_move = false;   ///< the session may go to another replica with it
  stats::Route why_home = stats::Route::command;  ///< why it runs there, if so
  bool unheeded = false;                          ///< its hint names a server that can't be used
  bool delivered = false;                         ///< the client has something of its answer
  bool refused = false;                           ///< it gets an error in place of that
  bool reshaped = false;                          ///< its columns are others at this home
  bool told = false;                              ///< the server has told a system variable
  bool changed = false;        ///< the server says that it changed something in the session
  bool untold = false;         ///< home could tell more of the session, as it began
  bool recorded = false;       ///< with its answer, to be run again with its transaction
  bool insert_id_due = false;  ///< as Last::insert_id_due, as it began
  bool takes_lost = false;   ///< it uses what would not be there if its transaction were run again
  uint32_t prepared_id = 0;  ///< of the prepared statement that it is about, as the client has it

  // What it is.
  bool statement = false, selects = false, uses_tables = false;
  bool proved_read = true;        ///< it can't have written, though it answers with rows
  bool may_select = false;        ///< if it answers with rows
  bool several = false;           ///< statements
  bool begins = false;            ///< it begins a transaction; what was open is committed
  bool repeats = false;           ///< within a transaction it may be run again with it
  bool uses_up = false;           ///< it uses up what SET TRANSACTION said of the next transaction
  bool counts_rows = false;       ///< SQL_CALC_FOUND_ROWS: what it counts may be asked for
  bool clears = false;            ///< if it uses tables, it leaves no warnings but its own
  bool program = false;           ///< it runs what was not looked into
  bool may_change = false;        ///< it may change the session behind its text: by triggers, say
  bool may_set_reading = false;   ///< it may change what statements are read under
  bool sets_session = false;      ///< it sets a system variable
  bool sets_results = false;      ///< it sets the character set of results
  bool sets_variables = false;    ///< it sets user variables to constants
  bool leaves_variables = false;  ///< it can't set user variables, though it is no read
  bool sets_passing = false;      ///< it is several statements, and one of them may fill `passing`
  Asked asked;                    ///< of the statements before it
};

/// The command that is under way, or was the last one.
struct Present : Facts {
  using Base = Facts;
  Bytes bytes;            ///< itself, while it may have to be run again elsewhere
  Bytes prepared;         ///< the answer to a COM_STMT_PREPARE, for Statement::shape
  std::string collation;  ///< that its SET NAMES says
  /// Variables that it sets for itself alone: they are told, and set back afterwards.
  std::vector<std::string> passing;
  HoldingsChange holdings;
  /// The next command begins.
  void begin(const Facts& facts) {
    static_cast<Facts&>(*this) = facts;
    bytes.clear();  // its room is of use
    release(prepared);
    collation.clear();
    passing.clear();
    holdings.taken.clear();
    holdings.released.clear();
  }
  static auto fields(auto& m) {
    return std::tuple(
        tag<1>(m.at), tag<2>(m.bytes), tag<3>(m.delivered), tag<4>(m.only_home), tag<5>(m.why_home),
        tag<6>(m.statement), tag<7>(m.selects), tag<8>(m.uses_tables), tag<9>(m.proved_read),
        tag<10>(m.uses_up), tag<11>(m.program), tag<12>(m.sets_session), tag<13>(m.told),
        tag<14>(m.changed), tag<15>(m.begins), tag<16>(m.repeats), tag<17>(m.counts_rows),
        tag<18>(m.prepared_id), tag<19>(m.unheeded), tag<20>(m.sets_variables),
        tag<21>(m.leaves_variables), tag<22>(m.may_move), tag<23>(m.may_set_reading),
        tag<24>(m.asked), tag<25>(m.may_select), tag<26>(m.several), tag<27>(m.may_change),
        tag<28>(m.prepared), tag<29>(m.reshaped), tag<30>(m.collation), tag<31>(m.sets_results),
        tag<32>(m.clears), tag<33>(m.passing), tag<34>(m.sets_passing), tag<35>(m.untold),
        tag<36>(m.refused), tag<37>(m.holdings), tag<38>(m.recorded), tag<39>(m.insert_id_due),
        tag<40>(m.takes_lost));
  }
};

/// Who can tell of a statement before. What a connection knew is lost with it.
enum class Knows : uint8_t { nobody, home, reader };
constexpr Knows knows(Side side) {
  return side == Side::reader ? Knows::reader : Knows::home;
}

/// A command that a replica has answered: the last one, or the last one that found rows.
struct LastRead {
  Bytes command;               ///< as the client sent it; empty: it was too long
  bool there = false;          ///< the reader still has what that left
  bool written_since = false;  ///< the session may have: by now it could have other rows
  bool others_gone = false;    ///< what reads left before went with an earlier reader
  bool selected = false;       ///< FOUND_ROWS() is its
  bool diagnosed = false;      ///< the session's warnings are
  static auto fields(auto& m) {
    return std::tuple(tag<1>(m.command), tag<2>(m.there), tag<3>(m.written_since),
                      tag<4>(m.others_gone), tag<5>(m.selected), tag<6>(m.diagnosed));
  }
};

/// What home answered to SHOW WARNINGS before its connection was lent.
struct KeptWarnings {
  Bytes answer;           ///< empty: it was not asked
  uint32_t version = 0;   ///< of the settings that the answer was made under
  bool too_long = false;  ///< to be kept, or home did not tell them
  static auto fields(auto& m) {
    return std::tuple(tag<1>(m.answer), tag<2>(m.version), tag<3>(m.too_long));
  }
};

/// Values that a session drew from sequences: its connection knows the last ones.
enum class Drawn : uint8_t { nothing, known, gone };

/// What later statements may ask about those before.
struct Last {
  Knows row_count = Knows::home;    ///< ROW_COUNT()
  Knows found_rows = Knows::home;   ///< FOUND_ROWS()
  Knows diagnostics = Knows::home;  ///< the session's warnings and errors
  bool diagnosed = false;           ///< there are some
  bool home_has_old = false;        ///< home has some that are not the session's any more
  bool counted = false;             ///< FOUND_ROWS() may be more than the rows that came
  LastRead read;
  KeptWarnings warnings;
  Drawn drawn = Drawn::nothing;
  uint64_t insert_id = 0;       ///< LAST_INSERT_ID(), as far as it was asked
  bool insert_id_due = false;   ///< it may be another one by now
  bool insert_id_gone = false;  ///< with a connection home
  static auto fields(auto& m) {
    return std::tuple(tag<1>(m.row_count), tag<2>(m.found_rows), tag<3>(m.diagnostics),
                      tag<4>(m.diagnosed), tag<7>(m.insert_id), tag<8>(m.insert_id_due),
                      tag<15>(m.insert_id_gone), tag<16>(m.home_has_old), tag<23>(m.read),
                      tag<24>(m.warnings), tag<25>(m.drawn), tag<26>(m.counted));
  }
};

/// What every server of the session has to have before a statement runs there.
struct Settings {
  std::vector<Setting> list;  ///< in the order of their last change
  uint32_t version = 0;
  std::string database;
  uint32_t database_version = 0;
  sql::Mode mode;  ///< how statements are to be read
  /// Of SET NAMES ... COLLATE: servers give results its number, and tell it nowhere else.
  std::string results_collation;
  bool collation_due = false;      ///< what it is by now has to be asked
  bool told_to_client = false;     ///< the client itself asked for the tracking of its session
  bool tracked_by_client = false;  ///< it has set what is tracked, and gets that
  /// Variables that the command under way sets without being told: they have to be asked, too.
  std::vector<std::string> untold;
  static auto fields(auto& m) {
    return std::tuple(tag<1>(m.list), tag<2>(m.version), tag<3>(m.database),
                      tag<4>(m.database_version), tag<5>(m.mode), tag<6>(m.collation_due),
                      tag<7>(m.told_to_client), tag<8>(m.tracked_by_client), tag<9>(m.untold),
                      tag<10>(m.results_collation));
  }
};

/// A user variable whose value can be set again: it was a constant.
struct UserVariable {
  std::string name;      ///< in small letters
  std::string value;     ///< as it is written
  uint32_t version = 0;  ///< of the variables that set it last
  bool unsure = false;   ///< something has run at home that may have set it, a trigger say
  static auto fields(auto& m) {
    return std::tuple(tag<1>(m.name), tag<2>(m.value), tag<3>(m.version), tag<4>(m.unsure));
  }
};
struct UserVariables {
  std::vector<UserVariable> list;  ///< in the order of their last change
  uint32_t version = 0;
  static auto fields(auto& m) { return std::tuple(tag<1>(m.list), tag<2>(m.version)); }
};

/// What the session has written.
struct Writes {
  std::string gtid;  ///< of its last write; MySQL: of all of them
  uint32_t version = 0;
  bool uncertain = false;  ///< home has answered with rows, which tell of no write
  bool lost = false;       ///< and was lost: the next one does not know which the session's are
  // With causal_reads = service:
  uint32_t published = 0;                        ///< version that others know of
  uint64_t seen_version = 0;                     ///< of the service's writes that `gtid` is up to
  uint64_t seen_doubts = 0;                      ///< that home was asked for
  bool everything = false;                       ///< home is being asked what anybody has written
  uint64_t asked_version = 0, asked_doubts = 0;  ///< when that began
  std::string asked_known;                       ///< what all had told by then
  static auto fields(auto& m) {
    return std::tuple(tag<1>(m.gtid), tag<2>(m.version), tag<3>(m.uncertain), tag<4>(m.published),
                      tag<5>(m.seen_version), tag<6>(m.seen_doubts), tag<7>(m.everything),
                      tag<8>(m.asked_version), tag<9>(m.asked_doubts), tag<10>(m.asked_known),
                      tag<11>(m.lost));
  }
};

/// What keeps its reads at home, or the session with it.
struct Kept {
  std::string pinned;             ///< why everything runs at home from here on; empty: it does not
  std::string tied;               ///< why it can't go on with another primary; empty: it can
  std::vector<Holding> holdings;  ///< what its own statements have taken, and others let go
  bool may_rename = false;        ///< its temporary tables: it could have others by other names
  bool locks_by_name = false;     ///< a statement prepared by name may take named locks
  bool next_at_home = false;      ///< SET TRANSACTION waits there for the next transaction
  bool isolated = false;          ///< its reads lock, or see what is not committed
  bool auto_is_null = false;      ///< "IS NULL" asks for the last insert id
  bool knows_id = false;          ///< it has asked for the id of its connection
  bool asks_rows = false;         ///< it asks how many rows the statement before had
  bool asks_sequences = false;    ///< it asks what it has drawn from sequences
  bool asks_prepared = false;     ///< it has prepared statements that ask about those before
  bool profiled = false;          ///< home keeps its statements, a reset notwithstanding
  bool news_due = false;          ///< home may have had no place to tell what has changed
  bool may_have_traces = false;   ///< of a program: temporary tables, user variables
  Asked asked_by_name;            ///< by statements prepared by name
  static auto fields(auto& m) {
    return std::tuple(tag<1>(m.pinned), tag<2>(m.tied), tag<3>(m.next_at_home), tag<5>(m.isolated),
                      tag<6>(m.auto_is_null), tag<7>(m.knows_id), tag<8>(m.asks_rows),
                      tag<9>(m.asks_prepared), tag<10>(m.asked_by_name), tag<11>(m.may_have_traces),
                      tag<12>(m.news_due), tag<13>(m.holdings), tag<14>(m.may_rename),
                      tag<15>(m.locks_by_name), tag<16>(m.asks_sequences), tag<17>(m.profiled));
  }
};

/// A command of a transaction, and what came of it.
struct Recorded {
  Bytes command;
  Checksum answer;  ///< as the client got it
  static auto fields(auto& m) { return std::tuple(tag<1>(m.command), tag<3>(m.answer)); }
};

/// The open transaction, as it would be run again with another primary (setting
/// transaction_replay).
struct Transaction {
  std::vector<Recorded> commands;  ///< those that were answered; the first one began it
  std::vector<Statement> closed;   ///< that they execute, and the client has closed since
  uint32_t bytes = 0;
  std::string broken;  ///< why it can't be run again; empty: it can
  Checksum answer;     ///< of what has come of the answer under way
  /// Of the session, when it began.
  uint32_t settings_version = 0, database_version = 0, variables_version = 0;
  bool untold = false;            ///< home could have told more of the session, when it began
  bool insert_id_before = false;  ///< and may have had another last insert id than is known
  bool insert_id_within = false;  ///< it has got one since
  bool due = false;               ///< it has to be run again before the next command
  uint32_t replayed = 0;          ///< how many of its commands were, then
  int64_t by_ns = 0;              ///< and when that has to be done
  /// Nothing was kept since it began, or since the session did.
  bool empty() const { return commands.empty() && broken.empty() && !due; }
  static auto fields(auto& m) {
    return std::tuple(tag<1>(m.commands), tag<2>(m.bytes), tag<3>(m.broken), tag<12>(m.answer),
                      tag<5>(m.due), tag<6>(m.replayed), tag<7>(m.by_ns),
                      tag<8>(m.settings_version), tag<9>(m.database_version),
                      tag<10>(m.variables_version), tag<11>(m.untold), tag<13>(m.closed),
                      tag<14>(m.insert_id_before), tag<15>(m.insert_id_within));
  }
};

/// What a service with a pool keeps in mind of a session.
struct Lending {
  std::string account;   ///< as home names it, with its role; empty: it was not asked
  bool own = false;      ///< the next connection home must be one that nobody has had
  std::string at_login;  ///< `account` at the login: a reset leaves a role that was chosen since
  int64_t held_ns = 0;   ///< its connection home is not lent before: somebody is about to kill it
  std::string from;      ///< the server that the connection home was to which it has lent
  bool granted = false;  ///< home was connected to for the command that waits; the time runs
  static auto fields(auto& m) {
    return std::tuple(tag<1>(m.account), tag<2>(m.own), tag<3>(m.at_login), tag<4>(m.held_ns),
                      tag<5>(m.granted), tag<6>(m.from));
  }
};

/// How far sluice is with a KILL of its client's.
enum class KillStep : uint8_t {
  none,
  judging,   ///< home has it, and decides
  seeking,   ///< home has done its part; what does the victim run on a replica?
  pausing,   ///< it is about to run something there: to be asked again in a moment
  calling,   ///< the victim's replica is connected to
  stopping,  ///< and asked to stop it
  finding,   ///< home has not got it yet: by which id does home know the victim?
};

/// A KILL of the client's, whose victim may have a command on a replica. The client gets home's
/// answer when that was stopped too: many hang up as soon as they have it.
struct Killing {
  KillStep step = KillStep::none;
  Victim victim;
  std::string server;      ///< home, which has judged it
  uint32_t round = 0;      ///< of asking for it
  uint32_t reader_id = 0;  ///< the victim's connection to the replica that is called
  int64_t by_ns = 0;       ///< it is given up then
  int64_t again_ns = 0;    ///< the pause is over
  Bytes answer;            ///< home's
  uint32_t home_id = 0;    ///< of the victim's connection home, where that was asked
  static auto fields(auto& m) {
    return std::tuple(tag<1>(m.step), tag<2>(m.victim), tag<3>(m.round), tag<4>(m.reader_id),
                      tag<5>(m.by_ns), tag<6>(m.answer), tag<7>(m.server), tag<8>(m.home_id),
                      tag<9>(m.again_ns));
  }
};

struct Split {
  ServerLeg reader;
  Link home_link, reader_link;
  Present now;
  Last last;
  Settings settings;
  UserVariables variables;
  Writes writes;
  Kept kept;
  Transaction transaction;
  Killing kill;
  int64_t killed_ns = 0;  ///< when somebody had killed its connection home, or says so; 0: nobody
  int64_t closed_ns = 0;  ///< when a home has closed its connection without a word; 0: none has
  Credentials credentials;
  Lending lending;
  std::vector<Statement> statements;  ///< by id
  uint32_t last_prepared = 0;         ///< of them, if it was the client's last wish; 0: it failed
  uint16_t status = 0;                ///< status flags of the home server's last answer
  bool waiting = false;               ///< the next command waits for a server
  bool quits = false;                 ///< the client has said COM_QUIT; home closes
  std::string lost;  ///< its primary that closed the connection; alive, it has ended the session
  uint32_t lost_id = 0;    ///< of that connection: a server that was started anew begins with 1
  std::string last_words;  ///< home is gone, and nothing else will do: what the client gets to know
  std::string left;        ///< why it has to leave its primary after the present command
  int64_t home_by_ns = 0;  ///< a command waits for a primary, and is refused then
  int64_t look_ns = 0;     ///< when to look for one again, or whether the last one is alive
  int64_t ask_ns = 0;      ///< when to ask what an idle session has to be asked
  int64_t reader_after_ns = 0;  ///< no replica is tried before: the last one failed
  uint64_t reads = 0;           ///< commands that a replica answered
  int64_t compare_ns = 0;       ///< when to look next whether another replica has less to do
  int64_t idle_home_ns = 0;     ///< when home has been without a command for too long
  int64_t stalled_by_ns = 0;   ///< the reader is down in the middle of an answer: so long it may be
  uint64_t stalled_bytes = 0;  ///< sent to the client when that began
  std::string reader_failure;  ///< of the last replica that was tried; empty: it serves
  bool hint_logged = false;    ///< that one of its hints was of no use
  bool greeting_gone = false;  ///< home is not the connection whose greeting the client saw
  Bytes told_scramble;         ///< of that greeting
  static auto fields(auto& m) {
    return std::tuple(
        tag<1>(m.reader), tag<2>(m.home_link), tag<3>(m.reader_link), tag<4>(m.now), tag<5>(m.last),
        tag<6>(m.settings), tag<7>(m.writes), tag<8>(m.kept), tag<9>(m.credentials),
        tag<10>(m.statements), tag<11>(m.status), tag<12>(m.waiting), tag<13>(m.lost),
        tag<14>(m.left), tag<15>(m.home_by_ns), tag<16>(m.reader_after_ns), tag<17>(m.reads),
        tag<18>(m.transaction), tag<19>(m.quits), tag<20>(m.reader_failure), tag<21>(m.lending),
        tag<22>(m.kill), tag<34>(m.killed_ns), tag<35>(m.closed_ns), tag<24>(m.hint_logged),
        tag<25>(m.variables), tag<26>(m.compare_ns), tag<27>(m.idle_home_ns),
        tag<28>(m.greeting_gone), tag<29>(m.told_scramble), tag<30>(m.last_prepared),
        tag<31>(m.last_words), tag<32>(m.stalled_by_ns), tag<33>(m.stalled_bytes),
        tag<36>(m.lost_id), tag<37>(m.look_ns), tag<38>(m.ask_ns));
  }
};

}  // namespace sluice::worker::split

namespace sluice {
template <>
inline constexpr auto kEnumNames<worker::split::Step> = names("none", "connecting", "securing",
                                                              "proving", "ready", "queued");
template <>
inline constexpr auto kEnumNames<worker::split::Knows> = names("nobody", "home", "reader");
template <>
inline constexpr auto kEnumNames<worker::split::Drawn> = names("nothing", "known", "gone");
template <>
inline constexpr auto kEnumNames<worker::split::KillStep> = names("none", "judging", "seeking",
                                                                  "pausing", "calling", "stopping",
                                                                  "finding");
template <>
inline constexpr auto kEnumNames<worker::split::Errand> = names(
    "track", "settings", "database", "prepare", "written", "catch up", "replay", "kill", "reset",
    "account", "insert id", "variables", "news", "traces", "read again", "warnings", "option");
}  // namespace sluice
