// Certificates that expire: those of the configuration in force, which nobody parses again.
#pragma once

#include <string>
#include <vector>

#include "common/config/config.h"

namespace sluice::config {

/// So long before it expires, a certificate deserves a warning.
inline constexpr int64_t kExpiresSoonS = int64_t{30} * 24 * 3600;

/// Whole days until then; negative: it has expired.
int64_t days_until(int64_t then_s, int64_t now_s);

struct Expiring {
  std::string service, server;  ///< one of them; a server as "shop/db1"
  int64_t not_after_s = 0;
  bool operator==(const Expiring&) const = default;
};

/// What has expired or will within kExpiresSoonS, of sides that speak TLS.
std::vector<Expiring> expiring(const Config& config, int64_t now_s);

}  // namespace sluice::config
