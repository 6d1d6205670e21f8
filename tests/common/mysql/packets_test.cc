#include "common/mysql/packets.h"

#include <gtest/gtest.h>

namespace sluice::mysql {
namespace {

Greeting sample_greeting() {
  Greeting g;
  g.version = "5.5.5-10.11.6-MariaDB";
  g.connection_id = 0x01020304;
  for (std::size_t i = 0; i < kScrambleSize; ++i) g.scramble[i] = static_cast<std::byte>('a' + i);
  g.capabilities =
      kProtocol41 | kSecureConnection | kPluginAuth | kDeprecateEof | kMariadbCacheMetadata;
  g.collation = 45;
  g.status = 2;
  g.plugin = "mysql_native_password";
  return g;
}

/// A response with everything in it; capabilities decide which form the proof has.
Bytes response(uint64_t capabilities) {
  Bytes out;
  ByteWriter w(out);
  w.fixed<uint32_t>(static_cast<uint32_t>(capabilities));
  w.fixed<uint32_t>(kMaxPayload);
  w.byte(45);
  w.zeros(19);
  w.fixed<uint32_t>(static_cast<uint32_t>(capabilities >> 32));
  w.nul_text("app");
  if (capabilities & (kPluginAuthLenenc | kSecureConnection))
    w.lenenc_text("proof");  // a short length looks the same in both forms
  else
    w.nul_text("proof");
  if (capabilities & kConnectWithDb) w.nul_text("shop");
  if (capabilities & kPluginAuth) w.nul_text("mysql_native_password");
  return out;
}

TEST(Greeting, DecodeOfEncodeIsTheSame) {
  const auto g = sample_greeting();
  const auto bytes = encode_greeting(g);
  const auto back = parse_greeting(bytes);
  ASSERT_TRUE(back);
  EXPECT_EQ(back->version, g.version);
  EXPECT_EQ(back->connection_id, g.connection_id);
  EXPECT_EQ(back->scramble, g.scramble);
  EXPECT_EQ(back->capabilities, g.capabilities);
  EXPECT_EQ(back->collation, g.collation);
  EXPECT_EQ(back->status, g.status);
  EXPECT_EQ(back->plugin, g.plugin);
  EXPECT_EQ(encode_greeting(*back), bytes);
}

TEST(Greeting, OfMysqlHasNoExtendedCapabilities) {
  auto g = sample_greeting();
  g.capabilities = (g.capabilities & 0xFFFFFFFF) | kLongPassword;
  auto bytes = encode_greeting(g);
  const auto filler =
      kHeaderSize + g.version.size() + 2 + 8 + 9 + 2 + 1 + 2 + 2 + 1 + 6 - kHeaderSize;
  ASSERT_LT(filler + 3, bytes.size());
  bytes[filler] = std::byte{0xFF};  // reserved there
  const auto back = parse_greeting(bytes);
  ASSERT_TRUE(back);
  EXPECT_EQ(back->capabilities >> 32, 0u);
}

TEST(Greeting, EveryTruncationIsAnErrorThatNamesItsField) {
  auto g = sample_greeting();
  g.plugin = "";
  const auto whole = encode_greeting(g);
  const auto needed = whole.size() - 2;  // the NULs behind scramble and plugin may be missing
  for (std::size_t n = 0; n < needed; ++n) {
    const auto cut = parse_greeting(ByteSpan(whole).first(n));
    ASSERT_FALSE(cut) << "accepted when cut at byte " << n;
    EXPECT_EQ(cut.error().code, ParseErrc::truncated);
    EXPECT_FALSE(cut.error().field.empty());
  }
}

TEST(Greeting, OfAnotherProtocolIsRefused) {
  auto bytes = encode_greeting(sample_greeting());
  bytes[0] = std::byte{9};
  const auto parsed = parse_greeting(bytes);
  ASSERT_FALSE(parsed);
  EXPECT_EQ(parsed.error().code, ParseErrc::bad_value);
  EXPECT_EQ(parsed.error().field, "protocol");
}

TEST(HandshakeResponse, IsReadInAllForms) {
  for (const uint64_t form : {uint64_t{kPluginAuthLenenc} | kSecureConnection,
                              uint64_t{kSecureConnection}, uint64_t{0}}) {
    const auto bytes =
        response(kProtocol41 | kConnectWithDb | kPluginAuth | kMariadbCacheMetadata | form);
    const auto r = parse_handshake_response(bytes);
    ASSERT_TRUE(r) << form;
    EXPECT_EQ(r->user, "app");
    EXPECT_EQ(as_text(r->auth_response), "proof");
    EXPECT_EQ(r->database, "shop");
    EXPECT_EQ(r->plugin, "mysql_native_password");
    EXPECT_TRUE(r->capabilities & kMariadbCacheMetadata);
    EXPECT_EQ(r->collation, 45);
  }
}

TEST(HandshakeResponse, EveryTruncationBeforeTheLastStringsIsAnErrorThatNamesItsField) {
  for (const uint64_t form :
       {uint64_t{kPluginAuthLenenc}, uint64_t{kSecureConnection}, uint64_t{0}}) {
    const auto whole = response(kProtocol41 | form);
    for (std::size_t n = 0; n < whole.size(); ++n) {
      const auto cut = parse_handshake_response(ByteSpan(whole).first(n));
      ASSERT_FALSE(cut) << "accepted when cut at byte " << n;
      EXPECT_EQ(cut.error().code, ParseErrc::truncated);
      EXPECT_FALSE(cut.error().field.empty());
    }
  }
}

TEST(HandshakeResponse, TheLastStringNeedsNoNul) {
  auto bytes = response(kProtocol41 | kSecureConnection | kConnectWithDb);
  bytes.pop_back();
  const auto r = parse_handshake_response(bytes);
  ASSERT_TRUE(r);
  EXPECT_EQ(r->database, "shop");
}

TEST(HandshakeResponse, OfClientsBefore41IsRefused) {
  const auto parsed = parse_handshake_response(response(kSecureConnection));
  ASSERT_FALSE(parsed);
  EXPECT_EQ(parsed.error().field, "capabilities");
}

TEST(HandshakeResponse, AnSslRequestIsKnown) {
  auto bytes = response(kProtocol41 | kSsl);
  bytes.resize(32);
  EXPECT_TRUE(is_ssl_request(bytes));
  bytes.push_back(std::byte{0});
  EXPECT_FALSE(is_ssl_request(bytes));
  auto without = response(kProtocol41);
  without.resize(32);
  EXPECT_FALSE(is_ssl_request(without));
}

TEST(HandshakeResponse, OurOwnIsReadable) {
  const auto bytes = encode_handshake_response("somebody");
  const auto r = parse_handshake_response(bytes);
  ASSERT_TRUE(r);
  EXPECT_EQ(r->user, "somebody");
  EXPECT_TRUE(r->auth_response.empty());
}

TEST(ChangeUser, IsReadInBothForms) {
  for (const uint64_t capabilities : {uint64_t{kSecureConnection}, uint64_t{0}}) {
    Bytes bytes;
    ByteWriter w(bytes);
    w.byte(0x11);
    w.nul_text("other");
    if (capabilities)
      w.lenenc_text("proof");
    else
      w.nul_text("proof");
    const auto needed = bytes.size();
    w.nul_text("shop");
    const auto c = parse_change_user(bytes, capabilities);
    ASSERT_TRUE(c);
    EXPECT_EQ(c->user, "other");
    EXPECT_EQ(c->database, "shop");
    for (std::size_t n = 0; n < needed; ++n)
      EXPECT_FALSE(parse_change_user(ByteSpan(bytes).first(n), capabilities)) << n;
  }
}

TEST(ErrorPacket, DecodeOfEncodeIsTheSame) {
  const auto bytes = encode_error(1045, "28000", "Access denied");
  const auto e = parse_error(bytes);
  ASSERT_TRUE(e);
  EXPECT_EQ(e->number, 1045);
  EXPECT_EQ(e->state, "28000");
  EXPECT_EQ(e->message, "Access denied");
  for (std::size_t n = 0; n < 3; ++n) EXPECT_FALSE(parse_error(ByteSpan(bytes).first(n))) << n;
}

TEST(ErrorPacket, BeforeTheHandshakeHasNoState) {
  Bytes bytes;
  ByteWriter w(bytes);
  w.byte(0xFF);
  w.fixed<uint16_t>(1040);
  w.text("Too many connections");
  const auto e = parse_error(bytes);
  ASSERT_TRUE(e);
  EXPECT_TRUE(e->state.empty());
  EXPECT_EQ(e->message, "Too many connections");
}

TEST(ErrorPacket, LongMessagesAreCutWhereClientsCutThem) {
  const auto bytes = encode_error(1105, "HY000", std::string(5000, 'x'));
  EXPECT_EQ(parse_error(bytes)->message.size(), 512u);
}

TEST(Packet, HasLengthAndNumber) {
  Bytes out;
  append_packet(out, 7, as_bytes("abc"));
  EXPECT_EQ(as_text(out), std::string_view("\3\0\0\7abc", 7));
}

}  // namespace
}  // namespace sluice::mysql
