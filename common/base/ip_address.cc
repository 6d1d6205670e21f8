#include "common/base/ip_address.h"

#include <arpa/inet.h>

#include <algorithm>

namespace sluice {
namespace {

using Family = IpAddress::Family;

constexpr std::array<uint8_t, 12> kMapped = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF};

int system_family(Family family) {
  return family == Family::v4 ? AF_INET : AF_INET6;
}

}  // namespace

std::optional<IpAddress> IpAddress::parse(std::string_view text) {
  char buffer[INET6_ADDRSTRLEN] = {};
  if (text.size() >= sizeof buffer || text.find('\0') != std::string_view::npos)
    return std::nullopt;
  std::ranges::copy(text, buffer);
  for (const Family family : {Family::v4, Family::v6}) {
    IpAddress address{family, {}};
    if (::inet_pton(system_family(family), buffer, address.bytes.data()) == 1) return address;
  }
  return std::nullopt;
}

std::string IpAddress::text() const {
  char buffer[INET6_ADDRSTRLEN] = {};
  ::inet_ntop(system_family(family), bytes.data(), buffer, sizeof buffer);
  return buffer;
}

IpAddress IpAddress::unmapped() const {
  if (family == Family::v4 || !std::ranges::equal(std::span(bytes).first<12>(), kMapped))
    return *this;
  IpAddress address;
  std::ranges::copy(std::span(bytes).last<4>(), address.bytes.begin());
  return address;
}

IpAddress IpAddress::mapped() const {
  if (family == Family::v6) return *this;
  IpAddress address{Family::v6, {}};
  std::ranges::copy(kMapped, address.bytes.begin());
  std::ranges::copy(std::span(bytes).first<4>(), address.bytes.begin() + kMapped.size());
  return address;
}

}  // namespace sluice
