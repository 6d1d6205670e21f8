// What the rules of the topologies share: the scene they look at, and who replicates from whom.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "monitor/topology.h"

namespace sluice::monitor {

/// One server under judgement. `state` comes with everything but role, reason and lag where the
/// server is up; rules write those three.
struct Subject {
  const config::Server& server;
  const Observation& seen;
  cluster::ServerState& state;

  bool up() const { return state.health == cluster::Health::up; }
  /// Up, and the operator has nothing against its use.
  bool usable() const { return up() && state.admin == cluster::Admin::none; }
  /// Clients that are connected could write to it. A server in maintenance has no clients; one that
  /// is draining may have.
  bool writable() const {
    return up() && !seen.read_only && state.admin != cluster::Admin::maintenance;
  }
  void set(cluster::Role role, std::string reason) const {
    state.role = role;
    state.reason = std::move(reason);
  }
};

struct Scene {
  const config::Cluster& cluster;
  std::vector<Subject> subjects;  ///< in the order of the configuration
  const cluster::ClusterState& previous;
  cluster::ClusterState& next;
  Now now;

  /// Index of the server that has been the primary until now.
  std::optional<std::size_t> previous_primary() const;
};

/// The rules of one topology: give every server that is up its role and reason.
using Rules = void (*)(Scene& scene);
void judge_replication(Scene& scene);
void judge_multi_primary(Scene& scene);
void judge_galera(Scene& scene);
void judge_single(Scene& scene);
void judge_unsupported(Scene& scene);

/// How a server is tied to its source.
struct Following {
  const ReplicationLink* link = nullptr;
  std::optional<std::size_t> source;  ///< index in the cluster; absent: a server outside of it
};
/// The link of a server that matters: an active one to a server of the cluster if there is one.
std::optional<Following> following(const Scene& scene, std::size_t self);

/// "db1 and db2", "db1, db2 and db3".
std::string names_of(const Scene& scene, const std::vector<std::size_t>& indices);

/// The writer among `candidates` where only one may write: the only one, or the one that has been
/// the primary until now and still can be. Sets the cluster's problem where there is more than one.
std::optional<std::size_t> choose_only_writer(Scene& scene,
                                              const std::vector<std::size_t>& candidates);

/// Whether a server that is up and not the primary may be read, and why (sets role, reason, lag).
/// It must follow the primary, directly or through others, with both threads running and within
/// max_lag. While nobody is primary, a replica that was following goes on: stale reads are better
/// than none.
void judge_reader(Scene& scene, std::size_t self, std::optional<std::size_t> primary);

}  // namespace sluice::monitor
