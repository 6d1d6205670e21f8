#include "tests/worker/tls/openssl_peer.h"

#include <openssl/err.h>

#include "tests/support/test_error.h"
#include "worker/tls/errors.h"
#include "worker/tls/peer.h"
#include "worker/tls/pem.h"

namespace sluice::tls {
namespace {

void must(bool done, const char* what) {
  if (!done) throw test::TestError(std::string(what) + ": " + take_reason());
}

}  // namespace

SslContext peer_context(Role role) {
  SslContext context(SSL_CTX_new(role == Role::server ? TLS_server_method() : TLS_client_method()));
  must(context != nullptr, "a context");
  return context;
}

void show(const SslContext& context, const test::Certificate& certificate) {
  const auto chain = read_certificates(certificate.pem, "certificate");
  const auto key = read_private_key(Secret(certificate.key_pem), "key");
  must(chain && key, "a certificate");
  must(SSL_CTX_use_certificate(context.get(), chain->front().get()) == 1, "a certificate");
  must(SSL_CTX_use_PrivateKey(context.get(), key->get()) == 1, "its key");
}

void trust(const SslContext& context, const std::string& ca_pem) {
  const auto roots = read_certificates(ca_pem, "ca");
  must(roots &&
           X509_STORE_add_cert(SSL_CTX_get_cert_store(context.get()), roots->front().get()) == 1,
       "a root");
  SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, nullptr);
}

OpensslPeer::OpensslPeer(const SslContext& context, Role role)
    : ssl_(SSL_new(context.get())), in_(BIO_new(BIO_s_mem())), out_(BIO_new(BIO_s_mem())) {
  BIO_set_mem_eof_return(in_, -1);
  SSL_set_bio(ssl_.get(), in_, out_);
  role == Role::server ? SSL_set_accept_state(ssl_.get()) : SSL_set_connect_state(ssl_.get());
}

void OpensslPeer::flush(Bytes& cipher_out) {
  std::byte buffer[4096];
  for (int n = 0; (n = BIO_read(out_, buffer, sizeof buffer)) > 0;)
    ByteWriter(cipher_out).raw({buffer, static_cast<std::size_t>(n)});
}

Result<> OpensslPeer::receive(ByteSpan cipher_in, Bytes& plain_out, Bytes& cipher_out) {
  ERR_clear_error();
  BIO_write(in_, cipher_in.data(), static_cast<int>(cipher_in.size()));
  std::byte buffer[4096];
  int n = established() ? 1 : SSL_do_handshake(ssl_.get());
  while (n > 0 && (n = SSL_read(ssl_.get(), buffer, sizeof buffer)) > 0)
    ByteWriter(plain_out).raw({buffer, static_cast<std::size_t>(n)});
  const int error = SSL_get_error(ssl_.get(), n);
  flush(cipher_out);
  if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_ZERO_RETURN) return {};
  return take_failure(ssl_.get(), "peer");
}

Result<> OpensslPeer::send(ByteSpan plain, Bytes& cipher_out) {
  const int n = SSL_write(ssl_.get(), plain.data(), static_cast<int>(plain.size()));
  flush(cipher_out);
  if (n > 0) return {};
  return take_failure(ssl_.get(), "peer");
}

void OpensslPeer::close(Bytes& cipher_out) {
  SSL_shutdown(ssl_.get());
  flush(cipher_out);
}

bool OpensslPeer::peer_closed() const {
  return SSL_get_shutdown(ssl_.get()) & SSL_RECEIVED_SHUTDOWN;
}

Info OpensslPeer::info() const {
  return info_of(ssl_.get());
}

}  // namespace sluice::tls
