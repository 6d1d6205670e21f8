// Statements about servers: what they show, locks, administration.
#include <charconv>

#include "worker/sql/classifier.h"

namespace sluice::sql {

void Classifier::administration(Verb which, Reason reason) {
  verb(which);
  primary(reason);
}

/// SHOW [COUNT(*)] WARNINGS|ERRORS is about the statement before.
void Classifier::show() {
  verb(Verb::Show);
  Token token = scan_.take();
  if (token.is("COUNT")) {
    while (token = scan_.take(), token.symbol('(') || token.symbol('*') || token.symbol(')'))
      continue;
  }
  if (token.is("WARNINGS") || token.is("ERRORS")) {
    effect(Effect::ReadsDiagnostics);
    return primary(Reason::Diagnostics);
  }
  primary(Reason::Show);
  scan_.evaluates_nothing();
}

/// ANALYZE TABLE, or MariaDB's ANALYZE statement, which executes it.
void Classifier::analyze() {
  const Token token = scan_.take();
  if (token.is("TABLE") || token.is("LOCAL") || token.is("NO_WRITE_TO_BINLOG")) {
    effect(Effect::ImplicitCommit);
    administration(Verb::Administration, Reason::Administration);
  } else {
    administration(Verb::Explain, Reason::Explain);
  }
  scan_.observe(token);
}

/// GET DIAGNOSTICS @x = ...; SIGNAL and RESIGNAL write diagnostics.
void Classifier::diagnostics() {
  verb(Verb::Diagnostics);
  primary(Reason::Diagnostics);
  effect(Effect::ReadsDiagnostics);
  scan_.writes_variables();
}

void Classifier::handler() {
  verb(Verb::Handler);
  primary(Reason::Handler);
  take_name(scan_.take());
  const Token token = word();
  if (token.is("OPEN")) effect(Effect::OpensHandler);
  if (token.is("CLOSE")) effect(Effect::ClosesHandler);
}

/// LOCK TABLES, and MySQL's LOCK INSTANCE FOR BACKUP.
void Classifier::lock() {
  verb(word().is("INSTANCE") ? Verb::Administration : Verb::Lock);
  primary(Reason::TableLock);
  effect(Effect::LocksTables | Effect::ImplicitCommit);
}

void Classifier::flush() {
  verb(Verb::Flush);
  primary(Reason::Administration);
  effect(Effect::ImplicitCommit);
  for (Token token = word(); !token.ends(); token = word())
    if (token.is("LOCK") || token.is("EXPORT")) effect(Effect::LocksTables);
}

/// BACKUP STAGE ..., BACKUP LOCK t, BACKUP UNLOCK
void Classifier::backup() {
  verb(Verb::Administration);
  primary(Reason::TableLock);
  const Token token = word();
  effect(token.is("UNLOCK") || (token.is("STAGE") && word().is("END")) ? Effect::UnlocksTables
                                                                       : Effect::LocksTables);
}

void Classifier::kill() {
  verb(Verb::Kill);
  primary(Reason::Kill);
  Token token = word();
  if (token.is("HARD") || token.is("SOFT")) token = word();
  Kill& kill = scan_.out().kill;
  kill = {};
  kill.what = Kill::What::Connection;
  if (token.is("CONNECTION")) token = word();
  if (token.is("QUERY")) {
    kill.what = Kill::What::Query;
    token = word();
    if (token.is("ID")) {
      kill.what = Kill::What::QueryById;
      token = word();
    }
  }
  if (token.is("USER")) {
    kill.what = Kill::What::User;
    return;
  }
  kill_target(token);
}

void Classifier::kill_target(Token token) {
  if (token.kind != Token::Kind::Number || !word().ends()) return;
  Kill& kill = scan_.out().kill;
  const char* end = token.text.data() + token.text.size();
  const auto [to, error] = std::from_chars(token.text.data(), end, kill.id);
  kill.known = error == std::errc() && to == end;
  kill.id_text = token.text;
}

}  // namespace sluice::sql
