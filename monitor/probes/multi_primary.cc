// Servers that replicate from each other, usually two. All could be written; the one with
// read_only=0 is, and whoever sets read_only (an operator, a failover tool) decides. The state of
// replication does not matter for that: when the primary dies, the other's IO thread goes on trying
// to reach it, and the tool makes it writable all the same. The others are readers and stand-by.
#include <fmt/format.h>

#include <algorithm>

#include "monitor/probes/rules.h"

namespace sluice::monitor {
namespace {

using cluster::Role;

/// A stand-by that can't take over without loss is worth a warning while all is well otherwise.
void check_primary_follows(Scene& scene, std::size_t primary) {
  const auto tie = following(scene, primary);
  if (!scene.next.problem.empty() || !scene.subjects[primary].seen.links_error.empty()) return;
  const auto& name = scene.subjects[primary].server.name;
  if (!tie || !tie->source)
    scene.next.problem = fmt::format("the primary {} follows no other server", name);
  else if (!tie->link->active())
    scene.next.problem = fmt::format("the primary {} has stopped following {}", name,
                                     scene.subjects[*tie->source].server.name);
}

}  // namespace

void judge_multi_primary(Scene& scene) {
  std::vector<std::size_t> writable;
  for (std::size_t i = 0; i < scene.subjects.size(); ++i)
    if (scene.subjects[i].writable()) writable.push_back(i);
  const auto primary = choose_only_writer(scene, writable);

  for (std::size_t i = 0; i < scene.subjects.size(); ++i) {
    const Subject& subject = scene.subjects[i];
    if (!subject.up()) continue;
    if (primary == i)
      subject.set(Role::primary, writable.size() == 1 ? "the only server with read_only=0"
                                                      : "read_only=0, and the primary until now");
    else
      judge_reader(scene, i, primary);
  }
  if (primary && scene.subjects.size() > 1) check_primary_follows(scene, *primary);
}

}  // namespace sluice::monitor
