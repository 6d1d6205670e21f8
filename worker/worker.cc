#include "worker/worker.h"

#include <algorithm>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "worker/auth/identity.h"

namespace sluice::worker {
namespace {

constexpr std::size_t kScratch = 128 * 1024;
constexpr auto kTick = std::chrono::milliseconds(100);

}  // namespace

uint32_t ClusterEntry::server_row(std::string_view name) const {
  if (!state) return 0;
  for (std::size_t i = 0; i < state->servers.size() && i < server_rows.size(); ++i)
    if (state->servers[i].name == name) return server_rows[i];
  return 0;
}

Result<std::unique_ptr<tls::Layer>> ClusterEntry::start_tls(std::string_view server) const {
  const auto context = tls.find(server);
  if (context == tls.end()) return fail(Errc::internal, "no TLS is configured for it");
  return context->second.start();
}

bool ServiceEntry::needs_outgoing_address(const SessionState& session) const {
  return !cluster->tls.empty() || judged_by_own_address(config, session.client_ip);
}

Worker::Worker(event::Loop& loop)
    : loop_(loop), link_(loop, ipc::Role::worker), scratch_(kScratch) {
  read_clock();
}

Result<> Worker::run() {
  SLUICE_TRY(link_.start(*this));
  loop_.run();
  link_.drain(1000);
  return {};
}

void Worker::read_clock() {
  if (std::exchange(clock_turn_, loop_.turns()) != loop_.turns()) now_ns_ = coarse_monotonic_ns();
}
void Worker::read_exact_clock() {
  now_ns_ = monotonic_ns();
}

void Worker::adopt(ServiceEntry& service, UniqueFd client, std::string ip, uint16_t port) {
  stats::add(service.counters->accepted);
  const auto limit = service.config.max_connections;
  const bool over_limit =
      limit > 0 && stats::sum(*stats_, [&](const stats::Lane& lane) -> const stats::Counter& {
                     return lane.services[service.row].open;
                   }) >= limit;
  SessionState state;
  state.id = uint64_t{config_.session_id_base} << 32 | ++next_session_;
  state.service = service.config.name;
  state.client_ip = std::move(ip);
  state.client_port = port;
  const auto id = state.id;
  auto& session = *(sessions_[id] = std::make_unique<Session>(*this, service, std::move(state),
                                                              std::move(client)));
  if (auto ok = session.restore(); !ok) {
    log::error("session", "cannot watch a client", log::kv("error", ok.error().message));
    return forget(session);
  }
  session.accepted(over_limit);
}

void Worker::look_around() {
  for (auto& [name, service] : services_) {
    const auto& cluster = *service->cluster;
    std::span<const cluster::ServerState> states;
    if (cluster.state) states = cluster.state->servers;
    service->surroundings.emplace(
        Surroundings{.service = service->config,
                     .router = *service->router,
                     .announced_from = service->announced_from,
                     .known = cluster.state.has_value(),
                     .states = states,
                     .configured = cluster.config.servers,
                     .accounts = cluster.accounts ? &*cluster.accounts : nullptr,
                     .accounts_began_ns = cluster.accounts_began_ns,
                     .names = names_,
                     .own_key = rsa_key_ ? &*rsa_key_ : nullptr,
                     .guard = guard_ ? &*guard_ : nullptr,
                     .passwords = &service->cluster->passwords,
                     .writes = service->writes ? &*service->writes : nullptr,
                     .lends = cluster.lends});
  }
}

void Worker::look_at_load(ServiceEntry& service) {
  auto& w = *service.surroundings;
  const auto& cluster = *service.cluster;
  if (!cluster.state) return;
  views_.clear();
  for (std::size_t i = 0; i < cluster.state->servers.size(); ++i) {
    ServerView view{.state = &cluster.state->servers[i]};
    const auto row = i < cluster.server_rows.size() ? cluster.server_rows[i] : 0;
    view.open = stats::open_connections(*stats_, row);
    view.busy = stats::running_commands(*stats_, row);
    if (const auto* configured = w.server(view.state->name)) view.weight = configured->weight;
    views_.push_back(view);
  }
  w.servers = views_;
}

Worker::TlsBuffers& Worker::tls_buffers() {
  tls_buffers_.plain.clear();
  tls_buffers_.cipher.clear();
  return tls_buffers_;
}

Bytes& Worker::records() {
  records_.clear();
  return records_;
}

mysql::Zlib& Worker::zlib() {
  return zlib_ ? *zlib_ : zlib_.emplace();
}

/// Frames are of a few KiB mostly, and may be of 16 MiB.
Bytes& Worker::emptied(Bytes& buffer) {
  constexpr std::size_t kKept = 1024 * 1024;
  if (buffer.capacity() > kKept) release(buffer);
  buffer.clear();
  return buffer;
}

void Worker::watch_deadline(Session& session) {
  session.has_deadline_ = true;
  with_deadline_.insert(&session);
  if (!tick_.active()) tick_.every<&Worker::on_tick>(loop_, kTick, this);
}

void Worker::refresh_accounts(const ClusterEntry& cluster) {
  link_.send(ipc::RefreshAccounts{cluster.config.name});
}

void Worker::resolve(std::string_view ip) {
  constexpr int64_t kPatienceNs = 5 * kSecondNs;  // the monitor may have died with the question
  constexpr std::size_t kMostAsked = 10'000;
  const auto asked = asked_names_.find(ip);
  if (asked != asked_names_.end() && now_ns_ < asked->second + kPatienceNs) return;
  if (asked_names_.size() >= kMostAsked) asked_names_.clear();
  asked_names_.insert_or_assign(std::string(ip), now_ns_);
  link_.send(ipc::ResolveName{std::string(ip)});
}

void Worker::forget(Session& session) {
  with_deadline_.erase(&session);
  sessions_.erase(session.state().id);
  if (phase_ == ipc::kDraining) leave_if_done();
}

Session* Worker::session(uint64_t id) const {
  const auto found = sessions_.find(id);
  return found == sessions_.end() ? nullptr : found->second.get();
}

void Worker::for_sessions(const ClusterEntry* cluster, const std::function<void(Session&)>& call) {
  std::vector<uint64_t> ids;  // the call may end any of them
  for (const auto& [id, session] : sessions_)
    if (cluster == nullptr || session->service().cluster == cluster) ids.push_back(id);
  for (const auto id : ids)
    if (const auto found = sessions_.find(id); found != sessions_.end()) call(*found->second);
}

void Worker::on_tick() {
  read_clock();
  std::vector<uint64_t> due;  // whoever is called may end others, by what they lend each other
  for (auto it = with_deadline_.begin(); it != with_deadline_.end();) {
    Session* session = *it;
    const auto deadline = deadline_of(session->state());
    session->has_deadline_ = deadline > now_ns_;
    if (session->has_deadline_)
      ++it;
    else
      it = with_deadline_.erase(it);
    if (deadline != 0 && deadline <= now_ns_) due.push_back(session->state().id);
  }
  for (const auto id : due)
    if (auto* one = session(id)) one->deadline_passed();
  for (auto& [name, service] : services_)  // time alone may have made a connection free to be lent
    if (service->pool && service->pool->waiting() > 0) serve_pool(*service);
  if (with_deadline_.empty()) tick_.stop();  // most of the time nobody logs in or leaves
}

void Worker::start_finishing(End end, int64_t deadline_ns) {
  finishing_ = Finishing{std::move(end), deadline_ns};
  for_sessions(nullptr, [&](Session& session) {
    session.order_to_end(finishing_->end, finishing_->deadline_ns);
  });
  leave_if_done();
}

void Worker::leave_if_done() {
  if (phase_ != ipc::kDraining || !sessions_.empty() || !acceptors_.empty()) return;
  if (!std::ranges::all_of(
          givers_, &Giver::is_done, [](const auto& one) -> auto& { return *one; }))
    return;
  for (const auto& taker : takers_)
    if (taker->holds_any()) return;
  if (!link_.lost()) link_.send(ipc::Leaving{});
  loop_.stop();
}

}  // namespace sluice::worker
