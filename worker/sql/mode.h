// How a session's servers read the text of statements: what decides where strings, comments and
// statements end.
#pragma once

#include <cstdint>

#include "common/base/enum_names.h"
#include "common/ipc/codec.h"
#include "worker/sql/charset.h"

namespace sluice::sql {

enum class Flavour : uint8_t { Mariadb, Mysql };

/// The bits of sql_mode that tell the lexer something. Servers report the first in each OK (status
/// 0x0200), MariaDB the second too (0x8000).
struct Mode {
  bool no_backslash_escapes = false;
  bool ansi_quotes = false;         ///< "x" is an identifier
  bool ignore_space = false;        ///< `count (*)` is the built-in function
  bool multi_statements = false;    ///< the client's CLIENT_MULTI_STATEMENTS, or COM_SET_OPTION
  Charset charset = Charset::Utf8;  ///< of character_set_client
  Flavour flavour = Flavour::Mariadb;
  /// Of the oldest server of the cluster, as executable comments write it: 101119 is 10.11.19,
  /// 80042 is 8.0.42. 0: not known, then every executable comment is a doubt.
  uint32_t version = 0;
  static auto fields(auto& m) {
    using ipc::tag;
    return std::tuple(tag<1>(m.no_backslash_escapes), tag<2>(m.ansi_quotes), tag<3>(m.ignore_space),
                      tag<4>(m.multi_statements), tag<5>(m.charset), tag<6>(m.flavour),
                      tag<7>(m.version));
  }
};

}  // namespace sluice::sql

namespace sluice {
template <>
inline constexpr auto kEnumNames<sql::Flavour> = names("mariadb", "mysql");
template <>
inline constexpr auto kEnumNames<sql::Charset> = names("utf8", "single byte", "gbk", "gb18030",
                                                       "big5", "sjis", "unknown");
}  // namespace sluice
