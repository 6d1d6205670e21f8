// record_conversations NAME ABOUT [--pipelined] COMMAND...
//
// Starts a real MariaDB and a relay in front of it, runs the command (a program that uses some
// driver) with SLUICE_RECORD_PORT in its environment, and prints nothing: each connection that the
// program makes becomes NAME-1.conversation, NAME-2.conversation, ... in the current directory
// (recording.h). tests/data/conversations/record calls this.
#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <cstdio>
#include <list>

#include "tests/support/free_port.h"
#include "tests/support/mariadb_server.h"
#include "tests/support/recording.h"
#include "tests/support/test_error.h"

namespace sluice::test {
namespace {

/// What the drivers' programs expect to find.
constexpr const char* kSetup[] = {
    "INSTALL SONAME 'auth_ed25519'",
    "CREATE USER other@'%' IDENTIFIED BY 'other-secret'",
    "CREATE USER other@localhost IDENTIFIED BY 'other-secret'",
    "GRANT ALL ON test.* TO other@'%'",
    "GRANT ALL ON test.* TO other@localhost",
    "CREATE USER curve@'%' IDENTIFIED VIA ed25519 USING PASSWORD('curve-secret')",
    "CREATE USER curve@localhost IDENTIFIED VIA ed25519 USING PASSWORD('curve-secret')",
    "CREATE TABLE test.words (id INT AUTO_INCREMENT PRIMARY KEY, word VARCHAR(100), at DATETIME)",
};

sockaddr_in loopback(uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

UniqueFd tcp_socket() {
  UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd) throw TestError("socket");
  return fd;
}

/// A driver's connection, and ours to the server for it.
struct Connection {
  UniqueFd client, server;
  Recording recording;
  bool open = true;
};

class Relay {
 public:
  Relay(uint16_t server_port, Recording form) : server_port_(server_port), form_(std::move(form)) {
    const auto address = loopback(port_ = free_port());
    if (::bind(listener_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
        ::listen(listener_.get(), 16) != 0)
      throw TestError("listen");
  }

  uint16_t port() const { return port_; }
  const std::list<Connection>& connections() const { return connections_; }
  bool idle() const {
    return std::ranges::none_of(connections_, [](const Connection& c) { return c.open; });
  }

  /// Serves what is ready within 50 ms.
  void step() {
    std::vector<pollfd> watched{{listener_.get(), POLLIN, 0}};
    std::vector<std::pair<Connection*, bool>> who{{nullptr, false}};
    for (auto& connection : connections_) {
      if (!connection.open) continue;
      for (const bool from_server : {false, true}) {
        watched.push_back(
            {from_server ? connection.server.get() : connection.client.get(), POLLIN, 0});
        who.emplace_back(&connection, from_server);
      }
    }
    ::poll(watched.data(), watched.size(), 50);
    if (watched[0].revents != 0) accept();
    for (std::size_t i = 1; i < watched.size(); ++i)
      if (watched[i].revents != 0 && who[i].first->open) forward(*who[i].first, who[i].second);
  }

 private:
  void accept() {
    Connection connection{UniqueFd(::accept(listener_.get(), nullptr, nullptr)), tcp_socket(),
                          form_};
    connection.recording.name = fmt::format("{}-{}", form_.name, connections_.size() + 1);
    const auto address = loopback(server_port_);
    if (::connect(connection.server.get(), reinterpret_cast<const sockaddr*>(&address),
                  sizeof address) != 0)
      throw TestError("connect");
    for (const auto* fd : {&connection.client, &connection.server}) {
      const int on = 1;
      ::setsockopt(fd->get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    }
    connections_.push_back(std::move(connection));
  }

  static void forward(Connection& connection, bool from_server) {
    const auto& from = from_server ? connection.server : connection.client;
    const auto& to = from_server ? connection.client : connection.server;
    Bytes bytes;
    // A client that does not wait for answers is given time, so that its commands stand together.
    const int patience_ms = connection.recording.pipelined && !from_server ? 20 : 0;
    pollfd more{from.get(), POLLIN, 0};
    do {
      std::array<std::byte, 65536> buffer;
      const auto n = ::recv(from.get(), buffer.data(), buffer.size(), 0);
      if (n <= 0) {
        connection.open = false;
        break;
      }
      bytes.insert(bytes.end(), buffer.begin(), buffer.begin() + n);
    } while (patience_ms > 0 && ::poll(&more, 1, patience_ms) > 0);
    if (!bytes.empty()) connection.recording.add(from_server, bytes);
    send_all(to.get(), bytes);
    if (connection.open) return;
    connection.client.reset();
    connection.server.reset();
  }

  static void send_all(int to, ByteSpan bytes) {
    for (auto rest = bytes; !rest.empty();) {
      const auto sent = ::send(to, rest.data(), rest.size(), MSG_NOSIGNAL);
      if (sent < 0) return;  // gone; its own side says so
      rest = rest.subspan(static_cast<std::size_t>(sent));
    }
  }

  uint16_t server_port_;
  Recording form_;
  UniqueFd listener_ = tcp_socket();
  uint16_t port_ = 0;
  std::list<Connection> connections_;
};

int run(Recording form, std::vector<std::string> command) {
  MariadbServer server({.extra_args = {"--local-infile=1", "--plugin-maturity=unknown"}});
  for (const char* sql : kSetup) server.exec(sql);
  Relay relay(server.port(), std::move(form));
  Process driver({.argv = std::move(command),
                  .output = "/dev/stderr",
                  .environment = {{"SLUICE_RECORD_PORT", std::to_string(relay.port())}}});
  while (driver.running() || !relay.idle()) relay.step();
  const int status = driver.wait(1s).value_or(-1);
  if (status != 0) {
    fmt::print(stderr, "the driver's program ended with {}\n", status);
    return 1;
  }
  for (const auto& connection : relay.connections()) {
    std::ofstream file(connection.recording.name + ".conversation");
    write_recording(file, connection.recording);
  }
  return 0;
}

}  // namespace
}  // namespace sluice::test

int main(int argc, char** argv) {
  std::vector<std::string> arguments(argv + 1, argv + argc);
  sluice::test::Recording form;
  if (arguments.size() < 3) {
    fmt::print(stderr, "usage: record_conversations NAME ABOUT [--pipelined] COMMAND...\n");
    return 2;
  }
  form.name = arguments[0];
  form.about = arguments[1];
  form.pipelined = arguments[2] == "--pipelined";
  arguments.erase(arguments.begin(), arguments.begin() + (form.pipelined ? 3 : 2));
  try {
    return sluice::test::run(std::move(form), std::move(arguments));
  } catch (const std::exception& error) {
    fmt::print(stderr, "record_conversations: {}\n", error.what());
    return 1;
  }
}
