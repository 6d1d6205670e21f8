#include "tests/support/scripted_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include "tests/support/free_port.h"

namespace sluice::test {
namespace {

/// What one side has sent; false when it is gone.
bool pass_on(const RawClient& from, RawClient& to) {
  char buffer[65536];
  const ssize_t n = ::recv(from.fd(), buffer, sizeof buffer, MSG_DONTWAIT);
  if (n < 0) return errno == EAGAIN;
  return n > 0 && to.send({buffer, static_cast<std::size_t>(n)});
}

}  // namespace

ScriptedServer::ScriptedServer(uint16_t real_port)
    : real_port_(real_port),
      port_(free_port()),
      listener_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port_);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::bind(listener_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
      ::listen(listener_.get(), 64) != 0)
    throw TestError("the scripted server can't listen");
  acceptor_ = std::thread([this] { accept_all(); });
}

ScriptedServer::~ScriptedServer() {
  ::shutdown(listener_.get(), SHUT_RDWR);  // accept() returns
  acceptor_.join();
  for (auto& connection : connections_) ::shutdown(connection.peer.fd(), SHUT_RDWR);
  for (auto& connection : connections_) connection.thread.join();
}

void ScriptedServer::play(Script script) {
  const std::lock_guard lock(mutex_);
  script_ = std::move(script);
}

void ScriptedServer::accept_all() {
  for (;;) {
    UniqueFd fd(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (!fd) return;
    auto& connection = connections_.emplace_back(Connection{RawClient(std::move(fd), 5s)});
    const std::lock_guard lock(mutex_);
    connection.thread =
        std::thread([this, &connection, script = script_] { serve(connection.peer, script); });
  }
}

void ScriptedServer::serve(RawClient& peer, const Script& script) const {
  if (script)
    script(peer);
  else
    hand_on(peer);
  ::shutdown(peer.fd(), SHUT_RDWR);
}

void ScriptedServer::hand_on(RawClient& peer) const {
  RawClient real(real_port_, 5s);
  for (;;) {
    pollfd ready[] = {{.fd = peer.fd(), .events = POLLIN, .revents = 0},
                      {.fd = real.fd(), .events = POLLIN, .revents = 0}};
    if (::poll(ready, 2, -1) < 0) return;
    if (ready[0].revents != 0 && !pass_on(peer, real)) return;
    if (ready[1].revents != 0 && !pass_on(real, peer)) return;
  }
}

}  // namespace sluice::test
