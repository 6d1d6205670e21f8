#include "monitor/monitor.h"

#include <time.h>
#include <unistd.h>

#include <algorithm>

#include "common/base/clock.h"
#include "common/process/privileges.h"
#include "monitor/connection.h"
#include "monitor/host_name.h"

namespace sluice::monitor {
namespace {

using log::kv;

constexpr int64_t kLoadPatienceNs = 5 * kSecondNs;  // less than the master's with a question
constexpr int kLeaveMs = 500;                       // for what is queued towards the master
constexpr int64_t kMinTickNs = 10 * kMillisecondNs;
constexpr int64_t kMaxTickNs = 250 * kMillisecondNs;
constexpr uint64_t kResolverId = 0;  // those of the others count from 1

constexpr ipc::Handler<Monitor> kFromMaster[] = {
    ipc::on<&Monitor::on_config>(),       ipc::on<&Monitor::on_previous_state>(),
    ipc::on<&Monitor::on_server_admin>(), ipc::on<&Monitor::on_start>(),
    ipc::on<&Monitor::on_log_level>(),    ipc::on<&Monitor::on_refresh>(),
    ipc::on<&Monitor::on_resolve_name>(), ipc::on<&Monitor::on_ask>(),
    ipc::on<&Monitor::on_finish>(),
};

Now read_clocks() {
  timespec wall{};
  ::clock_gettime(CLOCK_REALTIME, &wall);
  return {monotonic_ns(), int64_t{wall.tv_sec} * 1000 + wall.tv_nsec / 1'000'000};
}

}  // namespace

Result<> Monitor::start() {
  SLUICE_TRY((mail_watch_.start<&Monitor::on_mail>(loop_, mailbox_->fd(), event::kRead, this)));
  return link_.start(*this);
}

Result<> Monitor::on_frame(ipc::Frame frame) {
  return ipc::dispatch<Monitor>(*this, kFromMaster, ipc::Role::master, phase_, std::move(frame));
}

void Monitor::on_master_lost() {
  ::_exit(0);  // nobody is left to tell anything; the threads end with the process
}

Result<> Monitor::on_config(ipc::MonitorConfig config) {
  log::set_level(config.log_level);
  config_ = std::move(config);
  if (phase_ != ipc::kServing) return {};
  SLUICE_TRY(watch_clusters());
  judge_all();
  return {};
}

Result<> Monitor::on_previous_state(ipc::ClusterUpdate update) {
  auto name = update.state.name;
  if (phase_ == ipc::kStarting)
    previous_.insert_or_assign(std::move(name), std::move(update.state));
  return {};
}

Result<> Monitor::on_server_admin(ipc::ServerAdmin admin) {
  admins_[{admin.cluster, admin.server}] = admin.admin;
  const auto watch = clusters_.find(admin.cluster);
  if (watch == clusters_.end()) return {};
  watch->second.set_admin(admin.server, admin.admin);
  judge_and_send(watch->second);
  return {};
}

Result<> Monitor::on_start(ipc::Start) {
  // Everything that opens files for the whole process, and no thread, comes before the lock:
  // no-new-privileges and the capability sets belong to a thread and are inherited by its children.
  preload_client_library();
  auto locked = SLUICE_TRY(process::lock_in(config_.privileges, process::Root::keep));
  link_.send(ipc::Ready{std::move(locked)});
  phase_ = ipc::kServing;
  resolver_.emplace(SLUICE_TRY(Resolver::start(kResolverId, mailbox_, confirmed_host_name)));
  return watch_clusters();
}

Result<> Monitor::on_log_level(ipc::LogLevel level) {
  log::set_level(level.level);
  return {};
}

Result<> Monitor::on_refresh(ipc::RefreshAccounts refresh) {
  const auto watch = clusters_.find(refresh.cluster);
  if (watch != clusters_.end())
    watch->second.request_accounts();
  else  // a worker of an older generation may still serve a cluster that is gone
    link_.send(ipc::AccountsChecked{refresh.cluster, 0, "the cluster is not watched any more",
                                    monotonic_ns()});
  return {};
}

Result<> Monitor::on_resolve_name(ipc::ResolveName resolve) {
  if (const auto known = resolver_->ask(resolve.ip, monotonic_ns())) name_resolved(*known);
  return {};
}

Result<> Monitor::on_ask(ipc::Ask ask) {
  Waiting waiting{.ask = std::move(ask), .asked_ns = monotonic_ns()};
  for (auto& name : accounts_needed(clusters_, waiting.ask)) {
    clusters_.at(name).request_accounts();
    waiting.loading.push_back(std::move(name));
  }
  if (!waiting.loading.empty() || !try_names(waiting)) waiting_.push_back(std::move(waiting));
  return {};
}

bool Monitor::try_names(Waiting& waiting) {
  for (auto& ip : names_needed(clusters_, waiting.ask)) {
    if (const auto known = resolver_->ask(ip, monotonic_ns()))
      waiting.names[ip] = known->name;
    else
      waiting.unknown.push_back(std::move(ip));
  }
  if (waiting.unknown.empty()) reply(waiting);
  return waiting.unknown.empty();
}

void Monitor::reply(const Waiting& waiting) {
  const auto id = waiting.ask.id;
  ipc::Answer reply{.id = id};
  if (auto table = answer(clusters_, waiting.names, waiting.ask))
    reply.table = std::move(*table);
  else
    reply.error = std::move(table.error().message);
  if (waiting.overdue && !reply.table.rows.empty())
    reply.table.rows.back().cells.back() +=
        "; by the accounts of the last load: a new one takes too long to wait for";
  if (ipc::encode(reply).size() > ipc::Channel::kMaxMessage)
    reply = {id, "the answer is too large; ask for less", {}};
  link_.send(reply);
}

/// Tells the master, and those questions of its that waited for this.
void Monitor::name_resolved(const ipc::NameResolved& resolved) {
  link_.send(resolved);
  std::erase_if(waiting_, [&](Waiting& waiting) {
    if (std::erase(waiting.unknown, resolved.ip) == 0) return false;
    waiting.names[resolved.ip] = resolved.name;
    if (!waiting.unknown.empty()) return false;
    reply(waiting);
    return true;
  });
}

/// A load that began earlier may have missed what the question is about.
void Monitor::accounts_loaded(const std::string& cluster, int64_t began_ns) {
  std::erase_if(waiting_, [&](Waiting& waiting) {
    if (began_ns < waiting.asked_ns || std::erase(waiting.loading, cluster) == 0) return false;
    return waiting.loading.empty() && try_names(waiting);
  });
}

void Monitor::hurry_questions(int64_t now_ns) {
  std::erase_if(waiting_, [&](Waiting& waiting) {
    if (waiting.loading.empty() || now_ns - waiting.asked_ns < kLoadPatienceNs) return false;
    waiting.loading.clear();
    waiting.overdue = true;
    return try_names(waiting);
  });
}

Result<> Monitor::on_finish(ipc::Finish) {
  link_.send(ipc::Leaving{});
  link_.drain(kLeaveMs);
  ::_exit(0);  // threads may hang in a server's silence: nothing is unwound under them
}

Result<> Monitor::watch_clusters() {
  std::erase_if(clusters_, [&](const auto& entry) {
    return std::ranges::none_of(config_.clusters,
                                [&](const config::Cluster& c) { return c.name == entry.first; });
  });
  for (const auto& cluster : config_.clusters) {
    if (const auto known = clusters_.find(cluster.name); known != clusters_.end()) {
      SLUICE_TRY(known->second.reconfigure(cluster));
      continue;
    }
    auto previous = previous_.extract(cluster.name);
    auto watch = SLUICE_TRY(ClusterWatch::start(
        cluster, previous ? std::move(previous.mapped()) : cluster::ClusterState{}, mailbox_,
        monotonic_ns()));
    const auto [made, fresh] = clusters_.emplace(cluster.name, std::move(watch));
    for (const auto& [key, admin] : admins_)
      if (key.first == cluster.name) made->second.set_admin(key.second, admin);
  }
  set_tick();
  return {};
}

void Monitor::set_tick() {
  int64_t interval_ns = kMaxTickNs * 8;
  for (const auto& cluster : config_.clusters)
    interval_ns = std::min(interval_ns, cluster.interval_ms * kMillisecondNs);
  tick_ns_ = std::clamp(interval_ns / 8, kMinTickNs, kMaxTickNs);
  awake_ns_ = monotonic_ns();
  tick_.every<&Monitor::on_tick>(loop_, std::chrono::microseconds(tick_ns_ / 1000), this);
}

void Monitor::on_mail(event::Bits) {
  take_mail();
  for (const auto& late : resolver_->overdue(monotonic_ns())) name_resolved(late);
  hurry_questions(monotonic_ns());
  forgive_own_pause();
  judge_all();
}

void Monitor::on_tick() {
  on_mail(0);
}

/// A process that was stopped, or got no processor, knows nothing about its servers' speed.
void Monitor::forgive_own_pause() {
  const int64_t now = monotonic_ns();
  const int64_t gap = now - std::exchange(awake_ns_, now);
  if (gap < 2 * tick_ns_) return;
  for (auto& [name, watch] : clusters_) watch.forgive(gap - tick_ns_, now);
}

void Monitor::take_mail() {
  for (auto& note : mailbox_->take()) {
    if (auto* found = std::get_if<NameFound>(&note.what)) {
      name_resolved(resolver_->take(std::move(*found), monotonic_ns()));
      continue;
    }
    // A note whose sender is unknown comes from a thread that was told to stop.
    for (auto& [name, watch] : clusters_) {
      if (watch.is_accounts_sender(note.sender)) {
        take_accounts(watch, std::move(std::get<AccountsLoaded>(note.what)));
        break;
      }
      if (watch.take(note)) break;
    }
  }
}

void Monitor::judge_all() {
  for (auto& [name, watch] : clusters_) judge_and_send(watch);
}

void Monitor::judge_and_send(ClusterWatch& watch) {
  if (const auto* state = watch.judge(read_clocks())) link_.send(ipc::ClusterUpdate{*state, {}});
}

void Monitor::take_accounts(ClusterWatch& watch, AccountsLoaded loaded) {
  auto& known = watch.accounts();
  const auto& name = watch.cluster().name;
  if (loaded.error != known.error && !loaded.error.empty())
    log::warning("accounts", "accounts not loaded, the old ones stay", kv("cluster", name),
                 kv("server", loaded.server), kv("error", loaded.error));
  else if (loaded.error.empty() && !known.error.empty())
    log::notice("accounts", "accounts are loaded again", kv("cluster", name),
                kv("server", loaded.server));
  const bool news = std::exchange(known.error, loaded.error) != loaded.error;

  if (loaded.file) {
    known.table = std::move(loaded.table);
    known.version = std::max(known.version + 1, static_cast<uint64_t>(read_clocks().wall_ms));
    const int fds[] = {loaded.file.get()};
    link_.send(ipc::AccountsUpdate{name, known.version}, fds);
    log::info("accounts", "accounts loaded", kv("cluster", name), kv("server", loaded.server),
              kv("version", known.version));
  }
  const auto began_ns = loaded.began_ns;
  if (loaded.requested || news)
    link_.send(ipc::AccountsChecked{name, known.version, std::move(loaded.error), began_ns});
  accounts_loaded(name, began_ns);
}

}  // namespace sluice::monitor
