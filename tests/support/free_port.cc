#include "tests/support/free_port.h"

#include <fmt/format.h>
#include <netinet/in.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <fstream>
#include <random>

#include "tests/support/test_error.h"

namespace sluice::test {
namespace {

constexpr int kLowest = 10000;

int first_ephemeral_port() {
  int first = 32768;
  std::ifstream("/proc/sys/net/ipv4/ip_local_port_range") >> first;
  return first;
}

/// Claims the port among test processes. The socket stays open until the process ends.
bool claim(int port) {
  const int fd = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) throw TestError(fmt::format("socket: {}", ::strerror(errno)));
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  const auto text = fmt::format("sluice-test-port-{}", port);
  text.copy(name.sun_path + 1, sizeof name.sun_path - 1);  // the leading NUL makes it abstract
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + text.size());
  if (::bind(fd, reinterpret_cast<const sockaddr*>(&name), size) == 0) return true;
  ::close(fd);
  return false;
}

/// Whether the kernel would let a server bind the port on every address of both families.
bool unused(int port) {
  int fd = ::socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
  int bound = -1;
  if (fd >= 0) {
    const int off = 0;
    ::setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    sockaddr_in6 any{};
    any.sin6_family = AF_INET6;
    any.sin6_port = htons(static_cast<uint16_t>(port));
    bound = ::bind(fd, reinterpret_cast<const sockaddr*>(&any), sizeof any);
  } else {  // a machine without IPv6
    fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in any{};
    any.sin_family = AF_INET;
    any.sin_port = htons(static_cast<uint16_t>(port));
    bound = ::bind(fd, reinterpret_cast<const sockaddr*>(&any), sizeof any);
  }
  if (fd >= 0) ::close(fd);
  return bound == 0;
}

}  // namespace

uint16_t free_port() {
  static std::mt19937 random{std::random_device{}()};
  const int end = first_ephemeral_port();
  if (end <= kLowest) throw TestError("the ephemeral ports leave no room for listeners");
  for (int attempt = 0; attempt < 1000; ++attempt) {
    const int port = std::uniform_int_distribution<int>(kLowest, end - 1)(random);
    if (unused(port) && claim(port)) return static_cast<uint16_t>(port);
  }
  throw TestError("no free port");
}

std::string free_address() { return fmt::format("127.0.0.1:{}", free_port()); }

}  // namespace sluice::test
