#include "master/listeners.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <algorithm>
#include <climits>

#include "common/base/log.h"
#include "master/config/endpoint.h"
#include "master/unix_socket.h"

namespace sluice::master {
namespace {

struct Address {
  sockaddr_storage storage{};
  socklen_t size = 0;
};

Address address_of(const config::Endpoint& endpoint) {
  Address out;
  auto& in = reinterpret_cast<sockaddr_in&>(out.storage);
  auto& in6 = reinterpret_cast<sockaddr_in6&>(out.storage);
  if (::inet_pton(AF_INET, endpoint.host.c_str(), &in.sin_addr) == 1) {
    in.sin_family = AF_INET;
    in.sin_port = htons(endpoint.port);
    out.size = sizeof in;
  } else if (::inet_pton(AF_INET6, endpoint.host.c_str(), &in6.sin6_addr) == 1) {
    in6.sin6_family = AF_INET6;
    in6.sin6_port = htons(endpoint.port);
    out.size = sizeof in6;
  }
  return out;
}

bool set(int fd, int level, int option, int value) {
  return ::setsockopt(fd, level, option, &value, sizeof value) == 0;
}

enum class Sharing : uint8_t { alone, with_our_slots };

Result<UniqueFd> bound(const config::Endpoint& endpoint, Sharing sharing) {
  const auto address = address_of(endpoint);
  const auto what = "listen on " + endpoint.text();
  if (address.size == 0) return fail(Errc::config, what + ": not an address");
  UniqueFd fd(::socket(address.storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return fail_errno(what);
  set(fd.get(), SOL_SOCKET, SO_REUSEADDR, 1);
  if (address.storage.ss_family == AF_INET6) set(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, 1);
  if (sharing == Sharing::with_our_slots && !set(fd.get(), SOL_SOCKET, SO_REUSEPORT, 1))
    return fail_errno(what);
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address.storage), address.size) != 0)
    return fail_errno(what);
  return fd;
}

/// Bound, so that the place is ours, but not listening yet: a worker does that when it begins to
/// serve it (Acceptor::listen()). A socket that nobody serves must not get a share of the
/// connections.
Result<UniqueFd> bound_tcp(const config::Endpoint& endpoint) {
  auto fd = SLUICE_TRY(bound(endpoint, Sharing::with_our_slots));
  // What accept() returns inherits these: no system call for each connection.
  set(fd.get(), IPPROTO_TCP, TCP_NODELAY, 1);
  set(fd.get(), SOL_SOCKET, SO_KEEPALIVE, 1);
  set(fd.get(), IPPROTO_TCP, TCP_KEEPIDLE, 60);
  return fd;
}

Result<> could_bind(const config::Endpoint& endpoint) {
  if (endpoint.is_unix()) return could_bind_unix(endpoint.path, SOCK_STREAM);
  SLUICE_TRY(bound(endpoint, Sharing::alone));  // closed again at once
  return {};
}

/// Takes the socket from where the kernel looks for a listener, by binding it to an interface that
/// does not exist (inet_hashtables.c, compute_score()): who comes is refused, or finds another one.
/// Handshakes that have begun go on, since they know their listener. Needs no privilege from Linux
/// 5.7 on, but only once (sock.c, sock_bindtoindex_locked()).
void hide(int fd) {
  constexpr int kNowhere = INT_MAX;
  int bound = 0;
  socklen_t size = sizeof bound;
  ::getsockopt(fd, SOL_SOCKET, SO_BINDTOIFINDEX, &bound, &size);
  if (bound != kNowhere && !set(fd, SOL_SOCKET, SO_BINDTOIFINDEX, kNowhere))
    log::warning("listener", "the last connections of an address may be reset",
                 log::kv("error", std::strerror(errno)));
}

bool is_wanted(const config::Config& wanted, const config::Endpoint& endpoint) {
  return std::ranges::any_of(wanted.services, [&](const auto& service) {
    return std::ranges::find(service.listen, endpoint) != service.listen.end();
  });
}

}  // namespace

Result<> Listeners::prepare(const config::Config& wanted, std::size_t slots) {
  fresh_.clear();
  for (const auto& service : wanted.services) {
    for (const auto& endpoint : service.listen) {
      const auto key = endpoint.text();
      auto found = all_.find(key);
      if (found == all_.end()) {
        ListeningSockets listening{.endpoint = endpoint};
        if (endpoint.is_unix()) {
          auto socket = SLUICE_TRY(bind_unix(endpoint.path, SOCK_STREAM, service.socket_mode));
          listening.inode = socket.inode;
          listening.sockets.push_back(std::move(socket.fd));
        } else if (!overlaps_ours(endpoint)) {
          // Another program's SO_REUSEPORT socket would let us in beside it, and take half of the
          // connections: so the address must be free for one who shares with nobody.
          SLUICE_TRY(bound(endpoint, Sharing::alone));
        }
        found = all_.emplace(key, std::move(listening)).first;
        fresh_.push_back(key);
      }
      if (endpoint.is_unix()) ::chmod(endpoint.path.c_str(), service.socket_mode);
      while (!endpoint.is_unix() && found->second.sockets.size() < slots)
        found->second.sockets.push_back(SLUICE_TRY(bound_tcp(endpoint)));
    }
  }
  return {};
}

std::vector<std::string> Listeners::obstacles(const config::Config& wanted) const {
  std::vector<std::string> out;
  for (const auto& service : wanted.services) {
    for (const auto& endpoint : service.listen) {
      if (all_.contains(endpoint.text()) || overlaps_ours(endpoint)) continue;
      const auto free = could_bind(endpoint);
      if (!free) out.push_back(fmt::format("service {}: {}", service.name, free.error().message));
    }
  }
  return out;
}

/// Whether an address that is ours already is in the way of one that shares with nobody: a reload
/// that goes from 127.0.0.1:3306 to 0.0.0.0:3306 or back has both for a while.
bool Listeners::overlaps_ours(const config::Endpoint& endpoint) const {
  return std::ranges::any_of(
      all_, [&](const auto& entry) { return config::overlap(entry.second.endpoint, endpoint); });
}

void Listeners::close_one(ListeningSockets& listening) {
  if (listening.endpoint.is_unix()) remove_unix(listening.endpoint.path, listening.inode);
  listening.sockets.clear();
}

void Listeners::commit() {
  fresh_.clear();
  for (auto& [key, listening] : all_) listening.in_force = listening.sockets.size();
}

void Listeners::undo() {
  for (const auto& key : fresh_) {
    if (const auto found = all_.find(key); found != all_.end()) {
      close_one(found->second);
      all_.erase(found);
    }
  }
  fresh_.clear();
  // What was added to the others belongs to slots that no worker has served yet: none of it
  // listens.
  for (auto& [key, listening] : all_) listening.sockets.resize(listening.in_force);
}

std::vector<const ListeningSockets*> Listeners::gone(const config::Config& wanted) const {
  std::vector<const ListeningSockets*> out;
  for (const auto& [key, listening] : all_)
    if (!is_wanted(wanted, listening.endpoint)) out.push_back(&listening);
  return out;
}

void Listeners::refuse_new(const ListeningSockets& listening) {
  if (listening.endpoint.is_unix()) return remove_unix(listening.endpoint.path, listening.inode);
  for (const auto& socket : listening.sockets) hide(socket.get());
}

void Listeners::keep_only(const config::Config& wanted) {
  for (auto it = all_.begin(); it != all_.end();) {
    const auto at = it++;
    if (is_wanted(wanted, at->second.endpoint)) continue;
    log::notice("listener", "closed", log::kv("address", at->first));
    close_one(at->second);
    all_.erase(at);
  }
}

std::vector<inheritance::Listening> Listeners::export_() const {
  std::vector<inheritance::Listening> out;
  for (const auto& [key, listening] : all_) {
    auto& one = out.emplace_back(
        inheritance::Listening{.endpoint = listening.endpoint, .inode = listening.inode});
    for (const auto& socket : listening.sockets) one.sockets.push_back({socket.get()});
  }
  return out;
}

void Listeners::import_(std::vector<inheritance::Listening> listeners) {
  for (auto& one : listeners) {
    auto& listening = all_[one.endpoint.text()];
    listening.endpoint = std::move(one.endpoint);
    listening.inode = one.inode;
    for (const auto& socket : one.sockets) listening.sockets.push_back(inheritance::own(socket));
  }
  commit();
}

void Listeners::close_all() {
  for (auto& [key, listening] : all_) close_one(listening);
  all_.clear();
}

std::vector<int> Listeners::sockets_for(const config::Endpoint& endpoint, std::size_t slot,
                                        std::size_t slots) const {
  std::vector<int> out;
  const auto found = all_.find(endpoint.text());
  if (found == all_.end()) return out;
  const auto& sockets = found->second.sockets;
  for (std::size_t i = 0; i < sockets.size(); ++i)
    if (endpoint.is_unix() || i % slots == slot) out.push_back(sockets[i].get());
  return out;
}

}  // namespace sluice::master
