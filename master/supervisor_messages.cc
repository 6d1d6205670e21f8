// What children say to the master, and what it passes on between them.
#include <netinet/in.h>

#include <algorithm>
#include <array>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/process/seccomp.h"
#include "master/supervisor.h"

namespace sluice::master {
namespace {

bool has_server(const config::Cluster& cluster, std::string_view name) {
  return std::ranges::find(cluster.servers, name, &config::Server::name) != cluster.servers.end();
}

}  // namespace

/// What the master takes from its children.
struct Supervisor::Handlers {
  static constexpr auto kTable = std::to_array<ipc::Handler<Supervisor>>({
      ipc::on<&Supervisor::on_ready>(),
      ipc::on<&Supervisor::on_log_record>(),
      ipc::on<&Supervisor::on_forbidden_call>(),
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
      ipc::on<&Supervisor::on_seek_session>(),
      ipc::on<&Supervisor::on_found_session>(),
  });
};

Result<> Supervisor::on_frame(Child& child, ipc::Frame frame) {
  speaking_ = &child;
  return ipc::dispatch<Supervisor>(*this, Handlers::kTable, child.role(), child.phase(),
                                   std::move(frame));
}

Result<> Supervisor::on_ready(ipc::Ready message) {
  Child& child = *speaking_;
  constexpr std::size_t kMaxSandbox = 256;  // people see it, and an upgrade carries it on
  if (message.sandbox.size() > kMaxSandbox) return fail(Errc::ipc_protocol, "Ready: too long");
  child.enter(ipc::kServing);
  child.deadline_ns = 0;
  child.sandbox = message.sandbox;
  log::notice("child", "ready", log::kv("process", child.name()),
              log::kv("generation", child.generation), log::kv("sandbox", message.sandbox));
  // It was started with the configured level; the operator may have chosen another one.
  if (log::level() != state_.config.sluice.log.level) child.send(ipc::LogLevel{log::level()});
  if (&child == next_monitor_.get()) {
    if (monitor_) give_up(std::move(monitor_));
    monitor_ = std::move(next_monitor_);
    monitor_uid_ = state_.uid;
    monitor_sandbox_ = state_.config.sluice.sandbox;
    user_.on_monitor_replaced({});
  }
  if (child.role() != ipc::Role::worker) return {};
  auto& slot = slots_[child.slot];
  if (slot.starting.get() != &child) return fail(Errc::ipc_protocol, "Ready: nobody waits for it");
  auto old = std::exchange(slot.serving, std::move(slot.starting));
  if (old) stop_accepting(std::move(old));
  for (const auto& leaving : leaving_)
    if (successor_of(*leaving) == slot.serving.get()) hand_over(*leaving, *slot.serving);
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
  if (message.level == log::Level::error && speaking_->phase() == ipc::kStarting)
    speaking_->last_error = message.component + ": " + message.text;
  return {};
}

Result<> Supervisor::on_forbidden_call(ipc::ForbiddenCall message) {
  uint32_t number = 0;
  for (std::size_t i = 0; i < message.number.size(); ++i)
    number |= std::to_integer<uint32_t>(message.number[i]) << (8 * i);
  speaking_->kill_for_call(process::call_name(number));
  return {};
}

Result<> Supervisor::on_answer(ipc::Answer message) {
  user_.on_answer(speaking_->number, std::move(message));
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
  speaking_->done = true;
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
  known.accounts_error.clear();
  to_workers(message, std::array{known.accounts.get()});
  return {};
}

Result<> Supervisor::on_accounts_checked(ipc::AccountsChecked message) {
  if (state_.config.cluster(message.cluster))
    state_.clusters[message.cluster].accounts_error = message.error;
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

/// Whether the other workers are asked. A worker whose clients send KILL all the time gets "nobody
/// knows" for an answer.
bool Supervisor::may_seek() {
  auto& throttle = speaking_->seek_throttle;
  if (!throttle.allow(monotonic_ns())) return false;
  if (const auto left_out = throttle.take_left_out())
    log::warning("child", "asks too much of the other workers",
                 log::kv("process", speaking_->name()), log::kv("left_out", left_out));
  return true;
}

Result<> Supervisor::on_seek_session(ipc::SeekSession message) {
  Child& asker = *speaking_;
  message.worker = asker.number;
  const auto* cluster = state_.config.cluster(message.cluster);
  std::vector<uint32_t> asked;
  if (may_seek() && cluster != nullptr && has_server(*cluster, message.server)) {
    for (Child* child : workers()) {
      if (child == &asker || !(child->phase() & (ipc::kServing | ipc::kDraining))) continue;
      asked.push_back(child->number);
      child->send(message);
    }
  }
  if (asked.empty())
    asker.send(ipc::FoundSession{message.worker, message.session, message.round});
  else
    inquiries_.begin({message.worker, message.session, message.round}, std::move(asked),
                     monotonic_ns());
  return {};
}

Result<> Supervisor::on_found_session(ipc::FoundSession message) {
  const auto known = [&](const config::Cluster& one) { return has_server(one, message.server); };
  if (!message.server.empty() && std::ranges::none_of(state_.config.clusters, known))
    message.server.clear();  // of an older configuration, or made up
  if (!inquiries_.answered({message.worker, message.session, message.round}, speaking_->number,
                           message.known))
    return {};
  if (Child* asker = worker_by(message.worker)) asker->send(message);
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
  for (Child* monitor : {monitor_.get(), next_monitor_.get()})
    if (monitor) monitor->send(ipc::ServerAdmin{cluster, server, admin});
}

}  // namespace sluice::master
