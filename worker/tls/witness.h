// What a handshake of OpenSSL's leaves to go on from: secrets, and how many records they have been
// used for. OpenSSL tells neither when asked, but tells both while it works.
#pragma once

#include "common/base/secret.h"
#include "worker/tls/openssl.h"
#include "worker/tls/records.h"

namespace sluice::tls {

/// Why `ssl`, whose handshake is over, has to stay with OpenSSL for ever: "TLSv1.2 with
/// ECDHE-RSA-AES256-SHA384". Empty if it needn't.
std::string why_not_ours(const SSL* ssl);

/// Sees one connection from its beginning.
class Witness {
 public:
  /// Has all connections of `context` tell their secrets to the witness of each.
  static void watch(SSL_CTX* context);
  /// `ssl` has not begun; this must outlive it.
  void watch(SSL* ssl);

  /// All that OpenSSL has sent since the last call: whole records.
  void sent(ByteSpan records);

  /// What the connection goes on from. Only between two records: nothing that was received is still
  /// inside `ssl`, nothing is to be sent, neither side has closed. Errc::internal if OpenSSL did
  /// not tell what it should have told.
  Result<RecordsState> state_of(const SSL* ssl, Role role) const;

 private:
  struct OneWay {
    Secret secret;  ///< TLS 1.3: of the application's records
    uint64_t records = 0;
  };

  static void on_secret(const SSL* ssl, const char* line) noexcept;
  static void on_message(int is_ours, int version, int type, const void* data, std::size_t size,
                         SSL* ssl, void* self) noexcept;
  void on_record(OneWay& way, ByteSpan header, bool tls_1_3) const;
  void on_handshake(OneWay& way, uint8_t message, const SSL* ssl) const;
  Result<> derive_1_2(const SSL* ssl, RecordsState& out) const;

  OneWay client_, server_;
  bool finishing_ = false;       ///< our change_cipher_spec was sent
  uint64_t finished_nonce_ = 0;  ///< TLS 1.2 with AES-GCM: of our Finished
};

}  // namespace sluice::tls
