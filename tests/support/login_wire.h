#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "common/base/unique_fd.h"
#include "tests/support/certificates.h"

struct ssl_session_st;
struct ssl_st;

namespace sluice::test {

using TlsSession = std::shared_ptr<ssl_session_st>;

/// What a client does for encryption.
struct AttemptTls {
  bool on = false;
  CertificateFiles certificate{};  ///< it shows one if a path is there
  std::string cipher{};            ///< of TLS 1.2; empty: the library's choice
  TlsSession session{};            ///< of an earlier connection, to be resumed
};

/// Where a client connects to, and from where.
struct WireEnds {
  std::string host = "127.0.0.1";
  uint16_t port = 0;
  std::string socket{};        ///< a Unix socket; `host` and `port` do not count then
  std::string bind_address{};  ///< the local address to connect from
};

/// Packets over a blocking socket, encrypted or not. Every wait ends after 30 seconds; whatever
/// fails ends the connection.
class LoginWire {
 public:
  /// Nothing: nobody answers there.
  static std::optional<LoginWire> connect(const WireEnds& ends);
  LoginWire(LoginWire&&) = default;

  bool encrypt(const AttemptTls& tls);
  bool encrypted() const { return tls_ != nullptr; }
  /// Of an encrypted connection. With TLS 1.3 its session is there once something was read.
  TlsSession session() const;
  bool resumed() const;
  /// What the peer showed, as DER.
  std::string peer_certificate() const;
  /// Reads to the end; whether the peer announced it (close_notify).
  bool ends_properly();

  /// Without a header: what precedes the protocol.
  bool send_raw(std::string_view bytes);
  /// With the number behind the last one that was read or sent.
  bool send_packet(std::string_view payload);
  /// Several commands at once.
  bool send_commands(const std::vector<std::string>& payloads);
  /// The next packet's payload, or nothing.
  std::optional<std::string> read_packet();
  /// How many packets came so far.
  unsigned packets() const { return packets_; }

 private:
  struct Free {
    void operator()(ssl_st* tls) const noexcept;
  };
  explicit LoginWire(UniqueFd fd) : fd_(std::move(fd)) {}
  bool fill(std::size_t size);

  UniqueFd fd_;
  std::unique_ptr<ssl_st, Free> tls_;
  std::string unread_;
  uint8_t sequence_ = 0;  ///< of the next packet
  unsigned packets_ = 0;
};

}  // namespace sluice::test
