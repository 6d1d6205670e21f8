// Sessions that are resumed: with every worker that has the keys, after a rotation, and never where
// the rules are others.
#include <gtest/gtest.h>

#include "tests/support/eventually.h"
#include "tests/worker/tls/samples.h"

namespace sluice::tls {
namespace {

using namespace std::chrono_literals;

/// Clients of one Context, which remembers the server's last session, in either version.
class Tickets : public testing::TestWithParam<const char*> {
 protected:
  Tickets() : service_(service_with(own_.server)) { service_.tls.ca_pem = own_.ca.pem(); }

  config::Server server() const {
    auto server = server_with(own_.ca.pem());
    server.tls.certificate_pem = client_.pem;
    server.tls.key_pem = Secret(client_.key_pem);
    return server;
  }
  /// A worker with these keys and the rules of service_.
  Context worker(const ipc::KeyMaterial& material) const {
    auto service = service_;
    service.tls.min_version = GetParam();
    if (GetParam() == std::string_view("1.2"))
      service.tls.ciphers = "ECDHE-ECDSA-AES256-GCM-SHA384";
    return towards_clients(service, material);
  }
  /// TLS 1.2 needs a client that can't do better.
  Context client() const {
    auto of = server();
    if (GetParam() == std::string_view("1.2")) of.tls.ciphers = "ECDHE-ECDSA-AES256-GCM-SHA384";
    return towards_server(of);
  }
  /// Whether both sides say that a new connection is a resumed session.
  static bool resumes(const Context& client, const Context& worker) {
    auto c = join(client, worker);
    EXPECT_TRUE(c.begin().established()) << c.errors();
    const bool resumed = c.client.layer->info().resumed;
    EXPECT_EQ(c.server.layer->info().resumed, resumed);
    c.client.say("SELECT 1");
    c.carry();
    EXPECT_EQ(c.server.heard(), "SELECT 1");
    return resumed;
  }

  const Authority own_;
  test::Certificate client_ = own_.client;
  config::Service service_;
};

INSTANTIATE_TEST_SUITE_P(Versions, Tickets, testing::Values("1.2", "1.3"));

TEST_P(Tickets, AreGoodAtAnotherWorkerWithTheSameKeys) {
  const auto client = this->client();
  EXPECT_FALSE(resumes(client, worker(keys('k'))));
  EXPECT_TRUE(resumes(client, worker(keys('k'))));
  EXPECT_TRUE(resumes(client, worker(keys('k'))));
}

TEST_P(Tickets, AreGoodAfterARotationAndRenewedByIt) {
  const auto client = this->client();
  EXPECT_FALSE(resumes(client, worker(keys('a'))));
  EXPECT_TRUE(resumes(client, worker(keys('b', 'a'))));
  EXPECT_TRUE(resumes(client, worker(keys('c', 'b'))))
      << "the resumption gave no ticket of the new key";
}

TEST_P(Tickets, AreNoGoodWithOtherKeys) {
  const auto client = this->client();
  EXPECT_FALSE(resumes(client, worker(keys('a'))));
  EXPECT_FALSE(resumes(client, worker(keys('b', 'c'))));
  EXPECT_TRUE(resumes(client, worker(keys('b', 'c')))) << "the new ticket is offered";
}

TEST_P(Tickets, AreNotMadeWithoutKeys) {
  const auto client = this->client();
  EXPECT_FALSE(resumes(client, worker({})));
  EXPECT_FALSE(resumes(client, worker({})));
}

TEST_P(Tickets, OfOneServiceAreNoGoodAtAnother) {
  const auto client = this->client();
  EXPECT_FALSE(resumes(client, worker(keys('k'))));
  service_.name = "shop-read";
  EXPECT_FALSE(resumes(client, worker(keys('k'))));
}

TEST_P(Tickets, AreNoGoodUnderAnotherAuthority) {
  const auto client = this->client();
  EXPECT_FALSE(resumes(client, worker(keys('k'))));
  service_.tls.ca_pem = own_.ca.pem() + test::CertificateAuthority("Other CA").pem();
  EXPECT_FALSE(resumes(client, worker(keys('k'))));
}

TEST_P(Tickets, AreGoodWithANewCertificateOfTheServer) {
  const auto client = this->client();
  EXPECT_FALSE(resumes(client, worker(keys('k'))));
  const auto next = own_.ca.issue({.names = {kHost}});
  service_.tls.certificate_pem = next.pem;
  service_.tls.key_pem = Secret(next.key_pem);
  EXPECT_TRUE(resumes(client, worker(keys('k'))));
}

TEST_P(Tickets, KeepWhatIsKnownOfBothPeers) {
  const auto client = this->client();
  const auto worker = this->worker(keys('k'));
  auto first = join(client, worker);
  ASSERT_TRUE(first.begin().established()) << first.errors();
  auto second = join(client, worker);
  ASSERT_TRUE(second.begin().established()) << second.errors();
  ASSERT_TRUE(second.server.layer->info().resumed);
  for (auto [before, after] :
       {std::pair(first.client.layer->info(), second.client.layer->info()),
        std::pair(first.server.layer->info(), second.server.layer->info())}) {
    before.resumed = true;
    EXPECT_EQ(before, after);
    EXPECT_TRUE(after.peer_verified);
  }
}

TEST_P(Tickets, SurviveAConnectionThatWasCut) {
  const auto client = this->client();
  const auto worker = this->worker(keys('k'));
  { EXPECT_TRUE(join(client, worker).begin().established()); }
  { EXPECT_TRUE(join(client, worker).begin().client.layer->info().resumed); }
  EXPECT_TRUE(resumes(client, worker));
}

TEST_P(Tickets, AreForgottenWhenAHandshakeFails) {
  const auto client = this->client();
  const auto worker = this->worker(keys('k'));
  EXPECT_FALSE(resumes(client, worker));
  {
    const auto cut = must(client.start());
    Bytes plain, cipher;
    ASSERT_TRUE(cut->receive({}, plain, cipher));
  }
  EXPECT_FALSE(resumes(client, worker));
  EXPECT_TRUE(resumes(client, worker));
}

TEST_P(Tickets, DontOutliveTheClientsCertificate) {
  client_ = own_.ca.issue({.common_name = "app", .ends = 2s});
  const auto client = this->client();
  const auto worker = this->worker(keys('k'));
  const std::string expired = "certificate verify failed: certificate has expired";
  EXPECT_TRUE(test::eventually(10s, [&] {
    auto c = join(client, worker);
    return c.begin().server.error == expired;
  }));
}

TEST_P(Tickets, CarryNothingThatCanBeRead) {
  const auto client = this->client();
  auto c = join(client, worker(keys('k')));
  c.client.take({});
  std::string wire;
  while (!c.client.unsent.empty() || !c.server.unsent.empty()) {
    wire += as_text(c.client.unsent);
    wire += as_text(c.server.unsent);
    c.server.take(std::exchange(c.client.unsent, {}));
    c.client.take(std::exchange(c.server.unsent, {}));
  }
  ASSERT_TRUE(c.established()) << c.errors();
  EXPECT_EQ(wire.find(std::string(32, 'k')), std::string::npos) << "a key is on the wire";
}

}  // namespace
}  // namespace sluice::tls
