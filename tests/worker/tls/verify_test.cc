// Who the peer is: what verifies, what doesn't, and what each side is told.
#include <gmock/gmock.h>

#include <chrono>

#include "tests/support/temp_dir.h"
#include "tests/worker/tls/samples.h"

namespace sluice::tls {
namespace {

using config::TlsVerify;
using testing::HasSubstr;
using namespace std::chrono_literals;

/// Our client and our server, with a certificate that the server shows.
class Verify : public testing::Test {
 protected:
  Connection connect(const config::Server& server, const test::Certificate& shown) {
    return std::move(join(towards_server(server), towards_clients(service_with(shown))).begin());
  }
  /// The client refuses, and the server hears why.
  void expect_refused(Connection c, const std::string& error, const std::string& alert) {
    EXPECT_EQ(c.client.error, "certificate verify failed: " + error);
    EXPECT_EQ(c.server.error, "peer sent alert: " + alert);
    EXPECT_FALSE(c.client.layer->established());
    EXPECT_FALSE(c.server.layer->established());
  }

  Authority own_;
  const test::CertificateAuthority other_{"Other CA"};
};

TEST_F(Verify, ByAnAuthorityThatIsNotOurs) {
  expect_refused(connect(server_with(other_.pem()), own_.server),
                 "unable to get local issuer certificate", "unknown CA");
}

TEST_F(Verify, ByNobody) {
  const auto own = test::self_signed({.common_name = kHost, .names = {kHost}});
  expect_refused(connect(server_with(own_.ca.pem()), own), "self-signed certificate", "unknown CA");
  EXPECT_TRUE(connect(server_with(own.pem), own).established()) << "trusted by itself";
}

TEST_F(Verify, AnyCertificateWillDoWithoutVerification) {
  auto c = connect(server_with("", TlsVerify::none), test::self_signed());
  ASSERT_TRUE(c.established()) << c.errors();
  EXPECT_FALSE(c.client.layer->info().peer_verified);
  EXPECT_EQ(c.client.layer->info().peer_subject, "/CN=localhost");
}

TEST_F(Verify, TheHostIsLookedAtForIdentityOnly) {
  const auto other =
      own_.ca.issue({.common_name = "db2.example.com", .names = {"db2.example.com"}});
  expect_refused(connect(server_with(own_.ca.pem()), other), "hostname mismatch",
                 "bad certificate");
  auto c = connect(server_with(own_.ca.pem(), TlsVerify::ca), other);
  EXPECT_TRUE(c.established()) << c.errors();
  EXPECT_TRUE(c.client.layer->info().peer_verified);
}

struct Name {
  const char* host;
  test::CertificateContents certificate;
  bool fits;
};

TEST_F(Verify, NamesAndAddresses) {
  const Name names[] = {
      {"db1", {.names = {"db1"}}, true},
      {"DB1", {.names = {"db1"}}, true},
      {"db1.", {.names = {"db1"}}, true},
      {"db1.shop.test", {.names = {"*.shop.test"}}, true},
      {"a.db1.shop.test", {.names = {"*.shop.test"}}, false},
      {"db1.shop.test", {.names = {"d*.shop.test"}}, false},
      {"db1", {.common_name = "db1"}, true},                     // as servers' own clients take it
      {"db1", {.common_name = "db1", .names = {"db2"}}, false},  // RFC 6125, 6.4.4
      {"127.0.0.1", {.addresses = {"127.0.0.1"}}, true},
      {"127.0.0.1", {.addresses = {"127.0.0.2"}}, false},
      {"127.0.0.1", {.names = {"127.0.0.1"}}, false},
      {"::1", {.addresses = {"::1"}}, true},
      {"0:0::1", {.addresses = {"::1"}}, true},
      {"::1", {.addresses = {"::2"}}, false},
  };
  for (const auto& [host, certificate, fits] : names) {
    auto server = server_with(own_.ca.pem());
    server.address.host = host;
    auto c = connect(server, own_.ca.issue(certificate));
    EXPECT_EQ(c.established(), fits) << host << ": " << c.errors();
  }
}

TEST_F(Verify, TheHostIsAskedForByNameButNotByAddress) {
  const std::pair<const char*, const char*> cases[] = {{"db1.example.com", "db1.example.com"},
                                                       {"db1.", "db1"},
                                                       {"127.0.0.1", nullptr},
                                                       {"::1", nullptr}};
  for (const auto& [host, asked] : cases) {
    const auto context = peer_context(Role::server);
    show(context, own_.server);
    auto peer = std::make_unique<OpensslPeer>(context, Role::server);
    SSL* ssl = peer->ssl();
    auto server = server_with("", TlsVerify::none);
    server.address.host = host;
    Connection c(must(towards_server(server).start()), std::move(peer));
    ASSERT_TRUE(c.begin().established()) << c.errors();
    EXPECT_STREQ(SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name), asked);
  }
}

TEST_F(Verify, OnlyWhileTheCertificateIsValid) {
  expect_refused(
      connect(server_with(own_.ca.pem()), own_.ca.issue({.names = {kHost}, .ends = -1min})),
      "certificate has expired", "certificate expired");
  expect_refused(
      connect(server_with(own_.ca.pem()), own_.ca.issue({.names = {kHost}, .starts = 10min})),
      "certificate is not yet valid", "bad certificate");
}

TEST_F(Verify, ThroughCertificatesThatTheServerShows) {
  const auto below = own_.ca.subordinate("Shop CA");
  auto shown = below.issue({.names = {kHost}});
  EXPECT_FALSE(connect(server_with(own_.ca.pem()), shown).established());
  shown.pem += below.pem();
  auto c = connect(server_with(own_.ca.pem()), shown);
  EXPECT_TRUE(c.established()) << c.errors();
  EXPECT_EQ(c.client.layer->info().peer_issuer, "/CN=Shop CA");
}

TEST_F(Verify, ByOneOfSeveralAuthorities) {
  EXPECT_TRUE(connect(server_with(other_.pem() + own_.ca.pem()), own_.server).established());
}

TEST_F(Verify, KeysOfEveryKind) {
  for (const auto kind : {test::KeyKind::p256, test::KeyKind::rsa2048, test::KeyKind::ed25519}) {
    auto c = connect(server_with(own_.ca.pem()), own_.ca.issue({.names = {kHost}, .key = kind}));
    EXPECT_TRUE(c.established()) << c.errors();
  }
}

TEST_F(Verify, WhatIsKnownOfAPeer) {
  const auto shown = own_.ca.issue({.common_name = "db1", .names = {kHost}, .ends = 1h});
  const auto context = towards_clients(service_with(shown));
  auto c = join(towards_server(server_with(own_.ca.pem())), context);
  ASSERT_TRUE(c.begin().established()) << c.errors();
  const auto info = c.client.layer->info();
  EXPECT_EQ(info.peer_fingerprint.size(), 32u);
  EXPECT_EQ(info.peer_fingerprint, context.fingerprint());
  const auto in_an_hour =
      std::chrono::system_clock::to_time_t(std::chrono::system_clock::now()) + 3600;
  EXPECT_NEAR(static_cast<double>(info.peer_not_after_s), static_cast<double>(in_an_hour), 60);
}

/// A service that asks for certificates, and a server leg that shows one.
class ClientCertificate : public Verify {
 protected:
  Connection connect(const test::Certificate* shown, int version = TLS1_3_VERSION) {
    auto service = service_with(own_.server);
    service.tls.ca_pem = own_.ca.pem();
    auto server = server_with(own_.ca.pem());
    if (shown != nullptr) {
      server.tls.certificate_pem = shown->pem;
      server.tls.key_pem = Secret(shown->key_pem);
    }
    const HeldClient client(server, version);
    Connection c(client.start(), must(towards_clients(service).start()));
    return std::move(c.begin());
  }
};

TEST_F(ClientCertificate, IsCheckedAndKnown) {
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    auto c = connect(&own_.client, version);
    ASSERT_TRUE(c.established()) << c.errors();
    EXPECT_TRUE(c.server.layer->info().peer_verified);
    EXPECT_EQ(c.server.layer->info().peer_subject, "/CN=app");
    EXPECT_EQ(c.server.layer->info().peer_issuer, "/CN=Test CA");
  }
}

TEST_F(ClientCertificate, NeedNotBeShown) {
  auto c = connect(nullptr);
  ASSERT_TRUE(c.established()) << c.errors();
  EXPECT_FALSE(c.server.layer->info().peer_verified);
  EXPECT_TRUE(c.server.layer->info().peer_fingerprint.empty());
}

TEST_F(ClientCertificate, ThatDoesNotVerifyIsRefused) {
  const auto foreign = other_.issue({.common_name = "app"});
  const auto expired = own_.ca.issue({.common_name = "app", .ends = -1min});
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    auto c = connect(&foreign, version);
    EXPECT_EQ(c.server.error, "certificate verify failed: unable to get local issuer certificate");
    EXPECT_EQ(c.client.error, "peer sent alert: unknown CA");
    EXPECT_FALSE(c.server.layer->established());
    EXPECT_EQ(connect(&expired, version).server.error,
              "certificate verify failed: certificate has expired");
  }
}

TEST_F(ClientCertificate, IsNotAskedForWithoutAnAuthority) {
  auto server = server_with(own_.ca.pem());
  server.tls.certificate_pem = own_.client.pem;
  server.tls.key_pem = Secret(own_.client.key_pem);
  auto c = Verify::connect(server, own_.server);
  ASSERT_TRUE(c.established()) << c.errors();
  EXPECT_TRUE(c.server.layer->info().peer_fingerprint.empty());
}

TEST(Certificates, FilesAreWhatOthersRead) {
  const test::TempDir directory;
  const auto files = test::write_files(directory, "server", test::CertificateAuthority().issue());
  const auto context = peer_context(Role::server);
  EXPECT_EQ(SSL_CTX_use_certificate_chain_file(context.get(), files.certificate.c_str()), 1);
  EXPECT_EQ(SSL_CTX_use_PrivateKey_file(context.get(), files.key.c_str(), SSL_FILETYPE_PEM), 1);
}

}  // namespace
}  // namespace sluice::tls
