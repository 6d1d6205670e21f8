// Classes of bytes, and words as integers.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace sluice::sql {

enum class Byte : uint8_t {
  Symbol,
  Blank,
  Letter,  ///< also _, $ and all from 0x80 on
  Prefix,  ///< a letter that makes a quote behind it a special string: b, n, x
  Digit,
  Quote,
  DoubleQuote,
  Backtick,
  Dot,
  At,
  Colon,
  Semicolon,
  Backslash,
  Nul,
};

constexpr std::array<Byte, 256> make_byte_classes() {
  std::array<Byte, 256> classes{};
  for (const char c : {' ', '\t', '\n', '\v', '\f', '\r'})
    classes[static_cast<uint8_t>(c)] = Byte::Blank;
  for (unsigned c = 'a'; c <= 'z'; ++c) classes[c] = classes[c - 32] = Byte::Letter;
  for (unsigned c = 0x80; c <= 0xFF; ++c) classes[c] = Byte::Letter;
  for (unsigned c = '0'; c <= '9'; ++c) classes[c] = Byte::Digit;
  for (const char c : {'b', 'B', 'n', 'N', 'x', 'X'})
    classes[static_cast<uint8_t>(c)] = Byte::Prefix;
  classes['_'] = classes['$'] = Byte::Letter;
  classes['\''] = Byte::Quote;
  classes['"'] = Byte::DoubleQuote;
  classes['`'] = Byte::Backtick;
  classes['.'] = Byte::Dot;
  classes['@'] = Byte::At;
  classes[':'] = Byte::Colon;
  classes[';'] = Byte::Semicolon;
  classes['\\'] = Byte::Backslash;
  classes[0] = Byte::Nul;
  return classes;
}
inline constexpr auto kByteClasses = make_byte_classes();

constexpr Byte byte_class(char c) {
  return kByteClasses[static_cast<uint8_t>(c)];
}
constexpr bool is_high(char c) {
  return static_cast<uint8_t>(c) >= 0x80;
}
constexpr char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c;
}
inline std::string in_small_letters(std::string text) {
  for (char& c : text) c = lower(c);
  return text;
}
constexpr bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
constexpr bool is_word(char c) {
  const auto kind = byte_class(c);
  return kind == Byte::Letter || kind == Byte::Prefix || kind == Byte::Digit;
}

/// A table of the bytes for which a predicate holds.
template <class Predicate>
constexpr std::array<bool, 256> make_set(Predicate holds) {
  std::array<bool, 256> set{};
  for (unsigned c = 0; c < 256; ++c) set[c] = holds(static_cast<char>(c));
  return set;
}
/// Bytes of words, without those from 0x80 on.
inline constexpr auto kAsciiWord = make_set([](char c) { return is_word(c) && !is_high(c); });
/// What plain words begin with: letters that make no quote behind them special.
inline constexpr auto kPlainWordStart =
    make_set([](char c) { return byte_class(c) == Byte::Letter && !is_high(c) && c != '$'; });
/// What is in rows of numbers and around them, and says nothing by itself. Not '-' and '/', which
/// may begin a comment, and not ':', which may begin an assignment.
inline constexpr auto kPlainSymbol = make_set([](char c) {
  return (c >= '(' && c <= '9' && c != '-' && c != '/') || c == '=' || c == '<' || c == '>' ||
         c == '!' || c == '%' || c == '?';
});
inline constexpr auto kPlain = make_set(
    [](char c) { return kPlainSymbol[static_cast<uint8_t>(c)] || byte_class(c) == Byte::Blank; });
/// What blanks and comments can begin with, and the end of an executable one.
inline constexpr auto kBlankStart = make_set([](char c) {
  return byte_class(c) == Byte::Blank || c == '#' || c == '-' || c == '/' || c == '*';
});

constexpr char to_upper(char c) {
  return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c;
}

constexpr bool equal_ignoring_case(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i)
    if (to_upper(a[i]) != to_upper(b[i])) return false;
  return true;
}

static_assert(std::endian::native == std::endian::little, "words are compared as integers");

/// Up to eight bytes of a word as one integer in which letters of both cases are equal. Among the
/// bytes of words no two others become equal.
constexpr uint64_t fold8(const char* at, std::size_t size) {
  uint64_t raw = 0;
  if (std::is_constant_evaluated()) {
    for (std::size_t i = 0; i < size && i < 8; ++i)
      raw |= static_cast<uint64_t>(static_cast<uint8_t>(at[i])) << (8 * i);
  } else if (size >= 8) {
    std::memcpy(&raw, at, 8);
  } else if (size >= 4) {
    uint32_t low = 0, high = 0;  // they overlap, and agree where they do
    std::memcpy(&low, at, 4);
    std::memcpy(&high, at + size - 4, 4);
    raw = low | static_cast<uint64_t>(high) << (8 * (size - 4));
  } else if (size >= 2) {
    uint16_t low = 0, high = 0;
    std::memcpy(&low, at, 2);
    std::memcpy(&high, at + size - 2, 2);
    raw = low | static_cast<uint64_t>(high) << (8 * (size - 2));
  } else if (size == 1) {
    raw = static_cast<uint8_t>(*at);
  }
  return raw & 0xDFDFDFDFDFDFDFDFull;
}

/// A word as it is looked up. Letters of both cases are equal.
struct FoldedWord {
  uint64_t first = 0;  ///< its first eight bytes, as fold8() makes them
  uint64_t hash = 0;   ///< the upper bits are the good ones
  bool ascii = true;   ///< no byte is above 0x7F
};

/// `first`: the first eight bytes of `word`, folded.
constexpr FoldedWord fold(std::string_view word, uint64_t first) {
  uint64_t hash = word.size() * 0x9E3779B97F4A7C15ull;
  uint64_t seen = first;
  for (std::size_t at = 8; at < word.size(); at += 8) {
    const uint64_t eight = fold8(word.data() + at, word.size() - at);
    seen |= eight;
    hash = (hash ^ eight) * 0xD6E8FEB86659FD93ull;
    hash ^= hash >> 32;
  }
  hash = (hash ^ first) * 0xD6E8FEB86659FD93ull;
  return {first, (hash ^ hash >> 32) * 0x9E3779B97F4A7C15ull, (seen & 0x8080808080808080ull) == 0};
}
constexpr FoldedWord fold(std::string_view word) {
  return fold(word, fold8(word.data(), word.size()));
}

constexpr bool is_ascii(std::string_view text) {
  return fold(text).ascii;
}

}  // namespace sluice::sql
