#include "worker/tls/settings.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/sha.h>
#include <openssl/x509v3.h>

#include "worker/tls/ciphers.h"
#include "worker/tls/errors.h"
#include "worker/tls/peer.h"
#include "worker/tls/pem.h"
#include "worker/tls/witness.h"

namespace sluice::tls {
namespace {

constexpr int kMaxChain = 9;  // certificates between the peer's and the root

Result<std::shared_ptr<Settings>> make(Role role, const config::Tls& tls) {
  auto made = std::make_shared<Settings>();
  made->role = role;
  ERR_clear_error();
  made->context.reset(
      SSL_CTX_new(role == Role::server ? TLS_server_method() : TLS_client_method()));
  SSL_CTX* context = made->context.get();
  if (context == nullptr) return fail(Errc::internal, "no TLS context: " + take_reason());
  SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
  SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_max_early_data(context, 0);
  SSL_CTX_set_verify_depth(context, kMaxChain);
  Witness::watch(context);
  SLUICE_TRY(use_versions_and_ciphers(context, tls));
  return made;
}

/// A certificate with those between it and its root, and the key to it.
Result<> show_certificate(Settings& to, std::string_view pem, const Secret& key_pem,
                          std::string_view name) {
  auto chain = SLUICE_TRY(read_certificates(pem, name));
  const auto key = SLUICE_TRY(read_private_key(key_pem, name));
  SSL_CTX* context = to.context.get();
  ERR_clear_error();
  if (SSL_CTX_use_certificate(context, chain.front().get()) != 1 ||
      SSL_CTX_use_PrivateKey(context, key.get()) != 1)
    return fail(Errc::config, fmt::format("{}: {}", name, take_reason()));
  for (std::size_t i = 1; i < chain.size(); ++i)
    if (SSL_CTX_add1_chain_cert(context, chain[i].get()) != 1)
      return fail(Errc::config, fmt::format("{}: {}", name, take_reason()));
  to.fingerprint = fingerprint_of(chain.front().get());
  return {};
}

/// The roots that a peer's certificate has to lead to.
Result<> trust(Settings& to, const config::Tls& tls) {
  SSL_CTX* context = to.context.get();
  for (const auto& root : SLUICE_TRY(read_certificates(tls.ca_pem, tls.ca))) {
    if (X509_STORE_add_cert(SSL_CTX_get_cert_store(context), root.get()) != 1)
      return fail(Errc::config, fmt::format("{}: {}", tls.ca, take_reason()));
    if (to.role == Role::server) SSL_CTX_add_client_CA(context, root.get());
  }
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nullptr);
  return {};
}

/// A session is taken up only where it was made under the same rules: a client that proved itself
/// to one service, or to one authority, has proved nothing to another.
Result<> bind_sessions(SSL_CTX* context, const config::Service& service) {
  std::string rules;
  for (const auto* part :
       {&service.name, &service.tls.ca_pem, &service.tls.min_version, &service.tls.ciphers})
    rules.append(*part).push_back('\0');
  unsigned char id[SHA256_DIGEST_LENGTH];
  SHA256(reinterpret_cast<const unsigned char*>(rules.data()), rules.size(), id);
  if (SSL_CTX_set_session_id_context(context, id, sizeof id) != 1)
    return fail(Errc::internal, "no session id context: " + take_reason());
  return {};
}

bool is_address(const std::string& host) {
  unsigned char address[sizeof(in6_addr)];
  return ::inet_pton(AF_INET, host.c_str(), address) == 1 ||
         ::inet_pton(AF_INET6, host.c_str(), address) == 1;
}

bool set_identity(X509_VERIFY_PARAM* rules, const std::string& host) {
  if (host.empty()) return false;  // to OpenSSL that would be any
  if (is_address(host)) return X509_VERIFY_PARAM_set1_ip_asc(rules, host.c_str()) == 1;
  X509_VERIFY_PARAM_set_hostflags(rules, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
  return X509_VERIFY_PARAM_set1_host(rules, host.data(), host.size()) == 1;
}

/// The server's certificate has to be for the host that is configured.
Result<> expect_identity(SSL_CTX* context, const std::string& host) {
  if (set_identity(SSL_CTX_get0_param(context), host)) return {};
  return fail(Errc::config, fmt::format("verify = \"identity\" needs a host, not \"{}\"", host));
}

/// SSL_CTX_sess_set_new_cb(3): called with TLS 1.3 for each ticket, some time after the handshake.
int on_new_session(SSL* ssl, SSL_SESSION* session) noexcept {
  auto& settings = *static_cast<Settings*>(SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl)));
  settings.session.reset(SSL_SESSION_dup(session));  // what ends this connection spoils its own
  return 0;
}

void keep_sessions(Settings& of) {
  SSL_CTX* context = of.context.get();
  SSL_CTX_set_app_data(context, &of);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
  SSL_CTX_sess_set_new_cb(context, on_new_session);
}

/// Absolute names end in a dot; certificates and SNI (RFC 6066, 3) don't know it.
std::string without_last_dot(std::string host) {
  if (host.ends_with('.')) host.pop_back();
  return host;
}

}  // namespace

Result<std::shared_ptr<Settings>> settings_towards_clients(const config::Service& service,
                                                           const ipc::KeyMaterial& keys) {
  const auto& tls = service.tls;
  auto made = SLUICE_TRY(make(Role::server, tls));
  if (tls.certificate_pem.empty())
    SLUICE_TRY(show_certificate(*made, keys.certificate_pem, keys.certificate_key_pem,
                                "the certificate that sluice made"));
  else
    SLUICE_TRY(show_certificate(*made, tls.certificate_pem, tls.key_pem, tls.certificate));
  if (!tls.ca_pem.empty()) SLUICE_TRY(trust(*made, tls));
  made->tickets = SLUICE_TRY(TicketKeys::from(keys));
  use_tickets(made->context.get(), made->tickets);
  SSL_CTX_set_session_cache_mode(made->context.get(), SSL_SESS_CACHE_OFF);  // tickets only
  SLUICE_TRY(bind_sessions(made->context.get(), service));
  return made;
}

Result<std::shared_ptr<Settings>> settings_towards_server(const config::Server& server) {
  const auto& tls = server.tls;
  const auto host = without_last_dot(server.address.host);
  auto made = SLUICE_TRY(make(Role::client, tls));
  if (!tls.certificate_pem.empty())
    SLUICE_TRY(show_certificate(*made, tls.certificate_pem, tls.key_pem, tls.certificate));
  if (tls.verify != config::TlsVerify::none) SLUICE_TRY(trust(*made, tls));
  if (tls.verify == config::TlsVerify::identity)
    SLUICE_TRY(expect_identity(made->context.get(), host));
  if (!is_address(host)) made->host = host;
  keep_sessions(*made);
  return made;
}

}  // namespace sluice::tls
