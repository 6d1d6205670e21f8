#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "common/base/unique_fd.h"
#include "tests/support/eventually.h"
#include "tests/support/test_error.h"

namespace sluice::test {

/// One packet as it came: the 3-byte length is gone, the sequence number is kept.
struct RawPacket {
  uint8_t sequence = 0;
  std::string payload;

  /// "1045 Access denied ..." when this is an ERR packet, empty otherwise.
  std::string error_text() const;
  bool is_error() const { return !payload.empty() && payload[0] == '\xff'; }
};

/// Nobody listens there.
class ConnectionRefused : public TestError {
 public:
  using TestError::TestError;
};

/// A blocking socket that says exactly what it is told to: for input that no client library would
/// send. Every wait ends after `deadline`.
class RawClient {
 public:
  /// Connects to 127.0.0.1:`port`; throws ConnectionRefused or another TestError.
  explicit RawClient(uint16_t port, Milliseconds deadline = 10s);
  /// Connects to a Unix socket; throws ConnectionRefused (no such file, too) or another TestError.
  explicit RawClient(const std::string& path, Milliseconds deadline = 10s);

  /// Over a socket that is connected already: what a server has accepted.
  explicit RawClient(UniqueFd fd, Milliseconds deadline = 10s)
      : deadline_(deadline), fd_(std::move(fd)) {}
  int fd() const { return fd_.get(); }

  /// Sends all of it; false when the peer has closed or does not take it in time.
  bool send(std::string_view bytes);
  /// The same with a packet header in front. `payload` must be shorter than 16 MiB - 1.
  bool send_packet(uint8_t sequence, std::string_view payload);
  /// Exactly `size` bytes, or nothing: the peer closed, or the deadline passed.
  std::optional<std::string> read(std::size_t size);
  /// The next packet, or nothing.
  std::optional<RawPacket> read_packet();
  /// Whether the peer closes (or resets) before the deadline; what it sends until then is in
  /// `unread()`.
  [[nodiscard]] bool closed_by_peer();
  const std::string& unread() const { return unread_; }
  /// Sends no more (FIN), but can still read.
  void half_close();
  /// Closes with a reset instead of a FIN.
  void reset();

 private:
  /// Waits for the events; false after the deadline.
  bool wait(short events, Clock::time_point start) const;

  Milliseconds deadline_;
  UniqueFd fd_;
  std::string unread_;
};

}  // namespace sluice::test
