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
#include <utility>
#include <vector>

#include "common/base/unique_fd.h"
#include "tests/support/test_error.h"

namespace sluice::test {
namespace {

constexpr int kLowest = 10000;

int first_ephemeral_port() {
  int first = 32768;
  std::ifstream("/proc/sys/net/ipv4/ip_local_port_range") >> first;
  return first;
}

/// Claims the port among test processes, for as long as this one lives.
bool claim(int port) {
  static std::vector<UniqueFd> claims;
  UniqueFd fd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!fd) throw TestError(fmt::format("socket: {}", ::strerror(errno)));
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  const auto text = fmt::format("sluice-test-port-{}", port);
  text.copy(name.sun_path + 1, sizeof name.sun_path - 1);  // the leading NUL makes it abstract
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + text.size());
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&name), size) != 0) return false;
  claims.push_back(std::move(fd));
  return true;
}

template <class Address>
bool can_bind(int fd, const Address& address) {
  return ::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
}

/// Whether the kernel would let a server bind the port on every address of both families.
bool unused(int port) {
  const auto number = htons(static_cast<uint16_t>(port));
  if (const UniqueFd fd(::socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0)); fd) {
    const int off = 0;
    ::setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    sockaddr_in6 any{};
    any.sin6_family = AF_INET6;
    any.sin6_port = number;
    return can_bind(fd.get(), any);
  }
  const UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));  // no IPv6 here
  sockaddr_in any{};
  any.sin_family = AF_INET;
  any.sin_port = number;
  return can_bind(fd.get(), any);
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

std::string free_address() {
  return fmt::format("127.0.0.1:{}", free_port());
}

}  // namespace sluice::test
