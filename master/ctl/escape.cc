#include "master/ctl/escape.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

namespace sluice::ctl {
namespace {

/// The first code point of a text; `length` bytes. Not valid: one byte that is no UTF-8.
struct CodePoint {
  char32_t value;
  std::size_t length;
  bool valid;
};

bool is_continuation(char c) {
  return (static_cast<unsigned char>(c) & 0xC0) == 0x80;
}

/// `text` is not empty. Refuses overlong forms, surrogates and what is above U+10FFFF (RFC 3629).
CodePoint first_code_point(std::string_view text) {
  const auto lead = static_cast<unsigned char>(text.front());
  const CodePoint invalid{lead, 1, false};
  if (lead < 0x80) return {lead, 1, true};
  const std::size_t length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  if (lead < 0xC2 || lead > 0xF4 || text.size() < length) return invalid;
  char32_t value = lead & (0x7Fu >> length);
  for (std::size_t i = 1; i < length; ++i) {
    if (!is_continuation(text[i])) return invalid;
    value = (value << 6) | (static_cast<unsigned char>(text[i]) & 0x3F);
  }
  constexpr char32_t kSmallest[] = {0, 0, 0x80, 0x800, 0x10000};
  const bool surrogate = value >= 0xD800 && value <= 0xDFFF;
  if (value < kSmallest[length] || value > 0x10FFFF || surrogate) return invalid;
  return {value, length, true};
}

/// Control characters (C0, DEL, C1), line and paragraph separators, and what overrides the
/// direction of writing (CVE-2021-42574).
bool is_control(char32_t c) {
  return c < 0x20 || (c >= 0x7F && c <= 0x9F) || c == 0x200E || c == 0x200F ||
         (c >= 0x2028 && c <= 0x202E) || (c >= 0x2066 && c <= 0x2069);
}

}  // namespace

std::string printable(std::string_view text, LineFeeds line_feeds) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const auto c = first_code_point(text);
    if (c.value == '\n' && line_feeds == LineFeeds::keep)
      out += '\n';
    else if (c.valid && !is_control(c.value))
      out += text.substr(0, c.length);
    else if (c.value == '\n')
      out += "\\n";
    else if (c.value == '\r')
      out += "\\r";
    else if (c.value == '\t')
      out += "\\t";
    else if (c.value < 0x80 || !c.valid)
      fmt::format_to(std::back_inserter(out), "\\x{:02x}", static_cast<uint32_t>(c.value));
    else
      fmt::format_to(std::back_inserter(out), "\\u{:04x}", static_cast<uint32_t>(c.value));
    text.remove_prefix(c.length);
  }
  return out;
}

std::string json_string(std::string_view text) {
  std::string out = "\"";
  out.reserve(text.size() + 2);
  while (!text.empty()) {
    const auto c = first_code_point(text);
    if (!c.valid) {
      out += "\\ufffd";
    } else if (c.value == '"' || c.value == '\\') {
      out += '\\';
      out += static_cast<char>(c.value);
    } else if (is_control(c.value)) {
      fmt::format_to(std::back_inserter(out), "\\u{:04x}", static_cast<uint32_t>(c.value));
    } else {
      out += text.substr(0, c.length);
    }
    text.remove_prefix(c.length);
  }
  return out + '"';
}

std::size_t width(std::string_view printable_text) {
  return static_cast<std::size_t>(
      std::ranges::count_if(printable_text, [](char c) { return !is_continuation(c); }));
}

}  // namespace sluice::ctl
