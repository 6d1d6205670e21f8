#include "master/config/expiry.h"

#include <fmt/format.h>

namespace sluice::config {
namespace {

constexpr int64_t kDayS = 24 * 3600;

bool expires_soon(const Tls& tls, int64_t now_s) {
  return tls.mode != TlsMode::off && tls.not_after_s != 0 &&
         tls.not_after_s < now_s + kExpiresSoonS;
}

}  // namespace

int64_t days_until(int64_t then_s, int64_t now_s) {
  const auto seconds = then_s - now_s;
  return seconds / kDayS - (seconds % kDayS < 0);
}

std::vector<Expiring> expiring(const Config& config, int64_t now_s) {
  std::vector<Expiring> found;
  for (const Service& service : config.services)
    if (expires_soon(service.tls, now_s))
      found.push_back({service.name, "", service.tls.not_after_s});
  for (const Cluster& cluster : config.clusters)
    for (const Server& server : cluster.servers)
      if (expires_soon(server.tls, now_s))
        found.push_back(
            {"", fmt::format("{}/{}", cluster.name, server.name), server.tls.not_after_s});
  return found;
}

}  // namespace sluice::config
