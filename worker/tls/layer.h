// TLS of one connection as a filter: bytes in, bytes out. No socket, no clock, and nothing of a TLS
// library: who keeps the record layer can change and nobody else notices.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "common/base/bytes.h"
#include "common/base/result.h"
#include "common/ipc/codec.h"
#include "worker/tls/records.h"

namespace sluice::tls {

/// What was agreed with the peer, and who it is. What is said of the peer stays empty where it
/// showed no certificate.
struct Info {
  std::string version;  ///< "TLSv1.3"
  /// "TLS_AES_256_GCM_SHA384": OpenSSL's name, which servers compare for REQUIRE CIPHER.
  std::string cipher;
  bool resumed = false;        ///< keys and certificate are those of an earlier connection
  bool peer_verified = false;  ///< the peer's certificate was checked against `ca`
  /// "/O=Shop/CN=app": as servers compare them for REQUIRE SUBJECT and ISSUER (MariaDB
  /// sql/sql_acl.cc, MySQL sql/auth/sql_authentication.cc: acl_check_ssl(), X509_NAME_oneline()).
  std::string peer_subject, peer_issuer;
  int64_t peer_not_after_s = 0;  ///< when its certificate expires, seconds since the epoch
  Bytes peer_fingerprint;        ///< SHA-256 of its certificate (DER)
  static auto fields(auto& m) {
    return std::tuple(tag<1>(m.version), tag<2>(m.cipher), tag<3>(m.resumed),
                      tag<4>(m.peer_verified), tag<5>(m.peer_subject), tag<6>(m.peer_issuer),
                      tag<7>(m.peer_not_after_s), tag<8>(m.peer_fingerprint));
  }
  bool operator==(const Info&) const = default;
};

/// One connection, either role. Every call appends to its outputs. After an error the layer is of
/// no use any more; what came before it is in `plain_out`, and `cipher_out` may hold the alert that
/// tells the peer why.
class Layer {
 public:
  virtual ~Layer() = default;

  /// Takes bytes from the peer, all of them: parts of records are kept until the rest is there.
  /// Handshake, alerts and changes of keys are answered in `cipher_out`. A client begins its
  /// handshake with a first call that takes nothing. `plain_out` grows by no more than was taken
  /// and one record (16 KiB). What follows the peer's close is dropped.
  virtual Result<> receive(ByteSpan cipher_in, Bytes& plain_out, Bytes& cipher_out) = 0;

  /// Makes records of `plain`. Only when established, and not after close().
  virtual Result<> send(ByteSpan plain, Bytes& cipher_out) = 0;

  /// Tells the peer that nothing more will be sent. The other direction stays open.
  virtual void close(Bytes& cipher_out) = 0;

  /// The handshake is over, and nothing has failed since. A client in TLS 1.3 gets there before the
  /// server has looked at its certificate: a refusal is an error of a later receive().
  virtual bool established() const = 0;

  /// The peer has said that nothing more will come. The end of a connection without that is a
  /// connection that was cut (RFC 8446, 6.1).
  virtual bool peer_closed() const = 0;

  /// Of an established connection.
  virtual Info info() const = 0;

  /// Why the connection can't go on in another process: "its TLS handshake is not over". Empty if
  /// it can.
  virtual std::string why_not_movable() const = 0;

  /// What the connection goes on from, by resume(): Errc::unavailable if it is not movable. After
  /// that this layer is of no use any more, and sends nothing, neither when it is closed nor when
  /// it goes.
  virtual Result<RecordsState> leave() = 0;
};

/// The connection that left, here or in another process; `info` is what its layer knew. An error
/// says what of the state can't be: it may be a hostile process that made it.
Result<std::unique_ptr<Layer>> resume(RecordsState state, Info info);

}  // namespace sluice::tls
