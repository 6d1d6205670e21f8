// What a session's engine looks at, ready made: service "shop" on cluster "c1" with primary db1 and
// replica db2, and accounts.
#pragma once

#include <memory>
#include <optional>

#include "worker/session/engine.h"

namespace sluice::worker {

struct World {
  config::Service service{.name = "shop", .cluster = "c1"};
  cluster::ClusterState cluster{.name = "c1"};
  std::vector<config::Server> configured{{.name = "db1"}, {.name = "db2"}};
  bool known = true;
  int64_t accounts_began_ns = 0;
  Names names;
  Networks announced_from;
  const tls::RsaKey* own_key = nullptr;
  const stats::LastWrites* writes = nullptr;
  bool lends = false;  ///< so does another service of the cluster
  int64_t now_ns = 1'000'000'000;
  std::unique_ptr<stats::LoginGuardPage> failures;  ///< null: nobody is slowed

  World() {
    using cluster::Role;
    cluster.servers = {{.name = "db1",
                        .addresses = {{"10.0.0.1", 3306, ""}},
                        .role = Role::primary,
                        .health = cluster::Health::up,
                        .reason = "x"},
                       {.name = "db2",
                        .addresses = {{"10.0.0.2", 3306, ""}},
                        .role = Role::replica,
                        .health = cluster::Health::up,
                        .reason = "x"}};
    for (const auto& server : cluster.servers) views_.push_back({.state = &server});
  }
  /// One more replica.
  void add_replica(const std::string& name) {
    cluster.servers.push_back({.name = name,
                               .addresses = {{"10.0.0.3", 3306, ""}},
                               .role = cluster::Role::replica,
                               .health = cluster::Health::up,
                               .reason = "x"});
    configured.push_back({.name = name});
    views_.clear();
    for (const auto& server : cluster.servers) views_.push_back({.state = &server});
  }
  ServerView& view(std::size_t i) { return views_[i]; }

  World(const World&) = delete;  // views point inside
  World& operator=(const World&) = delete;

  /// Loads accounts given as user and host; all without a password.
  void load_accounts(const std::vector<std::pair<std::string, std::string>>& list,
                     accounts::TlsRule tls = accounts::TlsRule::none) {
    accounts::Contents contents{.skip_name_resolve = true, .source = "db1"};
    for (const auto& [user, host] : list) {
      contents.rows.push_back({user, host, {{"mysql_native_password", ""}}});
      contents.rows.back().tls = tls;
    }
    encoded_ = accounts::encode(contents);
    table_ = *accounts::Table::open(encoded_);
    loaded_ = true;
  }

  cluster::ServerState& server(std::size_t i) { return cluster.servers[i]; }
  Surroundings surroundings() {
    if (failures) guard_.emplace(*failures);
    return {.service = service,
            .router = router_of(service.router),
            .announced_from = announced_from,
            .known = known,
            .servers = views_,
            .states = cluster.servers,
            .configured = configured,
            .accounts = loaded_ ? &table_ : nullptr,
            .accounts_began_ns = accounts_began_ns,
            .names = names,
            .own_key = own_key,
            .guard = failures ? &*guard_ : nullptr,
            .writes = writes,
            .lends = lends || service.pool > 0,
            .now_ns = now_ns};
  }

 private:
  std::vector<ServerView> views_;
  Bytes encoded_;
  accounts::Table table_;
  bool loaded_ = false;
  std::optional<stats::LoginGuard> guard_;
};

}  // namespace sluice::worker
