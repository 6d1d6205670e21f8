// Character sets of clients, by what they mean for the borders of strings and words.
#pragma once

#include <cstdint>
#include <string_view>

namespace sluice::sql {

/// Classes of character_set_client. In those from Gbk on, the second byte of a character can be a
/// backslash, a backtick or a letter.
enum class Charset : uint8_t {
  Utf8,        ///< utf8mb3, utf8mb4, and what never has a byte below 0x80 in a longer character
  SingleByte,  ///< latin1 and its like: a byte from 0x80 on may be a space
  Gbk,
  Gb18030,
  Big5,
  Sjis,     ///< sjis and cp932
  Unknown,  ///< not known, or ASCII means something else in it (swe7): nothing can be read
};

/// By the name that servers use: "utf8mb4", "gbk".
Charset charset_of(std::string_view name);
/// By the number of a collation, as the handshake carries it.
/// Source: information_schema.COLLATIONS of MariaDB 10.11 and MySQL.
Charset charset_of_collation(uint16_t id);

}  // namespace sluice::sql
