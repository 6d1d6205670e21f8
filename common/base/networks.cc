#include "common/base/networks.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

namespace sluice {
namespace {

constexpr unsigned kMappedBits = 96;  // of IPv6, before the IPv4 address

Result<unsigned> parse_prefix(std::string_view digits, std::string_view text, unsigned most) {
  unsigned prefix = 0;
  const char* end = digits.data() + digits.size();
  const auto [rest, error] = std::from_chars(digits.data(), end, prefix);
  if (error == std::errc{} && rest == end && prefix <= most) return prefix;
  return fail(Errc::bad_input,
              fmt::format("\"{}\": the length of the prefix is a number from 0 to {}", text, most));
}

}  // namespace

Result<IpNetwork> IpNetwork::parse(std::string_view text) {
  const auto slash = text.find('/');
  const auto address = IpAddress::parse(text.substr(0, slash));
  if (!address) return fail(Errc::bad_input, fmt::format("\"{}\" is not a network", text));
  IpNetwork network{*address, address->bits()};
  if (slash != std::string_view::npos)
    network.prefix = SLUICE_TRY(parse_prefix(text.substr(slash + 1), text, address->bits()));
  const auto plain = address->unmapped();
  if (plain == *address || network.prefix < kMappedBits) return network;
  return IpNetwork{plain, network.prefix - kMappedBits};
}

IpNetwork IpNetwork::base() const {
  IpNetwork network = *this;
  for (unsigned bit = prefix; bit < address.bits(); ++bit)
    network.address.bytes[bit / 8] &= static_cast<uint8_t>(~(0x80U >> (bit % 8)));
  return network;
}

std::string IpNetwork::text() const {
  return fmt::format("{}/{}", address.text(), prefix);
}

bool IpNetwork::contains(const IpAddress& ip) const {
  return ip.family == address.family && IpNetwork{ip, prefix}.base().address == base().address;
}

Result<Networks> Networks::from(std::span<const std::string> texts) {
  Networks networks;
  for (const std::string& text : texts)
    networks.networks_.push_back(SLUICE_TRY(IpNetwork::parse(text)).base());
  return networks;
}

bool Networks::contain(std::string_view ip) const {
  const auto address = IpAddress::parse(ip);
  if (!address) return false;
  return std::ranges::any_of(networks_, [plain = address->unmapped()](const IpNetwork& network) {
    return network.contains(plain);
  });
}

}  // namespace sluice
