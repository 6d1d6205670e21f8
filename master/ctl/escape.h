// Text of strangers (user names, reasons, statements) made safe for a terminal and for JSON: it
// can't send escape sequences, forge a line, or turn the direction of writing around.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace sluice::ctl {

/// What becomes of line feeds: `keep` is for sentences of sluice itself, never for cells.
enum class LineFeeds : unsigned char { escape, keep };

/// Valid UTF-8 without control characters: those as \n, \x1b or \u202e, bytes that are no UTF-8 as
/// \xff.
std::string printable(std::string_view text, LineFeeds line_feeds = LineFeeds::escape);

/// A JSON string with its quotes. Always valid UTF-8: other bytes become U+FFFD (RFC 8259, 8.1).
std::string json_string(std::string_view text);

/// Columns that printable() text takes: its code points. Wide and combining characters are not
/// known here, since knowing them takes a locale.
std::size_t width(std::string_view printable_text);

}  // namespace sluice::ctl
