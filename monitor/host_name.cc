#include "monitor/host_name.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <cstring>
#include <memory>
#include <optional>

#include "common/accounts/host.h"

namespace sluice::monitor {
namespace {

/// An IPv4 or IPv6 address that can be compared: mapped ones are IPv4, ports don't count.
struct Address {
  sockaddr_storage storage{};
  socklen_t size = 0;

  static Address v4(const in_addr& ip) {
    Address out{.size = sizeof(sockaddr_in)};
    auto* socket = reinterpret_cast<sockaddr_in*>(&out.storage);
    socket->sin_family = AF_INET;
    socket->sin_addr = ip;
    return out;
  }
  static Address v6(const in6_addr& ip) {
    if (IN6_IS_ADDR_V4MAPPED(&ip)) {
      in_addr mapped{};
      std::memcpy(&mapped, ip.s6_addr + 12, sizeof mapped);
      return v4(mapped);
    }
    Address out{.size = sizeof(sockaddr_in6)};
    auto* socket = reinterpret_cast<sockaddr_in6*>(&out.storage);
    socket->sin6_family = AF_INET6;
    socket->sin6_addr = ip;
    return out;
  }

  bool operator==(const Address& other) const {
    return size == other.size && std::memcmp(&storage, &other.storage, size) == 0;
  }
};

std::optional<Address> parse(const std::string& ip) {
  in_addr four{};
  in6_addr six{};
  if (::inet_pton(AF_INET, ip.c_str(), &four) == 1) return Address::v4(four);
  if (::inet_pton(AF_INET6, ip.c_str(), &six) == 1) return Address::v6(six);
  return std::nullopt;
}

std::optional<Address> from(const sockaddr& socket) {
  if (socket.sa_family == AF_INET)
    return Address::v4(reinterpret_cast<const sockaddr_in&>(socket).sin_addr);
  if (socket.sa_family == AF_INET6)
    return Address::v6(reinterpret_cast<const sockaddr_in6&>(socket).sin6_addr);
  return std::nullopt;
}

bool is_loopback(const Address& address) {
  return address == parse("127.0.0.1") || address == parse("::1");
}

bool leads_back(const std::string& name, const Address& address) {
  addrinfo hints{};
  hints.ai_flags = AI_PASSIVE;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (::getaddrinfo(name.c_str(), nullptr, &hints, &found) != 0) return false;
  const std::unique_ptr<addrinfo, decltype([](addrinfo* a) { ::freeaddrinfo(a); })> owner(found);
  for (const addrinfo* a = found; a != nullptr; a = a->ai_next)
    if (from(*a->ai_addr) == address) return true;
  return false;
}

}  // namespace

std::string confirmed_host_name(const std::string& ip) {
  const auto address = parse(ip);
  if (!address) return {};
  if (is_loopback(*address)) return "localhost";
  std::array<char, NI_MAXHOST> buffer{};
  if (::getnameinfo(reinterpret_cast<const sockaddr*>(&address->storage), address->size,
                    buffer.data(), buffer.size(), nullptr, 0, NI_NAMEREQD) != 0)
    return {};
  std::string name = buffer.data();
  if (accounts::looks_like_address(name) || !leads_back(name, *address)) return {};
  return name;
}

}  // namespace sluice::monitor
