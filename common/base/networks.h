// Networks of IP addresses, and whether an address lies in one of them.
#pragma once

#include <vector>

#include "common/base/ip_address.h"
#include "common/base/result.h"

namespace sluice {

/// "10.0.0.0/8", "fd00::/8"; one address is a network too. That of mapped IPv4 addresses
/// ("::ffff:10.0.0.0/104") is an IPv4 network.
/// Source: MariaDB sql/proxy_protocol.cc parse_subnet(), normalize_subnet().
struct IpNetwork {
  IpAddress address;
  unsigned prefix = 0;  ///< how many of its bits count

  /// Errc::bad_input says what is wrong. Bits behind the prefix stay: see base().
  static Result<IpNetwork> parse(std::string_view text);
  /// Without the bits behind the prefix.
  IpNetwork base() const;
  std::string text() const;
  bool contains(const IpAddress& ip) const;
  bool operator==(const IpNetwork&) const = default;
};

/// Read once, asked often.
class Networks {
 public:
  Networks() = default;
  /// Errc::bad_input names the text that is no network.
  static Result<Networks> from(std::span<const std::string> texts);

  /// A mapped IPv4 address is asked for as IPv4. What is no IP address lies nowhere.
  bool contain(std::string_view ip) const;
  bool empty() const { return networks_.empty(); }

 private:
  std::vector<IpNetwork> networks_;
};

}  // namespace sluice
