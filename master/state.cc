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

std::vector<inheritance::Row> Rows::export_() const {
  std::vector<inheritance::Row> out;
  for (const auto& [name, row] : rows_) out.push_back({name, row});
  return out;
}

void Rows::import_(std::vector<inheritance::Row> rows) {
  for (auto& [name, row] : rows)
    if (row < capacity_) rows_.emplace(std::move(name), row);
}

inheritance::State State::export_() const {
  inheritance::State out{.config_path = config_path,
                         .config = config,
                         .generation = generation,
                         .uid = uid,
                         .gid = gid,
                         .keys = {keys.material, keys.ticket_made_ns},
                         .log = log.export_(),
                         .listeners = listeners.export_(),
                         .stats = {stats_file.get()},
                         .service_rows = service_rows.export_(),
                         .server_rows = server_rows.export_(),
                         .started_s = started_s,
                         .reloaded_s = reloaded_s,
                         .last_reload = last_reload,
                         .last_upgrade = last_upgrade,
                         .last_reload_failed = last_reload_failed,
                         .last_upgrade_failed = last_upgrade_failed};
  for (const auto& [name, known] : clusters)
    out.clusters.push_back({.name = name,
                            .state = known.has_state ? std::optional(known.state) : std::nullopt,
                            .accounts = {known.accounts.get()},
                            .accounts_version = known.accounts_version,
                            .accounts_error = known.accounts_error});
  for (const auto& [key, decided] : admin)
    out.admin.push_back({.cluster = key.first, .server = key.second, .admin = decided});
  return out;
}

Result<> State::import_(inheritance::State from) {
  log.import_(std::move(from.log));
  config_path = std::move(from.config_path);
  config = std::move(from.config);
  generation = from.generation;
  uid = from.uid;
  gid = from.gid;
  keys = {std::move(from.keys.material), from.keys.ticket_made_ns};
  listeners.import_(std::move(from.listeners));
  stats_file = inheritance::own(from.stats);
  stats = SLUICE_TRY(stats::Mapping::map(stats_file.get()));
  service_rows.import_(std::move(from.service_rows));
  server_rows.import_(std::move(from.server_rows));
  started_s = from.started_s;
  reloaded_s = from.reloaded_s;
  last_reload = std::move(from.last_reload);
  last_reload_failed = from.last_reload_failed;
  last_upgrade = std::move(from.last_upgrade);
  last_upgrade_failed = from.last_upgrade_failed;
  for (auto& one : from.clusters) {
    auto& known = clusters[one.name];
    known.has_state = one.state.has_value();
    if (one.state) known.state = std::move(*one.state);
    known.accounts = inheritance::own(one.accounts);
    known.accounts_version = one.accounts_version;
    known.accounts_error = std::move(one.accounts_error);
  }
  for (auto& one : from.admin) admin[{std::move(one.cluster), std::move(one.server)}] = one.admin;
  return {};
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
