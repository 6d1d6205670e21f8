// What a worker does with its master's messages.
#include <fmt/format.h>

#include <array>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/mysql/protocol.h"
#include "common/process/privileges.h"
#include "worker/sessions_table.h"
#include "worker/tls/initialise.h"
#include "worker/worker.h"

namespace sluice::worker {
namespace {

constexpr std::size_t kMaxAccounts = 256 * 1024 * 1024;
// After the death of the master nobody restarts us: statements under way get this long.
constexpr int64_t kOrphanNs = 5 * kSecondNs;
constexpr auto kPinsInterval = std::chrono::seconds(1);  // between two counts of who can't lend
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
      ipc::on<&Worker::on_hand_off>(),
      ipc::on<&Worker::on_finish>(),
      ipc::on<&Worker::on_ask>(),
      ipc::on<&Worker::on_seek_session>(),
      ipc::on<&Worker::on_found_session>(),
  });
};

Result<> Worker::on_frame(ipc::Frame frame) {
  read_clock();
  return ipc::dispatch<Worker>(*this, Handlers::kTable, ipc::Role::master, phase_,
                               std::move(frame));
}

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
    if (entry->config.causal_reads == config::CausalReads::service)
      entry->writes.emplace(&stats_->writes[0][entry->row], stats::kServices, stats_->lanes_used,
                            config_.lane);
    if (entry->config.pool > 0 && entry->router->splits()) {
      entry->cluster->lends = true;
      entry->pool.emplace(entry->config.pool, std::max(config_.slots, 1U));
      if (!pins_.active()) pins_.every<&Worker::count_pins>(loop_, kPinsInterval, this);
    }
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
  for (auto& acceptor : acceptors_) SLUICE_TRY(acceptor->listen());
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
  entry.passwords.accounts_loaded(*entry.accounts, now_ns_);
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
    answer.table = sessions_table();
    for (const auto& [number, session] : sessions_)
      if (id.empty() || session_name(number) == id)
        answer.table.rows.push_back(session_row(session->state(), why_listed(*session), now_ns_));
    for (const auto& taker : takers_) taker->list(answer.table, id);
    answer.table.record = !id.empty();
    if (!id.empty() && answer.table.rows.empty()) answer.error = fmt::format("no session {}", id);
  } else if (message.command == "explain sql" && message.arguments.size() == 2) {
    if (services_.contains(id))
      answer.table = explanation_table(message.arguments[1]);
    else
      answer.error = fmt::format("no service {}", id);
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

Result<> Worker::on_seek_session(ipc::SeekSession message) {
  link_.send(look_for(message));
  return {};
}

Result<> Worker::on_found_session(ipc::FoundSession message) {
  tell_found(message);
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

}  // namespace sluice::worker
