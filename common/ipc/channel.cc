#include "common/ipc/channel.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <array>

namespace sluice::ipc {
namespace {

// Header of a datagram: id, and whether the body is in a memfd that rides as the last fd.
constexpr std::size_t kHeaderSize = 4;
constexpr uint16_t kSpilled = 1;
constexpr std::size_t kMaxFds = 8;  // of any message, the spilled body included
constexpr unsigned kSeals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL;

Bytes with_header(uint16_t id, uint16_t flags, ByteSpan body) {
  Bytes datagram;
  ByteWriter out(datagram);
  out.fixed<uint16_t>(id);
  out.fixed<uint16_t>(flags);
  out.raw(body);
  return datagram;
}

enum class Sent : uint8_t { yes, would_block };

Result<Sent> send_now(int socket, ByteSpan datagram, std::span<const int> fds) {
  iovec iov{const_cast<std::byte*>(datagram.data()), datagram.size()};
  msghdr msg{};
  msg.msg_iov = &iov;
  msg.msg_iovlen = 1;
  alignas(cmsghdr) std::array<char, CMSG_SPACE(kMaxFds * sizeof(int))> control{};
  if (!fds.empty()) {
    msg.msg_control = control.data();
    msg.msg_controllen = CMSG_SPACE(fds.size_bytes());
    cmsghdr* head = CMSG_FIRSTHDR(&msg);
    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN(fds.size_bytes());
    std::memcpy(CMSG_DATA(head), fds.data(), fds.size_bytes());
  }
  for (;;) {
    if (::sendmsg(socket, &msg, MSG_NOSIGNAL) >= 0) return Sent::yes;
    if (errno == EINTR) continue;
    // ETOOMANYREFS: too many fds of ours are in flight; the peer's reading cures it.
    if (errno == EAGAIN || errno == ENOBUFS || errno == ETOOMANYREFS) return Sent::would_block;
    return fail_errno("send to a process of ours");
  }
}

void take_fds(msghdr& msg, std::vector<UniqueFd>& out) {
  for (cmsghdr* c = CMSG_FIRSTHDR(&msg); c != nullptr; c = CMSG_NXTHDR(&msg, c)) {
    if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
    const auto n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < n; ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof fd);
      out.emplace_back(fd);
    }
  }
}

Result<Frame> parse(ByteSpan datagram, std::vector<UniqueFd> fds, bool fds_lost) {
  ByteReader in(datagram);
  Frame frame;
  const auto id = in.fixed<uint16_t>("id");
  const auto flags = in.fixed<uint16_t>("flags");
  if (!id || !flags || *flags > kSpilled) return fail(Errc::ipc_protocol, "malformed header");
  frame.id = *id;
  frame.fds_lost = fds_lost;
  if (fds_lost && (*flags & kSpilled)) return frame;  // the body may be among them
  if (*flags & kSpilled) {
    if (fds.empty() || !in.done()) return fail(Errc::ipc_protocol, "malformed spilled message");
    const auto map = SLUICE_TRY(SealedMap::map(fds.back().get(), Channel::kMaxMessage));
    frame.body.assign(map.bytes().begin(), map.bytes().end());
    fds.pop_back();
  } else {
    frame.body.assign(in.rest().begin(), in.rest().end());
  }
  frame.fds = std::move(fds);
  return frame;
}

}  // namespace

Result<std::pair<UniqueFd, UniqueFd>> Channel::pair() {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) != 0)
    return fail_errno("socketpair");
  return std::pair(UniqueFd(ends[0]), UniqueFd(ends[1]));
}

Result<> Channel::send_frame(uint16_t id, ByteSpan body, std::span<const int> fds) {
  if (body.size() > kMaxMessage || fds.size() >= kMaxFds)
    return fail(Errc::internal, "message too large for the channel");
  std::vector<int> riding(fds.begin(), fds.end());
  UniqueFd spilled;
  Bytes datagram;
  if (body.size() > kMaxDatagram) {
    spilled = SLUICE_TRY(sealed_memfd("sluice-message", body));
    riding.push_back(spilled.get());
    datagram = with_header(id, kSpilled, {});
  } else {
    datagram = with_header(id, 0, body);
  }

  if (queue_.empty() && SLUICE_TRY(send_now(fd_.get(), datagram, riding)) == Sent::yes) {
    wipe(datagram);
    return {};
  }
  if (queue_.size() >= kMaxQueue) return fail(Errc::unavailable, "the peer does not read");
  Queued queued{std::move(datagram), {}};
  for (const int fd : riding) {
    UniqueFd copy(::fcntl(fd, F_DUPFD_CLOEXEC, 3));
    if (!copy) return fail_errno("duplicate an fd");
    queued.fds.push_back(std::move(copy));
  }
  queue_.push_back(std::move(queued));
  return {};
}

Bytes Channel::datagram(uint16_t id, ByteSpan body) {
  return with_header(id, 0, body);
}

Result<> Channel::flush() {
  while (!queue_.empty()) {
    const auto& next = queue_.front();
    std::vector<int> fds;
    for (const auto& fd : next.fds) fds.push_back(fd.get());
    if (SLUICE_TRY(send_now(fd_.get(), next.datagram, fds)) == Sent::would_block) return {};
    wipe(queue_.front().datagram);
    queue_.pop_front();
  }
  return {};
}

Result<std::optional<Frame>> Channel::receive() {
  std::array<std::byte, kHeaderSize + kMaxDatagram> buffer;
  alignas(cmsghdr) std::array<char, CMSG_SPACE(kMaxFds * sizeof(int))> control;
  iovec iov{buffer.data(), buffer.size()};
  msghdr msg{};
  msg.msg_iov = &iov;
  msg.msg_iovlen = 1;
  msg.msg_control = control.data();
  msg.msg_controllen = control.size();

  // A peer that left with unread messages of ours gives ECONNRESET first, once; its own last
  // messages are still there (unix(7): the error is taken with the call that reports it).
  ssize_t n = 0;
  do n = ::recvmsg(fd_.get(), &msg, MSG_CMSG_CLOEXEC);
  while (n < 0 && (errno == EINTR || errno == ECONNRESET));
  if (n < 0) {
    if (errno == EAGAIN) return std::nullopt;
    return fail_errno("receive from a process of ours");
  }
  std::vector<UniqueFd> fds;
  take_fds(msg, fds);  // first of all, so that none leaks whatever follows
  if (n == 0) return fail(Errc::unavailable, "the peer has left");
  if (msg.msg_flags & MSG_TRUNC) return fail(Errc::ipc_protocol, "oversized message");
  const auto datagram = std::span(buffer).first(static_cast<std::size_t>(n));
  auto frame = parse(datagram, std::move(fds), (msg.msg_flags & MSG_CTRUNC) != 0);
  ::explicit_bzero(datagram.data(), datagram.size());
  return SLUICE_TRY(std::move(frame));
}

Result<UniqueFd> sealed_memfd(const char* name, ByteSpan bytes) {
  UniqueFd fd(::memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!fd) return fail_errno("memfd_create");
  for (std::size_t done = 0; done < bytes.size();) {
    const auto n = ::write(fd.get(), bytes.data() + done, bytes.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail_errno("write to a memfd");
    done += static_cast<std::size_t>(n);
  }
  if (::fcntl(fd.get(), F_ADD_SEALS, kSeals) != 0) return fail_errno("seal a memfd");
  return fd;
}

SealedMap::~SealedMap() {
  if (!bytes_.empty()) ::munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
}

Result<SealedMap> SealedMap::map(int fd, std::size_t limit) {
  const int seals = ::fcntl(fd, F_GET_SEALS);
  if (seals < 0 || (static_cast<unsigned>(seals) & kSeals) != kSeals)
    return fail(Errc::ipc_protocol, "a shared file is not sealed");
  struct stat st {};
  if (::fstat(fd, &st) != 0) return fail_errno("fstat");
  const auto size = static_cast<std::size_t>(st.st_size);
  if (size > limit) return fail(Errc::ipc_protocol, "a shared file is too large");
  if (size == 0) return SealedMap();
  void* at = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, fd, 0);
  if (at == MAP_FAILED) return fail_errno("mmap");
  return SealedMap(ByteSpan(static_cast<const std::byte*>(at), size));
}

}  // namespace sluice::ipc
