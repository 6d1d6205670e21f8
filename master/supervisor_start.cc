// How children start: with which privileges, and what they are told before they serve.
#include <fmt/format.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "master/config/endpoint.h"
#include "master/supervisor.h"

namespace sluice::master {
namespace {

/// The service that an address which is gone has passed to, because its clients find that one at
/// the same place: 127.0.0.1:3306 is gone, and 0.0.0.0:3306 is there.
const config::Service* heir_of(const config::Endpoint& gone, const config::Config& config) {
  for (const auto& service : config.services)
    for (const auto& endpoint : service.listen)
      if (config::covers(endpoint, gone)) return &service;
  return nullptr;
}

}  // namespace

ipc::Privileges Supervisor::privileges() const {
  rlimit files{};
  ::getrlimit(RLIMIT_NOFILE, &files);
  return {.drop = ::geteuid() == 0,
          .uid = state_.uid,
          .gid = state_.gid,
          .sandbox = state_.config.sluice.sandbox,
          .max_fds = files.rlim_max};
}

Result<> Supervisor::start_monitor() {
  monitor_ = SLUICE_TRY(new_monitor());
  monitor_uid_ = state_.uid;
  monitor_sandbox_ = state_.config.sluice.sandbox;
  return {};
}

Result<std::unique_ptr<Child>> Supervisor::new_monitor() {
  auto monitor = SLUICE_TRY(Child::start(*this, loop_, ipc::Role::monitor,
                                         state_.programs.monitor.get(), {"sluice-monitor"}));
  monitor->deadline_ns = monitor->started_ns + kStartNs;
  monitor->send(
      ipc::MonitorConfig{privileges(), state_.config.sluice.log.level, state_.config.clusters});
  for (const auto& [key, admin] : state_.admin)
    monitor->send(ipc::ServerAdmin{key.first, key.second, admin});
  // What its predecessor saw: who has been the primary until now decides where two could be.
  for (const auto& [name, known] : state_.clusters)
    if (known.has_state) monitor->send(ipc::ClusterUpdate{.state = known.state});
  monitor->send(ipc::Start{});
  return monitor;
}

Result<> Supervisor::replace_monitor() {
  next_monitor_ = SLUICE_TRY(new_monitor());
  return {};
}

void Supervisor::configure_monitor() {
  // Its lock can't be changed: it is started anew.
  if (monitor_ && monitor_uid_ != state_.uid)
    monitor_->kill("it is to run as another user");
  else if (monitor_ && monitor_sandbox_ != state_.config.sluice.sandbox)
    monitor_->kill("it is to have another sandbox");
  else if (monitor_)
    monitor_->send(
        ipc::MonitorConfig{privileges(), state_.config.sluice.log.level, state_.config.clusters});
  else if (auto ok = start_monitor(); !ok)
    log::error("child", "cannot start the monitor", log::kv("error", ok.error().message));
}

uint32_t Supervisor::free_lane() const {
  for (uint32_t lane = 1; lane < stats::kLanes; ++lane) {
    bool used = false;
    for (const auto* child : workers()) used |= child->lane == lane;
    for (const auto& child : dead_) used |= child->lane == lane;
    if (!used) return lane;
  }
  return 0;
}

Result<> Supervisor::start_worker(std::size_t slot, const config::Config& config,
                                  uint32_t generation, std::size_t slots) {
  if (slots_.size() <= slot) slots_.resize(slot + 1);
  const auto lane = free_lane();
  if (lane == 0) return fail(Errc::unavailable, "too many workers: old ones still have sessions");
  auto child = SLUICE_TRY(Child::start(*this, loop_, ipc::Role::worker,
                                       state_.programs.worker.get(), {"sluice-worker"}));
  child->slot = static_cast<uint32_t>(slot);
  child->generation = generation;
  child->lane = lane;
  child->number = ++workers_started_;
  child->deadline_ns = child->started_ns + kStartNs;
  auto& used = state_.stats->lanes_used;
  used.store(std::max<uint64_t>(used.load(), lane + 1));
  send_worker_start(*child, config, slots);
  slots_[slot].starting = std::move(child);
  return {};
}

void Supervisor::send_worker_start(Child& child, const config::Config& config, std::size_t slots) {
  ipc::WorkerConfig message{.privileges = privileges(),
                            .slot = child.slot,
                            .slots = static_cast<uint32_t>(slots),
                            .lane = child.lane,
                            .log_level = config.sluice.log.level,
                            .session_id_base = child.number,
                            .services = config.services,
                            .clusters = config.clusters};
  message.privileges.sandbox = config.sluice.sandbox;  // not yet in force: this worker proves it
  for (auto& cluster : message.clusters) {  // a worker never logs in as the watching account
    cluster.user.clear();
    cluster.password = {};
  }
  for (const auto& service : config.services)
    message.service_ids.push_back(state_.service_rows.of(service.name));
  child.send(message, std::array{state_.stats_file.get()});
  child.send(state_.keys.material);
  for (const auto& service : config.services)
    for (const auto& endpoint : service.listen)
      for (const int fd : state_.listeners.sockets_for(endpoint, child.slot, slots))
        child.send(ipc::Listener{service.name, endpoint}, std::array{fd});
  for (const auto& cluster : config.clusters) {
    const auto known = state_.clusters.find(cluster.name);
    if (known == state_.clusters.end()) continue;
    const auto* in_force = state_.config.cluster(cluster.name);
    auto holds =
        known->second.has_state ? still_true(known->second.state, in_force, cluster) : std::nullopt;
    if (holds) {
      ipc::ClusterUpdate update{.state = std::move(*holds)};
      for (const auto& server : update.state.servers)
        update.server_ids.push_back(state_.server_row(cluster.name, server.name));
      child.send(update);
    }
    if (known->second.accounts)
      child.send(ipc::AccountsUpdate{cluster.name, known->second.accounts_version},
                 std::array{known->second.accounts.get()});
  }
  child.send(ipc::Start{});
}

void Supervisor::abandon_start(std::size_t slot) {
  if (slot >= slots_.size() || !slots_[slot].starting) return;
  give_up(std::move(slots_[slot].starting));
}

bool Supervisor::close_gone() {
  const auto gone = state_.listeners.gone(state_.config);
  if (gone.empty()) return false;
  for (const auto* listening : gone) Listeners::refuse_new(*listening);
  answer_at_gone();
  if (!slots_.empty() && slots_[0].serving) slots_[0].serving->send(ipc::CloseGone{});
  return true;
}

void Supervisor::answer_at_gone() {
  if (slots_.empty() || !slots_[0].serving) return;
  for (const auto* listening : state_.listeners.gone(state_.config)) {
    const auto* heir = heir_of(listening->endpoint, state_.config);
    for (const auto& socket : listening->sockets)
      slots_[0].serving->send(ipc::Listener{heir ? heir->name : "", listening->endpoint, true},
                              std::array{socket.get()});
  }
}

}  // namespace sluice::master
