// One primary and servers that replicate from it, directly or through each other. The primary is
// the writable server that follows no other of the cluster. A writable replica never becomes the
// primary because its source fell silent: its source may come back. No promotion is done here.
#include <fmt/format.h>

#include <algorithm>

#include "monitor/probes/rules.h"

namespace sluice::monitor {
namespace {

using cluster::Role;

bool follows_a_member(const Scene& scene, std::size_t self) {
  const auto tie = following(scene, self);
  return tie && tie->source && tie->link->active();
}

std::string primary_text(const Scene& scene, std::size_t self) {
  const auto tie = following(scene, self);
  if (tie && tie->link->active())
    return fmt::format("read_only=0; replicates from {}:{}, outside of the cluster",
                       tie->link->host, tie->link->port);
  return "read_only=0 and no replication source";
}

/// A pair that replicates from each other has no primary by these rules; say what to do about it.
void point_out_ring(Scene& scene) {
  for (std::size_t i = 0; i < scene.subjects.size(); ++i) {
    const auto there = following(scene, i);
    if (!there || !there->source) continue;
    const auto back = following(scene, *there->source);
    if (back && back->source == i && there->link->active() && back->link->active()) {
      scene.next.problem = fmt::format(
          "no primary: {} replicate from each other, which is topology = \"multi-primary\"",
          names_of(scene, {i, *there->source}));
      return;
    }
  }
}

}  // namespace

void judge_replication(Scene& scene) {
  std::vector<std::size_t> candidates;
  for (std::size_t i = 0; i < scene.subjects.size(); ++i) {
    const Subject& subject = scene.subjects[i];
    // Where replication can't be looked at, nothing proves that this is not a replica.
    if (subject.writable() && subject.seen.links_error.empty() && !follows_a_member(scene, i))
      candidates.push_back(i);
  }
  const auto primary = choose_only_writer(scene, candidates);
  if (candidates.empty()) point_out_ring(scene);

  for (std::size_t i = 0; i < scene.subjects.size(); ++i) {
    const Subject& subject = scene.subjects[i];
    if (!subject.up()) continue;
    if (primary == i)
      subject.set(Role::primary, primary_text(scene, i));
    else if (std::ranges::count(candidates, i) && primary)
      subject.set(Role::none, fmt::format("writable beside the primary {}",
                                          scene.subjects[*primary].server.name));
    else if (std::ranges::count(candidates, i) && candidates.size() > 1)
      subject.set(Role::none, "writable, and not the only one");
    else
      judge_reader(scene, i, primary);
  }
}

}  // namespace sluice::monitor
