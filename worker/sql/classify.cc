#include "worker/sql/classify.h"

#include "worker/sql/characters.h"
#include "worker/sql/classifier.h"
#include "worker/sql/program.h"

namespace sluice::sql {
namespace {

using Kind = Token::Kind;

/// Of a text longer than kLongestRead, what is looked at.
constexpr std::size_t kBeginning = 4096;

Statement refused(Reason reason) {
  Statement statement;
  statement.reason = reason;
  statement.effects = Effect::InDoubt | Effect::NotReadToEnd;
  statement.mentioned = ~uint64_t{0};
  return statement;
}

bool same_name(const Name& found, std::string_view name) {
  if (found.text.find(found.quote) == std::string_view::npos || found.quote == 0)
    return equal_ignoring_case(found.text, name);
  return equal_ignoring_case(found.value(), name);
}

}  // namespace

Statement Classifier::run() {
  while (one_statement()) continue;
  Statement& out = scan_.out();
  if (out.statements == 0) scan_.primary(Reason::Empty, 0);
  const Doubt& doubt = scan_.lexer().doubt();
  if (doubt.reason != Reason::Read) {
    scan_.primary(doubt.reason, doubt.at);
    if (doubt.borders) effect(Effect::InDoubt);
  }
  out.hint = scan_.lexer().hint();
  return out;
}

/// Whether another one may follow.
bool Classifier::one_statement() {
  scan_.begin_statement();
  from_ = scan_.lexer().offset();
  Token token = scan_.take();
  while (token.symbol('(')) token = scan_.take();
  first_ = token.at;
  if (token.kind == Kind::End && token.before == 0) return false;
  if (token.ends()) {
    primary(token.before == 0 ? Reason::Empty : Reason::NotUnderstood);
  } else if (scan_.out().statements > 0 && !scan_.mode().multi_statements) {
    primary(Reason::SeveralStatements);
    return false;
  } else {
    ++scan_.out().statements;
    head(token);
    scan_.rest();
  }
  return scan_.last().kind == Kind::Semicolon;
}

void Classifier::head(const Token& first) {
  const WordEntry* entry = first.kind == Kind::Word ? find_word(first.text) : nullptr;
  const Word word = entry != nullptr ? entry->word : Word::Other;
  if (begins_block(first, word, scan_.lexer())) return block();
  head_of_data(word);
}

void Classifier::head_of_data(Word word) {
  switch (word) {
    case Word::Select:
      return read(Verb::Select);
    case Word::With:
      scan_.begin_with();
      return read(Verb::With);
    case Word::Values:
      return read(Verb::Values);
    case Word::Table:
      return table();
    case Word::Insert:
      return insert(Verb::Insert);
    case Word::Replace:
      return insert(Verb::Replace);
    case Word::Update:
      return write(Verb::Update);
    case Word::Delete:
      return write(Verb::Delete);
    case Word::Load:
      return load();
    case Word::Create:
      return create_or_alter(Verb::Create);
    case Word::Alter:
      return create_or_alter(Verb::Alter);
    case Word::Drop:
      return drop();
    case Word::Rename:
      return rename();
    case Word::Truncate:
      return definition(Verb::Truncate);
    case Word::Grant:
      return definition(Verb::Grant);
    case Word::Revoke:
      return definition(Verb::Revoke);
    default:
      return head_of_session(word);
  }
}

void Classifier::head_of_session(Word word) {
  switch (word) {
    case Word::Set:
      return set();
    case Word::Use:
      return use();
    case Word::Begin:
      return begin();
    case Word::Start:
      return start();
    case Word::Commit:
      return commit();
    case Word::Rollback:
      return rollback();
    case Word::Release:
      return release();
    case Word::Savepoint:
      return savepoint(scan_.take());
    case Word::Xa:
      effect(Effect::Xa);
      return administration(Verb::Xa, Reason::Xa);
    case Word::Prepare:
      return prepare();
    case Word::Execute:
      return execute();
    case Word::Deallocate:
      scan_.take();  // PREPARE
      return prepared_name(Verb::Deallocate, Effect::Deallocates);
    case Word::Call:
      effect(Effect::RunsProgram);
      return administration(Verb::Call, Reason::Call);
    case Word::Do:
      return administration(Verb::Do, Reason::Do);
    default:
      return head_of_server(word);
  }
}

void Classifier::head_of_server(Word word) {
  switch (word) {
    case Word::Show:
      return show();
    case Word::Explain:
    case Word::Describe:
      return administration(Verb::Explain, Reason::Explain);
    case Word::Analyze:
      return analyze();
    case Word::Help:
      return administration(Verb::Help, Reason::Show);
    case Word::Get:
    case Word::Signal:
    case Word::Resignal:
      return diagnostics();
    case Word::Handler:
      return handler();
    case Word::Lock:
      return lock();
    case Word::Unlock:
      effect(Effect::UnlocksTables | Effect::ImplicitCommit);
      return administration(this->word().is("INSTANCE") ? Verb::Administration : Verb::Unlock,
                            Reason::TableLock);
    case Word::Flush:
      return flush();
    case Word::Backup:
      return backup();
    case Word::Kill:
      return kill();
    case Word::Administration:
      effect(Effect::ImplicitCommit);
      return administration(Verb::Administration, Reason::Administration);
    default:
      return not_understood();
  }
}

/// Its semicolons are its own, and what it does to the session can't be told: it goes to the end.
void Classifier::block() {
  verb(Verb::Compound);
  primary(Reason::Compound);
  effect(Effect::RunsProgram);
  while (scan_.last().kind != Kind::End) {
    scan_.begin_statement();
    scan_.observe(scan_.take());
    scan_.rest();
  }
}

void Classifier::not_understood() {
  primary(Reason::NotUnderstood);
  effect(Effect::InDoubt);
}

void Classifier::verb(Verb verb) {
  if (scan_.out().statements == 1 && scan_.out().verb == Verb::None) scan_.out().verb = verb;
}

Token Classifier::word() {
  const Token token = scan_.take();
  scan_.observe(token);
  return token;
}

void Classifier::take_name(const Token& token) {
  if (!token.identifier()) return scan_.observe(token);
  Statement& out = scan_.out();
  out.name = token.name();
  out.database = {};
  if (!scan_.lexer().at('.')) return;
  scan_.take();
  const Token second = scan_.take();
  if (!second.identifier()) return;
  out.database = out.name;
  out.name = second.name();
}

Statement classify(std::string_view text, const Mode& mode) {
  if (mode.charset == Charset::Unknown) return refused(Reason::CharacterSet);
  if (text.size() <= kLongestRead) return Classifier(text, mode).run();
  Statement statement = Classifier(text.substr(0, kBeginning), mode).run();
  statement.need = Need::Primary;
  statement.reason = Reason::TooLong;
  // That the beginning ends within a string is no doubt about it.
  statement.effects = statement.effects.without(Effect::InDoubt) | Effect::NotReadToEnd;
  statement.mentioned = ~uint64_t{0};
  return statement;
}

uint64_t identifier_bits(std::string_view name) {
  const FoldedWord folded = fold(name);
  return folded.ascii ? mention_bits(folded.hash) : 1;
}

bool mentions(std::string_view text, const Mode& mode, std::string_view name) {
  Lexer lexer(text, mode);
  const bool ascii = is_ascii(name);
  for (Token token = lexer.next(); token.kind != Kind::End; token = lexer.next()) {
    if (!token.identifier()) continue;
    const Name found = token.name();
    if (same_name(found, name) || (!ascii && !is_ascii(found.text))) return true;
  }
  return lexer.doubt().borders;
}

bool is_server_schema(std::string_view database) {
  const WordEntry* entry = find_word(database);
  return entry != nullptr && entry->word == Word::ServerSchema;
}

}  // namespace sluice::sql
