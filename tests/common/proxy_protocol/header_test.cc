#include "common/proxy_protocol/header.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace sluice::proxy_protocol {
namespace {

constexpr std::string_view kSignature("\r\n\r\n\0\r\nQUIT\n", 12);

/// A header of version 2 from its parts.
std::string binary(uint8_t command, uint8_t protocol, std::string_view rest) {
  std::string out(kSignature);
  for (const auto byte : {static_cast<std::size_t>(command), static_cast<std::size_t>(protocol),
                          rest.size() >> 8, rest.size() & 0xFF})
    out += static_cast<char>(byte);
  return out.append(rest);
}
constexpr std::string_view kIpv4("\xC0\x00\x02\x01\x0A\x00\x00\x0B\x30\x39\x0C\xEA", 12);

/// What parse() says: "more", "192.0.2.1:12345 -> 10.0.0.11:3306, 28 bytes", "local, 15 bytes", or
/// the field that was wrong.
std::string said(std::string_view text) {
  const auto parsed = parse(as_bytes(text));
  if (!parsed) return "wrong: " + std::string(parsed.error().field);
  if (!*parsed) return "more";
  const Header& header = **parsed;
  const auto size = ", " + std::to_string(header.size) + " bytes";
  if (header.local) return "local" + size;
  const auto end = [](const End& e) { return e.ip + ":" + std::to_string(e.port); };
  return end(header.source) + " -> " + end(header.destination) + size;
}

TEST(Line, IsRead) {
  EXPECT_EQ(said("PROXY TCP4 192.0.2.1 10.0.0.11 12345 3306\r\n"),
            "192.0.2.1:12345 -> 10.0.0.11:3306, 43 bytes");
  EXPECT_EQ(said("PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n"),
            "255.255.255.255:65535 -> 255.255.255.255:65535, 56 bytes");
  EXPECT_EQ(said("PROXY TCP6 2001:DB8:0::1 fd00::11 0 3306\r\nrest"),
            "2001:db8::1:0 -> fd00::11:3306, 42 bytes");
  EXPECT_EQ(said("PROXY TCP6 ::ffff:192.0.2.1 ::ffff:10.0.0.11 1 2\r\n"),
            "192.0.2.1:1 -> 10.0.0.11:2, 50 bytes");
}

TEST(Line, OfUnknownKeepsTheRealPeer) {
  EXPECT_EQ(said("PROXY UNKNOWN\r\n"), "local, 15 bytes");
  EXPECT_EQ(said("PROXY UNKNOWN whatever stands here\r\nPROXY"), "local, 36 bytes");
  EXPECT_EQ(said("PROXY UNKNOWN " + std::string(91, 'f') + "\r\n"), "local, 107 bytes");
}

TEST(Line, HasAtMost107Bytes) {
  const auto line = "PROXY UNKNOWN " + std::string(92, 'f') + "\r\n";
  EXPECT_EQ(said(line), "wrong: line");
  EXPECT_EQ(said(line.substr(0, 107)), "wrong: line");
  EXPECT_EQ(said(line.substr(0, 106)), "more");
  EXPECT_EQ(said("PROXY TCP4 " + std::string(100'000, '1')), "wrong: line");
}

TEST(Line, WhatIsWrongIsNamed) {
  const std::pair<std::string_view, std::string_view> cases[] = {
      {"PROXY\r\n", "signature"},
      {"PROXY  TCP4 1.1.1.1 2.2.2.2 1 2\r\n", "protocol"},
      {"PROXY \r\n", "protocol"},
      {"PROXY TCP5 1.1.1.1 2.2.2.2 1 2\r\n", "protocol"},
      {"PROXY tcp4 1.1.1.1 2.2.2.2 1 2\r\n", "protocol"},
      {"PROXY UNKNOWNN\r\n", "protocol"},
      {"PROXY UNIX a b\r\n", "protocol"},
      {"PROXY TCP4\r\n", "source address"},
      {"PROXY TCP4 \r\n", "source address"},
      {"PROXY TCP4  1.1.1.1 2.2.2.2 1 2\r\n", "source address"},
      {"PROXY TCP4 ::1 ::2 1 2\r\n", "source address"},
      {"PROXY TCP6 1.1.1.1 2.2.2.2 1 2\r\n", "source address"},
      {"PROXY TCP4 01.1.1.1 2.2.2.2 1 2\r\n", "source address"},
      {"PROXY TCP4 1.1.1.1\t2.2.2.2 1 2\r\n", "source address"},
      {"PROXY TCP4 1.1.1.1 2.2.2 1 2\r\n", "destination address"},
      {"PROXY TCP4 1.1.1.1 2.2.2.2\r\n", "source port"},
      {"PROXY TCP4 1.1.1.1 2.2.2.2 -1 2\r\n", "source port"},
      {"PROXY TCP4 1.1.1.1 2.2.2.2 65536 2\r\n", "source port"},
      {"PROXY TCP4 1.1.1.1 2.2.2.2 01 2\r\n", "source port"},
      {"PROXY TCP4 1.1.1.1 2.2.2.2 1\r\n", "destination port"},
      {"PROXY TCP4 1.1.1.1 2.2.2.2 1 \r\n", "destination port"},
      {"PROXY TCP4 1.1.1.1 2.2.2.2 1 2 \r\n", "end of the line"},
      {"PROXY TCP4 1.1.1.1 2.2.2.2 1 2 3\r\n", "end of the line"},
      {"PROXY TCP4 1.1.1.1 2.2.2.2 1 2\n", "end of the line"},
      {"PROXY TCP4 1.1.1.1 2.2.2.2 1 2\rx", "end of the line"},
      {"PROXY TCP4 1.1.1.1\n2.2.2.2 1 2\r\n", "end of the line"},
      {"proxy TCP4 1.1.1.1 2.2.2.2 1 2\r\n", "signature"},
      {"GET / HTTP/1.1\r\n", "signature"},
  };
  for (const auto& [text, field] : cases)
    EXPECT_EQ(said(text), "wrong: " + std::string(field)) << text;
  EXPECT_EQ(said(std::string("PROXY TCP4 1.1.1.1\0 2.2.2.2 1 2\r\n", 33)), "wrong: source address");
}

TEST(Binary, IsRead) {
  EXPECT_EQ(said(binary(0x21, 0x11, kIpv4)), "192.0.2.1:12345 -> 10.0.0.11:3306, 28 bytes");
  EXPECT_EQ(said(binary(0x21, 0x11, kIpv4) + "\x4A\x01"),
            "192.0.2.1:12345 -> 10.0.0.11:3306, 28 bytes");
  std::string ipv6(36, '\0');
  ipv6[0] = '\xFD';
  ipv6[15] = '\x01';
  ipv6[16] = '\xFD';
  ipv6[31] = '\x02';
  ipv6[33] = '\x07';
  ipv6[35] = '\x08';
  EXPECT_EQ(said(binary(0x21, 0x21, ipv6)), "fd00::1:7 -> fd00::2:8, 52 bytes");
  const std::string mapped = std::string(10, '\0') + "\xFF\xFF\x0A\x01\x02\x03";
  EXPECT_EQ(said(binary(0x21, 0x21, mapped + mapped + ipv6.substr(32))),
            "10.1.2.3:7 -> 10.1.2.3:8, 52 bytes");
}

TEST(Binary, OfNobodyKeepsTheRealPeer) {
  EXPECT_EQ(said(binary(0x20, 0x00, "")), "local, 16 bytes");
  EXPECT_EQ(said(binary(0x20, 0x11, kIpv4)), "local, 28 bytes");
  EXPECT_EQ(said(binary(0x20, 0x31, std::string(216, 'x'))), "local, 232 bytes");
  EXPECT_EQ(said(binary(0x20, 0xFF, "xyz")), "local, 19 bytes");
  EXPECT_EQ(said(binary(0x21, 0x00, "")), "local, 16 bytes");
}

TEST(Binary, SkipsWhatFitsOfItsTlvs) {
  const auto with = [](std::string_view tlvs) {
    return said(binary(0x21, 0x11, std::string(kIpv4).append(tlvs)));
  };
  const std::string right = "192.0.2.1:12345 -> 10.0.0.11:3306, ";
  EXPECT_EQ(with(std::string_view("\x02\x00\x03"
                                  "abc",
                                  6)),
            right + "34 bytes");
  EXPECT_EQ(with(std::string_view("\x04\x00\x00\x04\x00\x00", 6)), right + "34 bytes");
  EXPECT_EQ(with(std::string("\x04\x01\xF1") + std::string(0x1F1, 'x')), right + "528 bytes");
  EXPECT_EQ(with(std::string_view("\x04", 1)), "wrong: TLV length");
  EXPECT_EQ(with(std::string_view("\x04\x00", 2)), "wrong: TLV length");
  EXPECT_EQ(with(std::string_view("\x04\x00\x01", 3)), "wrong: TLV value");
  EXPECT_EQ(with(std::string_view("\x04\xFF\xFF"
                                  "abc",
                                  6)),
            "wrong: TLV value");
}

TEST(Binary, WhatIsWrongIsNamed) {
  EXPECT_EQ(said(binary(0x11, 0x11, kIpv4)), "wrong: version or command");
  EXPECT_EQ(said(binary(0x22, 0x11, kIpv4)), "wrong: version or command");
  EXPECT_EQ(said(binary(0x31, 0x11, kIpv4)), "wrong: version or command");
  EXPECT_EQ(said(binary(0x21, 0x12, kIpv4)), "wrong: protocol");
  EXPECT_EQ(said(binary(0x21, 0x10, kIpv4)), "wrong: protocol");
  EXPECT_EQ(said(binary(0x21, 0x41, kIpv4)), "wrong: protocol");
  EXPECT_EQ(said(binary(0x21, 0x31, std::string(216, '\0'))), "wrong: AF_UNIX");
  EXPECT_EQ(said(binary(0x21, 0x11, kIpv4.substr(0, 11))), "wrong: destination port");
  EXPECT_EQ(said(binary(0x21, 0x11, "")), "wrong: source address");
  EXPECT_EQ(said(binary(0x21, 0x21, kIpv4)), "wrong: source address");
}

TEST(Binary, HasAtMost512BytesBehindItsFixedPart) {
  const auto header = binary(0x20, 0x00, std::string(kMaxRest + 1, '\0'));
  EXPECT_EQ(said(header), "wrong: length");
  EXPECT_EQ(said(header.substr(0, kFixedPart)), "wrong: length");
  EXPECT_EQ(said(binary(0x20, 0x00, std::string(65'535, '\0'))), "wrong: length");
  EXPECT_EQ(said(binary(0x20, 0x00, std::string(kMaxRest, '\0'))), "local, 528 bytes");
}

TEST(Header, CutAnywhereNeedsMore) {
  for (const std::string& whole :
       {std::string("PROXY TCP4 192.0.2.1 10.0.0.11 12345 3306\r\n"),
        std::string("PROXY UNKNOWN\r\n"), binary(0x21, 0x11, kIpv4), binary(0x20, 0x00, "")}) {
    for (std::size_t n = 0; n < whole.size(); ++n) {
      EXPECT_EQ(said(whole.substr(0, n)), "more") << n;
      EXPECT_TRUE(could_be_header(as_bytes(whole.substr(0, n)))) << n;
    }
    EXPECT_NE(said(whole), "more");
  }
}

TEST(Header, WhatCanBeNoneIsKnownAtItsFirstWrongByte) {
  for (const std::string& whole : {std::string("PROXY "), std::string(kSignature)}) {
    for (std::size_t n = 0; n < whole.size(); ++n) {
      const auto wrong = whole.substr(0, n) + "x";
      EXPECT_FALSE(could_be_header(as_bytes(wrong))) << n;
      EXPECT_EQ(said(wrong), "wrong: signature") << n;
    }
  }
  // The first packet of a client: its length, then its number.
  EXPECT_FALSE(could_be_header(as_bytes(std::string_view("\x54\x00\x00\x01", 4))));
}

TEST(Encode, Tcp) {
  const auto v4 = encode_tcp({"192.0.2.1", 12345}, {"10.0.0.11", 3306});
  ASSERT_TRUE(v4);
  EXPECT_EQ(as_text(*v4), binary(0x21, 0x11, kIpv4));
  EXPECT_EQ(said(as_text(encode_tcp({"fd00::1", 7}, {"fd00::2", 8}).value())),
            "fd00::1:7 -> fd00::2:8, 52 bytes");
}

TEST(Encode, OfTwoFamiliesGoesAsIpv6) {
  const auto bytes = encode_tcp({"192.0.2.1", 7}, {"fd00::2", 8}).value();
  EXPECT_EQ(bytes[13], std::byte{0x21});
  EXPECT_EQ(said(as_text(bytes)), "192.0.2.1:7 -> fd00::2:8, 52 bytes");
  const auto mapped = encode_tcp({"::ffff:192.0.2.1", 12345}, {"10.0.0.11", 3306}).value();
  EXPECT_EQ(as_text(mapped), binary(0x21, 0x11, kIpv4));
}

TEST(Encode, WhatIsNoAddressIsNotSent) {
  EXPECT_FALSE(encode_tcp({"", 7}, {"10.0.0.11", 3306}));
  EXPECT_FALSE(encode_tcp({"10.0.0.11", 7}, {"db1.example.org", 3306}));
}

TEST(Encode, LocalAndUnix) {
  EXPECT_EQ(as_text(encode_local()), binary(0x20, 0x00, ""));
  EXPECT_EQ(as_text(encode_unix()), binary(0x21, 0x31, std::string(216, '\0')));
}

}  // namespace
}  // namespace sluice::proxy_protocol
