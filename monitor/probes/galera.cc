// Galera: every synced node of the primary component can be read; one of them takes the writes. The
// writer stays as long as it qualifies: wsrep_local_index, the usual choice, changes whenever a
// node joins, and with it the writer would.
#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "monitor/probes/rules.h"

namespace sluice::monitor {
namespace {

using cluster::Role;

constexpr uint32_t kDonor = 2, kSynced = 4;  // wsrep_local_state

/// Why a node that is up can't serve; empty if it can.
std::string why_not(const Observation& seen) {
  if (!seen.wsrep || !seen.wsrep->on) return "not a Galera node (wsrep is off)";
  const Wsrep& wsrep = *seen.wsrep;
  if (wsrep.cluster_status != "Primary")
    return fmt::format("not in the primary component ({})",
                       wsrep.cluster_status.empty() ? "unknown" : wsrep.cluster_status);
  if (wsrep.local_state == kDonor) return wsrep.desync ? "desynced" : "donor of a state transfer";
  if (wsrep.local_state != kSynced)
    return fmt::format("not synced ({})", wsrep.local_state_comment);
  if (wsrep.desync) return "desynced";
  if (!wsrep.ready) return "not ready for queries (wsrep_ready=OFF)";
  if (wsrep.rejects_queries) return "rejects queries (wsrep_reject_queries)";
  return "";
}

/// The cluster UUID of the largest group of nodes that could serve. Of equal groups, the one with
/// the present writer; without one nothing says which data is the right one, and none is chosen.
std::string largest_group(const Scene& scene, const std::vector<std::size_t>& serving) {
  std::map<std::string, std::size_t> sizes;
  for (const auto i : serving) ++sizes[scene.subjects[i].seen.wsrep->cluster_state_uuid];
  std::size_t most = 0;
  for (const auto& [uuid, size] : sizes) most = std::max(most, size);
  std::vector<std::string> largest;
  for (const auto& [uuid, size] : sizes)
    if (size == most) largest.push_back(uuid);
  if (largest.size() == 1) return largest[0];
  if (const auto previous = scene.previous_primary();
      previous && std::ranges::count(serving, *previous))
    return scene.subjects[*previous].seen.wsrep->cluster_state_uuid;
  return "";
}

bool qualifies_as_writer(const Subject& subject) {
  return subject.usable() && !subject.seen.read_only && subject.server.priority > 0;
}

std::optional<std::size_t> choose_writer(const Scene& scene,
                                         const std::vector<std::size_t>& serving) {
  std::optional<std::size_t> best;
  const auto previous = scene.previous_primary();
  for (const auto i : serving) {
    const Subject& subject = scene.subjects[i];
    if (!qualifies_as_writer(subject)) continue;
    if (previous == i) return i;
    if (!best || subject.server.priority < scene.subjects[*best].server.priority) best = i;
  }
  return best;
}

}  // namespace

void judge_galera(Scene& scene) {
  std::vector<std::size_t> serving;
  for (std::size_t i = 0; i < scene.subjects.size(); ++i) {
    const Subject& subject = scene.subjects[i];
    if (!subject.up()) continue;
    auto reason = why_not(subject.seen);
    if (reason.empty()) serving.push_back(i);
    subject.set(Role::none, std::move(reason));
  }
  const auto uuid = largest_group(scene, serving);
  std::erase_if(serving, [&](std::size_t i) {
    const Subject& subject = scene.subjects[i];
    const bool outside = subject.seen.wsrep->cluster_state_uuid != uuid;
    if (outside) subject.set(Role::none, "belongs to another Galera cluster (state UUID)");
    if (outside) scene.next.problem = "nodes with different cluster state UUIDs: data differs";
    return outside;
  });

  const auto writer = choose_writer(scene, serving);
  if (!writer && scene.next.problem.empty()) scene.next.problem = "no node can take writes";
  for (const auto i : serving) {
    const Subject& subject = scene.subjects[i];
    if (writer == i)
      subject.set(Role::primary, "synced, takes the writes");
    else if (writer)
      subject.set(Role::replica,
                  fmt::format("synced; {} takes the writes", scene.subjects[*writer].server.name));
    else
      subject.set(Role::replica, subject.seen.read_only ? "synced, read_only=1"
                                                        : "synced, priority 0: never the writer");
  }
}

}  // namespace sluice::monitor
