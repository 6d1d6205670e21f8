// Packets of clients and servers, as the tests of the splitting engine send them.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>

#include "common/base/bytes.h"
#include "common/mysql/packets.h"

namespace sluice::worker::split_tests {

inline constexpr uint16_t kPlain = mysql::kAutocommit;
inline constexpr uint16_t kOpen = mysql::kAutocommit | mysql::kInTransaction;

inline Bytes packet(uint8_t sequence, std::string_view payload) {
  Bytes out;
  mysql::append_packet(out, sequence, as_bytes(payload));
  return out;
}
inline Bytes joined(std::initializer_list<Bytes> parts) {
  Bytes out;
  for (const auto& part : parts) out.insert(out.end(), part.begin(), part.end());
  return out;
}
inline Bytes query(std::string_view text) {
  return packet(0, "\3" + std::string(text));
}
inline Bytes command(mysql::Command kind, std::string_view rest = "") {
  return packet(0, std::string(1, static_cast<char>(kind)) + std::string(rest));
}
inline std::string number(uint64_t value, int bytes) {
  std::string out;
  for (int i = 0; i < bytes; ++i) out.push_back(static_cast<char>(value >> (8 * i)));
  return out;
}
/// A text with its length in front; short ones only.
inline std::string sized(std::string_view text) {
  return static_cast<char>(text.size()) + std::string(text);
}
inline std::string ok_payload(uint16_t status = kPlain, std::string_view news = "") {
  std::string out("\0\0\0", 3);
  out += number(status | (news.empty() ? 0 : mysql::kSessionStateChanged), 2) + number(0, 2);
  if (!news.empty()) out += sized("") + sized(news);
  return out;
}
inline Bytes ok(uint16_t status = kPlain, std::string_view news = "") {
  return packet(1, ok_payload(status, news));
}
inline std::string variable(std::string_view name, std::string_view value) {
  return '\0' + sized(sized(name) + sized(value));
}
inline Bytes error(uint16_t number, uint8_t sequence = 1) {
  return packet(sequence, as_text(mysql::encode_error(number, "HY000", "no")));
}
/// A result of one column and one row.
inline Bytes result(std::string_view value, uint16_t status = kPlain) {
  return joined({packet(1, "\1"), packet(2, "\3def and more"), packet(3, sized(value)),
                 packet(4, "\xFE" + std::string(2, '\0') + number(status, 2) + number(0, 2))});
}
/// COM_STMT_PREPARE's, without columns; the parameters' definitions follow.
inline Bytes prepared(uint32_t id, uint16_t parameters = 0) {
  auto out = packet(1, '\0' + number(id, 4) + number(0, 2) + number(parameters, 2) + number(0, 3));
  for (uint8_t i = 0; i < parameters; ++i)
    out = joined({out, packet(static_cast<uint8_t>(2 + i), "\3def and more")});
  return out;
}
/// COM_STMT_EXECUTE; `rest` is all behind the iterations.
inline Bytes execute(uint32_t id, std::string_view rest = "") {
  return command(mysql::Command::stmt_execute,
                 number(id, 4) + '\0' + number(1, 4) + std::string(rest));
}
/// Parameters of such: one TINYINT, with its type or without.
inline std::string with_type(char value) {
  return std::string("\0\1\1\0", 4) + value;
}
inline std::string without_type(char value) {
  return std::string("\0\0", 2) + value;
}

/// Of a connection with that id.
inline Bytes greeting(uint32_t id = 17) {
  mysql::Greeting g;
  g.version = "11.4.2-MariaDB";
  g.capabilities = ~uint64_t{0} & ~uint64_t{mysql::kLongPassword | mysql::kSsl |
                                            mysql::kOptionalResultsetMetadata};
  g.plugin = "mysql_native_password";
  g.connection_id = id;
  return packet(0, as_text(mysql::encode_greeting(g)));
}
inline Bytes answer(uint64_t extra) {
  Bytes payload;
  ByteWriter w(payload);
  w.fixed<uint32_t>(static_cast<uint32_t>(
      (mysql::kProtocol41 | mysql::kSecureConnection | mysql::kDeprecateEof) ^ extra));
  w.fixed<uint32_t>(mysql::kMaxPayload);
  w.byte(45);
  w.zeros(23);
  w.nul_text("app");
  w.byte(0);
  return packet(1, as_text(payload));
}

}  // namespace sluice::worker::split_tests
