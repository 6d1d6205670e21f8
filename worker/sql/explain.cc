#include "worker/sql/explain.h"

#include <fmt/format.h>

#include "worker/sql/classify.h"
#include "worker/sql/lexer.h"
#include "worker/sql/words.h"

namespace sluice::sql {
namespace {

constexpr int kMostTokens = 200;
constexpr std::size_t kLongestToken = 60;

std::string_view kind_name(Token::Kind kind) {
  switch (kind) {
    case Token::Kind::End:
      return "end";
    case Token::Kind::Word:
      return "word";
    case Token::Kind::Name:
      return "name";
    case Token::Kind::Quoted:
      return "quoted name";
    case Token::Kind::String:
      return "string";
    case Token::Kind::Number:
      return "number";
    case Token::Kind::UserVariable:
      return "user variable";
    case Token::Kind::SystemVariable:
      return "system variable";
    case Token::Kind::Assign:
    case Token::Kind::Symbol:
      return "symbol";
    case Token::Kind::Semicolon:
      return "end of statement";
  }
  return "";
}

/// What the lexer calls a word may be a keyword or a function that is known.
std::string_view word_kind(const Token& token) {
  const WordEntry* entry =
      token.kind == Token::Kind::Word ? find_word(token.text, token.folded) : nullptr;
  if (entry == nullptr) return kind_name(token.kind);
  return entry->word != Word::Other || entry->call == Call::None ? "keyword" : "known word";
}

std::string printable(std::string_view text) {
  std::string out;
  for (const char c : text.substr(0, kLongestToken)) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte >= 0x7F)
      out += fmt::format("\\x{:02x}", byte);
    else
      out += c;
  }
  if (text.size() > kLongestToken) out += fmt::format("... ({} bytes)", text.size());
  return out;
}

std::string hint_line(const Hint& hint) {
  switch (hint.to) {
    case Hint::To::None:
      return {};
    case Hint::To::Primary:
      return "hint: to the primary\n";
    case Hint::To::Replica:
      return "hint: to a replica\n";
    case Hint::To::Server:
      return fmt::format("hint: to server {}\n", printable(hint.server));
  }
  return {};
}

std::string tokens(std::string_view text, const Mode& mode, const Statement& statement) {
  std::string out;
  Lexer lexer(text.substr(0, kLongestRead), mode);
  for (int count = 0; count < kMostTokens; ++count) {
    const Token token = lexer.next();
    const bool decided = !statement.read() && token.at == statement.decided_at;
    if (token.kind == Token::Kind::End && !decided) return out;
    out += fmt::format("{:>7}  {:<16}  {}{}\n", token.at, word_kind(token), printable(token.text),
                       decided ? fmt::format("   <- {}", enum_name(statement.reason)) : "");
    if (token.kind == Token::Kind::End) return out;
  }
  return out + "    ...\n";
}

}  // namespace

std::string explain(std::string_view text, const Mode& mode) {
  const Statement statement = classify(text, mode);
  std::string out = fmt::format("{}: {}\n", statement.read() ? "any server" : "primary",
                                sentence(statement.reason));
  out += hint_line(statement.hint);
  for (std::size_t i = 0; i < kEnumNames<Effect>.size(); ++i) {
    const auto effect = static_cast<Effect>(i);
    if (statement.effects.has(effect))
      out += fmt::format("effect: {} ({})\n", kEnumNames<Effect>[i], sentence(effect));
  }
  if (mode.charset == Charset::Unknown) return out;
  return out + tokens(text, mode, statement);
}

}  // namespace sluice::sql
