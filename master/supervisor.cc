#include "master/supervisor.h"

#include <fmt/format.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <thread>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "master/config/endpoint.h"

namespace sluice::master {
namespace {

constexpr int64_t kStartNs = 20 * kSecondNs;    // from exec to Ready
constexpr int64_t kSilenceNs = 10 * kSecondNs;  // without an answer to a heartbeat
constexpr int64_t kStableNs =
    10 * kSecondNs;  // a child that lived longer did not fail at its start
constexpr int64_t kLastWordsNs = 5 * kSecondNs;  // between the order to finish and the kill

/// 0, 100 ms, 200 ms, 400 ms … 5 s.
int64_t restart_delay(int failures) {
  if (failures <= 1) return 0;
  return std::min<int64_t>(100 * kMillisecondNs << std::min(failures - 2, 6), 5 * kSecondNs);
}

std::string how_it_ended(int status) {
  if (WIFEXITED(status)) return fmt::format("exit code {}", WEXITSTATUS(status));
  if (WIFSIGNALED(status)) return fmt::format("signal {}", WTERMSIG(status));
  return "?";
}

/// The service that an address which is gone has passed to, because its clients find that one at
/// the same place: 127.0.0.1:3306 is gone, and 0.0.0.0:3306 is there.
const config::Service* heir_of(const config::Endpoint& gone, const config::Config& config) {
  for (const auto& service : config.services)
    for (const auto& endpoint : service.listen)
      if (config::covers(endpoint, gone)) return &service;
  return nullptr;
}

}  // namespace

std::size_t worker_count(const config::Config& config) {
  if (config.sluice.workers > 0) return config.sluice.workers;
  return std::max(1U, std::thread::hardware_concurrency());
}
std::size_t State::slots() const {
  return worker_count(config);
}

std::optional<cluster::ClusterState> still_true(const cluster::ClusterState& known,
                                                const config::Cluster* before,
                                                const config::Cluster& now) {
  const auto address = [](const config::Cluster* cluster,
                          const std::string& name) -> const config::Endpoint* {
    if (cluster == nullptr) return nullptr;
    const auto found = std::ranges::find(cluster->servers, name, &config::Server::name);
    return found == cluster->servers.end() ? nullptr : &found->address;
  };
  auto state = known;
  bool wrong = false;
  std::erase_if(state.servers, [&](const cluster::ServerState& server) {
    const auto* old_address = address(before, server.name);
    const auto* new_address = address(&now, server.name);
    if (old_address && new_address && *old_address == *new_address) return false;
    wrong |= new_address != nullptr || server.role == cluster::Role::primary;
    return true;
  });
  if (wrong) return std::nullopt;
  return state;
}

/// What the master takes from its children.
struct Supervisor::Handlers {
  static constexpr auto kTable = std::to_array<ipc::Handler<Supervisor>>({
      ipc::on<&Supervisor::on_ready>(),
      ipc::on<&Supervisor::on_log_record>(),
      ipc::on<&Supervisor::on_answer>(),
      ipc::on<&Supervisor::on_stopped>(),
      ipc::on<&Supervisor::on_gone_closed>(),
      ipc::on<&Supervisor::on_leaving>(),
      ipc::on<&Supervisor::on_refresh_accounts>(),
      ipc::on<&Supervisor::on_cluster_update>(),
      ipc::on<&Supervisor::on_accounts_update>(),
      ipc::on<&Supervisor::on_accounts_checked>(),
      ipc::on<&Supervisor::on_resolve_name>(),
      ipc::on<&Supervisor::on_name_resolved>(),
  });
};

// Starting.

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
  monitor_ = SLUICE_TRY(Child::start(*this, loop_, ipc::Role::monitor,
                                     state_.programs.monitor.get(), {"sluice-monitor"}));
  monitor_->deadline_ns = monitor_->started_ns + kStartNs;
  monitor_uid_ = state_.uid;
  monitor_->send(
      ipc::MonitorConfig{privileges(), state_.config.sluice.log.level, state_.config.clusters});
  for (const auto& [key, admin] : state_.admin)
    monitor_->send(ipc::ServerAdmin{key.first, key.second, admin});
  // What its predecessor saw: who has been the primary until now decides where two could be.
  for (const auto& [name, known] : state_.clusters)
    if (known.has_state) monitor_->send(ipc::ClusterUpdate{.state = known.state});
  monitor_->send(ipc::Start{});
  return {};
}

void Supervisor::configure_monitor() {
  if (monitor_ && monitor_uid_ != state_.uid)
    monitor_->kill("it is to run as another user");  // and is started anew
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
  if (auto ok = send_worker_start(*child, config, slots); !ok) {
    ::kill(child->pid(), SIGKILL);
    bury(std::move(child));
    return ok;
  }
  slots_[slot].starting = std::move(child);
  return {};
}

Result<> Supervisor::send_worker_start(Child& child, const config::Config& config,
                                       std::size_t slots) {
  ipc::WorkerConfig message{.privileges = privileges(),
                            .slot = child.slot,
                            .slots = static_cast<uint32_t>(slots),
                            .lane = child.lane,
                            .log_level = config.sluice.log.level,
                            .session_id_base = child.number,
                            .services = config.services,
                            .clusters = config.clusters};
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
      for (const int fd : SLUICE_TRY(state_.listeners.sockets_for(endpoint, child.slot, slots)))
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
  return {};
}

void Supervisor::abandon_start(std::size_t slot) {
  if (slot >= slots_.size() || !slots_[slot].starting) return;
  ::kill(slots_[slot].starting->pid(), SIGKILL);
  bury(std::move(slots_[slot].starting));
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

void Supervisor::shrink(std::size_t count) {
  while (slots_.size() > count) {
    auto slot = std::move(slots_.back());
    slots_.pop_back();
    if (slot.starting) {
      ::kill(slot.starting->pid(), SIGKILL);
      bury(std::move(slot.starting));
    }
    if (!slot.serving) continue;
    stop_accepting(std::move(slot.serving));
  }
}

void Supervisor::stop_accepting(std::unique_ptr<Child> child) {
  child->send(ipc::StopAccepting{});
  child->enter(ipc::kDraining);
  child->deadline_ns = monotonic_ns() + kStartNs;
  leaving_.push_back(std::move(child));
}

// What children say.

Result<> Supervisor::on_frame(Child& child, ipc::Frame frame) {
  speaking_ = &child;
  return ipc::dispatch<Supervisor>(*this, Handlers::kTable, child.role(), child.phase(),
                                   std::move(frame));
}

Result<> Supervisor::on_ready(ipc::Ready message) {
  Child& child = *speaking_;
  child.enter(ipc::kServing);
  child.deadline_ns = 0;
  log::notice("child", "ready", log::kv("process", child.name()),
              log::kv("generation", child.generation), log::kv("sandbox", message.sandbox));
  if (child.role() != ipc::Role::worker) return {};
  auto& slot = slots_[child.slot];
  auto old = std::exchange(slot.serving, std::move(slot.starting));
  if (old) stop_accepting(std::move(old));
  user_.on_worker_ready(child.slot);
  return {};
}

Result<> Supervisor::on_log_record(ipc::LogRecord message) {
  auto& throttle = speaking_->log_throttle;
  if (!throttle.allow(monotonic_ns())) return {};
  if (const auto left_out = throttle.take_left_out())
    log::warning("log", "records left out", log::kv("process", speaking_->name()),
                 log::kv("count", left_out));
  state_.log.write(speaking_->name(), message.level, message.component, message.text);
  return {};
}

Result<> Supervisor::on_answer(ipc::Answer message) {
  user_.on_answer(std::move(message));
  return {};
}

Result<> Supervisor::on_stopped(ipc::Stopped message) {
  Child& child = *speaking_;
  child.stopped = true;
  if (!child.finishing)
    child.deadline_ns =
        monotonic_ns() + int64_t{state_.config.sluice.drain_timeout_ms} * kMillisecondNs;
  log::notice("child", "accepts no more", log::kv("process", child.name()),
              log::kv("generation", child.generation), log::kv("sessions", message.sessions));
  user_.on_worker_stopped();
  return {};
}

Result<> Supervisor::on_gone_closed(ipc::GoneClosed) {
  user_.on_gone_closed();
  return {};
}

Result<> Supervisor::on_leaving(ipc::Leaving) {
  return {};
}

Result<> Supervisor::on_refresh_accounts(ipc::RefreshAccounts message) {
  if (may_ask_monitor()) refresh_accounts(message.cluster);
  return {};
}

/// Whether what a worker asks is passed on. One that asks for more than its clients can need does
/// not get the monitor's whole attention.
bool Supervisor::may_ask_monitor() {
  auto& throttle = speaking_->request_throttle;
  if (!throttle.allow(monotonic_ns())) return false;
  if (const auto left_out = throttle.take_left_out())
    log::warning("child", "asks too much of the monitor", log::kv("process", speaking_->name()),
                 log::kv("left_out", left_out));
  return monitor_ && monitor_->phase() == ipc::kServing;
}

void Supervisor::refresh_accounts(const std::string& cluster) {
  if (monitor_ && monitor_->phase() == ipc::kServing) monitor_->send(ipc::RefreshAccounts{cluster});
}

Result<> Supervisor::on_cluster_update(ipc::ClusterUpdate message) {
  if (!state_.config.cluster(message.state.name)) return {};  // taken out by a reload meanwhile
  auto& known = state_.clusters[message.state.name];
  message.server_ids.clear();
  for (const auto& server : message.state.servers)
    message.server_ids.push_back(state_.server_row(message.state.name, server.name));
  known.state = message.state;
  known.has_state = true;
  to_workers(message);
  return {};
}

Result<> Supervisor::on_accounts_update(ipc::AccountsUpdate message, std::vector<UniqueFd> fds) {
  if (!state_.config.cluster(message.cluster)) return {};
  auto& known = state_.clusters[message.cluster];
  known.accounts = std::move(fds[0]);
  known.accounts_version = message.version;
  to_workers(message, std::array{known.accounts.get()});
  return {};
}

Result<> Supervisor::on_accounts_checked(ipc::AccountsChecked message) {
  to_workers(message);
  user_.on_accounts_checked(message);
  return {};
}

Result<> Supervisor::on_resolve_name(ipc::ResolveName message) {
  if (message.ip.size() >= INET6_ADDRSTRLEN)
    return fail(Errc::ipc_protocol, "ResolveName: this is no address");
  if (may_ask_monitor()) monitor_->send(message);
  return {};
}

Result<> Supervisor::on_name_resolved(ipc::NameResolved message) {
  to_workers(message);
  return {};
}

template <class Message>
void Supervisor::to_workers(const Message& message, std::span<const int> fds) {
  // Some messages are for those alone that serve; those that start got all there was.
  for (Child* child : workers())
    if (ipc::Declared<Message>::kPhases & child->phase()) child->send(message, fds);
}

void Supervisor::share_keys() {
  to_workers(state_.keys.material);
}

void Supervisor::set_log_level(log::Level level) {
  to_workers(ipc::LogLevel{level});
  if (monitor_ && monitor_->phase() == ipc::kServing) monitor_->send(ipc::LogLevel{level});
}

void Supervisor::set_admin(const std::string& cluster, const std::string& server,
                           cluster::Admin admin) {
  if (admin == cluster::Admin::none)
    state_.admin.erase({cluster, server});
  else
    state_.admin[{cluster, server}] = admin;
  if (monitor_) monitor_->send(ipc::ServerAdmin{cluster, server, admin});
}

// Life and death.

void Supervisor::on_channel_lost(Child& child) {
  ::kill(child.pid(), SIGKILL);  // usually dead already; without a channel it must be
  if (&child == monitor_.get()) {
    const bool stable = monotonic_ns() - child.started_ns > kStableNs;
    monitor_failures_ = stable ? 1 : monitor_failures_ + 1;
    monitor_start_at_ns_ = monotonic_ns() + restart_delay(monitor_failures_);
    if (!finishing_)
      log::error("child", "the monitor is gone: workers go on with the last states",
                 log::kv("process", child.name()));
    bury(std::move(monitor_));
    return start_missing();
  }
  for (auto& slot : slots_) {
    if (slot.serving.get() == &child) return worker_lost(child, std::move(slot.serving), slot);
    if (slot.starting.get() == &child) return worker_lost(child, std::move(slot.starting), slot);
  }
  for (auto it = leaving_.begin(); it != leaving_.end(); ++it) {
    if (it->get() != &child) continue;
    log::notice("child", "has left", log::kv("process", child.name()),
                log::kv("generation", child.generation));
    auto gone = std::move(*it);
    leaving_.erase(it);
    retire(*gone);
    bury(std::move(gone));
    user_.on_worker_stopped();
    if (finishing_ && workers().empty()) user_.on_all_gone();
    return;
  }
}

void Supervisor::worker_lost(Child& child, std::unique_ptr<Child> owned, Slot& slot) {
  const bool was_ready = child.phase() != ipc::kStarting;
  const auto index = child.slot;
  slot.failures =
      was_ready && monotonic_ns() - child.started_ns > kStableNs ? 1 : slot.failures + 1;
  slot.start_at_ns = monotonic_ns() + restart_delay(slot.failures);
  log::error("child",
             was_ready ? "a worker is gone, with its sessions" : "a worker could not start",
             log::kv("process", child.name()), log::kv("slot", index),
             log::kv("generation", child.generation));
  retire(child);
  bury(std::move(owned));
  if (finishing_) {
    if (workers().empty()) user_.on_all_gone();
    return;
  }
  if (!was_ready) user_.on_worker_failed(index, "the worker ended before it was ready");
  start_missing();
}

/// Starts what died and whose time has come; comes back for the others when theirs does.
void Supervisor::start_missing() {
  if (finishing_ || state_.generation == 0) return;
  const auto now = monotonic_ns();
  int64_t next_ns = INT64_MAX;
  if (!monitor_ && now >= monitor_start_at_ns_) {
    if (auto ok = start_monitor(); !ok)
      log::error("child", "cannot start the monitor", log::kv("error", ok.error().message));
  } else if (!monitor_) {
    next_ns = monitor_start_at_ns_;
  }
  for (std::size_t i = 0; i < slots_.size() && i < state_.slots(); ++i) {
    if (slots_[i].serving || slots_[i].starting) continue;
    if (now < slots_[i].start_at_ns)
      next_ns = std::min(next_ns, slots_[i].start_at_ns);
    else if (auto ok = start_worker(i, state_.config, state_.generation, state_.slots()); !ok)
      log::error("child", "cannot start a worker", log::kv("error", ok.error().message));
  }
  if (next_ns != INT64_MAX)
    restart_.once<&Supervisor::start_missing>(
        loop_, std::chrono::microseconds((next_ns - now) / 1000 + 1), this);
}

/// Adds a dead worker's totals to lane 0, where they are kept, and clears its lane.
void Supervisor::retire(Child& child) {
  auto& from = state_.stats->lanes[child.lane];
  auto& to = state_.stats->lanes[0];
  const auto move = [](stats::Counter& source, stats::Counter& target) {
    stats::add(target, source.load());
    source.store(0);
  };
  for (uint32_t i = 0; i < stats::kServices; ++i) {
    auto& s = from.services[i];
    auto& t = to.services[i];
    s.open.store(0);
    for (auto counter : {&stats::ServiceCounters::accepted, &stats::ServiceCounters::logins,
                         &stats::ServiceCounters::refused, &stats::ServiceCounters::commands,
                         &stats::ServiceCounters::bytes_in, &stats::ServiceCounters::bytes_out})
      move(s.*counter, t.*counter);
  }
  for (uint32_t i = 0; i < stats::kServers; ++i) {
    auto& s = from.servers[i];
    s.open.store(0);
    move(s.connected, to.servers[i].connected);
    move(s.failed, to.servers[i].failed);
  }
}

void Supervisor::bury(std::unique_ptr<Child> child) {
  unreaped_.emplace_back(child->pid(), child->name());
  dead_.push_back(std::move(child));
  reap();
}

void Supervisor::reap() {
  std::erase_if(unreaped_, [](const auto& entry) {
    int status = 0;
    const pid_t pid = ::waitpid(entry.first, &status, WNOHANG);
    if (pid == 0) return false;
    if (pid > 0 && !(WIFEXITED(status) && WEXITSTATUS(status) == 0))
      log::notice("child", "ended", log::kv("process", entry.second),
                  log::kv("by", how_it_ended(status)));
    return true;
  });
}

void Supervisor::check(Child& child, int64_t now_ns, bool was_away) {
  if (was_away) child.excuse(now_ns);
  child.ping();
  if (now_ns - child.last_answer_ns() > kSilenceNs) return child.kill("it does not answer");
  if (child.deadline_ns == 0 || now_ns < child.deadline_ns) return;
  if (child.phase() == ipc::kStarting) return child.kill("it did not get ready in time");
  if (!child.stopped || child.finishing) return child.kill("it did not leave in time");
  child.finishing = true;
  child.deadline_ns = now_ns + 2 * kLastWordsNs;
  child.send(
      ipc::Finish{"sluice: the drain timeout of this proxy's old configuration has passed; please "
                  "connect again",
                  now_ns + kLastWordsNs});
}

void Supervisor::tick() {
  const auto now = monotonic_ns();
  const bool was_away = ticked_ns_ != 0 && now - ticked_ns_ > 3 * kSecondNs;
  ticked_ns_ = now;
  dead_.clear();
  reap();
  if (monitor_) check(*monitor_, now, was_away);
  for (Child* child : workers()) check(*child, now, was_away);
  start_missing();
}

void Supervisor::finish(const std::string& reason, int64_t deadline_ns) {
  finishing_ = true;
  shrink(0);
  for (auto& child : leaving_) {
    child->finishing = true;
    child->deadline_ns = deadline_ns + kLastWordsNs;
    child->send(ipc::Finish{reason, deadline_ns});
  }
  if (monitor_ && monitor_->phase() == ipc::kServing)
    monitor_->send(ipc::Finish{reason, deadline_ns});
  if (workers().empty()) user_.on_all_gone();
}

void Supervisor::kill_all() {
  finishing_ = true;
  auto children = workers();
  if (monitor_) children.push_back(monitor_.get());
  for (Child* child : children) ::kill(child->pid(), SIGKILL);
  // Whoever waits for our end may start anew at once: nothing of ours is left then.
  for (Child* child : children) ::waitpid(child->pid(), nullptr, 0);
  for (const auto& [pid, name] : unreaped_) ::waitpid(pid, nullptr, 0);
  unreaped_.clear();
}

bool Supervisor::stopping() const {
  return std::ranges::any_of(leaving_, [](const auto& child) { return !child->stopped; });
}

std::vector<Child*> Supervisor::workers() const {
  std::vector<Child*> out;
  for (const auto& slot : slots_) {
    if (slot.serving) out.push_back(slot.serving.get());
    if (slot.starting) out.push_back(slot.starting.get());
  }
  for (const auto& child : leaving_) out.push_back(child.get());
  return out;
}

Child* Supervisor::worker_by(uint32_t number) const {
  for (Child* child : workers())
    if (child->number == number) return child;
  return nullptr;
}

}  // namespace sluice::master
