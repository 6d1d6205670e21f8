// An IP address as a value.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace sluice {

struct IpAddress {
  enum class Family : uint8_t { v4, v6 };
  Family family = Family::v4;
  std::array<uint8_t, 16> bytes{};  ///< in network order; of IPv4 the first four

  /// What inet_pton(3) takes: "10.0.0.1", "fd00::1"; no zone, no brackets, no leading zeros.
  static std::optional<IpAddress> parse(std::string_view text);
  /// In its canonical form.
  std::string text() const;

  std::size_t size() const { return family == Family::v4 ? 4 : 16; }
  unsigned bits() const { return family == Family::v4 ? 32 : 128; }
  std::span<const uint8_t> used() const { return std::span(bytes).first(size()); }
  /// "::ffff:a.b.c.d" (RFC 4291, 2.5.5.2) as a.b.c.d, which is how servers judge it; others as they
  /// are. Source: MariaDB vio/viosocket.c vio_get_normalized_ip().
  IpAddress unmapped() const;
  /// The opposite.
  IpAddress mapped() const;
  bool operator==(const IpAddress&) const = default;
};

}  // namespace sluice
