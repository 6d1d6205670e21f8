#include "monitor/topology.h"

#include <fmt/format.h>

#include <algorithm>

#include "common/base/clock.h"
#include "monitor/probes/rules.h"

namespace sluice::monitor {
namespace {

using cluster::Admin;
using cluster::Health;
using cluster::Role;
using config::Topology;

struct TopologyRow {
  Topology topology;
  Rules rules;
};
constexpr TopologyRow kTopologies[] = {
    {Topology::replication, judge_replication},
    {Topology::multi_primary, judge_multi_primary},
    {Topology::galera, judge_galera},
    {Topology::single, judge_single},
    {Topology::group_replication, judge_unsupported},
};
static_assert(std::size(kTopologies) == kEnumNames<Topology>.size(), "a topology without rules");

bool overdue(const config::Cluster& cluster, const Observation& seen, Now now) {
  // A server that is down already is being reconnected to, which says nothing new.
  return (seen.health == Health::up || seen.health == Health::unknown) && seen.asked_ns != 0 &&
         now.monotonic_ns - seen.asked_ns >= overdue_after_ns(cluster.interval_ms);
}

std::string silence(const config::Cluster& cluster, const Observation& seen, Now now) {
  const auto waited = static_cast<uint64_t>(now.monotonic_ns - seen.asked_ns) / kSecondNs;
  if (waited == 0) return fmt::format("no answer for {} ms", cluster.interval_ms * 17 / 10);
  return fmt::format("no answer for {} s", coarse_seconds(waited));
}

/// What holds in every topology: whether the server can be used at all.
cluster::ServerState describe(const config::Cluster& cluster, const config::Server& server,
                              const Observation& seen, Admin admin, Now now) {
  cluster::ServerState state;
  state.name = server.name;
  state.addresses = seen.addresses;
  state.admin = admin;
  state.health = seen.health;
  state.version = seen.greeting.version;
  state.capabilities = seen.greeting.capabilities;
  state.collation = seen.greeting.collation;
  if (overdue(cluster, seen, now)) {
    state.health = Health::down;
    state.reason = silence(cluster, seen, now);
  } else if (seen.health == Health::unknown) {
    state.reason = "not asked yet";
  } else if (seen.health != Health::up) {
    state.reason = seen.error;
  }
  return state;
}

void apply_admin(cluster::ServerState& state) {
  if (state.admin == Admin::none) return;
  state.role = Role::none;
  state.lag_ms.reset();
  state.reason =
      state.admin == Admin::maintenance ? "in maintenance" : "draining: no new connections";
}

void apply_history(cluster::ClusterState& next, const cluster::ClusterState& previous, Now now) {
  for (auto& state : next.servers) {
    const auto* before = previous.server(state.name);
    const bool same = before && before->role == state.role && before->health == state.health;
    state.since_s = same ? before->since_s : now.wall_ms / 1000;
  }
  next.version = previous.version;
  if (next == previous) return;
  next.version = std::max(previous.version + 1, static_cast<uint64_t>(now.wall_ms));
}

}  // namespace

uint64_t coarse_seconds(uint64_t seconds) {
  constexpr uint64_t kSteps[] = {3600, 1800, 600, 300, 120, 60, 30, 20, 10, 5};
  if (seconds >= kSteps[0]) return seconds - seconds % kSteps[0];
  for (const auto step : kSteps)
    if (seconds >= step) return step;
  return seconds;
}

cluster::ClusterState derive(const config::Cluster& cluster,
                             const std::vector<Observation>& observations,
                             const std::vector<Admin>& admins,
                             const cluster::ClusterState& previous, Now now) {
  cluster::ClusterState next;
  next.name = cluster.name;
  next.topology = cluster.topology;
  for (std::size_t i = 0; i < cluster.servers.size(); ++i)
    next.servers.push_back(describe(cluster, cluster.servers[i], observations[i], admins[i], now));

  Scene scene{cluster, {}, previous, next, now};
  for (std::size_t i = 0; i < cluster.servers.size(); ++i)
    scene.subjects.push_back({cluster.servers[i], observations[i], next.servers[i]});
  std::ranges::find(kTopologies, cluster.topology, &TopologyRow::topology)->rules(scene);

  std::ranges::for_each(next.servers, apply_admin);
  apply_history(next, previous, now);
  return next;
}

}  // namespace sluice::monitor
