#include "worker/sql/lexer.h"

#include <cstring>

#include "worker/sql/characters.h"
#include "worker/sql/hint.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

namespace sluice::sql {
namespace {

using Kind = Token::Kind;

/// The servers' my_iscntrl(); "--" in front of one is a comment.
bool is_control(unsigned char c) {
  return c < 0x20 || c == 0x7F;
}

bool is_hex_digit(char c) {
  const char upper = to_upper(c);
  return is_digit(c) || (upper >= 'A' && upper <= 'F');
}

const char* plain_end(const char* at, const char* end) {
  // Most runs are short.
  for (const char* near = end - at > 6 ? at + 6 : end; at != near; ++at)
    if (!kPlain[static_cast<uint8_t>(*at)]) return at;
#ifdef __SSE2__
  while (end - at >= 16) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(at));
    const auto is = [&](char c) { return _mm_cmpeq_epi8(bytes, _mm_set1_epi8(c)); };
    // From '(' to '9', as signed bytes, so that those from 0x80 on are below.
    const __m128i range = _mm_and_si128(_mm_cmpgt_epi8(bytes, _mm_set1_epi8('(' - 1)),
                                        _mm_cmplt_epi8(bytes, _mm_set1_epi8('9' + 1)));
    const __m128i plain =
        _mm_or_si128(_mm_andnot_si128(_mm_or_si128(is('-'), is('/')), range), is(' '));
    const unsigned other = static_cast<unsigned>(_mm_movemask_epi8(plain)) ^ 0xFFFFu;
    if (other != 0) {
      at += std::countr_zero(other);
      break;
    }
    at += 16;
  }
#endif
  while (at != end && kPlain[static_cast<uint8_t>(*at)]) ++at;
  return at;
}

/// The first of two bytes; `end` if there is none.
const char* find_either(const char* at, const char* end, char a, char b) {
#ifdef __SSE2__
  while (end - at >= 16) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(at));
    const __m128i found = _mm_or_si128(_mm_cmpeq_epi8(bytes, _mm_set1_epi8(a)),
                                       _mm_cmpeq_epi8(bytes, _mm_set1_epi8(b)));
    const auto mask = static_cast<unsigned>(_mm_movemask_epi8(found));
    if (mask != 0) return at + std::countr_zero(mask);
    at += 16;
  }
#endif
  while (at != end && *at != a && *at != b) ++at;
  return at;
}

std::string_view between(const char* from, const char* to) {
  return {from, static_cast<std::size_t>(to - from)};
}

/// Behind the next "*/"; nullptr if there is none.
const char* comment_end(const char* from, const char* end) {
  const auto found = between(from, end).find("*/");
  return found == std::string_view::npos ? nullptr : from + found + 2;
}

/// Length of the UTF-8 character at `at`; 0 if it is none.
std::size_t utf8_character(const char* at, const char* end) {
  const auto first = static_cast<uint8_t>(*at);
  if (first < 0x80) return 1;
  const std::size_t size = first < 0xC2   ? 0
                           : first < 0xE0 ? 2
                           : first < 0xF0 ? 3
                           : first < 0xF5 ? 4
                                          : 0;
  if (size == 0 || static_cast<std::size_t>(end - at) < size) return 0;
  for (std::size_t i = 1; i < size; ++i)
    if ((static_cast<uint8_t>(at[i]) & 0xC0) != 0x80) return 0;
  return size;
}

/// Whether two bytes are one character, in the character sets where that decides about borders.
/// Source: ismbchar_*() in MariaDB strings/ctype-{gbk,big5,sjis,cp932}.c, MySQL ctype-gb18030.cc.
/// (Characters of four bytes in gb18030 end in digits: read as single bytes they do no harm.)
bool is_pair(Charset charset, uint8_t first, uint8_t second) {
  switch (charset) {
    case Charset::Gbk:
    case Charset::Gb18030:
      return first >= 0x81 && first <= 0xFE && second >= 0x40 && second <= 0xFE && second != 0x7F;
    case Charset::Big5:
      return first >= 0xA1 && first <= 0xF9 &&
             ((second >= 0x40 && second <= 0x7E) || (second >= 0xA1 && second <= 0xFE));
    case Charset::Sjis:
      return ((first >= 0x81 && first <= 0x9F) || (first >= 0xE0 && first <= 0xFC)) &&
             second >= 0x40 && second <= 0xFC && second != 0x7F;
    default:
      return false;
  }
}

}  // namespace

bool Token::is(std::string_view upper) const {
  return kind == Kind::Word && equal_ignoring_case(text, upper);
}

Name Token::name() const {
  std::string_view inner = text;
  if (kind == Kind::UserVariable) inner.remove_prefix(1);
  if (inner.size() >= 2) {
    const char quote = inner.front();
    if ((quote == '`' || quote == '"' || quote == '\'') && inner.back() == quote)
      return {inner.substr(1, inner.size() - 2), quote};
  }
  return {inner, 0};
}

Lexer::Lexer(std::string_view text, const Mode& mode)
    : begin_(text.data()),
      at_(begin_),
      end_(begin_ + text.size()),
      plain_from_(begin_),
      mode_(mode),
      multibyte_(mode.charset >= Charset::Gbk) {}

void Lexer::be_in_doubt(Reason reason, const char* where, bool borders) {
  if (doubt_.reason == Reason::Read || (borders && !doubt_.borders))
    doubt_ = {reason, static_cast<std::size_t>(where - begin_), borders};
}

// --- blanks and comments

void Lexer::skip_all_blanks() {
  for (; at_ != end_; blank_ = true) {
    switch (*at_) {
      case ' ':
      case '\t':
      case '\n':
      case '\v':
      case '\f':
      case '\r':
        ++at_;
        continue;
      case '#':
        line_comment();
        continue;
      case '-':
        if (peek(1) != '-') return;
        if (mode_.charset == Charset::SingleByte && peek(2) >= 0x80)
          be_in_doubt(Reason::CharacterSet, at_);  // 0xA0 is a blank in latin1
        if (!is_control(peek(2)) && peek(2) != ' ') return;
        line_comment();
        continue;
      case '/':
        if (peek(1) != '*') return;
        block_comment();
        continue;
      case '*':
        if (!in_code_ || peek(1) != '/') return;
        in_code_ = false;
        at_ += 2;
        continue;
      default:
        return;
    }
  }
}

void Lexer::line_comment() {
  const void* newline = std::memchr(at_, '\n', left());
  const char* to = newline != nullptr ? static_cast<const char*>(newline) : end_;
  const auto text = between(at_, to);
  // The server's comment ends at a NUL too.
  if (text.find('\0') != text.npos) be_in_doubt(Reason::NotUnderstood, at_);
  if (hint_.to == Hint::To::None) hint_ = parse_hint(text.substr(*at_ == '#' ? 1 : 2));
  at_ = newline != nullptr ? to + 1 : end_;
}

void Lexer::block_comment() {
  if (peek(2) == '!') return executable_comment(false);
  if (peek(2) == 'M' && peek(3) == '!') return executable_comment(true);
  if (peek(2) == '+') return optimizer_hint();
  plain_comment();
}

void Lexer::plain_comment() {
  const char* to = comment_end(at_ + 2, end_);
  if (to == nullptr) {
    be_in_doubt(Reason::NotUnderstood, at_);
    at_ = end_;
    return;
  }
  if (hint_.to == Hint::To::None) hint_ = parse_hint(between(at_ + 2, to - 2));
  at_ = to;
}

/// Servers without optimizer hints see a comment. The others read what is in quotes as quoted, so
/// that the hint may end elsewhere than the comment.
void Lexer::optimizer_hint() {
  const char* from = at_;
  plain_comment();
  const auto text = between(from, at_);
  if (text.find_first_of("'\"`") != text.npos) be_in_doubt(Reason::OptimizerHint, from);
  for (auto v = text.find_first_of("vV"); v != text.npos; v = text.find_first_of("vV", v + 1))
    if (v >= 4 && equal_ignoring_case(text.substr(v - 4, 7), "SET_VAR"))
      be_in_doubt(Reason::OptimizerHint, from, false);
}

/// MariaDB reads five or six digits as the version that the text is for, and takes 50700 to 99999
/// for versions of MySQL that it doesn't follow (99997 means Galera). MySQL reads five digits; its
/// newer releases six.
void Lexer::executable_comment(bool maria) {
  const char* from = at_;
  if (maria && mode_.flavour == Flavour::Mysql) return plain_comment();
  if (in_code_) be_in_doubt(Reason::ExecutableComment, from);
  at_ += maria ? 4 : 3;
  std::size_t digits = 0;
  uint32_t version = 0;
  while (digits < 6 && peek(digits) >= '0' && peek(digits) <= '9')
    version = version * 10 + (peek(digits++) - '0');
  if (digits < 5) {  // for all versions; too short a number is part of the text
    in_code_ = true;
    return;
  }
  const char* body = at_ + digits;
  const bool mariadb = mode_.flavour == Flavour::Mariadb;
  const bool of_mysql = mariadb && !maria && version >= 50700 && version <= 99999;
  const bool unclear = (mariadb && !maria && version == 99997) || (!mariadb && digits == 6);
  if (!of_mysql && !unclear && version <= mode_.version) {
    at_ = body;
    in_code_ = true;
    return;
  }
  // A server newer than the oldest one might execute it.
  if (!of_mysql || unclear) be_in_doubt(Reason::ExecutableComment, from);
  skip_executable(body, 1);
}

/// What a server doesn't execute may have one level of comments inside.
void Lexer::skip_executable(const char* body, int nesting) {
  for (const char* at = body; at != end_;) {
    at = find_either(at, end_, '*', '/');
    if (end_ - at < 2) break;
    if (at[0] == '*' && at[1] == '/') {
      at_ = at + 2;
      return;
    }
    if (nesting > 0 && at[0] == '/' && at[1] == '*') {
      const char* inner = comment_end(at + 2, end_);
      if (inner == nullptr) break;
      at = inner;
    } else {
      ++at;
    }
  }
  be_in_doubt(Reason::NotUnderstood, body);
  at_ = end_;
}

bool Lexer::only_blanks_behind(const Token& token) const {
  for (const char* at = token.text.data() + token.text.size(); at != at_; ++at)
    if (byte_class(*at) != Byte::Blank) return false;
  return true;
}

bool Lexer::at_assign() {
  return at(':') && peek(1) == '=';
}

void Lexer::skip_all_plain() {
  if (dot_next_ || name_next_ || in_code_ || at_ < plain_from_) return;
  const char* from = at_;
  at_ = plain_end(from, end_);
  const auto behind_blanks = [from](const char* at) {
    while (at != from && byte_class(at[-1]) == Byte::Blank) --at;
    return at;
  };
  const char* to = at_;
  const char* significant = behind_blanks(to);
  if (to != end_ && is_word(*to) && significant == to && is_digit(to[-1])) {
    while (at_ != from && is_digit(at_[-1])) --at_;  // a word that begins so, or a number
    significant = behind_blanks(at_);
  }
  while (significant != from && significant[-1] == '.') {
    // The dot may be part of a number, and then joins nothing.
    at_ = significant;
    while (at_ != from && (is_digit(at_[-1]) || at_[-1] == '.')) --at_;
    significant = behind_blanks(at_);
  }
  if (at_ != to) plain_from_ = to;  // what these are is read again by next(), once
  blank_ = significant != at_ || (significant == from && blank_);
  if (significant != from) last_ = is_digit(significant[-1]) ? 'a' : significant[-1];
}

// --- tokens

void Lexer::read(Token& token) {
  skip_blanks();
  token.before = last_;
  token.at = offset();
  blank_ = false;
  if (at_ == end_) {
    if (in_code_) be_in_doubt(Reason::NotUnderstood, at_);
    token.kind = Kind::End;
    token.text = {at_, 0};
    return;
  }
  if (kPlainWordStart[static_cast<uint8_t>(*at_)] && !name_next_ && plain_word(token)) return;
  const Found found = find();
  token.kind = found.kind;
  token.text = between(at_, found.to);
  at_ = found.to;
  // Only of symbols it matters: "1." and "@a." end in dots that join nothing.
  last_ = found.kind == Kind::Symbol ? found.to[-1] : found.kind == Kind::Semicolon ? '\0' : 'a';
  if (token.identifier()) token.folded = folded(token.text);
}

/// Most tokens are words of ASCII; this reads them, and nothing else, as find() would.
bool Lexer::plain_word(Token& token) {
  const char* to = at_ + 1;
  while (to != end_ && kAsciiWord[static_cast<uint8_t>(*to)]) ++to;
  if (to != end_ && is_high(*to)) return false;
  token.kind = Kind::Word;
  token.text = between(at_, to);
  token.folded = folded(token.text);
  dot_next_ = end_ - to > 1 && *to == '.' && is_word(to[1]);
  at_ = to;
  last_ = 'a';
  return true;
}

/// Of a word of the text. One load suffices for a short one that isn't at the very end.
FoldedWord Lexer::folded(std::string_view word) const {
  if (word.size() > 8 || end_ - word.data() < 8) return fold(word);
  return fold(word, fold8(word.data(), 8) & ~uint64_t{0} >> (64 - 8 * word.size()));
}

Lexer::Found Lexer::find() {
  const char* one = at_ + 1;
  if (name_next_) {
    name_next_ = false;
    return word(Kind::Name, word_end(at_));
  }
  if (dot_next_) {
    dot_next_ = false;
    name_next_ = true;
    return {Kind::Symbol, one};
  }
  switch (byte_class(*at_)) {
    case Byte::Letter:
      return word(Kind::Word, word_end(at_));
    case Byte::Prefix:
      return peek(1) == '\'' ? prefixed() : word(Kind::Word, word_end(at_));
    case Byte::Digit:
      return number();
    case Byte::Quote:
      return {Kind::String, string_end(one, '\'')};
    case Byte::DoubleQuote:
      if (mode_.ansi_quotes) return {Kind::Quoted, quoted_end(one, '"')};
      return {Kind::String, string_end(one, '"')};
    case Byte::Backtick:
      return {Kind::Quoted, quoted_end(one, '`')};
    case Byte::Dot:
      return dot();
    case Byte::At:
      return variable();
    default:
      return odd();
  }
}

Lexer::Found Lexer::odd() {
  switch (*at_) {
    case ':':
      if (peek(1) == '=') return {Kind::Assign, at_ + 2};
      break;
    case ';':
      // The rest is a text of its own to the server, outside of any comment.
      if (in_code_) be_in_doubt(Reason::ExecutableComment, at_);
      return {Kind::Semicolon, at_ + 1};
    case '\\':
      if (peek(1) == 'N') return {Kind::Symbol, at_ + 2};  // NULL
      be_in_doubt(Reason::NotUnderstood, at_);
      break;
    case '\0':
      be_in_doubt(Reason::NotUnderstood, at_);
      break;
    default:
      break;
  }
  return {Kind::Symbol, at_ + 1};
}

Lexer::Found Lexer::word(Kind kind, const char* to) {
  if (*at_ == '$' && mode_.flavour == Flavour::Mysql)
    be_in_doubt(Reason::NotUnderstood, at_);  // MySQL 9 has strings in $$ or $tag$
  dot_next_ = end_ - to > 1 && *to == '.' && is_word(to[1]);
  return {kind, to};
}

const char* Lexer::word_end(const char* at) {
  for (; at != end_; ++at) {
    if (kAsciiWord[static_cast<uint8_t>(*at)]) continue;
    if (!is_high(*at)) break;
    if (mode_.charset == Charset::SingleByte) be_in_doubt(Reason::CharacterSet, at);
    if (multibyte_) at += character(at) - 1;
  }
  return at;
}

/// Length of the character at `at`, in a character set where it may be two.
std::size_t Lexer::character(const char* at) const {
  return end_ - at >= 2 &&
                 is_pair(mode_.charset, static_cast<uint8_t>(at[0]), static_cast<uint8_t>(at[1]))
             ? 2
             : 1;
}

/// A number, or a word that begins with digits. "1e5for" is a number and a word, "1for" one word.
Lexer::Found Lexer::number() {
  const auto byte = [this](const char* at) { return at != end_ ? *at : '\0'; };
  const char* at = at_;
  if (*at == '0' && (peek(1) == 'x' || peek(1) == 'b')) {
    const bool hex = peek(1) == 'x';
    at += 2;
    while (hex ? is_hex_digit(byte(at)) : byte(at) == '0' || byte(at) == '1') ++at;
    if (at - at_ >= 3 && !is_word(byte(at))) return {Kind::Number, at};
    return word(Kind::Word, word_end(at));
  }
  while (is_digit(byte(at))) ++at;
  if (byte(at) == '.') return real(at);
  if (!is_word(byte(at))) return {Kind::Number, at};
  if (byte(at) == 'e' || byte(at) == 'E') {
    const char* exponent = at + 1;
    if (byte(exponent) == '+' || byte(exponent) == '-') ++exponent;
    if (is_digit(byte(exponent))) {
      while (is_digit(byte(exponent))) ++exponent;
      return {Kind::Number, exponent};
    }
  }
  return word(Kind::Word, word_end(at));
}

/// A number with a point at `dot`.
Lexer::Found Lexer::real(const char* dot) {
  const char* at = dot + 1;
  while (at != end_ && is_digit(*at)) ++at;
  if (at == end_ || (*at != 'e' && *at != 'E')) return {Kind::Number, at};
  ++at;
  if (at != end_ && (*at == '+' || *at == '-')) ++at;
  if (at == end_ || !is_digit(*at))
    be_in_doubt(Reason::NotUnderstood, at_);  // the server: an error
  while (at != end_ && is_digit(*at)) ++at;
  return {Kind::Number, at};
}

Lexer::Found Lexer::dot() {
  const auto second = static_cast<char>(peek(1));
  if (is_digit(second)) return real(at_);
  name_next_ = is_word(second);
  return {Kind::Symbol, at_ + 1};
}

const char* Lexer::variable_end(const char* at) {
  if (at == end_) return at;
  if (*at == '`' || (*at == '"' && mode_.ansi_quotes)) return quoted_end(at + 1, *at);
  if (*at == '\'' || *at == '"') return string_end(at + 1, *at);
  while (at != end_ && (is_word(*at) || *at == '.')) {
    if (is_high(*at) && mode_.charset == Charset::SingleByte) be_in_doubt(Reason::CharacterSet, at);
    if (is_high(*at) && multibyte_) be_in_doubt(Reason::CharacterSet, at);
    ++at;
  }
  return at;
}

Lexer::Found Lexer::variable() {
  if (peek(1) != '@') return {Kind::UserVariable, variable_end(at_ + 1)};
  const auto part = [this](const char* from) {
    return from != end_ && *from == '`' ? quoted_end(from + 1, '`') : word_end(from);
  };
  const char* at = part(at_ + 2);
  while (end_ - at >= 2 && *at == '.' && (at[1] == '`' || is_word(at[1]))) at = part(at + 1);
  return {Kind::SystemVariable, at};
}

/// N'...', b'...', x'...': in the last two the server looks for digits only.
Lexer::Found Lexer::prefixed() {
  if (*at_ == 'n' || *at_ == 'N') return {Kind::String, string_end(at_ + 2, '\'')};
  const bool hex = *at_ == 'x' || *at_ == 'X';
  const char* at = at_ + 2;
  while (at != end_ && (hex ? is_hex_digit(*at) : *at == '0' || *at == '1')) ++at;
  if (at != end_ && *at == '\'') return {Kind::String, at + 1};
  be_in_doubt(Reason::NotUnderstood, at_);
  return {Kind::String, at};
}

/// `from` is behind the opening quote, the result behind the closing one.
const char* Lexer::string_end(const char* from, char quote) {
  if (multibyte_) return string_end_multibyte(from, quote);
  const char escape = mode_.no_backslash_escapes ? quote : '\\';
  for (const char* at = find_either(from, end_, quote, escape); at != end_;
       at = find_either(at, end_, quote, escape)) {
    if (*at == quote) {
      if (end_ - at < 2 || at[1] != quote) return at + 1;
    } else if (end_ - at < 2) {
      break;
    }
    at += 2;
  }
  be_in_doubt(Reason::NotUnderstood, from - 1);
  return end_;
}

/// A backslash makes only the next byte literal, even if that begins a character.
const char* Lexer::string_end_multibyte(const char* from, char quote) {
  for (const char* at = from; at != end_;) {
    if (is_high(*at)) {
      at += character(at);
    } else if (*at == '\\' && !mode_.no_backslash_escapes) {
      at += end_ - at >= 2 ? 2 : 1;
    } else if (*at != quote) {
      ++at;
    } else if (end_ - at >= 2 && at[1] == quote) {
      at += 2;
    } else {
      return at + 1;
    }
  }
  be_in_doubt(Reason::NotUnderstood, from - 1);
  return end_;
}

/// A server may skip more than one byte for a broken character in here, so that is a doubt.
const char* Lexer::quoted_end(const char* from, char quote) {
  for (const char* at = from; at != end_;) {
    if (is_high(*at) && mode_.charset != Charset::SingleByte) {
      const auto size = multibyte_ ? character(at) : utf8_character(at, end_);
      const bool kana = mode_.charset == Charset::Sjis && static_cast<uint8_t>(*at) >= 0xA1 &&
                        static_cast<uint8_t>(*at) <= 0xDF;  // characters of one byte
      if (size == 0 || (multibyte_ && size == 1 && !kana)) be_in_doubt(Reason::CharacterSet, at);
      at += size == 0 ? 1 : size;
    } else if (*at == '\0') {
      be_in_doubt(Reason::NotUnderstood, at);
      ++at;
    } else if (*at != quote) {
      ++at;
    } else if (end_ - at >= 2 && at[1] == quote) {
      at += 2;
    } else {
      return at + 1;
    }
  }
  be_in_doubt(Reason::NotUnderstood, from - 1);
  return end_;
}

}  // namespace sluice::sql
