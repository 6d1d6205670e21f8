// Statements about the session: transactions, SET, USE, prepared statements in text.
#include <span>

#include "worker/sql/characters.h"
#include "worker/sql/classifier.h"

namespace sluice::sql {
namespace {

using Kind = Token::Kind;

/// What SET STATEMENT may set for a read, which stays one.
constexpr std::string_view kHarmlessForStatement[] = {
    "MAX_STATEMENT_TIME",   "OPTIMIZER_SWITCH",    "SORT_BUFFER_SIZE", "JOIN_BUFFER_SIZE",
    "TMP_TABLE_SIZE",       "MAX_HEAP_TABLE_SIZE", "READ_BUFFER_SIZE", "READ_RND_BUFFER_SIZE",
    "GROUP_CONCAT_MAX_LEN", "LOCK_WAIT_TIMEOUT",   "JOIN_CACHE_LEVEL", "OPTIMIZER_SEARCH_DEPTH",
};

constexpr std::string_view kInsertIdVariables[] = {"LAST_INSERT_ID", "IDENTITY", "INSERT_ID"};
constexpr std::string_view kCharsetVariables[] = {"CHARACTER_SET_CLIENT",
                                                  "CHARACTER_SET_CONNECTION",
                                                  "CHARACTER_SET_RESULTS", "COLLATION_CONNECTION"};
constexpr std::string_view kTransactionVariables[] = {"TRANSACTION_ISOLATION", "TX_ISOLATION",
                                                      "TRANSACTION_READ_ONLY", "TX_READ_ONLY"};

bool is_one_of(std::string_view name, std::span<const std::string_view> upper) {
  for (const auto candidate : upper)
    if (equal_ignoring_case(name, candidate)) return true;
  return false;
}

bool is_harmless_for_statement(const Token& token) {
  for (const auto variable : kHarmlessForStatement)
    if (token.is(variable)) return true;
  return false;
}

Reason reason_of_set(const Token& token) {
  if (token.is("GLOBAL") || token.is("PERSIST") || token.is("PERSIST_ONLY"))
    return Reason::Administration;
  if (token.is("PASSWORD") || token.is("DEFAULT")) return Reason::Definition;
  if (token.is("TRANSACTION")) return Reason::Transaction;
  return Reason::SessionState;
}

}  // namespace

/// BEGIN with anything but WORK behind it is a block of MariaDB's.
void Classifier::begin() {
  const Token token = scan_.take();
  if (!token.ends() && !token.is("WORK")) return block();
  verb(Verb::Begin);
  primary(Reason::Transaction);
  effect(Effect::BeginsTransaction | Effect::ImplicitCommit);
}

void Classifier::start() {
  if (!word().is("TRANSACTION")) {  // START REPLICA and the like
    effect(Effect::ImplicitCommit);
    return administration(Verb::Administration, Reason::Administration);
  }
  verb(Verb::Begin);
  primary(Reason::Transaction);
  effect(Effect::BeginsTransaction | Effect::ImplicitCommit);
  for (Token token = word(); !token.ends(); token = word()) {
    if (token.is("ONLY")) effect(Effect::ReadOnlyTransaction);
    if (token.is("WRITE")) effect(Effect::ReadWriteTransaction);
    if (token.is("SNAPSHOT")) effect(Effect::Snapshot);
  }
}

void Classifier::commit() {
  verb(Verb::Commit);
  primary(Reason::Transaction);
  effect(Effect::Commits);
  end_modes(word());
}

void Classifier::rollback() {
  verb(Verb::Rollback);
  primary(Reason::Transaction);
  Token token = word();
  if (token.is("WORK")) token = word();
  if (token.is("TO")) {
    token = scan_.take();
    return savepoint(token.is("SAVEPOINT") ? scan_.take() : token);
  }
  effect(Effect::RollsBack);
  end_modes(token);
}

/// [AND [NO] CHAIN] [[NO] RELEASE]
void Classifier::end_modes(Token token) {
  for (bool no = false; !token.ends(); token = word()) {
    if (token.is("CHAIN") && !no) effect(Effect::Chains);
    if (token.is("RELEASE") && !no) effect(Effect::Releases);
    no = token.is("NO");
  }
}

void Classifier::release() {
  scan_.take();  // SAVEPOINT
  savepoint(scan_.take());
}

void Classifier::savepoint(Token token) {
  verb(Verb::Savepoint);
  primary(Reason::Transaction);
  effect(Effect::Savepoint);
  take_name(token);
}

void Classifier::set() {
  verb(Verb::Set);
  scan_.begin_assignments();
  const Token token = scan_.take();
  if (token.is("STATEMENT")) return within_set_statement_ ? not_understood() : set_statement();
  primary(reason_of_set(token));
  if (token.is("PASSWORD") || token.is("DEFAULT")) scan_.evaluates_nothing();  // user@host
  scan_.observe(token);
  scan_.rest();
  Assignments items(text_.substr(from_, scan_.last().at - from_), scan_.mode());
  while (const auto item = items.next()) item_effects(*item);
}

/// SET STATEMENT name = value, ... FOR statement: what it sets is over with that statement.
void Classifier::set_statement() {
  scan_.out().verb = scan_.out().statements == 1 ? Verb::SetStatement : scan_.out().verb;
  scan_.end_assignments();
  int depth = 0;
  bool name_next = true;
  for (Token token = scan_.take(); depth > 0 || !token.is("FOR"); token = scan_.take()) {
    if (token.ends()) return not_understood();
    depth += token.symbol('(') ? 1 : token.symbol(')') ? -1 : 0;
    if (name_next) {
      if (!is_harmless_for_statement(token)) scan_.primary(Reason::SessionState, token.at);
      name_next = false;
    } else {
      scan_.observe(token);
      name_next = depth == 0 && token.symbol(',');
    }
  }
  Token inner = scan_.take();
  while (inner.symbol('(')) inner = scan_.take();
  if (inner.ends()) return not_understood();
  first_ = inner.at;
  within_set_statement_ = true;  // one in another would go as deep as the text is long
  head(inner);
  within_set_statement_ = false;
}

void Classifier::item_effects(const Assignment& item) {
  using Kind = Assignment::Kind;
  if (item.scope == Assignment::Scope::Global || item.scope == Assignment::Scope::Persist ||
      item.scope == Assignment::Scope::PersistOnly)
    return effect(Effect::SetsGlobal);
  switch (item.kind) {
    case Kind::SystemVariable:
      return variable_effects(item);
    case Kind::UserVariable:
      return effect(Effect::SetsUserVariable);
    case Kind::Names:
    case Kind::CharacterSet:
      return effect(Effect::SetsSession | Effect::SetsCharset);
    case Kind::Transaction:
      return effect(item.scope == Assignment::Scope::Next ? Effect::SetsNextTransaction
                                                          : Effect::SetsTransaction);
    case Kind::Role:
      return effect(Effect::SetsRole);
    case Kind::DefaultRole:
    case Kind::Password:
      return effect(Effect::ImplicitCommit);
    case Kind::User:
      return effect(Effect::SetsUser);
    case Kind::Other:
      return effect(Effect::SetsSession | Effect::InDoubt);
  }
}

void Classifier::variable_effects(const Assignment& item) {
  const auto name = item.name.text;
  if (item.scope == Assignment::Scope::Next) return effect(Effect::SetsNextTransaction);
  effect(Effect::SetsSession);
  if (equal_ignoring_case(name, "AUTOCOMMIT"))
    effect(Effect::SetsAutocommit | Effect::ImplicitCommit);
  if (equal_ignoring_case(name, "SQL_MODE")) effect(Effect::SetsSqlMode);
  if (is_one_of(name, kInsertIdVariables)) effect(Effect::WritesInsertId);
  if (is_one_of(name, kCharsetVariables)) effect(Effect::SetsCharset);
  if (is_one_of(name, kTransactionVariables)) effect(Effect::SetsTransaction);
}

void Classifier::use() {
  verb(Verb::Use);
  primary(Reason::Use);
  effect(Effect::UsesDatabase);
  take_name(scan_.take());
}

void Classifier::prepare() {
  prepared_name(Verb::Prepare, Effect::Prepares);
  if (scan_.ended()) return;
  if (word().is("FROM")) take_prepared_text();
}

void Classifier::execute() {
  verb(Verb::Execute);
  primary(Reason::PreparedText);
  const Token token = scan_.take();
  if (token.is("IMMEDIATE")) {
    effect(Effect::ExecutesImmediate);
    return take_prepared_text();
  }
  effect(Effect::Executes);
  if (token.identifier()) scan_.out().name = token.name();
}

void Classifier::prepared_name(Verb which, Effect what) {
  verb(which);
  primary(Reason::PreparedText);
  effect(what);
  const Token token = scan_.take();
  if (token.identifier()) scan_.out().name = token.name();
}

void Classifier::take_prepared_text() {
  const Token token = word();
  if (token.kind != Kind::String) return;
  const Token behind = word();
  if (behind.ends() || behind.is("USING")) scan_.out().prepared_text = token.text;
}

}  // namespace sluice::sql
