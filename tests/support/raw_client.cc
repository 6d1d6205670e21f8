#include "tests/support/raw_client.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <utility>

namespace sluice::test {
namespace {

UniqueFd connected(int family, const sockaddr* address, socklen_t size, std::string_view name) {
  UniqueFd fd(::socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (fd && ::connect(fd.get(), address, size) == 0) return fd;
  const auto text = fmt::format("connect {}: {}", name, ::strerror(errno));
  if (errno == ECONNREFUSED || errno == ENOENT) throw ConnectionRefused(text);
  throw TestError(text);
}

std::size_t byte_at(std::string_view bytes, std::size_t index) {
  return static_cast<unsigned char>(bytes[index]);
}

}  // namespace

std::string RawPacket::error_text() const {
  if (!is_error() || payload.size() < 3) return {};
  std::string_view text(payload);
  const auto code = byte_at(text, 1) | byte_at(text, 2) << 8;
  text.remove_prefix(text.size() >= 9 && text[3] == '#' ? 9 : 3);
  return fmt::format("{} {}", code, text);
}

RawClient::RawClient(uint16_t port, Milliseconds deadline) : deadline_(deadline) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  fd_ = connected(AF_INET, reinterpret_cast<const sockaddr*>(&address), sizeof address,
                  fmt::format("127.0.0.1:{}", port));
  const int on = 1;
  ::setsockopt(fd_.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);  // each send() is a segment
}

RawClient::RawClient(const std::string& path, Milliseconds deadline) : deadline_(deadline) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) throw TestError("the socket path is too long");
  path.copy(address.sun_path, path.size());
  fd_ = connected(AF_UNIX, reinterpret_cast<const sockaddr*>(&address), sizeof address, path);
}

bool RawClient::wait(short events, Clock::time_point start) const {
  pollfd ready{.fd = fd_.get(), .events = events, .revents = 0};
  return ::poll(&ready, 1, static_cast<int>(time_left(start, deadline_).count())) > 0;
}

bool RawClient::send(std::string_view bytes) {
  const auto start = Clock::now();
  while (!bytes.empty()) {
    if (!wait(POLLOUT, start)) return false;
    const ssize_t n = ::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0 && errno != EAGAIN) return false;
    if (n > 0) bytes.remove_prefix(static_cast<std::size_t>(n));
  }
  return true;
}

bool RawClient::send_packet(uint8_t sequence, std::string_view payload) {
  std::string packet;
  for (const int shift : {0, 8, 16})
    packet += static_cast<char>(static_cast<unsigned char>(payload.size() >> shift));
  packet += static_cast<char>(sequence);
  packet += payload;
  return send(packet);
}

std::optional<std::string> RawClient::read(std::size_t size) {
  const auto start = Clock::now();
  while (unread_.size() < size) {
    if (!wait(POLLIN, start)) return std::nullopt;
    char buffer[16384];
    const ssize_t n = ::recv(fd_.get(), buffer, sizeof buffer, MSG_DONTWAIT);
    if (n == 0 || (n < 0 && errno != EAGAIN)) return std::nullopt;
    if (n > 0) unread_.append(buffer, static_cast<std::size_t>(n));
  }
  auto result = unread_.substr(0, size);
  unread_.erase(0, size);
  return result;
}

std::optional<RawPacket> RawClient::read_packet() {
  const auto header = read(4);
  if (!header) return std::nullopt;
  const auto size = byte_at(*header, 0) | byte_at(*header, 1) << 8 | byte_at(*header, 2) << 16;
  auto payload = read(size);
  if (!payload) return std::nullopt;
  return RawPacket{static_cast<uint8_t>(byte_at(*header, 3)), std::move(*payload)};
}

bool RawClient::closed_by_peer() {
  const auto start = Clock::now();
  while (wait(POLLIN, start)) {
    char buffer[16384];
    const ssize_t n = ::recv(fd_.get(), buffer, sizeof buffer, MSG_DONTWAIT);
    if (n == 0 || (n < 0 && errno != EAGAIN)) return true;
    if (n > 0) unread_.append(buffer, static_cast<std::size_t>(n));
  }
  return false;
}

void RawClient::half_close() {
  ::shutdown(fd_.get(), SHUT_WR);
}

void RawClient::reset() {
  const linger now{.l_onoff = 1, .l_linger = 0};
  ::setsockopt(fd_.get(), SOL_SOCKET, SO_LINGER, &now, sizeof now);
  fd_.reset();
}

}  // namespace sluice::test
