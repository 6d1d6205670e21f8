#include "common/config/config.h"

#include <fmt/format.h>

#include <algorithm>

namespace sluice::config {

std::string Endpoint::text() const {
  if (is_unix()) return path;
  if (host.find(':') != std::string::npos) return fmt::format("[{}]:{}", host, port);
  return fmt::format("{}:{}", host, port);
}

const Cluster* Config::cluster(std::string_view name) const {
  const auto it = std::ranges::find(clusters, name, &Cluster::name);
  return it == clusters.end() ? nullptr : &*it;
}

const Service* Config::service(std::string_view name) const {
  const auto it = std::ranges::find(services, name, &Service::name);
  return it == services.end() ? nullptr : &*it;
}

static_assert(ipc::complete<Config>());

}  // namespace sluice::config
