#include "worker/acceptor.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "common/base/log.h"
#include "common/mysql/packets.h"
#include "common/mysql/protocol.h"
#include "worker/worker.h"

namespace sluice::worker {
namespace {

constexpr int kBacklog = 4096;   // the kernel cuts it to net.core.somaxconn
constexpr int kTakenATurn = 32;  // the sessions that are there want their turn too

struct Peer {
  std::string ip;  ///< empty: a Unix socket
  uint16_t port = 0;
};

/// An IPv4 client of an IPv6 socket is an IPv4 client.
Peer peer_of(const sockaddr_storage& address) {
  char text[INET6_ADDRSTRLEN] = "";
  if (address.ss_family == AF_INET) {
    const auto& in = reinterpret_cast<const sockaddr_in&>(address);
    ::inet_ntop(AF_INET, &in.sin_addr, text, sizeof text);
    return {text, ntohs(in.sin_port)};
  }
  if (address.ss_family == AF_INET6) {
    const auto& in = reinterpret_cast<const sockaddr_in6&>(address);
    if (IN6_IS_ADDR_V4MAPPED(&in.sin6_addr))
      ::inet_ntop(AF_INET, in.sin6_addr.s6_addr + 12, text, sizeof text);
    else
      ::inet_ntop(AF_INET6, &in.sin6_addr, text, sizeof text);
    return {text, ntohs(in.sin6_port)};
  }
  return {};
}

}  // namespace

Result<> Acceptor::listen() {
  if (::listen(socket_.get(), kBacklog) != 0) return fail_errno("listen on " + address_);
  return {};
}

Result<> Acceptor::start() {
  return watch_.start<&Acceptor::on_ready>(worker_.loop(), socket_.get(), event::kRead, this);
}

void Acceptor::on_ready(event::Bits) {
  worker_.read_clock();
  for (int i = 0; i < kTakenATurn && take_one(); ++i) {
  }
}

void Acceptor::drain() {
  worker_.read_clock();
  while (take_one()) {
  }
}

bool Acceptor::take_one() {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  UniqueFd client(::accept4(socket_.get(), reinterpret_cast<sockaddr*>(&address), &size,
                            SOCK_NONBLOCK | SOCK_CLOEXEC));
  if (!client) {
    if (errno == EINTR || errno == ECONNABORTED) return true;
    if (errno == EAGAIN) return false;
    // Out of fds or memory: the queue stays with the kernel, and so would the event.
    log::error("accept", "cannot take a connection", log::kv("address", address_),
               log::kv("error", std::strerror(errno)));
    watch_.want(0);
    pause_.once<&Acceptor::on_pause_over>(worker_.loop(), std::chrono::milliseconds(100), this);
    return false;
  }
  const auto peer = peer_of(address);
  if (service_ != nullptr)
    worker_.adopt(*service_, std::move(client), peer.ip, peer.port);
  else
    turn_away(client, peer.ip);
  return true;
}

/// The client has said nothing yet, so nothing overtakes our words: they arrive before the close.
void Acceptor::turn_away(const UniqueFd& client, const std::string& client_ip) const {
  log::info("accept", "turned away: the address is gone from the configuration",
            log::kv("address", address_), log::kv("client", client_ip));
  Bytes packet;
  mysql::append_packet(
      packet, 0,
      mysql::encode_error(mysql::kServerShutdown, "08S01",
                          fmt::format("sluice: {} is no longer an address of this proxy: its "
                                      "configuration has changed",
                                      address_)));
  (void)!::send(client.get(), packet.data(), packet.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
}

void Acceptor::on_pause_over() {
  watch_.want(event::kRead);
}

}  // namespace sluice::worker
