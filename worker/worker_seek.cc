// KILL across sessions: which session was meant, here or in another worker, and what it runs.
#include "worker/split/split.h"
#include "worker/worker.h"

namespace sluice::worker {

void Worker::seek(uint64_t killer) {
  seekers_.push_back(killer);
  if (!seeking_.active())
    seeking_.once<&Worker::on_seeking>(loop_, std::chrono::microseconds(0), this);
}

void Worker::on_seeking() {
  read_clock();
  for (const auto id : std::exchange(seekers_, {})) {
    const auto killer = sessions_.find(id);
    if (killer == sessions_.end() || !killer->second->state().split) continue;
    const auto& state = killer->second->state();
    const auto& kill = state.split->kill;
    const ipc::SeekSession sought{.session = id,
                                  .round = kill.round,
                                  .cluster = killer->second->service().config.cluster,
                                  .server = kill.server,
                                  .connection_id = kill.victim.id,
                                  .killed = kill.victim.connection,
                                  .at_home = kill.step == split::KillStep::finding};
    const auto found = look_for(sought);
    if (found.known || link_.lost())
      tell_found(found);
    else
      link_.send(sought);
  }
}

/// A server that was started anew gives ids again: the session that got one last has it.
Session* Worker::session_known_as(std::string_view cluster, std::string_view server,
                                  uint32_t id) const {
  Session* found = nullptr;
  for (const auto& [number, session] : sessions_) {
    const auto& state = session->state();
    if (session->service().config.cluster == cluster && split::is_known_as(state, server, id) &&
        (found == nullptr || found->state().id < number))
      found = session.get();
  }
  return found;
}

ipc::FoundSession Worker::look_for(const ipc::SeekSession& sought) {
  ipc::FoundSession found{
      .worker = sought.worker, .session = sought.session, .round = sought.round};
  auto* victim = session_known_as(sought.cluster, sought.server, sought.connection_id);
  if (victim == nullptr) return found;
  found.known = true;
  if (sought.at_home) {
    found.home_id = victim->hold_home();
    found.waits = found.home_id == 0;
    return found;
  }
  auto runs = split::on_replica(victim->state());
  found.server = std::move(runs.server);
  found.connection_id = runs.connection_id;
  found.waits = runs.waits;
  if (sought.killed) victim->said_killed();
  return found;
}

void Worker::tell_found(const ipc::FoundSession& found) {
  const auto killer = sessions_.find(found.session);
  if (killer == sessions_.end()) return;
  killer->second->sought(
      found.round, {found.server, found.connection_id, found.waits, found.known, found.home_id});
}

}  // namespace sluice::worker
