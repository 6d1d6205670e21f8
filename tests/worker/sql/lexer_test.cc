/// The lexer's borders, against a lexer without tricks, and properties of the whole.
#include "worker/sql/lexer.h"

#include <gtest/gtest.h>

#include <memory>

#include "tests/support/random.h"
#include "tests/worker/sql/cases.h"
#include "tests/worker/sql/naive_lexer.h"
#include "tests/worker/sql/texts.h"
#include "worker/sql/assignments.h"

namespace sluice::sql {
namespace {

using Kind = Token::Kind;

std::vector<Mode> modes() {
  std::vector<Mode> all;
  for (const auto charset : {Charset::Utf8, Charset::SingleByte, Charset::Gbk, Charset::Gb18030,
                             Charset::Big5, Charset::Sjis})
    for (const bool ansi : {false, true})
      for (const bool no_escapes : {false, true})
        for (const auto flavour : {Flavour::Mariadb, Flavour::Mysql})
          all.push_back({.no_backslash_escapes = no_escapes,
                         .ansi_quotes = ansi,
                         .multi_statements = true,
                         .charset = charset,
                         .flavour = flavour,
                         .version = flavour == Flavour::Mariadb ? 101119u : 80042u});
  return all;
}

std::vector<NaiveToken> tokens(std::string_view text, const Mode& mode) {
  std::vector<NaiveToken> all;
  Lexer lexer(text, mode);
  for (;;) {
    const Token token = lexer.next();
    all.push_back({token.kind, token.at, token.at + token.text.size()});
    if (token.kind == Kind::End) return all;
  }
}

/// What skip_plain() leaves out is nothing that says something.
bool tells(Kind kind, std::string_view text) {
  return kind != Kind::Number && !(kind == Kind::Symbol && kPlain[static_cast<uint8_t>(text[0])]);
}

TEST(Lexer, AgreesWithALexerWithoutTricks) {
  test::Random random(test::from_environment("SLUICE_SEED", 1));
  const auto all_modes = modes();
  for (int i = 0; i < 60000; ++i) {
    const auto text = random_text(random);
    const Mode& mode = random.any_of(all_modes);
    const auto expected = NaiveLexer(text, mode).all();
    ASSERT_TRUE(tokens(text, mode) == expected) << testing::PrintToString(text);
  }
}

TEST(Lexer, SkippingPlainTextHidesNothing) {
  test::Random random(test::from_environment("SLUICE_SEED", 2));
  const auto all_modes = modes();
  for (int i = 0; i < 60000; ++i) {
    const auto text = random_text(random);
    const Mode& mode = random.any_of(all_modes);
    std::vector<std::tuple<Kind, std::size_t, char>> slow, fast;
    Lexer one(text, mode), other(text, mode);
    Token token;
    do {
      token = one.next();
      if (token.kind == Kind::End || tells(token.kind, token.text))
        slow.emplace_back(token.kind, token.at, token.before);
    } while (token.kind != Kind::End);
    do {
      other.skip_plain();
      token = other.next();
      if (token.kind == Kind::End || tells(token.kind, token.text))
        fast.emplace_back(token.kind, token.at, token.before);
    } while (token.kind != Kind::End);
    ASSERT_EQ(slow, fast) << testing::PrintToString(text);
  }
}

/// In memory that ends where the text ends, so that a look beyond it is seen by the sanitizer.
TEST(Lexer, EveryPrefixIsReadWithinItsBounds) {
  for (const auto text : kStatements) {
    for (std::size_t size = 0; size <= text.size(); ++size) {
      const auto copy = std::make_unique<char[]>(size);
      std::copy_n(text.data(), size, copy.get());
      for (const auto& mode : modes()) classify({copy.get(), size}, mode);
    }
  }
}

/// Neither deep in the stack nor slow: a thousand times slower than it is would be seen here.
TEST(Lexer, LongRepetitionsAreRead) {
  for (const auto part : {"(",         "SET STATEMENT a=1 FOR ",
                          "BEGIN ",    "CASE ",
                          "SET @a=1;", "WITH x AS (",
                          "x:",        "/*!",
                          "/*!50000 ", "/*!99999 /*",
                          "'",         "`",
                          "1.",        "1 . ",
                          "@a:=",      "CREATE PROCEDURE ",
                          "IF ",       "EXPLAIN ",
                          "END ",      ";",
                          "SELECT f(", "-- \n",
                          "KILL ",     "PREPARE x FROM ",
                          "a.",        "EXECUTE "}) {
    std::string text;
    while (text.size() + std::string_view(part).size() <= kLongestRead / 4) text += part;
    for (const auto& mode : {kMulti, kMysql}) {
      EXPECT_LE(classify(text, mode).decided_at, text.size()) << part;
      Assignments items(text, mode);
      while (items.next()) continue;
    }
  }
}

TEST(Lexer, BlanksAndCommentsBetweenTokensChangeNothing) {
  test::Random random(test::from_environment("SLUICE_SEED", 3));
  const std::vector<std::string> blanks = {" ",          "\n",    "\t \r\n",  "/**/",
                                           "/* a 'b */", "# c\n", "-- d ;\n", "/*!99998 e */"};
  for (const auto text : kStatements) {
    const auto plain = classify(text, kMulti);
    if (plain.effects.has(Effect::InDoubt)) continue;
    for (int round = 0; round < 20; ++round) {
      std::string wide;
      Lexer lexer(text, kMulti);
      std::size_t behind = 0;
      for (Token token = lexer.next();; token = lexer.next()) {
        wide += text.substr(behind, token.at - behind);
        // Where there are some already: elsewhere they may change something, as before "(".
        const bool may = token.kind == Kind::Word && (token.at > behind || token.before == 0);
        if (may) wide += random.any_of(blanks);
        wide += token.text;
        behind = token.at + token.text.size();
        if (token.kind == Kind::End) break;
      }
      EXPECT_EQ(said(wide, kMulti), said(plain)) << wide;
      EXPECT_EQ(classify(wide, kMulti).mentioned, plain.mentioned) << wide;
    }
  }
}

TEST(Lexer, CaseOfWordsChangesNothing) {
  for (const auto text : kStatements) {
    std::string upper, lower;
    Lexer lexer(text, kMulti);
    std::size_t behind = 0;
    for (Token token = lexer.next();; token = lexer.next()) {
      for (auto* out : {&upper, &lower}) *out += text.substr(behind, token.at - behind);
      for (const char c : token.text) {
        const bool word = token.kind == Kind::Word;
        upper += word ? to_upper(c) : c;
        lower += word && c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
      }
      behind = token.at + token.text.size();
      if (token.kind == Kind::End) break;
    }
    EXPECT_EQ(said(upper, kMulti), said(text, kMulti)) << text;
    EXPECT_EQ(said(lower, kMulti), said(text, kMulti)) << text;
  }
}

}  // namespace
}  // namespace sluice::sql
