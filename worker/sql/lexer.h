// Text into tokens, by the rules of the servers' own lexer where borders depend on them: quotes,
// comments, executable comments, numbers that run into words, multi-byte characters.
// Source: MariaDB sql/sql_lex.cc, Lex_input_stream::lex_one_token().
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "worker/sql/characters.h"
#include "worker/sql/mode.h"
#include "worker/sql/statement.h"

namespace sluice::sql {

struct Token {
  enum class Kind : uint8_t {
    End,
    Word,            ///< an identifier without quotes, or a keyword
    Name,            ///< the same right behind a dot: never a keyword
    Quoted,          ///< an identifier in its quotes
    String,          ///< with its quotes, and N, x or b in front
    Number,          ///< without a sign
    UserVariable,    ///< with its @
    SystemVariable,  ///< with its @@, and all of @@global.name
    Assign,          ///< :=
    Semicolon,
    Symbol,  ///< any other single byte
  };
  Kind kind = Kind::End;
  /// The symbol before; 0 at the start of a statement, 'a' behind anything else.
  char before = 0;
  std::size_t at = 0;  ///< offset in the text
  std::string_view text;
  FoldedWord folded;  ///< of a Word, Name or Quoted (with its quotes); else left as it was

  bool symbol(char c) const { return kind == Kind::Symbol && text.front() == c; }
  bool ends() const { return kind == Kind::End || kind == Kind::Semicolon; }
  bool identifier() const {
    return kind == Kind::Word || kind == Kind::Name || kind == Kind::Quoted;
  }
  /// A word without quotes, compared without regard to case; `upper` is in capitals.
  bool is(std::string_view upper) const;
  /// Of an identifier, a user variable, or a string that stands for a name.
  Name name() const;
};

/// What makes the reading of a text uncertain.
struct Doubt {
  Reason reason = Reason::Read;  ///< Read: none
  std::size_t at = 0;
  bool borders = false;  ///< of tokens, so that anything may hide in the text
};

class Lexer {
 public:
  Lexer(std::string_view text, const Mode& mode);

  Token next() {
    Token token;
    read(token);
    return token;
  }
  /// The same, into a token that is there already.
  void read(Token& token);
  /// Passes over blanks, numbers and punctuation that say nothing by themselves. What next() then
  /// gives is what it would have given later anyway, with the same `before`.
  void skip_plain() {
    if (left() < 2) return;
    // Most often a word follows after one blank.
    const bool blank = byte_class(*at_) == Byte::Blank;
    if (kPlainSymbol[static_cast<unsigned char>(blank ? at_[1] : *at_)]) skip_all_plain();
  }
  /// Passes over blanks and comments. Whether `c` comes next.
  bool at(char c) {
    if (dot_next_) return c == '.';
    skip_blanks();
    return at_ != end_ && *at_ == c;
  }
  /// The same for ":=".
  bool at_assign();
  /// No blanks and comments were passed since the last token.
  bool adjacent() const { return !blank_; }
  /// Only blanks stand between the token and what comes next, or nothing.
  bool only_blanks_behind(const Token& token) const;

  std::size_t offset() const { return static_cast<std::size_t>(at_ - begin_); }
  const Doubt& doubt() const { return doubt_; }
  /// The first hint so far.
  const Hint& hint() const { return hint_; }

 private:
  std::size_t left() const { return static_cast<std::size_t>(end_ - at_); }
  /// The byte `n` ahead; 0 behind the end.
  unsigned char peek(std::size_t n) const {
    return n < left() ? static_cast<unsigned char>(at_[n]) : 0;
  }
  void be_in_doubt(Reason reason, const char* where, bool borders = true);

  /// A token without what stands around it: where it ends.
  struct Found {
    Token::Kind kind;
    const char* to;
  };

  void skip_blanks() {
    if (at_ != end_ && *at_ == ' ') {
      ++at_;
      blank_ = true;
    }
    if (at_ != end_ && kBlankStart[static_cast<unsigned char>(*at_)]) skip_all_blanks();
  }
  void skip_all_blanks();
  void skip_all_plain();
  void line_comment();
  void block_comment();
  void plain_comment();
  void optimizer_hint();
  void executable_comment(bool maria);
  void skip_executable(const char* body, int nesting);

  bool plain_word(Token& token);
  FoldedWord folded(std::string_view word) const;
  Found find();
  Found odd();
  Found word(Token::Kind kind, const char* to);
  Found number();
  Found real(const char* dot);
  Found dot();
  Found variable();
  Found prefixed();

  const char* word_end(const char* from);
  const char* string_end(const char* from, char quote);
  const char* string_end_multibyte(const char* from, char quote);
  const char* quoted_end(const char* from, char quote);
  const char* variable_end(const char* from);
  std::size_t character(const char* at) const;

  const char* begin_;
  const char* at_;
  const char* end_;
  const char* plain_from_;  ///< skip_plain() does nothing before this
  Mode mode_;
  bool multibyte_;  ///< a character's second byte may be ASCII
  bool in_code_ = false;
  bool blank_ = false;
  bool dot_next_ = false;   ///< the dot at at_ joins two names
  bool name_next_ = false;  ///< what is at at_ is a name, behind such a dot
  char last_ = 0;
  Doubt doubt_;
  Hint hint_;
};

}  // namespace sluice::sql
