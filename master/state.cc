#include "master/state.h"

#include <algorithm>
#include <thread>

namespace sluice::master {

std::size_t worker_count(const config::Config& config) {
  if (config.sluice.workers > 0) return config.sluice.workers;
  return std::max(1U, std::thread::hardware_concurrency());
}
std::size_t State::slots() const {
  return worker_count(config);
}

std::optional<cluster::ClusterState> still_true(const cluster::ClusterState& known,
                                                const config::Cluster* before,
                                                const config::Cluster& now) {
  const auto address = [](const config::Cluster* cluster,
                          const std::string& name) -> const config::Endpoint* {
    if (cluster == nullptr) return nullptr;
    const auto found = std::ranges::find(cluster->servers, name, &config::Server::name);
    return found == cluster->servers.end() ? nullptr : &found->address;
  };
  auto state = known;
  bool wrong = false;
  std::erase_if(state.servers, [&](const cluster::ServerState& server) {
    const auto* old_address = address(before, server.name);
    const auto* new_address = address(&now, server.name);
    if (old_address && new_address && *old_address == *new_address) return false;
    wrong |= new_address != nullptr || server.role == cluster::Role::primary;
    return true;
  });
  if (wrong) return std::nullopt;
  return state;
}

}  // namespace sluice::master
