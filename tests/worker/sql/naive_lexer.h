// The borders of tokens once more, byte by byte and with no thought of speed: what the lexer is
// compared with.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "worker/sql/lexer.h"

namespace sluice::sql {

struct NaiveToken {
  Token::Kind kind = Token::Kind::End;
  std::size_t from = 0, to = 0;

  bool operator==(const NaiveToken&) const = default;
};

class NaiveLexer {
 public:
  NaiveLexer(std::string_view text, const Mode& mode) : text_(text), mode_(mode) {}

  std::vector<NaiveToken> all() {
    std::vector<NaiveToken> tokens;
    for (;;) {
      blanks();
      NaiveToken token;
      token.from = at_;
      token.kind = one();
      token.to = at_;
      tokens.push_back(token);
      if (token.kind == Token::Kind::End) return tokens;
    }
  }

 private:
  using Kind = Token::Kind;

  int byte(std::size_t ahead = 0) const {
    return at_ + ahead < text_.size() ? static_cast<unsigned char>(text_[at_ + ahead]) : -1;
  }
  bool starts(std::string_view what) const { return text_.substr(at_).starts_with(what); }
  static bool digit(int c) { return c >= '0' && c <= '9'; }
  static bool hex(int c) { return digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }
  static bool word(int c) {
    return digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '$' ||
           c >= 0x80;
  }
  static bool blank(int c) { return c == ' ' || (c >= 9 && c <= 13); }

  /// Bytes of the character here.
  std::size_t character() const {
    const int a = byte(), b = byte(1);
    bool pair = false;
    if (mode_.charset == Charset::Gbk || mode_.charset == Charset::Gb18030)
      pair = a >= 0x81 && a <= 0xFE && b >= 0x40 && b <= 0xFE && b != 0x7F;
    if (mode_.charset == Charset::Big5)
      pair = a >= 0xA1 && a <= 0xF9 && ((b >= 0x40 && b <= 0x7E) || (b >= 0xA1 && b <= 0xFE));
    if (mode_.charset == Charset::Sjis)
      pair = ((a >= 0x81 && a <= 0x9F) || (a >= 0xE0 && a <= 0xFC)) && b >= 0x40 && b <= 0xFC &&
             b != 0x7F;
    return pair ? 2 : 1;
  }

  void blanks() {
    for (;;) {
      if (blank(byte())) {
        ++at_;
      } else if (byte() == '#' || (starts("--") && (byte(2) < 0 || byte(2) == ' ' ||
                                                    byte(2) < 0x20 || byte(2) == 0x7F))) {
        while (byte() >= 0 && byte() != '\n') ++at_;
        if (byte() >= 0) ++at_;
      } else if (starts("/*")) {
        comment();
      } else if (code_ && starts("*/")) {
        code_ = false;
        at_ += 2;
      } else {
        return;
      }
    }
  }

  void comment() {
    const bool maria = starts("/*M!");
    if ((maria && mode_.flavour == Flavour::Mariadb) || starts("/*!")) {
      at_ += maria ? 4 : 3;
      std::string digits;
      while (digits.size() < 6 && digit(byte(digits.size())))
        digits.push_back(static_cast<char>(byte(digits.size())));
      const bool mariadb = mode_.flavour == Flavour::Mariadb;
      const unsigned version = digits.size() < 5 ? 0 : static_cast<unsigned>(std::stoul(digits));
      const bool skipped = version > mode_.version ||
                           (mariadb && !maria && version >= 50700 && version <= 99999) ||
                           (!mariadb && digits.size() == 6);
      if (digits.size() >= 5) at_ += digits.size();
      if (digits.size() < 5 || !skipped) {
        code_ = true;
        return;
      }
      skip_comment(1);
    } else {
      at_ += 2;
      skip_comment(0);
    }
  }

  void skip_comment(int nesting) {
    while (byte() >= 0) {
      if (starts("*/")) {
        at_ += 2;
        return;
      }
      if (nesting > 0 && starts("/*")) {
        at_ += 2;
        skip_comment(nesting - 1);
      } else {
        ++at_;
      }
    }
  }

  Kind one() {
    if (byte() < 0) return Kind::End;
    if (name_) {
      name_ = false;
      return words(Kind::Name);
    }
    if (dot_) {
      dot_ = false;
      name_ = true;
      ++at_;
      return Kind::Symbol;
    }
    const int c = byte();
    if (digit(c)) return number();
    if ((c == 'n' || c == 'N') && byte(1) == '\'') return ++at_, quoted(Kind::String, true);
    if ((c == 'x' || c == 'X') && byte(1) == '\'') return digits_in_quotes(hex);
    if ((c == 'b' || c == 'B') && byte(1) == '\'')
      return digits_in_quotes([](int d) { return d == '0' || d == '1'; });
    if (word(c)) return words(Kind::Word);
    if (c == '\'') return quoted(Kind::String, true);
    if (c == '"')
      return mode_.ansi_quotes ? quoted(Kind::Quoted, false) : quoted(Kind::String, true);
    if (c == '`') return quoted(Kind::Quoted, false);
    if (c == '.') return point();
    if (c == '@') return variable();
    if (starts(":=")) return at_ += 2, Kind::Assign;
    if (starts("\\N")) return at_ += 2, Kind::Symbol;
    ++at_;
    return c == ';' ? Kind::Semicolon : Kind::Symbol;
  }

  Kind words(Kind kind) {
    while (word(byte())) at_ += character();
    dot_ = byte() == '.' && word(byte(1));
    return kind;
  }

  Kind number() {
    const auto start = at_;
    if (byte() == '0' && (byte(1) == 'x' || byte(1) == 'b')) {
      const bool is_hex = byte(1) == 'x';
      at_ += 2;
      while (is_hex ? hex(byte()) : byte() == '0' || byte() == '1') ++at_;
      if (at_ - start > 2 && !word(byte())) return Kind::Number;
      return words(Kind::Word);
    }
    while (digit(byte())) ++at_;
    if (byte() == '.') return ++at_, fraction();
    if (!word(byte())) return Kind::Number;
    if (byte() == 'e' || byte() == 'E') {
      const std::size_t sign = byte(1) == '+' || byte(1) == '-' ? 1 : 0;
      if (digit(byte(1 + sign))) {
        at_ += 1 + sign;
        while (digit(byte())) ++at_;
        return Kind::Number;
      }
    }
    return words(Kind::Word);
  }

  Kind fraction() {
    while (digit(byte())) ++at_;
    if (byte() != 'e' && byte() != 'E') return Kind::Number;
    ++at_;
    if (byte() == '+' || byte() == '-') ++at_;
    while (digit(byte())) ++at_;
    return Kind::Number;
  }

  Kind point() {
    ++at_;
    if (digit(byte())) return fraction();
    name_ = word(byte());
    return Kind::Symbol;
  }

  template <class Digit>
  Kind digits_in_quotes(Digit is) {
    at_ += 2;
    while (is(byte())) ++at_;
    if (byte() == '\'') ++at_;
    return Kind::String;
  }

  Kind quoted(Kind kind, bool escapes) {
    const int quote = byte();
    ++at_;
    while (byte() >= 0) {
      if (byte() == quote) {
        ++at_;
        if (byte() != quote) return kind;
        ++at_;
      } else if (escapes && !mode_.no_backslash_escapes && byte() == '\\') {
        ++at_;
        if (byte() >= 0) ++at_;
      } else {
        at_ += kind == Kind::String || byte() < 0x80 || mode_.charset != Charset::Utf8 ? character()
                                                                                       : 1;
      }
    }
    return kind;
  }

  Kind variable() {
    ++at_;
    if (byte() == '@') {
      ++at_;
      part();
      while (byte() == '.' && (byte(1) == '`' || word(byte(1)))) ++at_, part();
      return Kind::SystemVariable;
    }
    if (byte() == '`' || (byte() == '"' && mode_.ansi_quotes))
      quoted(Kind::Quoted, false);
    else if (byte() == '\'' || byte() == '"')
      quoted(Kind::String, true);
    else
      while (word(byte()) || byte() == '.') ++at_;
    return Kind::UserVariable;
  }

  void part() {
    if (byte() == '`')
      quoted(Kind::Quoted, false);
    else
      while (word(byte())) at_ += character();
  }

  std::string_view text_;
  Mode mode_;
  std::size_t at_ = 0;
  bool code_ = false;  ///< within an executable comment
  bool dot_ = false, name_ = false;
};

}  // namespace sluice::sql
