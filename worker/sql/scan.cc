#include "worker/sql/scan.h"

#include "worker/sql/characters.h"
#include "worker/sql/classify.h"

namespace sluice::sql {
namespace {

using Kind = Token::Kind;

constexpr uint64_t kEveryIdentifier = ~uint64_t{0};

/// The name at the end of @@scope.name, without quotes.
std::string_view variable_name(std::string_view text) {
  text = text.substr(text.find_last_of(".@") + 1);
  if (text.size() >= 2 && text.front() == '`' && text.back() == '`')
    text = text.substr(1, text.size() - 2);
  return text;
}

}  // namespace

void Scan::begin_statement() {
  word_before_ = Word::Other;
  into_ = keep_into_ = assigns_ = item_next_ = false;
  assign_depth_ = 0;
  evaluates_ = true;
  with_ = {};
}

const Token& Scan::take() {
  lexer_.read(last_);
  if (last_.identifier()) mention(last_);
  return last_;
}

void Scan::mention(const Token& token) {
  if (token.kind != Kind::Quoted) {
    out_.mentioned |= token.folded.ascii ? mention_bits(token.folded.hash) : kEveryIdentifier;
    return;
  }
  const auto name = token.name();
  const bool plain = token.folded.ascii && name.text.find(name.quote) == std::string_view::npos;
  out_.mentioned |= plain ? mention_bits(fold(name.text).hash) : kEveryIdentifier;
}

void Scan::primary(Reason reason, std::size_t at) {
  if (out_.need == Need::Primary) return;
  out_.need = Need::Primary;
  out_.reason = reason;
  out_.decided_at = static_cast<uint32_t>(at);
}

void Scan::rest() {
  while (!ended()) {
    if (!with_.active && !assigns_) lexer_.skip_plain();
    observe(take());
  }
}

void Scan::observe(const Token& token) {
  if (!with_.active && !into_ && !assigns_) return observe_plain(token);
  if (with_.active && observe_with(token)) return;
  if (into_ && !keep_into_ && token.kind != Kind::UserVariable && !token.symbol(',')) into_ = false;
  observe_plain(token);
  if (!assigns_) return;
  assign_depth_ += token.symbol('(') ? 1 : token.symbol(')') ? -1 : 0;
  item_next_ = assign_depth_ == 0 && token.symbol(',');
}

void Scan::observe_plain(const Token& token) {
  if (token.kind == Kind::Word) return observe_word(token);
  word_before_ = Word::Other;
  switch (token.kind) {
    case Kind::Name:
      return observe_name(token);
    case Kind::Quoted:
      return observe_quoted(token);
    case Kind::UserVariable:
      return observe_user_variable(token);
    case Kind::SystemVariable:
      return observe_system_variable(token);
    default:
      return;
  }
}

void Scan::observe_word(const Token& token) {
  if (token.before == '.') return observe_name(token);
  const WordEntry* entry = find_word(token.text, token.folded);
  const Call call = entry != nullptr ? entry->call_on(mode_.flavour) : Call::Unknown;
  if (call != Call::None && lexer_.at('('))
    observe_call(token, call);
  else if (entry != nullptr && entry->word != Word::Other)
    observe_keyword(token, entry->word);
  word_before_ = entry != nullptr ? entry->word : Word::Other;
}

void Scan::observe_keyword(const Token& token, Word word) {
  switch (word) {
    case Word::Select:
      evaluates_ = true;
      break;
    case Word::Into:
      primary(lexer_.at('@') ? Reason::VariableWritten : Reason::Into, token.at);
      into_ = true;
      break;
    case Word::Lock:
      primary(Reason::LockingRead, token.at);
      break;
    case Word::Share:
      if (word_before_ == Word::For) primary(Reason::LockingRead, token.at);
      break;
    case Word::Update:
      primary(word_before_ == Word::For ? Reason::LockingRead : Reason::Write, token.at);
      break;
    case Word::Insert:
    case Word::Replace:
    case Word::Delete:
      primary(Reason::Write, token.at);
      break;
    case Word::Procedure:
      primary(Reason::Call, token.at);
      break;
    case Word::Value:
      if (word_before_ == Word::Next) primary(Reason::Sequence, token.at);
      break;
    case Word::SqlCalcFoundRows:
      effect(Effect::CountsFoundRows);
      break;
    case Word::ServerSchema:
      if (lexer_.at('.')) primary(Reason::ServerSchema, token.at);
      break;
    case Word::With:
      if (token.before == '(') begin_with();
      break;
    default:
      break;
  }
}

void Scan::observe_name(const Token& token) {
  const WordEntry* entry = find_word(token.text, token.folded);
  // In Oracle mode, s.nextval. A column may be so called too.
  if (entry != nullptr && entry->word == Word::Nextval) primary(Reason::Sequence, token.at);
  if (lexer_.at('(')) unknown_function(token);
}

void Scan::observe_quoted(const Token& token) {
  if (lexer_.at('(')) unknown_function(token);
  if (lexer_.at('.') && is_server_schema(token.name().text))
    primary(Reason::ServerSchema, token.at);
}

void Scan::observe_user_variable(const Token& token) {
  if (item_next_) return;
  if (lexer_.at_assign() || into_) {
    primary(Reason::VariableWritten, token.at);
    effect(Effect::WritesUserVariable);
    return;
  }
  if (!evaluates_) return;  // the host of an account
  effect(Effect::ReadsUserVariable);
  ++out_.user_variables_read;
}

void Scan::observe_system_variable(const Token& token) {
  const auto name = variable_name(token.text);
  if (equal_ignoring_case(name, "WARNING_COUNT") || equal_ignoring_case(name, "ERROR_COUNT")) {
    primary(Reason::Diagnostics, token.at);
    effect(Effect::ReadsDiagnostics);
  } else if (equal_ignoring_case(name, "IDENTITY") || equal_ignoring_case(name, "LAST_INSERT_ID")) {
    primary(Reason::InsertId, token.at);
  }
  primary(Reason::SystemVariable, token.at);
}

void Scan::observe_call(const Token& token, Call call) {
  switch (call) {
    case Call::None:
    case Call::Pure:
      return;
    case Call::Adjacent:
      if (lexer_.adjacent()) return;
      if (mode_.ignore_space && lexer_.only_blanks_behind(token)) return;  // comments do count
      return unknown_function(token);
    case Call::Operator:
      if (token.before == ')') return;
      return unknown_function(token);
    case Call::Unknown:
      return unknown_function(token);
    case Call::InsertId:
      primary(Reason::InsertId, token.at);
      take();  // the parenthesis
      if (!lexer_.at(')')) effect(Effect::WritesInsertId);
      return;
    case Call::Diagnostics:
      effect(Effect::ReadsDiagnostics);
      return primary(Reason::Diagnostics, token.at);
    case Call::TakesNamedLock:
      effect(Effect::TakesNamedLock);
      return primary(Reason::NamedLock, token.at);
    case Call::ReleasesNamedLock:
      effect(Effect::ReleasesNamedLock);
      return primary(Reason::NamedLock, token.at);
    case Call::AsksNamedLock:
      return primary(Reason::NamedLock, token.at);
    case Call::Sequence:
      return primary(Reason::Sequence, token.at);
    case Call::Server:
      return primary(Reason::ServerFunction, token.at);
  }
}

void Scan::unknown_function(const Token& token) {
  if (evaluates_) effect(Effect::CallsUnknownFunction);
  primary(Reason::UnknownFunction, token.at);
}

void Scan::begin_with() {
  if (!with_.active) with_ = {true, true, 0};
}

/// Whether the token is the name of a common table expression.
bool Scan::observe_with(const Token& token) {
  if (token.symbol('(')) {
    if (with_.depth == 0 && token.before == ')') with_.active = false;  // WITH ... (SELECT
    ++with_.depth;
  } else if (token.symbol(')')) {
    if (--with_.depth < 0) with_.active = false;
  } else if (with_.depth == 0 && token.symbol(',')) {
    with_.name_next = true;
  } else if (with_.depth == 0 && token.identifier()) {
    const WordEntry* entry =
        token.kind == Kind::Word ? find_word(token.text, token.folded) : nullptr;
    const Word word = entry != nullptr ? entry->word : Word::Other;
    if (with_.name_next && word == Word::Recursive) return true;
    if (with_.name_next) {
      with_.name_next = false;
      return true;
    }
    with_.active = !(word == Word::Select || word == Word::Values || word == Word::Table ||
                     word == Word::Insert || word == Word::Replace || word == Word::Update ||
                     word == Word::Delete);
  }
  return false;
}

}  // namespace sluice::sql
