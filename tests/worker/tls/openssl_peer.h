// OpenSSL itself as the other end, with its own buffers and whatever settings a test gives it.
#pragma once

#include "tests/support/certificates.h"
#include "worker/tls/layer.h"
#include "worker/tls/openssl.h"
#include "worker/tls/settings.h"

namespace sluice::tls {

SslContext peer_context(Role role);
void show(const SslContext& context, const test::Certificate& certificate);
/// The peer checks our certificate.
void trust(const SslContext& context, const std::string& ca_pem);

class OpensslPeer final : public Layer {
 public:
  OpensslPeer(const SslContext& context, Role role);

  Result<> receive(ByteSpan cipher_in, Bytes& plain_out, Bytes& cipher_out) override;
  Result<> send(ByteSpan plain, Bytes& cipher_out) override;
  void close(Bytes& cipher_out) override;
  bool established() const override { return SSL_is_init_finished(ssl_.get()); }
  bool peer_closed() const override;
  Info info() const override;
  std::string why_not_movable() const override { return "it is OpenSSL's"; }
  Result<RecordsState> leave() override { return fail(Errc::unavailable, why_not_movable()); }

  SSL* ssl() { return ssl_.get(); }
  /// What the library wants to send after a call on ssl().
  void flush(Bytes& cipher_out);

 private:
  Ssl ssl_;
  BIO* in_;   ///< the SSL's
  BIO* out_;  ///< the SSL's
};

}  // namespace sluice::tls
