// The move of a session from one worker to another, as its runtime has it.
#include <algorithm>

#include "worker/session/movable.h"
#include "worker/session/session.h"
#include "worker/worker.h"

namespace sluice::worker {
namespace {

/// The server whose connection it waits for in its service's pool; null: it does not.
const std::string* awaited(const SessionState& s, Side side) {
  if (side == Side::client || !s.split) return nullptr;
  const bool home = side == Side::server;
  const auto& link = home ? s.split->home_link : s.split->reader_link;
  if (link.step != split::Step::queued) return nullptr;
  return home ? &s.home.server : &s.split->reader.server;
}

/// Whether the state says that this side is connected.
bool is_connected(const SessionState& s, Side side) {
  using split::Step;
  switch (side) {
    case Side::client:
      return true;
    case Side::server:
      return !s.split || s.split->home_link.step == Step::ready;
    case Side::reader:
      return s.split && s.split->reader_link.step == Step::ready;
  }
  return false;
}

}  // namespace

const tls::Info* tls_info(const SessionState& s, Side side) {
  if (side == Side::client) return s.client_tls.get();
  if (side == Side::server) return s.home.tls.get();
  return s.split ? s.split->reader.tls.get() : nullptr;
}

std::string Session::why_stays() const {
  if (const auto why = why_not_movable(state_); !why.empty()) return std::string(why);
  for (const auto& one : legs_)
    if (auto why = one.tls ? one.tls->why_not_movable() : std::string(); !why.empty()) return why;
  return {};
}

/// The registrations in epoll are the sockets', not ours: they would outlive our closing these.
Session::Parcel Session::freeze() {
  Parcel out;
  frozen_ = true;
  for (const Side side : kSides) {
    auto& one = leg(side);
    if (service_.pool && awaited(state_, side)) service_.pool->left({state_.id, side});
    if (!one.fd) continue;
    one.watch.stop();
    out.legs.push_back({side, one.fd.get(), {}});
    if (!one.tls) continue;
    auto left = one.tls->leave();
    if (!left) continue;  // it has said that it can: then it has failed, and fails where it goes
    one.left = std::make_unique<tls::RecordsState>(std::move(*left));
    out.legs.back().tls = ipc::encode(*one.left);
  }
  out.state = ipc::encode(state_);
  return out;
}

bool Session::thaw() {
  frozen_ = false;
  for (const Side side : kSides) {
    auto& one = leg(side);
    const auto left = std::exchange(one.left, nullptr);
    if (!left) continue;
    auto again = tls::resume(std::move(*left), *tls_info(state_, side));
    if (again) one.tls = std::move(*again);  // else what it sends and gets fails
  }
  if (auto ok = restore(); !ok) {
    log(log::Level::error, ok.error().message);
    worker_.forget(*this);
    return false;
  }
  if (!has_deadline_ && deadline_of(state_) != 0) worker_.watch_deadline(*this);
  for (const Side side : kSides)
    if (const auto* server = awaited(state_, side); server != nullptr && service_.pool)
      service_.pool->wants(*server, {state_.id, side}, true);
  return true;
}

void Session::go_away() {
  auto& worker = worker_;
  auto& service = service_;
  for (const Side side : kSides) {
    auto& one = leg(side);
    if (!one.fd) continue;
    if (side != Side::client) stats::subtract(worker_.lane().servers[one.row].open);
    if (service_.pool && side != Side::client) service_.pool->left({state_.id, side});
    one.fd.reset();
    one.tls.reset();
    one.left.reset();
  }
  worker.forget(*this);
  if (service.pool) worker.serve_pool(service);
}

bool Session::fit(const SessionState& state, const std::vector<Arrival>& legs) {
  for (const Side side : kSides)
    if (std::ranges::count(legs, side, &Arrival::side) != (is_connected(state, side) ? 1 : 0))
      return false;
  return std::ranges::all_of(legs, [&](const Arrival& leg) {
    return (leg.tls != nullptr) == (tls_info(state, leg.side) != nullptr);
  });
}

void Session::arrive(std::vector<Arrival> legs) {
  for (auto& arriving : legs) {
    auto& to = leg(arriving.side);
    to.tls = std::move(arriving.tls);
    if (arriving.side == Side::client) continue;
    to.fd = std::move(arriving.fd);
    const auto& name =
        arriving.side == Side::server ? state_.home.server : state_.split->reader.server;
    to.row = service_.cluster->server_row(name);
    stats::add(worker_.lane().servers[to.row].open);
    if (service_.pool) service_.pool->came(name, {state_.id, arriving.side});
  }
  if (thaw()) view_changed();
}

}  // namespace sluice::worker
