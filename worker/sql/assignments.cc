#include "worker/sql/assignments.h"

#include "worker/sql/characters.h"
#include "worker/sql/program.h"

namespace sluice::sql {
namespace {

using Kind = Token::Kind;
using Scope = Assignment::Scope;

constexpr std::string_view kTransactionVariables[] = {"TRANSACTION_ISOLATION", "TX_ISOLATION",
                                                      "TRANSACTION_READ_ONLY", "TX_READ_ONLY"};

struct ScopeWord {
  std::string_view word;
  Scope scope;
};
constexpr ScopeWord kScopes[] = {{"SESSION", Scope::Session},
                                 {"LOCAL", Scope::Session},
                                 {"GLOBAL", Scope::Global},
                                 {"PERSIST", Scope::Persist},
                                 {"PERSIST_ONLY", Scope::PersistOnly}};

bool is_transaction_variable(std::string_view name) {
  for (const auto variable : kTransactionVariables)
    if (equal_ignoring_case(name, variable)) return true;
  return false;
}

/// The tokens of a value, one after the other, and whether together they are constant.
class Constant {
 public:
  void add(const Token& token) {
    ++count_;
    const bool sign = token.symbol('-') || token.symbol('+');
    if (count_ == 1 && sign) {
      signed_ = true;
    } else if (literals_ == 0 && (token.kind == Kind::Number || token.kind == Kind::String ||
                                  (count_ == 1 && is_word(token)))) {
      ++literals_;
      number_ = token.kind == Kind::Number;
    } else {
      broken_ = true;
    }
  }
  bool holds() const { return !broken_ && literals_ == 1 && (!signed_ || number_); }

 private:
  static bool is_word(const Token& token) {
    return token.kind == Kind::Word && !token.is("DEFAULT");
  }

  int count_ = 0, literals_ = 0;
  bool signed_ = false, number_ = false, broken_ = false;
};

}  // namespace

bool Assignments::take_word(std::string_view upper) {
  if (!token_.is(upper)) return false;
  take();
  return true;
}

std::optional<Assignment> Assignments::next() {
  if (!within_ && !find_set()) return std::nullopt;
  Assignment found = item();
  within_ = token_.symbol(',');
  if (within_)
    take();
  else
    skip_statement();
  return found;
}

/// To the first token behind the next SET that is a statement.
bool Assignments::find_set() {
  while (token_.kind != Kind::End) {
    while (token_.symbol('(')) take();
    const Token first = token_;
    const WordEntry* entry = first.kind == Kind::Word ? find_word(first.text) : nullptr;
    const Word word = entry != nullptr ? entry->word : Word::Other;
    if (begins_block(first, word, lexer_)) return false;
    if (word == Word::Create || word == Word::Alter) {
      skip_definition();
      continue;
    }
    if (!first.ends()) take();
    if (word == Word::Begin && !token_.ends() && !token_.is("WORK")) return false;
    if (word == Word::Set && !token_.is("STATEMENT")) return !token_.ends();
    if (word == Word::Set && skip_to_for()) continue;
    skip_statement();
  }
  return false;
}

void Assignments::skip_definition() {
  Definition definition;
  while (!definition.ends(token_)) take();
  skip_statement();
}

/// Behind the semicolon, if there is one.
void Assignments::skip_statement() {
  while (!token_.ends()) take();
  if (token_.kind == Kind::Semicolon) take();
}

/// From SET STATEMENT behind its FOR, where another statement begins.
bool Assignments::skip_to_for() {
  for (int depth = 0; !token_.ends(); take()) {
    depth += token_.symbol('(') ? 1 : token_.symbol(')') ? -1 : 0;
    if (depth == 0 && take_word("FOR")) return true;
  }
  return false;
}

Assignment Assignments::item() {
  Assignment item;
  if (token_.kind == Kind::UserVariable) {
    item.kind = Assignment::Kind::UserVariable;
    item.name = token_.name();
    take();
    value(item, false);
    return item;
  }
  if (token_.kind == Kind::SystemVariable) {
    system_variable(item);
    return item;
  }
  bool scoped = false;
  for (const auto& [word, scope] : kScopes) {
    if (scoped || !token_.is(word)) continue;
    take();
    item.scope = scope;
    scoped = true;
  }
  if (token_.is("TRANSACTION") && !lexer_.at('=')) {
    item.kind = Assignment::Kind::Transaction;
    if (!scoped) item.scope = Scope::Next;
    take();
    value(item, true);
  } else if (scoped && take_word("AUTHORIZATION")) {
    item.kind = Assignment::Kind::User;
    value(item, true);
  } else if (scoped || !special(item)) {
    variable(item);
  }
  return item;
}

/// SET NAMES and others that are not followed by a sign of equality.
bool Assignments::special(Assignment& item) {
  using Kind = Assignment::Kind;
  if (lexer_.at('=') || lexer_.at_assign()) {
    if (!token_.is("PASSWORD")) return false;
    item.kind = Kind::Password;
    take();
    value(item, false);
    return true;
  }
  if (take_word("NAMES")) {
    item.kind = Kind::Names;
    names(item);
    return true;
  }
  if (token_.is("CHARACTER") || token_.is("CHARSET") || token_.is("CHAR")) {
    item.kind = Kind::CharacterSet;
    take();
    take_word("SET");
  } else if (take_word("ROLE")) {
    item.kind = Kind::Role;
  } else if (token_.is("DEFAULT")) {
    item.kind = Kind::DefaultRole;
    take();
  } else if (take_word("PASSWORD")) {
    item.kind = Kind::Password;
  } else {
    return false;
  }
  value(item, item.kind != Kind::CharacterSet);
  return true;
}

void Assignments::names(Assignment& item) {
  item.value = token_.ends() ? std::string_view() : token_.text;
  item.constant = (token_.kind == Kind::Word && !token_.is("DEFAULT")) ||
                  token_.kind == Kind::String || token_.kind == Kind::Quoted;
  if (token_.ends()) return;
  take();
  if (!take_word("COLLATE")) return;
  item.collation = token_.text;
  item.constant = item.constant && !token_.is("DEFAULT");
  if (!token_.ends()) take();
}

/// A name without @@, perhaps a structured one (hot_cache.key_buffer_size).
void Assignments::variable(Assignment& item) {
  if (!token_.identifier()) return value(item, false);
  item.kind = Assignment::Kind::SystemVariable;
  item.name = token_.name();
  take();
  while (token_.symbol('.')) {
    take();
    item.name = token_.name();
    take();
  }
  value(item, false);
}

void Assignments::system_variable(Assignment& item) {
  item.kind = Assignment::Kind::SystemVariable;
  auto text = token_.text.substr(2);
  bool scoped = false;
  for (const auto& [word, scope] : kScopes) {
    const auto dot = text.find('.');
    if (scoped || dot == text.npos || !equal_ignoring_case(text.substr(0, dot), word)) continue;
    item.scope = scope;
    text.remove_prefix(dot + 1);
    scoped = true;
  }
  const bool quoted = text.size() >= 2 && text.front() == '`' && text.back() == '`';
  item.name = quoted ? Name{text.substr(1, text.size() - 2), '`'} : Name{text, 0};
  take();
  if (!scoped && is_transaction_variable(item.name.text)) item.scope = Scope::Next;
  item.untold = !scoped && item.scope == Scope::Session;
  if (!token_.symbol('=') && token_.kind != Kind::Assign) item.kind = Assignment::Kind::Other;
  value(item, false);
}

/// The sign of equality and what stands to its right, up to a comma or to the statement's end.
void Assignments::value(Assignment& item, bool to_end) {
  if (token_.symbol('=') || token_.kind == Kind::Assign)
    take();
  else if (!to_end && item.kind != Assignment::Kind::CharacterSet)
    item.kind = Assignment::Kind::Other;
  const char* from = token_.text.data();
  const char* to = from;
  Constant constant;
  for (int depth = 0; !token_.ends(); take()) {
    if (!to_end && depth == 0 && token_.symbol(',')) break;
    depth += token_.symbol('(') ? 1 : token_.symbol(')') ? -1 : 0;
    constant.add(token_);
    to = token_.text.data() + token_.text.size();
  }
  if (from != nullptr) item.value = {from, static_cast<std::size_t>(to - from)};
  item.constant = constant.holds();
}

std::vector<std::string> variables_for_statement(std::string_view text, const Mode& mode) {
  Lexer lexer(text, mode);
  std::vector<std::string> names;
  if (!lexer.next().is("SET") || !lexer.next().is("STATEMENT")) return names;
  bool name_next = true;
  int depth = 0;
  for (Token token = lexer.next(); !token.ends(); token = lexer.next()) {
    if (depth == 0 && !name_next && token.is("FOR")) break;
    depth += token.symbol('(') ? 1 : token.symbol(')') ? -1 : 0;
    if (name_next) names.push_back(in_small_letters(token.name().value()));
    name_next = depth == 0 && token.symbol(',');
  }
  return names;
}

std::optional<Name> UserVariables::next() {
  for (Token token = lexer_.next(); token.kind != Kind::End; token = lexer_.next())
    if (token.kind == Kind::UserVariable) return token.name();
  return std::nullopt;
}

}  // namespace sluice::sql
