// From what was seen of the servers to what they may be used for: one pure function. The rules of
// each topology stand in a file of their own (monitor/probes/), found through one table.
#pragma once

#include "monitor/observation.h"

namespace sluice::monitor {

/// The clocks that a judgement is made by.
struct Now {
  int64_t monotonic_ns = 0;
  int64_t wall_ms = 0;  ///< since the epoch
};

/// How long an answer may be awaited before the server counts as down. A question begins one
/// interval after the last answer, so a server that stops right after it is noticed in less than
/// three intervals, the main loop's own tick (interval / 8) included.
constexpr int64_t overdue_after_ns(uint32_t interval_ms) {
  return int64_t{interval_ms} * 1'700'000;
}

/// Rounds a duration down to steps (0..5 s, 10, 20, 30 s, 1, 2, 5, 10, 30 min, 1, 2, ... h), so
/// that numbers in a state change seldom. Seconds in, seconds out.
uint64_t coarse_seconds(uint64_t seconds);

/// The state of a cluster. `observations` and `admins` go with cluster.servers by index; `previous`
/// is the last result (or an empty state): the primary in it is kept where the rules leave a
/// choice. Role, health and reason are set for every server; `since_s` moves when role or health
/// change; `version` grows when anything does (from the wall clock, so over restarts too), else the
/// result equals `previous`.
cluster::ClusterState derive(const config::Cluster& cluster,
                             const std::vector<Observation>& observations,
                             const std::vector<cluster::Admin>& admins,
                             const cluster::ClusterState& previous, Now now);

}  // namespace sluice::monitor
