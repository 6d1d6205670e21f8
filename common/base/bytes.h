// Reading and writing bytes of protocols: a cursor that cannot be read past, and an appender.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <type_traits>
#include <vector>

namespace sluice {

using Bytes = std::vector<std::byte>;
using ByteSpan = std::span<const std::byte>;

enum class ParseErrc : uint8_t {
  truncated,  ///< the input ends inside the field
  bad_value,  ///< the field is there and can't be right
  too_long,   ///< the field is longer than we are willing to take
};

/// Where a parser stopped and why. Allocates nothing; `field` is a literal.
struct ParseError {
  ParseErrc code = ParseErrc::truncated;
  std::size_t offset = 0;  ///< byte of the input at which it stopped
  std::string_view field;  ///< name of the field, for the log
};

template <class T = void>
using Parsed = tl::expected<T, ParseError>;

inline std::string_view as_text(ByteSpan bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}
inline ByteSpan as_bytes(std::string_view text) {
  return {reinterpret_cast<const std::byte*>(text.data()), text.size()};
}

/// Empties it and gives its memory back, which `= {}` does not.
inline void release(Bytes& bytes) {
  Bytes().swap(bytes);
}

/// Little-endian cursor over bytes it does not own. Every read names its field and can fail.
class ByteReader {
 public:
  explicit ByteReader(ByteSpan in) : in_(in) {}

  std::size_t left() const { return in_.size() - at_; }
  std::size_t at() const { return at_; }
  bool done() const { return left() == 0; }
  ByteSpan rest() const { return in_.subspan(at_); }

  tl::unexpected<ParseError> error(ParseErrc code, std::string_view field) const {
    return tl::unexpected(ParseError{code, at_, field});
  }

  Parsed<ByteSpan> bytes(std::size_t n, std::string_view field) {
    if (n > left()) return error(ParseErrc::truncated, field);  // never `at_ + n`: it can wrap
    const auto out = in_.subspan(at_, n);
    at_ += n;
    return out;
  }
  Parsed<std::string_view> text(std::size_t n, std::string_view field) {
    auto raw = bytes(n, field);
    if (!raw) return tl::unexpected(raw.error());
    return as_text(*raw);
  }

  /// An unsigned integer of `width` bytes (at most sizeof(T)), little-endian.
  template <class T>
  Parsed<T> fixed(std::string_view field, std::size_t width = sizeof(T)) {
    static_assert(std::is_unsigned_v<T>);
    auto raw = bytes(width, field);
    if (!raw) return tl::unexpected(raw.error());
    T value = 0;
    for (std::size_t i = 0; i < width; ++i)
      value = static_cast<T>(value | static_cast<T>(static_cast<T>((*raw)[i]) << (8 * i)));
    return value;
  }

  /// Bytes up to a NUL, which is consumed and not part of the result.
  Parsed<std::string_view> nul_string(std::string_view field) {
    const auto view = as_text(rest());
    const auto end = view.find('\0');
    if (end == std::string_view::npos) return error(ParseErrc::truncated, field);
    at_ += end + 1;
    return view.substr(0, end);
  }

  /// The protocol's length-encoded integer (MySQL manual, "Protocol::LengthEncodedInteger").
  /// 0xFB (NULL) and 0xFF are errors here.
  Parsed<uint64_t> lenenc(std::string_view field) {
    auto first = fixed<uint8_t>(field);
    if (!first) return tl::unexpected(first.error());
    switch (*first) {
      case 0xFB:
      case 0xFF:
        return error(ParseErrc::bad_value, field);
      case 0xFC:
        return fixed<uint64_t>(field, 2);
      case 0xFD:
        return fixed<uint64_t>(field, 3);
      case 0xFE:
        return fixed<uint64_t>(field, 8);
      default:
        return *first;
    }
  }
  Parsed<ByteSpan> lenenc_bytes(std::string_view field) {
    auto n = lenenc(field);
    if (!n) return tl::unexpected(n.error());
    if (*n > left()) return error(ParseErrc::truncated, field);  // compared as 64 bit: can't wrap
    return bytes(static_cast<std::size_t>(*n), field);
  }
  Parsed<std::string_view> lenenc_text(std::string_view field) {
    auto raw = lenenc_bytes(field);
    if (!raw) return tl::unexpected(raw.error());
    return as_text(*raw);
  }

 private:
  ByteSpan in_;
  std::size_t at_ = 0;
};

/// Appends little-endian fields to a byte vector that the caller owns.
class ByteWriter {
 public:
  explicit ByteWriter(Bytes& out) : out_(out) {}

  void raw(ByteSpan bytes) { out_.insert(out_.end(), bytes.begin(), bytes.end()); }
  void text(std::string_view s) { raw(as_bytes(s)); }
  void nul_text(std::string_view s) {
    text(s);
    byte(0);
  }
  void byte(uint8_t value) { out_.push_back(static_cast<std::byte>(value)); }
  void zeros(std::size_t n) { out_.insert(out_.end(), n, std::byte{0}); }
  template <class T>
  void fixed(T value, std::size_t width = sizeof(T)) {
    static_assert(std::is_unsigned_v<T>);
    for (std::size_t i = 0; i < width; ++i)
      byte(static_cast<uint8_t>(static_cast<uint64_t>(value) >> (8 * i)));
  }
  void lenenc(uint64_t value) {
    if (value < 0xFB) return byte(static_cast<uint8_t>(value));
    if (value <= 0xFFFF) return byte(0xFC), fixed<uint64_t>(value, 2);
    if (value <= 0xFFFFFF) return byte(0xFD), fixed<uint64_t>(value, 3);
    byte(0xFE), fixed<uint64_t>(value, 8);
  }
  void lenenc_bytes(ByteSpan bytes) {
    lenenc(bytes.size());
    raw(bytes);
  }
  void lenenc_text(std::string_view s) { lenenc_bytes(as_bytes(s)); }

 private:
  Bytes& out_;
};

}  // namespace sluice
