#include "common/mysql/packets.h"

#include <algorithm>
#include <cassert>

#include "common/base/result.h"

namespace sluice::mysql {
namespace {

/// Up to a NUL, or to the end: servers take the last string of a packet without its NUL too
/// (MariaDB sql_acl.cc, parse_client_handshake_packet()).
std::string_view nul_or_rest(ByteReader& in) {
  const auto text = as_text(in.rest());
  const auto end = std::min(text.find('\0'), text.size());
  (void)in.bytes(std::min(end + 1, in.left()), "string");
  return text.substr(0, end);
}

/// Bytes behind a length of one byte.
Parsed<ByteSpan> short_bytes(ByteReader& in) {
  const auto size = SLUICE_TRY(in.fixed<uint8_t>("auth_response"));
  return in.bytes(size, "auth_response");
}

}  // namespace

Parsed<Greeting> parse_greeting(ByteSpan payload) {
  ByteReader in(payload);
  if (SLUICE_TRY(in.fixed<uint8_t>("protocol")) != 10)
    return in.error(ParseErrc::bad_value, "protocol");
  Greeting g;
  g.version = SLUICE_TRY(in.nul_string("version"));
  g.connection_id = SLUICE_TRY(in.fixed<uint32_t>("connection_id"));
  const auto first = SLUICE_TRY(in.bytes(8, "scramble"));
  SLUICE_TRY(in.bytes(1, "filler"));
  g.capabilities = SLUICE_TRY(in.fixed<uint16_t>("capabilities"));
  g.collation = SLUICE_TRY(in.fixed<uint8_t>("collation"));
  g.status = SLUICE_TRY(in.fixed<uint16_t>("status"));
  g.capabilities |= static_cast<uint64_t>(SLUICE_TRY(in.fixed<uint16_t>("capabilities"))) << 16;
  const auto auth_size = SLUICE_TRY(in.fixed<uint8_t>("auth_data_length"));
  SLUICE_TRY(in.bytes(6, "filler"));
  const auto extended = SLUICE_TRY(in.fixed<uint32_t>("mariadb_capabilities"));
  if (!(g.capabilities & kLongPassword)) g.capabilities |= static_cast<uint64_t>(extended) << 32;
  // 12 bytes and a NUL whatever auth_size says, unless it says more; lies about it are known.
  const std::size_t more = std::max<std::size_t>(13, auth_size > 8 ? auth_size - 8u : 0u);
  const auto second = SLUICE_TRY(in.bytes(std::min(more, in.left()), "scramble"));
  if (second.size() < kScrambleSize - 8) return in.error(ParseErrc::truncated, "scramble");
  std::copy(first.begin(), first.end(), g.scramble.begin());
  std::copy_n(second.begin(), kScrambleSize - 8, g.scramble.begin() + 8);
  if (g.capabilities & kPluginAuth) g.plugin = nul_or_rest(in);
  return g;
}

Bytes encode_greeting(const Greeting& g) {
  Bytes out;
  ByteWriter w(out);
  w.byte(10);
  w.nul_text(g.version);
  w.fixed<uint32_t>(g.connection_id);
  w.raw(ByteSpan(g.scramble).first(8));
  w.byte(0);
  w.fixed<uint16_t>(static_cast<uint16_t>(g.capabilities));
  w.byte(g.collation);
  w.fixed<uint16_t>(g.status);
  w.fixed<uint16_t>(static_cast<uint16_t>(g.capabilities >> 16));
  w.byte(kScrambleSize + 1);
  w.zeros(6);
  w.fixed<uint32_t>(g.capabilities & kLongPassword ? 0
                                                   : static_cast<uint32_t>(g.capabilities >> 32));
  w.raw(ByteSpan(g.scramble).subspan(8));
  w.byte(0);
  if (g.capabilities & kPluginAuth) w.nul_text(g.plugin);
  return out;
}

bool is_ssl_request(ByteSpan payload) {
  ByteReader in(payload);
  const auto capabilities = in.fixed<uint32_t>("capabilities");
  return payload.size() == 32 && capabilities && (*capabilities & kSsl);
}

Parsed<HandshakeResponse> parse_handshake_response(ByteSpan payload) {
  ByteReader in(payload);
  HandshakeResponse r;
  r.capabilities = SLUICE_TRY(in.fixed<uint32_t>("capabilities"));
  if (!(r.capabilities & kProtocol41))
    return in.error(ParseErrc::bad_value, "capabilities");  // clients before 4.1 are refused
  r.max_packet = SLUICE_TRY(in.fixed<uint32_t>("max_packet_size"));
  r.collation = SLUICE_TRY(in.fixed<uint8_t>("collation"));
  SLUICE_TRY(in.bytes(19, "reserved"));
  const auto extended = SLUICE_TRY(in.fixed<uint32_t>("mariadb_capabilities"));
  if (!(r.capabilities & kLongPassword)) r.capabilities |= static_cast<uint64_t>(extended) << 32;
  r.user = SLUICE_TRY(in.nul_string("user"));
  r.auth_begin = in.at();
  if (r.capabilities & kPluginAuthLenenc)
    r.auth_response = SLUICE_TRY(in.lenenc_bytes("auth_response"));
  else if (r.capabilities & kSecureConnection)
    r.auth_response = SLUICE_TRY(short_bytes(in));
  else
    r.auth_response = as_bytes(SLUICE_TRY(in.nul_string("auth_response")));
  r.auth_end = in.at();
  if (r.capabilities & kConnectWithDb) r.database = nul_or_rest(in);
  if (r.capabilities & kPluginAuth) r.plugin = nul_or_rest(in);
  return r;
}

Bytes encode_ssl_request(ByteSpan handshake_response) {
  constexpr std::size_t kSize = 32;  // up to the user
  assert(handshake_response.size() >= kSize);
  Bytes out(handshake_response.begin(), handshake_response.begin() + kSize);
  out[1] |= static_cast<std::byte>(kSsl >> 8);
  return out;
}

Bytes encode_handshake_response(std::string_view user) {
  constexpr uint8_t kUtf8mb4 = 45;
  Bytes out;
  ByteWriter w(out);
  w.fixed<uint32_t>(kLongPassword | kProtocol41 | kSecureConnection | kPluginAuth);
  w.fixed<uint32_t>(kMaxPayload);
  w.byte(kUtf8mb4);
  w.zeros(23);
  w.nul_text(user);
  w.byte(0);  // no proof
  w.nul_text("mysql_native_password");
  return out;
}

Parsed<ChangeUser> parse_change_user(ByteSpan payload, uint64_t capabilities) {
  ByteReader in(payload);
  SLUICE_TRY(in.bytes(1, "command"));
  ChangeUser c;
  c.user = SLUICE_TRY(in.nul_string("user"));
  c.auth_begin = in.at();
  if (capabilities & kSecureConnection)
    c.auth_response = SLUICE_TRY(short_bytes(in));
  else
    c.auth_response = as_bytes(SLUICE_TRY(in.nul_string("auth_response")));
  c.auth_end = in.at();
  c.database = nul_or_rest(in);
  if (in.left() < 2) return c;  // clients of before 5.5 end here
  SLUICE_TRY(in.bytes(2, "collation"));
  if (capabilities & kPluginAuth) c.plugin = nul_or_rest(in);
  return c;
}

/// Behind its length, or in front of a NUL: as it stood.
template <class Answer>
Bytes with_auth_response(ByteSpan payload, const Answer& parsed, ByteSpan response) {
  Bytes out(payload.begin(), payload.begin() + static_cast<std::ptrdiff_t>(parsed.auth_begin));
  ByteWriter w(out);
  const bool nul_ended = parsed.auth_end - parsed.auth_begin == parsed.auth_response.size() + 1 &&
                         parsed.auth_response.data() == payload.data() + parsed.auth_begin;
  if (!nul_ended) w.lenenc(response.size());  // of one byte below 251, in both forms
  w.raw(response);
  if (nul_ended) w.byte(0);
  w.raw(payload.subspan(parsed.auth_end));
  return out;
}
template Bytes with_auth_response(ByteSpan, const HandshakeResponse&, ByteSpan);
template Bytes with_auth_response(ByteSpan, const ChangeUser&, ByteSpan);

Parsed<AuthSwitch> parse_auth_switch(ByteSpan payload) {
  ByteReader in(payload);
  const auto marker = SLUICE_TRY(in.fixed<uint8_t>("marker"));
  if (marker != 0xFE && marker != 0x02) return in.error(ParseErrc::bad_value, "marker");
  AuthSwitch a;
  if (in.done()) return a;
  a.plugin = nul_or_rest(in);
  a.data = in.rest();
  if (!a.data.empty() && a.data.back() == std::byte{0}) a.data = a.data.first(a.data.size() - 1);
  return a;
}

bool is_ok(ByteSpan payload) {
  ByteReader in(payload);
  const auto marker = in.fixed<uint8_t>("marker");
  return marker && *marker == 0x00 && in.lenenc("affected_rows") && in.lenenc("last_insert_id") &&
         in.fixed<uint16_t>("status") && in.fixed<uint16_t>("warnings");
}

Parsed<ErrorPacket> parse_error(ByteSpan payload) {
  ByteReader in(payload);
  if (SLUICE_TRY(in.fixed<uint8_t>("marker")) != 0xFF)
    return in.error(ParseErrc::bad_value, "marker");
  ErrorPacket e;
  e.number = SLUICE_TRY(in.fixed<uint16_t>("number"));
  auto text = as_text(in.rest());
  if (text.size() >= 6 && text[0] == '#') {
    e.state = text.substr(1, 5);
    text.remove_prefix(6);
  }
  e.message = text;
  return e;
}

Bytes encode_error(uint16_t number, std::string_view state, std::string_view message) {
  constexpr std::size_t kMaxMessage = 512;  // MYSQL_ERRMSG_SIZE: clients cut there
  Bytes out;
  ByteWriter w(out);
  w.byte(0xFF);
  w.fixed<uint16_t>(number);
  w.text("#");
  w.text(state);
  w.text(message.substr(0, kMaxMessage));
  return out;
}

void append_packet(Bytes& out, uint8_t sequence, ByteSpan payload) {
  ByteWriter w(out);
  w.fixed<uint32_t>(static_cast<uint32_t>(payload.size()), 3);
  w.byte(sequence);
  w.raw(payload);
}

}  // namespace sluice::mysql
