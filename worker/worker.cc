#include "worker/worker.h"

#include <fmt/format.h>
#include <unistd.h>

#include <array>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/mysql/protocol.h"
#include "common/process/privileges.h"
#include "worker/auth/identity.h"
#include "worker/sessions_table.h"
#include "worker/tls/initialise.h"

namespace sluice::worker {
namespace {

constexpr std::size_t kScratch = 128 * 1024;
constexpr std::size_t kMaxAccounts = 256 * 1024 * 1024;
constexpr auto kTick = std::chrono::milliseconds(100);
// After the death of the master nobody restarts us: statements under way get this long.
constexpr int64_t kOrphanNs = 5 * kSecondNs;
// For the last step of handshakes that the kernel has begun: the way to the client and back.
constexpr auto kGoneGrace = std::chrono::milliseconds(200);

void drain_and_close(std::vector<std::unique_ptr<Acceptor>>& acceptors) {
  for (auto& acceptor : acceptors) acceptor->drain();
  acceptors.clear();
}

}  // namespace

/// What a worker takes from its master. Direction, phase and fd count come from the declarations.
struct Worker::Handlers {
  static constexpr auto kTable = std::to_array<ipc::Handler<Worker>>({
      ipc::on<&Worker::on_worker_config>(),
      ipc::on<&Worker::on_key_material>(),
      ipc::on<&Worker::on_listener>(),
      ipc::on<&Worker::on_start>(),
      ipc::on<&Worker::on_cluster_update>(),
      ipc::on<&Worker::on_accounts_update>(),
      ipc::on<&Worker::on_accounts_checked>(),
      ipc::on<&Worker::on_name_resolved>(),
      ipc::on<&Worker::on_log_level>(),
      ipc::on<&Worker::on_stop_accepting>(),
      ipc::on<&Worker::on_close_gone>(),
      ipc::on<&Worker::on_finish>(),
      ipc::on<&Worker::on_ask>(),
  });
};

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
  now_ns_ = coarse_monotonic_ns();
}
void Worker::read_exact_clock() {
  now_ns_ = monotonic_ns();
}

Result<> Worker::on_frame(ipc::Frame frame) {
  read_clock();
  return ipc::dispatch<Worker>(*this, Handlers::kTable, ipc::Role::master, phase_,
                               std::move(frame));
}

// From the master.

Result<> Worker::on_worker_config(ipc::WorkerConfig message, std::vector<UniqueFd> fds) {
  config_ = std::move(message);
  if (config_.lane >= stats::kLanes || config_.services.size() != config_.service_ids.size())
    return fail(Errc::ipc_protocol, "WorkerConfig: inconsistent");
  stats_ = SLUICE_TRY(stats::Mapping::map(fds[0].get()));
  guard_.emplace(stats_->login_guard);
  log::set_level(config_.log_level);
  for (auto& cluster : config_.clusters) {
    auto entry = std::make_unique<ClusterEntry>();
    entry->config = cluster;
    clusters_[cluster.name] = std::move(entry);
  }
  for (std::size_t i = 0; i < config_.services.size(); ++i) {
    auto entry = std::make_unique<ServiceEntry>();
    entry->config = config_.services[i];
    const auto cluster = clusters_.find(entry->config.cluster);
    if (cluster == clusters_.end() || config_.service_ids[i] >= stats::kServices)
      return fail(Errc::ipc_protocol, "WorkerConfig: a service without a cluster");
    entry->cluster = cluster->second.get();
    entry->router = &router_of(entry->config.router);
    entry->announced_from = SLUICE_TRY(Networks::from(entry->config.proxy_protocol_from));
    entry->row = config_.service_ids[i];
    entry->counters = &lane().services[entry->row];
    services_[entry->config.name] = std::move(entry);
  }
  look_around();
  return {};
}

Result<> Worker::on_listener(ipc::Listener message, std::vector<UniqueFd> fds) {
  const auto service = services_.find(message.service);
  const bool nobodys = message.gone && message.service.empty();
  if (service == services_.end() && !nobodys)
    return fail(Errc::ipc_protocol, "Listener: no such service");
  auto& acceptors = message.gone ? gone_ : acceptors_;
  acceptors.push_back(std::make_unique<Acceptor>(*this, nobodys ? nullptr : service->second.get(),
                                                 message.endpoint.text(), std::move(fds[0])));
  return phase_ == ipc::kServing ? acceptors.back()->start() : Result<>();
}

Result<> Worker::on_key_material(ipc::KeyMaterial message) {
  keys_ = std::move(message);
  if (!keys_.rsa_key_pem.empty()) rsa_key_ = SLUICE_TRY(tls::RsaKey::from_pem(keys_.rsa_key_pem));
  look_around();
  return phase_ == ipc::kServing ? make_client_tls() : Result<>();
}

Result<> Worker::make_client_tls() {
  for (auto& [name, service] : services_)
    if (service->config.tls.mode != config::TlsMode::off)
      service->tls = SLUICE_TRY(tls::Context::towards_clients(service->config, keys_));
  return {};
}

/// What can't be used is the configuration's fault: this worker does not start, and so neither does
/// the reload that it belongs to.
Result<> Worker::make_tls() {
  SLUICE_TRY(make_client_tls());
  for (auto& [name, cluster] : clusters_)
    for (const auto& server : cluster->config.servers)
      if (server.tls.mode != config::TlsMode::off)
        cluster->tls.emplace(server.name, SLUICE_TRY(tls::Context::towards_server(server)));
  return {};
}

Result<> Worker::on_start(ipc::Start) {
  SLUICE_TRY(tls::initialise());
  if (auto made = make_tls(); !made) {
    log::error("tls", "can't be used", log::kv("error", made.error().message));
    return tl::unexpected(made.error());
  }
  auto locked = process::lock_in(config_.privileges, process::Root::empty);
  if (!locked) {
    log::error("worker", "cannot lock itself in", log::kv("error", locked.error().message));
    return tl::unexpected(locked.error());
  }
  for (auto& acceptor : acceptors_) SLUICE_TRY(acceptor->start());
  link_.send(ipc::Ready{*locked});
  phase_ = ipc::kServing;
  return {};
}

Result<> Worker::on_cluster_update(ipc::ClusterUpdate message) {
  const auto found = clusters_.find(message.state.name);
  if (found == clusters_.end()) return {};  // of another generation
  auto& entry = *found->second;
  for (auto& row : message.server_ids)
    if (row >= stats::kServers) row = 0;
  entry.state = std::move(message.state);
  entry.server_rows = std::move(message.server_ids);
  look_around();
  for_sessions(&entry, [](Session& session) { session.view_changed(); });
  return {};
}

Result<> Worker::on_accounts_update(ipc::AccountsUpdate message, std::vector<UniqueFd> fds) {
  const auto found = clusters_.find(message.cluster);
  if (found == clusters_.end()) return {};
  auto& entry = *found->second;
  auto file = ipc::SealedMap::map(fds[0].get(), kMaxAccounts);
  auto table = file ? accounts::Table::open(file->bytes()) : tl::unexpected(file.error());
  if (!table) {  // the monitor's fault, not the master's: the old table stays
    log::error("accounts", "unusable table", log::kv("cluster", message.cluster),
               log::kv("error", table.error().message));
    return {};
  }
  entry.accounts = std::move(*table);
  entry.accounts_file = std::move(*file);
  look_around();
  accounts_news(&entry);
  return {};
}

Result<> Worker::on_accounts_checked(ipc::AccountsChecked message) {
  const auto found = clusters_.find(message.cluster);
  if (found == clusters_.end()) return {};
  found->second->accounts_began_ns = message.began_ns;
  look_around();
  accounts_news(found->second.get());
  return {};
}

Result<> Worker::on_name_resolved(ipc::NameResolved message) {
  asked_names_.erase(message.ip);
  names_.learn(std::move(message.ip), std::move(message.name), message.until_ns);
  accounts_news(nullptr);
  return {};
}

void Worker::accounts_news(const ClusterEntry* cluster) {
  for_sessions(cluster, [](Session& session) { session.accounts_changed(); });
}

Result<> Worker::on_log_level(ipc::LogLevel message) {
  log::set_level(message.level);
  return {};
}

Result<> Worker::on_stop_accepting(ipc::StopAccepting) {
  drain_and_close(acceptors_);
  gone_over_.stop();
  drain_and_close(gone_);
  phase_ = ipc::kDraining;
  link_.send(ipc::Stopped{sessions_.size()});
  leave_if_done();
  return {};
}

Result<> Worker::on_close_gone(ipc::CloseGone) {
  gone_over_.once<&Worker::on_gone_over>(loop_, kGoneGrace, this);
  return {};
}

void Worker::on_gone_over() {
  drain_and_close(gone_);
  link_.send(ipc::GoneClosed{});
}

Result<> Worker::on_finish(ipc::Finish message) {
  start_finishing(End{mysql::kServerShutdown, "08S01", std::move(message.reason)},
                  message.deadline_ns);
  return {};
}

Result<> Worker::on_ask(ipc::Ask message) {
  ipc::Answer answer{.id = message.id};
  const std::string_view id =
      message.arguments.empty() ? "" : std::string_view(message.arguments[0]);
  if (message.command == "list sessions" || message.command == "show session") {
    answer.table = sessions_table(sessions_, id, now_ns_);
    if (!id.empty() && answer.table.rows.empty()) answer.error = fmt::format("no session {}", id);
  } else if (message.command == "kill session") {
    answer.error = fmt::format("no session {}", id);
    for (auto& [number, session] : sessions_) {
      if (session_name(number) != id) continue;
      answer.error.clear();
      session->order_to_end(
          {mysql::kConnectionKilled, "70100", "Connection was killed (sluice: by an operator)"},
          now_ns_);
      break;
    }
  } else {
    answer.error = "a worker does not know this command";
  }
  link_.send(answer);
  return {};
}

void Worker::on_master_lost() {
  read_clock();
  acceptors_.clear();  // the ports are free for a new master at once
  gone_.clear();
  phase_ = ipc::kDraining;
  start_finishing({mysql::kServerShutdown, "08S01", "sluice: the proxy was stopped"},
                  now_ns_ + kOrphanNs);
}

// Sessions.

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
    service->surroundings.emplace(
        Surroundings{.service = service->config,
                     .router = *service->router,
                     .announced_from = service->announced_from,
                     .known = cluster.state.has_value(),
                     .configured = cluster.config.servers,
                     .accounts = cluster.accounts ? &*cluster.accounts : nullptr,
                     .accounts_began_ns = cluster.accounts_began_ns,
                     .names = names_,
                     .own_key = rsa_key_ ? &*rsa_key_ : nullptr,
                     .guard = guard_ ? &*guard_ : nullptr});
  }
}

const Surroundings& Worker::surroundings(ServiceEntry& service, Servers servers) {
  auto& w = *service.surroundings;
  w.now_ns = now_ns_;
  w.servers = {};
  const auto& cluster = *service.cluster;
  if (!cluster.state || servers != Servers::with_load) return w;
  views_.clear();
  for (std::size_t i = 0; i < cluster.state->servers.size(); ++i) {
    ServerView view{.state = &cluster.state->servers[i]};
    const auto row = i < cluster.server_rows.size() ? cluster.server_rows[i] : 0;
    view.open = stats::open_connections(*stats_, row);
    if (const auto* configured = w.server(view.state->name)) view.weight = configured->weight;
    views_.push_back(view);
  }
  w.servers = views_;
  return w;
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

void Worker::watch_deadline(Session& session) {
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

template <class Call>
void Worker::for_sessions(const ClusterEntry* cluster, Call call) {
  std::vector<uint64_t> ids;  // the call may end any of them
  for (const auto& [id, session] : sessions_)
    if (cluster == nullptr || session->service().cluster == cluster) ids.push_back(id);
  for (const auto id : ids)
    if (const auto found = sessions_.find(id); found != sessions_.end()) call(*found->second);
}

void Worker::on_tick() {
  read_clock();
  std::vector<Session*> due;
  for (auto it = with_deadline_.begin(); it != with_deadline_.end();) {
    Session* session = *it;
    const auto deadline = session->state().deadline_ns;
    if (deadline == 0 || deadline <= now_ns_)
      it = with_deadline_.erase(it);
    else
      ++it;
    if (deadline != 0 && deadline <= now_ns_) due.push_back(session);
  }
  for (Session* session : due) session->deadline_passed();  // ends none but itself
  if (with_deadline_.empty()) tick_.stop();  // most of the time nobody logs in or leaves
}

void Worker::start_finishing(const End& end, int64_t deadline_ns) {
  for_sessions(nullptr, [&](Session& session) { session.order_to_end(end, deadline_ns); });
  leave_if_done();
}

void Worker::leave_if_done() {
  if (!sessions_.empty() || !acceptors_.empty()) return;
  if (phase_ != ipc::kDraining) return;
  if (!link_.lost()) link_.send(ipc::Leaving{});
  loop_.stop();
}

}  // namespace sluice::worker
