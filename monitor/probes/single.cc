// One server that does everything; and the row for topologies that this release can't judge.
#include <fmt/format.h>

#include "monitor/probes/rules.h"

namespace sluice::monitor {

using cluster::Role;

void judge_single(Scene& scene) {
  for (const Subject& subject : scene.subjects) {
    if (!subject.usable())
      scene.next.problem = fmt::format("{} can't be used", subject.server.name);
    if (!subject.up()) continue;
    if (subject.seen.read_only)
      subject.set(Role::replica, "the only server, and read_only=1: it can be read only");
    else
      subject.set(Role::primary, "the only server");
  }
}

void judge_unsupported(Scene& scene) {
  scene.next.problem = "this release can't watch this topology";
  for (const Subject& subject : scene.subjects)
    if (subject.up()) subject.set(Role::none, "this release can't watch this topology");
}

}  // namespace sluice::monitor
