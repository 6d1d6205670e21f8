// One end of a SOCK_SEQPACKET socket between two of our processes: whole messages with their fds.
// A message that does not fit a datagram travels in a sealed memfd beside it.
#pragma once

#include <deque>
#include <optional>
#include <vector>

#include "common/base/result.h"
#include "common/base/unique_fd.h"
#include "common/ipc/messages.h"

namespace sluice::ipc {

/// A message as it arrived: its id is known, nothing of its body was decoded.
struct Frame {
  uint16_t id = 0;
  Bytes body;
  std::vector<UniqueFd> fds;
  /// There were more, and no room for them here (RLIMIT_NOFILE). The body may be missing, too.
  bool fds_lost = false;
};

/// Sends and receives frames. Never blocks: what the kernel does not take is queued, up to a bound.
class Channel {
 public:
  /// Bodies above this go by memfd (Linux refuses datagrams near the socket buffer's size).
  static constexpr std::size_t kMaxDatagram = 16 * 1024;
  /// No message is larger than this, however it travels.
  static constexpr std::size_t kMaxMessage = 64 * 1024 * 1024;
  /// A peer that lets this many messages pile up is taken for dead by the caller of send().
  static constexpr std::size_t kMaxQueue = 4096;

  /// A message that waits for the socket to become writable.
  struct Queued {
    Bytes datagram;
    std::vector<UniqueFd> fds;
  };

  /// Takes a connected, non-blocking SOCK_SEQPACKET socket, and what an earlier owner of it could
  /// not send yet.
  explicit Channel(UniqueFd fd, std::deque<Queued> queue = {})
      : fd_(std::move(fd)), queue_(std::move(queue)) {}
  /// Two connected ends, both close-on-exec and non-blocking.
  static Result<std::pair<UniqueFd, UniqueFd>> pair();

  int fd() const { return fd_.get(); }

  /// Sends or queues a message. The fds' ownership stays with the caller; queued ones are
  /// duplicated. Errors: the peer is gone, or its queue is full.
  template <class Message>
  Result<> send(const Message& message, std::span<const int> fds = {}) {
    auto body = encode(message);
    auto sent = send_frame(Declared<Message>::kId, body, fds);
    wipe(body);  // keys, passwords and what sessions say travel here
    return sent;
  }
  Result<> send_frame(uint16_t id, ByteSpan body, std::span<const int> fds);
  /// A message without fds, as it is sent; `body` is at its end. For who has to prepare it.
  static Bytes datagram(uint16_t id, ByteSpan body);

  /// Whether messages wait for the socket to become writable; then call flush().
  bool wants_write() const { return !queue_.empty(); }
  const std::deque<Queued>& queued() const { return queue_; }
  Result<> flush();

  /// The next message that has arrived; nothing if none has. Errc::unavailable: the peer has left;
  /// Errc::ipc_protocol: what came is no message.
  Result<std::optional<Frame>> receive();

 private:
  UniqueFd fd_;
  std::deque<Queued> queue_;
};

/// A sealed, read-only memfd with these bytes.
Result<UniqueFd> sealed_memfd(const char* name, ByteSpan bytes);

/// A read-only mapping of a memfd that nobody can change or shrink any more.
class SealedMap {
 public:
  SealedMap() = default;
  SealedMap(SealedMap&& other) noexcept : bytes_(std::exchange(other.bytes_, {})) {}
  SealedMap& operator=(SealedMap&& other) noexcept {
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  ~SealedMap();
  /// Refuses a file without the seals (its writer could shrink it under us), or larger than
  /// `limit`.
  static Result<SealedMap> map(int fd, std::size_t limit);
  ByteSpan bytes() const { return bytes_; }

 private:
  explicit SealedMap(ByteSpan bytes) : bytes_(bytes) {}
  ByteSpan bytes_;
};

}  // namespace sluice::ipc
