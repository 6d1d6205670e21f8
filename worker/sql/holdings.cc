#include "worker/sql/holdings.h"

#include <algorithm>

#include "worker/sql/characters.h"
#include "worker/sql/lexer.h"

namespace sluice::sql {
namespace {

using Kind = Token::Kind;

/// The tokens of a text that has to be of one form.
class Form {
 public:
  Form(std::string_view text, const Mode& mode) : lexer_(text, mode) { take(); }

  const Token& next() const { return token_; }
  Token take() {
    Token taken = token_;
    token_ = lexer_.next();
    return taken;
  }
  bool word(std::string_view upper) { return token_.is(upper) && (take(), true); }
  bool symbol(char c) { return token_.symbol(c) && (take(), true); }
  /// Nothing follows but a semicolon.
  bool ends() {
    if (token_.kind == Kind::Semicolon) take();
    return token_.kind == Kind::End;
  }

 private:
  Lexer lexer_;
  Token token_;
};

/// [database.]name; empty if it is none.
std::string table(Form& form, std::string_view database) {
  if (!form.next().identifier()) return {};
  const auto first = form.take().name().value();
  if (!form.symbol('.')) return full_name(database, first);
  if (!form.next().identifier()) return {};
  return full_name(first, form.take().name().value());
}

/// [[AS] alias], and no more.
bool ends_with_alias(Form& form) {
  form.word("AS");
  if (form.next().identifier() || form.next().kind == Kind::String) form.take();
  return form.ends();
}

}  // namespace

std::string full_name(std::string_view database, std::string_view name) {
  const auto plain = [](std::string_view part) {
    return !part.empty() &&
           std::ranges::none_of(part, [](char c) { return is_high(c) || c == '.'; });
  };
  if (!plain(database) || !plain(name)) return {};
  return std::string(database) + '.' + std::string(name);
}

std::vector<std::string> dropped_tables(std::string_view text, const Mode& mode,
                                        std::string_view database) {
  Form form(text, mode);
  if (!form.word("DROP")) return {};
  form.word("TEMPORARY");
  if (!form.word("TABLE") && !form.word("TABLES")) return {};  // SEQUENCE spares a table
  if (form.word("IF") && !form.word("EXISTS")) return {};
  std::vector<std::string> names;
  do {
    names.push_back(table(form, database));
    if (names.back().empty()) return {};
  } while (form.symbol(','));
  if (!form.word("RESTRICT")) form.word("CASCADE");
  return form.ends() ? names : std::vector<std::string>();
}

LockCall lock_call(std::string_view text, const Mode& mode) {
  Form form(text, mode);
  if (!form.word("SELECT") && !form.word("DO")) return {};
  LockCall call;
  if (form.word("RELEASE_ALL_LOCKS"))
    call.what = LockCall::What::releases_all;
  else if (form.word("RELEASE_LOCK"))
    call.what = LockCall::What::releases;
  else if (form.word("GET_LOCK"))
    call.what = LockCall::What::takes;
  if (call.what == LockCall::What::none || !form.symbol('(')) return {};
  if (call.what != LockCall::What::releases_all) {
    if (form.next().kind != Kind::String) return {};
    call.name = form.take().text;
  }
  if (call.what == LockCall::What::takes) {
    if (!form.symbol(',')) return {};
    form.symbol('-');
    if (form.take().kind != Kind::Number) return {};
  }
  return form.symbol(')') && ends_with_alias(form) ? call : LockCall{};
}

std::string handler_name(std::string_view text, const Mode& mode) {
  Form form(text, mode);
  if (!form.word("HANDLER") || !form.next().identifier()) return {};
  auto name = form.take().name().value();
  if (!form.word("OPEN") && !form.word("CLOSE")) return {};
  return form.ends() ? name : std::string();
}

}  // namespace sluice::sql
