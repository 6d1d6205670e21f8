// What a worker does for sessions that come from another one, or go to one (handoff.h).
#include <algorithm>

#include "common/base/log.h"
#include "worker/worker.h"

namespace sluice::worker {

Result<> Worker::on_hand_off(ipc::HandOff message, std::vector<UniqueFd> fds) {
  std::erase_if(takers_, [](const auto& one) { return one->is_over(); });
  if (!message.give) {
    takers_.push_back(std::make_unique<Taker>(*this, std::move(fds[0])));
    return takers_.back()->start();
  }
  if (phase_ != ipc::kDraining) return fail(Errc::ipc_protocol, "HandOff: it still accepts");
  if (!givers_.empty()) givers_.back()->stop();
  std::erase_if(givers_, [](const auto& one) { return one->is_done(); });
  givers_.push_back(std::make_unique<Giver>(*this, std::move(fds[0])));
  return givers_.back()->start();
}

std::vector<uint64_t> Worker::session_ids() const {
  std::vector<uint64_t> ids;
  ids.reserve(sessions_.size());
  for (const auto& [id, session] : sessions_) ids.push_back(id);
  return ids;
}

ServiceEntry* Worker::service_for(const SessionState& state) const {
  const auto found = services_.find(state.service);
  if (found == services_.end()) return nullptr;
  const auto is_known = [&](const std::string& server) {
    return server.empty() ||
           std::ranges::find(found->second->cluster->config.servers, server,
                             &config::Server::name) != found->second->cluster->config.servers.end();
  };
  const bool known =
      is_known(state.home.server) && (!state.split || is_known(state.split->reader.server));
  return known ? found->second.get() : nullptr;
}

void Worker::take_over(ServiceEntry& service, SessionState state,
                       std::vector<Session::Arrival> legs) {
  const auto client = std::ranges::find(legs, Side::client, &Session::Arrival::side);
  const auto id = state.id;
  auto& session = *(sessions_[id] = std::make_unique<Session>(*this, service, std::move(state),
                                                              std::move(client->fd)));
  session.arrive(std::move(legs));
  // It was given before the order to finish came, and arrives behind it.
  if (auto* here = finishing_ ? this->session(id) : nullptr)
    here->order_to_end(finishing_->end, finishing_->deadline_ns);
}

void Worker::tell_passwords(ipc::Channel& to, int64_t since_ns) const {
  for (const auto& [name, cluster] : clusters_)
    for (const auto& known : cluster->passwords.all())
      if (known.good_ns >= since_ns)
        (void)to.send(ipc::KnownPassword{name, known.user, known.password, known.good_ns});
}

void Worker::learn_password(const ipc::KnownPassword& known) {
  const auto cluster = clusters_.find(known.cluster);
  if (cluster == clusters_.end()) return;
  cluster->second->passwords.remember(known.user, known.password, std::min(known.good_ns, now_ns_));
}

bool Worker::take_back(Session& session) {
  return givers_.empty() ? session.thaw() : givers_.back()->take_back(session);
}

/// Empty in a worker that serves: nobody has asked its sessions to go.
std::string Worker::why_listed(const Session& session) const {
  if (givers_.empty() || session.frozen()) return {};
  const auto refused = givers_.back()->why_refused(session.state().id);
  return refused.empty() ? session.why_stays() : std::string(refused);
}

}  // namespace sluice::worker
