#include "master/supervisor.h"

#include <fmt/format.h>
#include <signal.h>
#include <sys/wait.h>

#include <algorithm>
#include <array>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "master/worker_memory.h"

namespace sluice::master {
namespace {

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

}  // namespace

void Supervisor::shrink(std::size_t count) {
  while (slots_.size() > count) {
    auto slot = std::move(slots_.back());
    slots_.pop_back();
    if (slot.starting) give_up(std::move(slot.starting));
    if (slot.serving) stop_accepting(std::move(slot.serving));
  }
  if (finishing_) return;
  for (const auto& child : leaving_)
    if (Child* heir = successor_of(*child); heir != nullptr && child->slot >= count)
      hand_over(*child, *heir);
}

Child* Supervisor::successor_of(const Child& leaving) const {
  if (slots_.empty() || leaving.finishing) return nullptr;
  return slots_[leaving.slot % slots_.size()].serving.get();
}

void Supervisor::hand_over(Child& from, Child& to) {
  auto ends = ipc::Channel::pair();
  if (!ends)
    return log::error("child", "sessions can't move", log::kv("error", ends.error().message));
  to.send(ipc::HandOff{.give = false}, std::array{ends->first.get()});
  from.send(ipc::HandOff{.give = true}, std::array{ends->second.get()});
}

void Supervisor::stop_accepting(std::unique_ptr<Child> child) {
  child->send(ipc::StopAccepting{});
  child->enter(ipc::kDraining);
  child->deadline_ns = monotonic_ns() + kStartNs;
  leaving_.push_back(std::move(child));
}

void Supervisor::on_channel_lost(Child& child) {
  ::kill(child.pid(), SIGKILL);  // usually dead already; without a channel it must be
  if (&child == monitor_.get()) return monitor_lost(std::move(monitor_));
  if (&child == next_monitor_.get()) {
    const auto why = child.last_error.empty() ? "" : " (" + child.last_error + ")";
    bury(std::move(next_monitor_));
    return user_.on_monitor_replaced(
        fail(Errc::unavailable, "the new monitor ended before it was ready" + why));
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

void Supervisor::monitor_lost(std::unique_ptr<Child> child) {
  const bool stable = monotonic_ns() - child->started_ns > kStableNs;
  monitor_failures_ = stable ? 1 : monitor_failures_ + 1;
  monitor_start_at_ns_ = monotonic_ns() + restart_delay(monitor_failures_);
  if (!finishing_)
    log::error("child", "the monitor is gone: workers go on with the last states",
               log::kv("process", child->name()));
  bury(std::move(child));
  start_missing();
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
  const auto why = child.last_error.empty() ? "" : " (" + child.last_error + ")";
  retire(child);
  bury(std::move(owned));
  if (finishing_) {
    if (workers().empty()) user_.on_all_gone();
    return;
  }
  if (!was_ready) user_.on_worker_failed(index, "the worker ended before it was ready" + why);
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
    for (auto counter :
         {&stats::PoolCounters::lent, &stats::PoolCounters::waited, &stats::PoolCounters::refused})
      move(s.pool.*counter, t.pool.*counter);
    for (std::size_t r = 0; r < stats::kRoutes; ++r) move(s.routes[r], t.routes[r]);
    s.pool.open.store(0);
    s.pool.waiting.store(0);
    for (auto& pin : s.pool.pins) pin.store(0);
  }
  for (uint32_t i = 0; i < stats::kServers; ++i) {
    auto& s = from.servers[i];
    s.open.store(0);
    move(s.connected, to.servers[i].connected);
    move(s.failed, to.servers[i].failed);
  }
}

void Supervisor::bury(std::unique_ptr<Child> child) {
  unreaped_.push_back({child->pid(), child->name(), child->done});
  const auto number = child->number;
  dead_.push_back(std::move(child));
  reap();
  user_.on_child_gone(number);
}

/// Ends a child that is not wanted any more.
void Supervisor::give_up(std::unique_ptr<Child> child) {
  child->done = true;
  child->ignore();  // its Ready may lie there already, and would be taken for its successor's
  ::kill(child->pid(), SIGKILL);
  bury(std::move(child));
}

void Supervisor::reap() {
  std::erase_if(unreaped_, [](const inheritance::Unreaped& entry) {
    int status = 0;
    const pid_t pid = ::waitpid(entry.pid, &status, WNOHANG);
    if (pid == 0) return false;
    if (pid < 0 || (WIFEXITED(status) && WEXITSTATUS(status) == 0)) return true;
    const auto process = log::kv("process", entry.name), by = log::kv("by", how_it_ended(status));
    if (entry.expected && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
      log::debug("child", "ended", process, by);
    else
      log::notice("child", "ended", process, by);
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

void Supervisor::look_at_memory() {
  for (const auto& slot : slots_)
    if (slot.serving &&
        overgrown(*slot.serving, state_.config.sluice.max_worker_memory, leaving_.empty()))
      user_.on_overgrown(*slot.serving);
}

void Supervisor::tick() {
  const auto now = monotonic_ns();
  const bool was_away = ticked_ns_ != 0 && now - ticked_ns_ > 3 * kSecondNs;
  ticked_ns_ = now;
  dead_.clear();
  reap();
  if (monitor_) check(*monitor_, now, was_away);
  if (next_monitor_) check(*next_monitor_, now, was_away);
  for (Child* child : workers()) check(*child, now, was_away);
  look_at_memory();
  start_missing();
}

void Supervisor::finish(const std::string& reason, int64_t deadline_ns) {
  finishing_ = true;
  if (next_monitor_) give_up(std::move(next_monitor_));
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
  if (next_monitor_) children.push_back(next_monitor_.get());
  for (Child* child : children) ::kill(child->pid(), SIGKILL);
  // Whoever waits for our end may start anew at once: nothing of ours is left then.
  for (Child* child : children) ::waitpid(child->pid(), nullptr, 0);
  for (const auto& entry : unreaped_) ::waitpid(entry.pid, nullptr, 0);
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
