// Statements about data, and about tables and other objects.
#include "worker/sql/classifier.h"
#include "worker/sql/program.h"

namespace sluice::sql {

void Classifier::read(Verb which) {
  verb(which);
}

void Classifier::table() {
  if (scan_.mode().flavour == Flavour::Mariadb) return not_understood();  // MySQL's TABLE t
  verb(Verb::Table);
}

void Classifier::write(Verb which) {
  verb(which);
  primary(Reason::Write);
}

/// What names the table is no call, though a list of columns may follow.
void Classifier::insert(Verb which) {
  write(which);
  Token token = scan_.take();
  while (token.is("LOW_PRIORITY") || token.is("DELAYED") || token.is("HIGH_PRIORITY") ||
         token.is("IGNORE") || token.is("INTO"))
    token = scan_.take();
  if (!token.identifier()) return scan_.observe(token);
  while (scan_.lexer().at('.')) {
    scan_.take();
    scan_.take();
  }
}

void Classifier::load() {
  verb(Verb::Load);
  primary(Reason::Load);
  Token token = word();
  if (!token.is("DATA") && !token.is("XML")) {  // LOAD INDEX INTO CACHE
    effect(Effect::ImplicitCommit);
    return;
  }
  token = word();
  while (token.is("LOW_PRIORITY") || token.is("CONCURRENT")) token = word();
  if (token.is("LOCAL")) effect(Effect::LoadsLocalFile);
  scan_.evaluates_nothing();  // t (a, b) is the table with its columns
  scan_.writes_variables();
}

void Classifier::create_or_alter(Verb which) {
  verb(which);
  primary(Reason::Definition);
  scan_.evaluates_nothing();
  Definition definition;
  while (!definition.ends(scan_.take()))
    if (definition.object() != Definition::Object::Unknown) break;
  if (!scan_.ended()) return defined(definition, which);
  effect(Effect::ImplicitCommit);
}

void Classifier::defined(const Definition& head, Verb which) {
  using Object = Definition::Object;
  if (head.object() == Object::Program) {
    effect(Effect::ImplicitCommit);
    Definition program = head;
    while (!program.ends(scan_.take())) continue;
    if (program.unbalanced()) effect(Effect::InDoubt);
    return;
  }
  if (!head.temporary()) effect(Effect::ImplicitCommit);
  if (head.object() == Object::Table && which == Verb::Alter) effect(Effect::AltersTable);
  if (!head.temporary() || head.object() == Object::Other) return;
  effect(Effect::CreatesTemporaryTable);
  Token token = scan_.take();
  while (token.is("IF") || token.is("NOT") || token.is("EXISTS")) token = scan_.take();
  take_name(token);
}

void Classifier::drop() {
  Token token = scan_.take();
  if (token.is("PREPARE")) return prepared_name(Verb::Deallocate, Effect::Deallocates);
  verb(Verb::Drop);
  primary(Reason::Definition);
  scan_.evaluates_nothing();
  const bool temporary = token.is("TEMPORARY");
  if (temporary) token = scan_.take();
  if (!temporary) effect(Effect::ImplicitCommit);
  if (token.is("TABLE") || token.is("TABLES") || token.is("SEQUENCE"))
    return effect(Effect::DropsTable);
  if (!token.is("DATABASE") && !token.is("SCHEMA")) return scan_.observe(token);
  effect(Effect::DropsDatabase);
  token = scan_.take();
  while (token.is("IF") || token.is("EXISTS")) token = scan_.take();
  take_name(token);
}

void Classifier::rename() {
  definition(Verb::Rename);
  const Token token = scan_.take();
  if (token.is("TABLE") || token.is("TABLES")) effect(Effect::AltersTable);
}

void Classifier::definition(Verb which) {
  verb(which);
  primary(Reason::Definition);
  effect(Effect::ImplicitCommit);
  scan_.evaluates_nothing();
}

}  // namespace sluice::sql
