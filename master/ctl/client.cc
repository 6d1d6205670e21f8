#include "master/ctl/client.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <climits>
#include <utility>

#include "common/base/clock.h"
#include "common/base/version.h"
#include "common/ipc/channel.h"

namespace sluice::ctl {
namespace {

using std::chrono::milliseconds;

/// A point in time and the words for having missed it.
class Deadline {
 public:
  Deadline(const std::string& path, milliseconds patience)
      : path_(path),
        patience_(patience),
        at_ns_(monotonic_ns() + patience.count() * kMillisecondNs) {}

  tl::unexpected<Error> missed() const {
    return fail(Errc::unavailable, fmt::format("sluiced does not answer on {} (waited {} s)", path_,
                                               (patience_.count() + 999) / 1000));
  }

  /// Waits until `fd` is ready for `events`.
  Result<> wait(int fd, short events) const {
    for (;;) {
      const int64_t left_ms = (at_ns_ - monotonic_ns() + kMillisecondNs - 1) / kMillisecondNs;
      if (left_ms <= 0) return missed();
      pollfd watched{fd, events, 0};
      const int ready = ::poll(&watched, 1, static_cast<int>(std::min<int64_t>(left_ms, INT_MAX)));
      if (ready > 0) return {};
      if (ready < 0 && errno != EINTR) return fail_errno("poll");
    }
  }

  const std::string& path() const { return path_; }
  milliseconds patience() const { return patience_; }

 private:
  std::string path_;
  milliseconds patience_;
  int64_t at_ns_;
};

tl::unexpected<Error> cannot_connect(const std::string& path) {
  const int reason = errno;
  switch (reason) {
    case ENOENT:
      return fail(Errc::unavailable,
                  fmt::format("is sluiced running? there is no control socket at {}", path));
    case ECONNREFUSED:
      return fail(Errc::unavailable, fmt::format("is sluiced running? nobody listens on {}", path));
    case EACCES:
    case EPERM:
      return fail(Errc::denied, fmt::format("permission denied on {}: the control socket is for "
                                            "root and the group of sluiced",
                                            path));
    case EPROTOTYPE:
      return fail(Errc::ipc_protocol, fmt::format("{} is not the control socket of sluiced", path));
    default:
      errno = reason;
      return fail_errno("connect to " + path);
  }
}

/// The kernel keeps who waits for a place in the listener's queue in connect() itself, so it is
/// blocking with SO_SNDTIMEO; a non-blocking one fails at once when the queue is full.
Result<UniqueFd> connect_to(const Deadline& deadline) {
  const std::string& path = deadline.path();
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof address.sun_path)
    return fail(Errc::bad_input, fmt::format("the socket path \"{}\" is {}", path,
                                             path.empty() ? "empty" : "too long for a socket"));
  path.copy(address.sun_path, path.size());

  UniqueFd fd(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  if (!fd) return fail_errno("socket");
  const auto ms = deadline.patience().count();
  const timeval patience{ms / 1000, (ms % 1000) * 1000};
  if (::setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience) != 0)
    return fail_errno("setsockopt");
  while (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    if (errno == EINTR) continue;
    if (errno == EAGAIN) return deadline.missed();
    return cannot_connect(path);
  }
  if (::fcntl(fd.get(), F_SETFL, O_NONBLOCK) != 0) return fail_errno("fcntl");
  return fd;
}

/// A master that has left already is no error here: receive() finds out, with its last words.
template <class Message>
Result<> send(ipc::Channel& channel, const Message& message, const Deadline& deadline) {
  if (auto sent = channel.send(message); !sent) {
    if (sent.error().sys_errno == EPIPE || sent.error().sys_errno == ECONNRESET) return {};
    return sent;
  }
  while (channel.wants_write()) {
    SLUICE_TRY(deadline.wait(channel.fd(), POLLOUT));
    SLUICE_TRY(channel.flush());
  }
  return {};
}

Result<ipc::Frame> receive(ipc::Channel& channel, const Deadline& deadline) {
  for (bool left = false;;) {
    SLUICE_TRY(deadline.wait(channel.fd(), POLLIN));
    auto frame = channel.receive();
    if (frame && *frame) return std::move(**frame);
    if (frame) continue;
    // A peer that leaves with unread messages of ours makes the kernel report ECONNRESET before
    // what it sent last, which says why: so look once more.
    if (frame.error().code != Errc::unavailable) return tl::unexpected(std::move(frame).error());
    if (std::exchange(left, true))
      return fail(Errc::unavailable,
                  "sluiced closed the connection without an answer; its log says why");
  }
}

template <class Message>
Result<Message> decode(const ipc::Frame& frame) {
  using Row = ipc::Declared<Message>;
  if (frame.id != Row::kId || !frame.fds.empty())
    return fail(Errc::ipc_protocol,
                fmt::format("message {} where {} belongs", frame.id, Row::kName));
  auto message = ipc::decode<Message>(frame.body);
  if (!message)
    return fail(Errc::ipc_protocol,
                fmt::format("{}: malformed {}", Row::kName, message.error().field));
  return std::move(*message);
}

Result<> check_hello(const ipc::Hello& hello) {
  if (hello.role != ipc::Role::master)
    return fail(Errc::ipc_protocol, fmt::format("it is a {}", enum_name(hello.role)));
  if (hello.protocol != ipc::kProtocolVersion)
    return fail(Errc::ipc_protocol,
                fmt::format("the running sluiced is release {}, this sluicectl {}: use the one "
                            "that came with it",
                            hello.release, kRelease));
  return {};
}

Result<ipc::ControlReply> converse(ipc::Channel& channel, const ipc::ControlRequest& request,
                                   const Deadline& deadline) {
  ipc::Hello hello;
  hello.role = ipc::Role::control;
  hello.release = std::string(kRelease);
  SLUICE_TRY(send(channel, hello, deadline));
  const auto greeting = SLUICE_TRY(receive(channel, deadline));
  if (greeting.id == ipc::Declared<ipc::ControlReply>::kId)  // a refusal instead of a greeting
    return decode<ipc::ControlReply>(greeting);
  SLUICE_TRY(check_hello(SLUICE_TRY(decode<ipc::Hello>(greeting))));

  SLUICE_TRY(send(channel, request, deadline));
  return decode<ipc::ControlReply>(SLUICE_TRY(receive(channel, deadline)));
}

}  // namespace

Result<ipc::ControlReply> ask(const std::string& socket_path, const ipc::ControlRequest& request,
                              milliseconds patience) {
  const Deadline deadline(socket_path, patience);
  ipc::Channel channel(SLUICE_TRY(connect_to(deadline)));
  auto reply = converse(channel, request, deadline);
  if (!reply && reply.error().code == Errc::ipc_protocol)
    return fail(Errc::ipc_protocol,
                fmt::format("unexpected answer on {}: {}", socket_path, reply.error().message));
  return reply;
}

}  // namespace sluice::ctl
