// Configurations and connections that many tests begin with.
#pragma once

#include "tests/support/certificates.h"
#include "tests/support/test_error.h"
#include "tests/worker/tls/connection.h"
#include "tests/worker/tls/openssl_peer.h"
#include "worker/tls/context.h"
#include "worker/tls/openssl_layer.h"

namespace sluice::tls {

inline constexpr const char* kHost = "db1.example.com";

/// The value, or a failed test with the reason.
template <class T>
T must(Result<T> result) {
  if (!result) throw test::TestError(result.error().message);
  return std::move(*result);
}

/// An authority with a certificate for kHost, and one for a client.
struct Authority {
  test::CertificateAuthority ca;
  test::Certificate server = ca.issue({.common_name = kHost, .names = {kHost}});
  test::Certificate client = ca.issue({.common_name = "app"});
};

inline ipc::KeyMaterial keys(char which, char before = 0) {
  ipc::KeyMaterial made;
  made.ticket_key = Secret(std::string(80, which));
  if (before != 0) made.ticket_key_before = Secret(std::string(80, before));
  return made;
}

inline config::Service service_with(const test::Certificate& certificate) {
  config::Service service{.name = "shop"};
  service.tls.certificate = "server.pem";
  service.tls.certificate_pem = certificate.pem;
  service.tls.key_pem = Secret(certificate.key_pem);
  return service;
}

inline config::Server server_with(const std::string& ca_pem,
                                  config::TlsVerify verify = config::TlsVerify::identity) {
  config::Server server{.name = "db1", .address = {.host = kHost, .port = 3306}};
  server.tls.verify = verify;
  server.tls.ca = "ca.pem";
  server.tls.ca_pem = ca_pem;
  return server;
}

inline Context towards_clients(const config::Service& service,
                               const ipc::KeyMaterial& material = keys('k')) {
  return must(Context::towards_clients(service, material));
}
inline Context towards_server(const config::Server& server) {
  return must(Context::towards_server(server));
}

/// Our client, held to a version: a configuration knows the oldest only.
class HeldClient {
 public:
  HeldClient(const config::Server& server, int version)
      : settings_(must(settings_towards_server(server))) {
    SSL_CTX_set_min_proto_version(settings_->context.get(), version);
    SSL_CTX_set_max_proto_version(settings_->context.get(), version);
  }
  std::unique_ptr<Layer> start() const { return must(OpensslLayer::start(settings_)); }

 private:
  std::shared_ptr<Settings> settings_;
};

inline Connection join(const Context& client, const Context& server, std::size_t step = SIZE_MAX) {
  return {must(client.start()), must(server.start()), step};
}

}  // namespace sluice::tls
