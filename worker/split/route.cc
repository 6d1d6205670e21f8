#include "worker/split/route.h"

#include <fmt/format.h>

#include <algorithm>

#include "common/mysql/protocol.h"
#include "worker/split/asking.h"
#include "worker/split/holdings.h"
#include "worker/split/pins.h"
#include "worker/split/programs.h"
#include "worker/split/steps.h"
#include "worker/sql/assignments.h"
#include "worker/sql/classify.h"
#include "worker/sql/lexer.h"

namespace sluice::worker::split {
namespace {

using sql::Effect;
using sql::Effects;

/// What may have ended the transaction in which it ran, or can't be sent once more.
constexpr Effects kEnds = Effect::BeginsTransaction | Effect::Commits | Effect::RollsBack |
                          Effect::Chains | Effect::Releases | Effect::ImplicitCommit | Effect::Xa |
                          Effect::SetsAutocommit | Effect::LocksTables | Effect::UnlocksTables |
                          Effect::LoadsLocalFile | Effect::RunsProgram | Effect::Executes |
                          Effect::ExecutesImmediate | Effect::InDoubt | Effect::NotReadToEnd |
                          Effect::SetsGlobal;

/// Whether it may be sent again to another server, within the same transaction. There the id in a
/// KILL is another connection's.
bool can_be_repeated(const sql::Statement& statement) {
  return !statement.effects.any(kEnds) && statement.kill.what == sql::Kill::What::None;
}

/// Whether it begins a transaction, and does nothing else.
bool begins(const sql::Statement& statement) {
  constexpr Effects kOfBegin = Effect::BeginsTransaction | Effect::ImplicitCommit;
  return statement.verb == sql::Verb::Begin && statement.statements == 1 &&
         !statement.effects.any(kEnds.without(kOfBegin));
}

bool may_read(const Split& split, const sql::Statement& statement) {
  return statement.read() && !statement.effects.has(Effect::CountsFoundRows) &&
         !sql::is_server_schema(split.settings.database);
}

/// What a hint can send to a replica, beside reads: its answer belongs to the server that gives it,
/// and it leaves nothing in the session. A function that writes is refused there. Of several
/// statements, and of those whose reason hides another one, nothing more is known.
bool may_read_if_wished(const sql::Statement& statement, std::string_view text) {
  using R = sql::Reason;
  constexpr R kOfServer[] = {R::Read,    R::LockingRead,    R::SystemVariable,
                             R::Show,    R::ServerFunction, R::ServerSchema,
                             R::Explain, R::UnknownFunction};
  return std::ranges::find(kOfServer, statement.reason) != std::end(kOfServer) &&
         statement.statements == 1 && statement.user_variables_read == 0 &&
         statement.effects.without(Effect::CallsUnknownFunction).empty() &&
         !contains(text, "insert_id") && !contains(text, "identity") &&
         !contains(text, "connection_id") && !contains(text, "pseudo_thread_id");
}

/// Roughly: a SELECT that has the word FROM somewhere does.
bool uses_tables(const sql::Statement& statement, std::string_view text) {
  switch (statement.verb) {
    case sql::Verb::Set:
    case sql::Verb::Do:
    case sql::Verb::Values:
    case sql::Verb::Use:
    case sql::Verb::Show:
    case sql::Verb::Begin:
    case sql::Verb::Commit:
    case sql::Verb::Rollback:
    case sql::Verb::Savepoint:
    case sql::Verb::Diagnostics:
      return false;
    case sql::Verb::Select:
      return contains(text, "from");
    default:
      return true;
  }
}

/// Long texts of values are not searched for what the classifier has not met.
bool may_have_select(const sql::Statement& statement, std::string_view text) {
  const auto select = sql::identifier_bits("SELECT");
  return (statement.mentioned & select) == select && contains(text, "select");
}

/// Whether FOUND_ROWS() is of this statement, once it was run.
bool finds_rows(const sql::Statement& statement, std::string_view text) {
  switch (statement.verb) {
    case sql::Verb::Select:
    case sql::Verb::With:
      return true;
    case sql::Verb::Show:  // most of them read tables of the information schema
      return statement.reason != sql::Reason::Diagnostics && !contains(text, "create");
    case sql::Verb::Insert:
    case sql::Verb::Replace:
    case sql::Verb::Create:
      return may_have_select(statement, text);
    default:
      return false;
  }
}

bool uses_up_transaction(const sql::Statement& statement) {
  switch (statement.verb) {
    case sql::Verb::Insert:
    case sql::Verb::Replace:
    case sql::Verb::Update:
    case sql::Verb::Delete:
    case sql::Verb::Load:
    case sql::Verb::Commit:
    case sql::Verb::Rollback:
      return true;
    default:
      return false;
  }
}

stats::Route route_of(sql::Reason reason) {
  using R = sql::Reason;
  using stats::Route;
  switch (reason) {
    case R::Write:
    case R::Definition:
    case R::Administration:
    case R::Load:
    case R::Into:
    case R::Kill:
      return Route::write;
    case R::Transaction:
    case R::Xa:
    case R::TableLock:
      return Route::transaction;
    case R::SessionState:
    case R::Use:
      return Route::session;
    case R::LockingRead:
      return Route::locking_read;
    case R::Read:  // the session's user variables, or its current schema
    case R::VariableWritten:
    case R::SystemVariable:
    case R::InsertId:
      return Route::variable;
    case R::NamedLock:
    case R::Sequence:
    case R::UnknownFunction:
    case R::ServerFunction:
      return Route::function;
    case R::Diagnostics:
    case R::ServerSchema:
    case R::Show:
    case R::Explain:
      return Route::server;
    case R::Call:
    case R::Do:
    case R::Handler:
    case R::PreparedText:
    case R::Compound:
      return Route::program;
    default:
      return Route::unclear;
  }
}

/// Whether it runs nothing that could set a user variable, as triggers and functions do.
bool leaves_variables(const sql::Statement& statement) {
  constexpr Effects kOfSet = Effect::SetsSession | Effect::SetsCharset | Effect::SetsSqlMode |
                             Effect::SetsAutocommit | Effect::SetsNextTransaction |
                             Effect::SetsTransaction | Effect::ImplicitCommit;
  if (statement.statements != 1) return false;
  switch (statement.verb) {
    case sql::Verb::Begin:
    case sql::Verb::Commit:
    case sql::Verb::Rollback:
    case sql::Verb::Savepoint:
    case sql::Verb::Use:
      return true;
    case sql::Verb::Set:
      return statement.effects.without(kOfSet).empty();
    default:
      return false;
  }
}

/// MariaDB tells what SET STATEMENT sets with the answer to its statement, and that it is set back
/// with a later one that has something to tell. Programs tell it as it is in the end.
void take_passing(Split& split, const sql::Statement& statement, std::string_view text) {
  auto& passing = split.now.passing;
  split.now.sets_passing = statement.statements != 1 && contains(text, "statement");
  if (statement.verb != sql::Verb::SetStatement) return;
  passing = sql::variables_for_statement(text, split.settings.mode);
  const auto sets = [&](std::string_view name) {
    return std::ranges::find(passing, name) != passing.end();
  };
  if (sets("sql_log_bin") || sets("skip_replication")) split.kept.pinned = why::kNotReplicated;
}

bool alters_user(std::string_view text, const sql::Mode& mode) {
  sql::Lexer lexer(text, mode);
  return lexer.next().is("ALTER") && lexer.next().is("USER");
}

/// Another connection would be let in as the account is now: not at all, or with another role.
void take_accounts(Split& split, const sql::Statement& statement, std::string_view text) {
  const bool sets = statement.verb == sql::Verb::Set &&
                    statement.effects.has(Effect::ImplicitCommit) &&
                    (contains(text, "password") || contains(text, "default role"));
  const bool alters = statement.verb == sql::Verb::Alter && alters_user(text, split.settings.mode);
  if (sets || alters) split.kept.pinned = "it has changed an account";
}

/// Who sets the counters of a connection to zero wants to know what the next statements count.
void take_counters(Split& split, const sql::Statement& statement, std::string_view text) {
  if (statement.verb == sql::Verb::Flush && contains(text, "status"))
    split.kept.pinned = "it looks at what its statements count";
}

/// What its server tells nothing of. In what is put together at run time it is not looked for.
void take_settings(Split& split, const sql::Statement& statement, std::string_view text) {
  constexpr Effects kWithin = Effect::Prepares | Effect::ExecutesImmediate;
  const bool hidden = statement.effects.any(kWithin) || statement.verb == sql::Verb::Compound;
  if (hidden && text.find("@@") != text.npos && contains(text, "set"))
    split.kept.pinned = "it may have set a variable of which its server does not tell";
  else if (statement.effects.has(Effect::SetsSession))
    take_untold(split, text);
  take_passing(split, statement, text);
}

void take_up(Split& split, const sql::Statement& statement, std::string_view text) {
  const auto& effects = statement.effects;
  split.now.statement = true;
  split.now.uses_tables = (split.last.diagnosed || split.last.home_has_old) &&
                          (effects.any(kProgram) || uses_tables(statement, text));
  split.now.several = statement.statements != 1;
  split.now.selects = !split.now.several && finds_rows(statement, text);
  split.now.may_select =
      (split.now.several && may_have_select(statement, text)) || effects.any(kProgram);
  split.now.uses_up = !split.now.several && uses_up_transaction(statement);
  take_programs(split, statement, text);
  split.now.begins = begins(statement);
  split.now.repeats = can_be_repeated(statement);
  split.kill.victim = victim_of(statement);
  split.now.sets_session = effects.has(Effect::SetsSession);
  constexpr Effects kOfReading = Effect::SetsSession | Effect::SetsCharset | Effect::SetsSqlMode;
  split.now.may_set_reading = split.now.program || effects.any(kOfReading) ||
                              statement.verb == sql::Verb::Use || split.now.several;
  split.now.counts_rows = effects.has(Effect::CountsFoundRows);
  if (effects.has(Effect::SetsNextTransaction)) split.kept.next_at_home = true;
  if (effects.any(Effect::SetsRole | Effect::SetsUser)) split.kept.pinned = why::kRole;
  take_accounts(split, statement, text);
  take_variables(split, statement, text);
  take_settings(split, statement, text);
  take_counters(split, statement, text);
  take_collation(split, statement, text);
  split.now.leaves_variables = leaves_variables(statement);
  take_holdings(split, statement, text);
}

}  // namespace

bool reads_anywhere(const Split& split) {
  constexpr auto kPlain = mysql::kAutocommit;
  return (split.status & (mysql::kAutocommit | mysql::kInTransaction)) == kPlain &&
         why_pinned(split).empty() && !split.kept.isolated && !split.kept.auto_is_null &&
         !split.kept.next_at_home && !split.transaction.due;
}

bool ties_functions(const Split& split) {
  return !split.kept.tied.empty() || !split.kept.holdings.empty() || has_unsure_variables(split);
}

stats::Route why_kept(const Split& split) {
  const bool plain = (split.status & (mysql::kAutocommit | mysql::kInTransaction)) ==
                     static_cast<uint16_t>(mysql::kAutocommit);
  return plain ? stats::Route::kept : stats::Route::in_transaction;
}

Plan plan_query(Split& split, std::string_view text) {
  const auto statement = sql::classify(text, split.settings.mode);
  take_up(split, statement, text);
  const auto questions = take_questions(split, statement, text);
  split.now.asked = questions.before;
  if (split.now.program && !split.now.asked.any())
    split.now.asked.diagnostics = would_mix_up(split);
  if (!questions.gone.empty()) return {.gone = questions.gone};
  if (questions.only)
    return {.side = can_reader_tell(split, questions.before) ? Side::reader : Side::server,
            .at_once = true};
  // Without tables it leaves the diagnostics of the statement before.
  const bool keeps = split.last.diagnosed && split.last.diagnostics != Knows::reader;
  const bool has_variables = statement.user_variables_read > 0;
  split.now.proved_read = statement.read();
  const bool may = may_read(split, statement) && (!has_variables || are_carried(split, text));
  if (!split.now.only_home) split.now.why_home = may ? why_kept(split) : route_of(statement.reason);
  const bool free = reads_anywhere(split) && (split.now.uses_tables || !keeps);
  const auto side = [&](bool reads) { return reads && free ? Side::reader : Side::server; };
  Plan plan{.side = side(may),
            .hint = statement.hint,
            .variables = has_variables,
            .asks_id = questions.id};
  if (statement.hint.to == sql::Hint::To::None) return plan;
  const bool reads = may || may_read_if_wished(statement, text);
  const bool tied =
      !may && statement.effects.has(Effect::CallsUnknownFunction) && ties_functions(split);
  plan.wished = side(reads && !tied);
  plan.kept = reads && (tied || !free);
  return plan;
}

Target target_of(SessionState& s, const Surroundings& w, const sql::Hint& hint, Actions& out) {
  using To = sql::Hint::To;
  if (hint.to == To::Primary) return {Target::To::home, {}};
  if (hint.to == To::Replica) return {Target::To::replica, {}};
  if (hint.to == To::None) return {};
  const auto* state = w.state(hint.server);
  if (state != nullptr && state->role == cluster::Role::replica)
    return {Target::To::replica, hint.server};
  if (hint.server == s.home.server || (state != nullptr && state->role == cluster::Role::primary))
    return {Target::To::home, {}};
  s.split->now.unheeded = true;
  if (!std::exchange(s.split->hint_logged, true))
    out.log(fmt::format("a hint names server {}, which can't be used: {}", hint.server,
                        state == nullptr ? "it is not of the cluster" : state->reason));
  return {};
}

void plan_prepared(Split& split, std::string_view text, Statement& statement) {
  const auto said = sql::classify(text, split.settings.mode);
  statement.holdings = holdings_of_executions(split, said);
  split.kept.asks_rows |= said.effects.has(Effect::CountsFoundRows);
  const auto questions = take_questions(split, said, text);
  statement.asked = questions.before;
  statement.only_asks = questions.only;
  split.kept.asks_prepared |= questions.only;
  statement.reads = may_read(split, said) && said.user_variables_read == 0 && said.effects.empty();
  statement.proved_read = said.read();
  statement.selects = finds_rows(said, text);
  statement.uses_tables = uses_tables(said, text);
  statement.begins = begins(said);
  statement.uses_up = said.statements == 1 && uses_up_transaction(said);
  statement.repeats = can_be_repeated(said);
  if (!statement.reads) statement.why_home = route_of(said.reason);
  statement.program = !said.effects.empty() && !statement.reads;
  statement.kills = victim_of(said);
  take_accounts(split, said, text);
  statement.sets_next = said.effects.has(Effect::SetsNextTransaction);
  statement.sets_untold = said.effects.has(Effect::SetsSession) && sets_untold(split, text);
  if (said.hint.to == sql::Hint::To::None) return;
  statement.wish = {said.hint.to, std::string(said.hint.server),
                    statement.reads || may_read_if_wished(said, text)};
}

}  // namespace sluice::worker::split
