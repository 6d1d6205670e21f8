#include <algorithm>
#include <array>
#include <charconv>

#include "common/base/ip_address.h"
#include "common/base/result.h"
#include "common/proxy_protocol/header.h"
#include "common/proxy_protocol/wire.h"

namespace sluice::proxy_protocol {
namespace {

using Family = IpAddress::Family;

tl::unexpected<ParseError> refuse(ParseErrc code, std::size_t at, std::string_view what) {
  return tl::unexpected(ParseError{code, at, what});
}

bool begins_alike(ByteSpan prefix, std::string_view signature) {
  const auto n = std::min(prefix.size(), signature.size());
  return as_text(prefix.first(n)) == signature.substr(0, n);
}

// Version 1: a line of text.

/// The words of a line, taken one by one; exactly one blank is between two.
class Words {
 public:
  explicit Words(std::string_view line) : line_(line) {}
  std::size_t at() const { return at_; }
  bool done() const { return at_ > line_.size(); }
  std::string_view next() {
    if (done()) return {};
    const auto word = line_.substr(at_, line_.find(' ', at_) - at_);
    at_ += word.size() + 1;
    return word;
  }

 private:
  std::string_view line_;
  std::size_t at_ = 0;
};

Parsed<std::string> parse_ip(Words& words, Family family, std::string_view field) {
  const auto at = words.at();
  const auto ip = IpAddress::parse(words.next());
  if (!ip || ip->family != family) return refuse(ParseErrc::bad_value, at, field);
  return ip->unmapped().text();
}

Parsed<uint16_t> parse_port(Words& words, std::string_view field) {
  const auto at = words.at();
  const auto word = words.next();
  uint16_t port = 0;
  const char* end = word.data() + word.size();
  const auto [rest, error] = std::from_chars(word.data(), end, port);
  if (word.empty() || error != std::errc{} || rest != end ||
      (word.size() > 1 && word.front() == '0'))
    return refuse(ParseErrc::bad_value, at, field);
  return port;
}

/// The line without its end.
Parsed<Header> parse_line(std::string_view line) {
  Header header{.size = line.size() + kLineEnd.size()};
  Words words(line);
  words.next();  // the signature, compared already
  const auto at = words.at();
  const auto protocol = words.next();
  header.local = protocol == "UNKNOWN";
  if (header.local) return header;  // what follows is to be ignored (2.1)
  if (protocol != "TCP4" && protocol != "TCP6") return refuse(ParseErrc::bad_value, at, "protocol");
  const auto family = protocol == "TCP4" ? Family::v4 : Family::v6;
  header.source.ip = SLUICE_TRY(parse_ip(words, family, "source address"));
  header.destination.ip = SLUICE_TRY(parse_ip(words, family, "destination address"));
  header.source.port = SLUICE_TRY(parse_port(words, "source port"));
  header.destination.port = SLUICE_TRY(parse_port(words, "destination port"));
  if (!words.done()) return refuse(ParseErrc::bad_value, words.at(), "end of the line");
  return header;
}

Parsed<std::optional<Header>> parse_v1(ByteSpan prefix) {
  const auto text = as_text(prefix).substr(0, kMaxLine);
  const auto end = text.find_first_of("\r\n");
  const auto rest = end == std::string_view::npos ? std::string_view{} : text.substr(end);
  if (rest.starts_with(kLineEnd)) return SLUICE_TRY(parse_line(text.substr(0, end)));
  if (!rest.empty() && rest != kLineEnd.substr(0, 1))
    return refuse(ParseErrc::bad_value, end, "end of the line");
  if (text.size() == kMaxLine) return refuse(ParseErrc::too_long, kMaxLine, "line");
  return std::nullopt;
}

// Version 2: binary, in network byte order.

Parsed<uint16_t> big_endian(ByteReader& in, std::string_view field) {
  const auto raw = SLUICE_TRY(in.bytes(2, field));
  return static_cast<uint16_t>(std::to_integer<unsigned>(raw[0]) << 8 |
                               std::to_integer<unsigned>(raw[1]));
}

Parsed<std::string> binary_ip(ByteReader& in, Family family, std::string_view field) {
  IpAddress ip{family, {}};
  const auto raw = SLUICE_TRY(in.bytes(ip.size(), field));
  std::ranges::transform(raw, ip.bytes.begin(), [](std::byte b) { return uint8_t(b); });
  return ip.unmapped().text();
}

Parsed<> skip_tlvs(ByteReader& in) {
  while (!in.done()) {
    SLUICE_TRY(in.bytes(1, "TLV type"));
    SLUICE_TRY(in.bytes(SLUICE_TRY(big_endian(in, "TLV length")), "TLV value"));
  }
  return {};
}

/// What follows the fixed part.
Parsed<> parse_addresses(ByteReader& in, Family family, Header& header) {
  header.source.ip = SLUICE_TRY(binary_ip(in, family, "source address"));
  header.destination.ip = SLUICE_TRY(binary_ip(in, family, "destination address"));
  header.source.port = SLUICE_TRY(big_endian(in, "source port"));
  header.destination.port = SLUICE_TRY(big_endian(in, "destination port"));
  return skip_tlvs(in);
}

/// `whole` has the size that its fixed part says.
Parsed<Header> parse_binary(ByteSpan whole, uint8_t command, uint8_t protocol) {
  Header header{.size = whole.size()};
  header.local = command == kLocal || protocol == kUnspecified;
  if (header.local) return header;  // the rest is to be ignored, its form is not known (2.2)
  const auto family = protocol == kTcp6 ? Family::v6 : Family::v4;
  ByteReader in(whole.subspan(kFixedPart));
  if (auto ok = parse_addresses(in, family, header); !ok)
    return refuse(ParseErrc::bad_value, kFixedPart + ok.error().offset, ok.error().field);
  return header;
}

Parsed<std::optional<Header>> parse_v2(ByteSpan prefix) {
  if (prefix.size() < kFixedPart) return std::nullopt;
  ByteReader in(prefix);
  SLUICE_TRY(in.bytes(kSignatureV2.size(), "signature"));
  const auto at = in.at();
  const auto command = SLUICE_TRY(in.fixed<uint8_t>("command"));
  const auto protocol = SLUICE_TRY(in.fixed<uint8_t>("protocol"));
  const auto rest = SLUICE_TRY(big_endian(in, "length"));
  if (command != kLocal && command != kProxy)
    return refuse(ParseErrc::bad_value, at, "version or command");
  if (command == kProxy && protocol != kUnspecified && protocol != kTcp4 && protocol != kTcp6)
    return refuse(ParseErrc::bad_value, at + 1, protocol == kUnix ? "AF_UNIX" : "protocol");
  if (rest > kMaxRest) return refuse(ParseErrc::too_long, at + 2, "length");
  if (in.left() < rest) return std::nullopt;
  return SLUICE_TRY(parse_binary(prefix.first(kFixedPart + rest), command, protocol));
}

}  // namespace

bool could_be_header(ByteSpan prefix) {
  return begins_alike(prefix, kSignatureV1) || begins_alike(prefix, kSignatureV2);
}

Parsed<std::optional<Header>> parse(ByteSpan prefix) {
  if (!could_be_header(prefix)) return refuse(ParseErrc::bad_value, 0, "signature");
  return begins_alike(prefix, kSignatureV1) ? parse_v1(prefix) : parse_v2(prefix);
}

}  // namespace sluice::proxy_protocol
