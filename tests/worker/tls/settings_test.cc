// What a configuration may ask for, and what it is told when it can't have it.
#include <gmock/gmock.h>

#include "tests/worker/tls/samples.h"
#include "worker/tls/ciphers.h"

namespace sluice::tls {
namespace {

using config::TlsVerify;
using testing::AllOf;
using testing::HasSubstr;

std::string error_of(const Result<Context>& made) {
  return made ? "" : made.error().message;
}

class Settings : public testing::Test {
 protected:
  std::string error_of_service(const config::Service& service,
                               const ipc::KeyMaterial& material = keys('k')) {
    return error_of(Context::towards_clients(service, material));
  }
  /// What a client and a service with these settings agree on.
  Connection agree(const std::string& client_ciphers, const std::string& service_ciphers,
                   const std::string& client_min = "1.2", const std::string& service_min = "1.2") {
    auto server = server_with(own_.ca.pem());
    server.tls.ciphers = client_ciphers;
    server.tls.min_version = client_min;
    auto service = service_with(own_.server);
    service.tls.ciphers = service_ciphers;
    service.tls.min_version = service_min;
    return std::move(join(towards_server(server), towards_clients(service)).begin());
  }

  Authority own_;
};

TEST(Ciphers, AreTakenApart) {
  const auto both =
      split_ciphers("ECDHE+AESGCM:TLS_AES_128_GCM_SHA256,!aNULL TLS_AES_256_GCM_SHA384:");
  EXPECT_EQ(both.suites, "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384");
  EXPECT_EQ(both.ciphers, "ECDHE+AESGCM:!aNULL");
  EXPECT_EQ(split_ciphers("").suites, "");
  EXPECT_EQ(split_ciphers(" : ").ciphers, "");
}

TEST_F(Settings, CiphersDecide) {
  EXPECT_EQ(agree("", "TLS_AES_128_GCM_SHA256").client.layer->info().cipher,
            "TLS_AES_128_GCM_SHA256");
  EXPECT_EQ(agree("TLS_CHACHA20_POLY1305_SHA256", "").server.layer->info().cipher,
            "TLS_CHACHA20_POLY1305_SHA256");
  const auto older = agree("ECDHE-ECDSA-AES128-GCM-SHA256", "");
  EXPECT_EQ(older.client.layer->info().version, "TLSv1.3") << "such a list says nothing of 1.3";
  EXPECT_FALSE(agree("TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384").established());
}

TEST_F(Settings, ListOfSuitesOnlyRulesTheOlderVersionOut) {
  auto service = service_with(own_.server);
  service.tls.ciphers = "TLS_AES_128_GCM_SHA256";
  const auto context = peer_context(Role::client);
  SSL_CTX_set_max_proto_version(context.get(), TLS1_2_VERSION);
  Connection c(std::make_unique<OpensslPeer>(context, Role::client),
               must(towards_clients(service).start()));
  EXPECT_EQ(c.begin().server.error, "TLS handshake failed: unsupported protocol");
}

TEST_F(Settings, OldestVersionHolds) {
  auto service = service_with(own_.server);
  service.tls.min_version = "1.3";
  const auto context = peer_context(Role::client);
  SSL_CTX_set_max_proto_version(context.get(), TLS1_2_VERSION);
  Connection c(std::make_unique<OpensslPeer>(context, Role::client),
               must(towards_clients(service).start()));
  c.begin();
  EXPECT_EQ(c.server.error, "TLS handshake failed: unsupported protocol");
  EXPECT_EQ(c.client.error, "peer sent alert: protocol version");
}

TEST_F(Settings, NeverOlderThanTls12) {
  const auto context = peer_context(Role::client);
  SSL_CTX_set_min_proto_version(context.get(), TLS1_VERSION);
  SSL_CTX_set_max_proto_version(context.get(), TLS1_1_VERSION);
  SSL_CTX_set_cipher_list(context.get(), "ALL:@SECLEVEL=0");
  auto service = service_with(own_.server);
  service.tls.ciphers = "ALL:@SECLEVEL=0";
  Connection c(std::make_unique<OpensslPeer>(context, Role::client),
               must(towards_clients(service).start()));
  EXPECT_EQ(c.begin().server.error, "TLS handshake failed: unsupported protocol");
}

TEST_F(Settings, ListThatGivesNothingIsAnError) {
  for (const char* list :
       {"NO-SUCH-CIPHER", "!ALL", "TLS_NO_SUCH_SUITE", ":", "TLS_AES_128_GCM_SHA256:NO-SUCH"}) {
    auto service = service_with(own_.server);
    service.tls.ciphers = list;
    EXPECT_THAT(error_of_service(service), AllOf(HasSubstr("ciphers"), HasSubstr(list)));
    auto server = server_with(own_.ca.pem());
    server.tls.ciphers = list;
    EXPECT_THAT(error_of(Context::towards_server(server)), HasSubstr("ciphers"));
  }
}

TEST_F(Settings, OwnCertificateStandsInForNone) {
  auto material = keys('k');
  const auto own = test::self_signed({.common_name = "sluice"});
  material.certificate_pem = own.pem;
  material.certificate_key_pem = Secret(own.key_pem);
  auto c = join(towards_server(server_with("", TlsVerify::none)),
                towards_clients({.name = "shop"}, material));
  ASSERT_TRUE(c.begin().established()) << c.errors();
  EXPECT_EQ(c.client.layer->info().peer_subject, "/CN=sluice");
}

TEST_F(Settings, BrokenCertificatesAndKeysAreNamed) {
  auto service = service_with(own_.server);
  service.tls.certificate_pem = "nothing";
  EXPECT_THAT(error_of_service(service), HasSubstr("server.pem: no certificate can be read"));

  service = service_with(own_.server);
  service.tls.certificate_pem += own_.ca.pem().substr(0, 200);
  EXPECT_THAT(error_of_service(service), HasSubstr("server.pem: no certificate can be read"));

  service = service_with(own_.server);
  service.tls.key_pem = {};
  EXPECT_THAT(error_of_service(service), HasSubstr("server.pem: no private key can be read"));

  service = service_with(own_.server);
  service.tls.key_pem = Secret(own_.client.key_pem);
  EXPECT_THAT(error_of_service(service), HasSubstr("server.pem: key values mismatch"));

  EXPECT_THAT(error_of_service({.name = "shop"}), HasSubstr("the certificate that sluice made"));

  auto server = server_with("nothing");
  EXPECT_THAT(error_of(Context::towards_server(server)), HasSubstr("ca.pem: no certificate"));
}

TEST_F(Settings, EveryTruncationOfACertificateIsAnError) {
  auto service = service_with(own_.server);
  const auto whole = service.tls.certificate_pem;
  for (std::size_t n = 0; n + 1 < whole.size(); ++n) {
    service.tls.certificate_pem = whole.substr(0, n);
    EXPECT_NE(error_of_service(service), "") << "cut at byte " << n;
  }
}

TEST_F(Settings, KeyUnderAPassphraseIsRefusedWithoutAsking) {
  auto service = service_with(own_.server);
  service.tls.key_pem = Secret(test::make_key_pem(test::KeyKind::p256, "passphrase"));
  EXPECT_THAT(error_of_service(service), HasSubstr("no private key can be read"));
}

TEST_F(Settings, IdentityNeedsAHost) {
  auto server = server_with(own_.ca.pem());
  server.address = {.path = "/run/mysqld.sock"};
  EXPECT_THAT(error_of(Context::towards_server(server)), HasSubstr("needs a host"));
  server.address.host = ".";
  EXPECT_THAT(error_of(Context::towards_server(server)), HasSubstr("needs a host"));
}

TEST_F(Settings, TicketKeysOfAnotherSizeAreRefused) {
  auto material = keys('k');
  material.ticket_key_before = Secret("short");
  EXPECT_THAT(error_of_service(service_with(own_.server), material), HasSubstr("80 bytes"));
}

TEST_F(Settings, ErrorsShowNoKey) {
  auto service = service_with(own_.server);
  auto broken = own_.server.key_pem;
  broken[60] = '*';
  service.tls.key_pem = Secret(broken);
  EXPECT_THAT(error_of_service(service), testing::Not(HasSubstr(broken.substr(30, 20))));
}

}  // namespace
}  // namespace sluice::tls
