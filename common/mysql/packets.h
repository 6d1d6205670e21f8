// Packets of the connection phase, and the few that sluice makes itself. Parsers take a payload
// without its header and give views into it; nothing here does I/O or keeps state.
#pragma once

#include <array>
#include <string>
#include <string_view>

#include "common/base/bytes.h"
#include "common/mysql/protocol.h"

namespace sluice::mysql {

using Scramble = std::array<std::byte, kScrambleSize>;

/// The server's first packet, HandshakeV10.
struct Greeting {
  std::string version;  ///< as sent; MariaDB before 11 puts "5.5.5-" in front
  uint32_t connection_id = 0;
  Scramble scramble{};
  uint64_t capabilities = 0;  ///< MariaDB's extended ones in the upper half
  uint8_t collation = 0;
  uint16_t status = 0;
  std::string plugin;
};
Parsed<Greeting> parse_greeting(ByteSpan payload);
/// Payload of a greeting.
Bytes encode_greeting(const Greeting& greeting);

/// The client's answer, HandshakeResponse41; views live as long as the payload.
struct HandshakeResponse {
  uint64_t capabilities = 0;
  uint32_t max_packet = 0;
  uint8_t collation = 0;
  std::string_view user;
  ByteSpan auth_response;
  std::string_view database;  ///< empty if none
  std::string_view plugin;
  std::size_t auth_begin = 0, auth_end = 0;  ///< where the response and its length stand
};
/// An SSLRequest (32 bytes, ends before the user) is an error here: see is_ssl_request().
Parsed<HandshakeResponse> parse_handshake_response(ByteSpan payload);
/// Whether the payload asks for TLS before anything else is said.
bool is_ssl_request(ByteSpan payload);
/// The same answer as far as it may be read by everybody, with a wish for TLS: what precedes it.
Bytes encode_ssl_request(ByteSpan handshake_response);
/// A login of `user` without password, database or any extension.
Bytes encode_handshake_response(std::string_view user);

/// COM_CHANGE_USER, the payload including its command byte. `capabilities` are the session's.
struct ChangeUser {
  std::string_view user;
  ByteSpan auth_response;
  std::string_view database;
  std::string_view plugin;
  std::size_t auth_begin = 0, auth_end = 0;  ///< where the response and its length stand
};
Parsed<ChangeUser> parse_change_user(ByteSpan payload, uint64_t capabilities);

/// The payload of a HandshakeResponse41 or a COM_CHANGE_USER with another response in it, whose
/// length is written as `parsed` had it.
template <class Answer>
Bytes with_auth_response(ByteSpan payload, const Answer& parsed, ByteSpan response);

/// The server wants another plugin: AuthSwitchRequest, or AuthNextFactor with MySQL, which differs
/// in its marker. A payload of the marker alone (before 4.1.1) gives an empty plugin.
struct AuthSwitch {
  std::string_view plugin;
  ByteSpan data;  ///< a scramble, mostly; without the NUL behind it
};
Parsed<AuthSwitch> parse_auth_switch(ByteSpan payload);

/// Whether the payload has all that an OK packet needs.
bool is_ok(ByteSpan payload);

/// ERR packet; the state marker is missing in some that precede the handshake.
struct ErrorPacket {
  uint16_t number = 0;
  std::string_view state;  ///< five characters, or empty
  std::string_view message;
};
Parsed<ErrorPacket> parse_error(ByteSpan payload);
Bytes encode_error(uint16_t number, std::string_view state, std::string_view message);

/// Appends a payload (shorter than 16 MiB - 1) as one packet.
void append_packet(Bytes& out, uint8_t sequence, ByteSpan payload);

}  // namespace sluice::mysql
