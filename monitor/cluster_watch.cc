#include "monitor/cluster_watch.h"

#include <algorithm>
#include <utility>

#include "common/base/log.h"

namespace sluice::monitor {
namespace {

using cluster::Admin;
using cluster::ClusterState;
using cluster::Health;
using cluster::Role;
using cluster::ServerState;
using log::kv;

constexpr int64_t kFirstJudgementIntervals = 3;

uint64_t next_id() {
  static uint64_t last = 0;  // main thread only
  return ++last;
}

void log_health(const std::string& cluster, const ServerState& now, Health before) {
  if (now.health == before || now.health == Health::unknown) return;
  if (now.health == Health::up && before != Health::unknown)
    log::notice("monitor", "server is back", kv("cluster", cluster), kv("server", now.name));
  else if (now.health == Health::down)
    log::warning("monitor", "server is down", kv("cluster", cluster), kv("server", now.name),
                 kv("reason", now.reason));
  else if (now.health == Health::access_denied)
    log::warning("monitor", "server refuses the watching account", kv("cluster", cluster),
                 kv("server", now.name), kv("reason", now.reason));
}

void log_role(const std::string& cluster, const ServerState& now, Role before) {
  if (now.role == before) return;
  log::notice("monitor", "role changed", kv("cluster", cluster), kv("server", now.name),
              kv("from", enum_name(before)), kv("to", enum_name(now.role)),
              kv("reason", now.reason));
}

void log_changes(const ClusterState& before, const ClusterState& now) {
  for (const auto& server : now.servers) {
    const auto* old = before.server(server.name);
    log_health(now.name, server, old ? old->health : Health::unknown);
    log_role(now.name, server, old ? old->role : Role::none);
  }
  if (now.problem == before.problem) return;
  if (now.problem.empty())
    log::notice("monitor", "cluster is in order again", kv("cluster", now.name));
  else
    log::warning("monitor", "cluster has a problem", kv("cluster", now.name),
                 kv("problem", now.problem));
}

bool replicates(const Observation& seen) {
  return std::ranges::any_of(seen.links, [](const ReplicationLink& link) {
    return link.io == Running::yes && link.sql == Running::yes;
  });
}

}  // namespace

void absorb(Observation& known, Observation seen, int64_t at_ns) {
  if (seen.health != Health::up) {
    known.health = seen.health;
    known.error = std::move(seen.error);
    known.asked_ns = 0;
    return;
  }
  seen.addresses = std::move(known.addresses);
  seen.resolve_error = std::move(known.resolve_error);
  seen.answered_ns = at_ns;
  seen.linked_ns = replicates(seen) ? at_ns : known.linked_ns;
  known = std::move(seen);
}

Result<ClusterWatch> ClusterWatch::start(config::Cluster cluster, ClusterState previous,
                                         std::shared_ptr<Mailbox> mailbox, int64_t now_ns) {
  auto accounts = SLUICE_TRY(AccountsWatch::start(next_id(), mailbox));
  ClusterWatch watch(std::move(previous), std::move(mailbox), std::move(accounts), now_ns);
  SLUICE_TRY(watch.reconfigure(std::move(cluster)));
  return watch;
}

Result<ClusterWatch::Watched> ClusterWatch::make_watched(const config::Cluster& cluster,
                                                         const config::Server& server) {
  Watched made{server.name, SLUICE_TRY(Watcher::start(next_id(), cluster, server, mailbox_)), {}};
  if (const auto address = numeric_address(server.address)) made.seen.addresses = {*address};
  return made;
}

Result<> ClusterWatch::reconfigure(config::Cluster cluster) {
  std::vector<Watched> next;
  bool moved = false;
  for (const auto& server : cluster.servers) {
    const auto old = std::ranges::find(watched_, server.name, &Watched::name);
    if (old != watched_.end() && old->watcher.serves(cluster, server)) {
      next.push_back(std::move(*old));
      continue;
    }
    next.push_back(SLUICE_TRY(make_watched(cluster, server)));
    // Another interval or password is no reason to forget a server that serves.
    if (old != watched_.end() && old->watcher.address() == server.address) {
      next.back().seen = old->seen;
      next.back().seen.asked_ns = 0;
    } else if (old != watched_.end()) {
      moved = true;
    }
  }
  if (moved) {  // "not asked yet" is no news of a server that served until now
    published_ = false;
    started_ns_ = 0;
  }
  watched_ = std::move(next);  // those left over are told to stop by their destructors
  cluster_ = std::move(cluster);
  point_accounts_at_sources();
  news_ = true;
  return {};
}

void ClusterWatch::set_admin(const std::string& server, Admin admin) {
  admins_[server] = admin;
  news_ = true;
}

bool ClusterWatch::take(Note& note) {
  const auto from = std::ranges::find_if(
      watched_, [&](const Watched& w) { return w.watcher.id() == note.sender; });
  if (from == watched_.end()) return false;
  if (const auto* asked = std::get_if<Asked>(&note.what)) {
    from->seen.asked_ns = asked->at_ns;
  } else if (auto* seen = std::get_if<Seen>(&note.what)) {
    absorb(from->seen, std::move(seen->observation), seen->at_ns);
    news_ = true;
  } else if (auto* resolved = std::get_if<Resolved>(&note.what)) {
    if (!resolved->addresses.empty()) from->seen.addresses = std::move(resolved->addresses);
    from->seen.resolve_error = std::move(resolved->error);
    news_ = true;
  }
  return true;
}

void ClusterWatch::forgive(int64_t pause_ns, int64_t now_ns) {
  for (auto& watched : watched_)
    if (watched.seen.asked_ns != 0)
      watched.seen.asked_ns = std::min(watched.seen.asked_ns + pause_ns, now_ns);
}

/// Time alone may change what is awaited. The lag behind a source that is gone grows, too: it is
/// judged with each question.
bool ClusterWatch::is_awaiting() const {
  return !published_ ||
         std::ranges::any_of(watched_, [](const Watched& one) { return one.seen.asked_ns != 0; });
}

const ClusterState* ClusterWatch::judge(Now now) {
  if (!std::exchange(news_, false) && !is_awaiting()) return nullptr;
  std::vector<Observation> observations;
  std::vector<Admin> admins;
  for (const auto& watched : watched_) {
    observations.push_back(watched.seen);
    const auto admin = admins_.find(watched.name);
    admins.push_back(admin == admins_.end() ? Admin::none : admin->second);
  }
  auto next = derive(cluster_, observations, admins, state_, now);
  if (started_ns_ == 0) started_ns_ = now.monotonic_ns;
  const bool first_time_is_over =
      now.monotonic_ns - started_ns_ >
      kFirstJudgementIntervals * int64_t{cluster_.interval_ms} * 1'000'000;
  const bool judged =
      std::ranges::none_of(next.servers, [](const auto& s) { return s.health == Health::unknown; });
  if (!published_ && !judged && !first_time_is_over) return nullptr;
  if (published_ && next.version == state_.version) return nullptr;

  log_changes(state_, next);
  state_ = std::move(next);
  published_ = true;
  news_ = true;  // what was found may depend on what was known before
  point_accounts_at_sources();
  return &state_;
}

void ClusterWatch::point_accounts_at_sources() {
  std::vector<AccountsSource> sources;
  for (const auto role : {Role::primary, Role::replica, Role::none}) {
    for (const auto& server : cluster_.servers) {
      const auto* state = state_.server(server.name);
      if (state && state->health == Health::up && state->role == role && !state->addresses.empty())
        sources.push_back({server, state->addresses});
    }
  }
  accounts_watch_.configure(cluster_, std::move(sources));
}

const Observation* ClusterWatch::observation(std::string_view server) const {
  const auto it = std::ranges::find(watched_, server, &Watched::name);
  return it == watched_.end() ? nullptr : &it->seen;
}

}  // namespace sluice::monitor
