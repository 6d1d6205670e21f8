// Sessions that are resumed: with every worker that has the keys, after a rotation, and never where
// the rules are others.
#include <gtest/gtest.h>

#include "tests/support/eventually.h"
#include "tests/worker/tls/samples.h"

namespace sluice::tls {
namespace {

using namespace std::chrono_literals;

/// A client that remembers the server's last session, in either version, and workers.
class Tickets : public testing::TestWithParam<int> {
 protected:
  Tickets() : service_(service_with(own_.server)) { service_.tls.ca_pem = own_.ca.pem(); }

  HeldClient client() const {
    auto server = server_with(own_.ca.pem());
    server.tls.certificate_pem = client_.pem;
    server.tls.key_pem = Secret(client_.key_pem);
    return {server, GetParam()};
  }
  /// A worker with these keys and the rules of service_.
  Context worker(const ipc::KeyMaterial& material) const {
    return towards_clients(service_, material);
  }
  static Connection join(const HeldClient& client, const Context& worker) {
    return {client.start(), must(worker.start())};
  }
  /// Whether both sides say that a new connection is a resumed session.
  static bool resumes(const HeldClient& client, const Context& worker) {
    auto c = join(client, worker);
    EXPECT_TRUE(c.begin().established()) << c.errors();
    const auto info = c.client.layer->info();
    EXPECT_EQ(info.version, GetParam() == TLS1_3_VERSION ? "TLSv1.3" : "TLSv1.2");
    EXPECT_EQ(info.resumed, c.server.layer->info().resumed);
    c.client.say("SELECT 1");
    c.carry();
    EXPECT_EQ(c.server.heard(), "SELECT 1");
    return info.resumed;
  }

  const Authority own_;
  test::Certificate client_ = own_.client;
  config::Service service_;
};

INSTANTIATE_TEST_SUITE_P(Versions, Tickets, testing::Values(TLS1_2_VERSION, TLS1_3_VERSION));

TEST_P(Tickets, AreGoodAtAnotherWorkerWithTheSameKeys) {
  const auto client = this->client();
  EXPECT_FALSE(resumes(client, worker(keys('k'))));
  EXPECT_TRUE(resumes(client, worker(keys('k'))));
  EXPECT_TRUE(resumes(client, worker(keys('k'))));
}

TEST_P(Tickets, AreGoodAfterARotation) {
  const auto client = this->client();
  EXPECT_FALSE(resumes(client, worker(keys('a'))));
  EXPECT_TRUE(resumes(client, worker(keys('b', 'a'))));
}

/// With OpenSSL as the client: ours hears nothing of a ticket that TLS 1.2 renews.
TEST_P(Tickets, AreRenewedByARotation) {
  const auto context = peer_context(Role::client);
  SSL_CTX_set_max_proto_version(context.get(), GetParam());
  Session session;
  for (const auto& material : {keys('a'), keys('b', 'a'), keys('c', 'b')}) {
    auto peer = std::make_unique<OpensslPeer>(context, Role::client);
    auto* openssl = peer.get();
    if (session) SSL_set_session(openssl->ssl(), session.get());
    Connection c(std::move(peer), must(worker(material).start()));
    ASSERT_TRUE(c.begin().established()) << c.errors();
    EXPECT_EQ(c.server.layer->info().resumed, session != nullptr);
    c.client.close();
    session.reset(SSL_get1_session(openssl->ssl()));
  }
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

TEST_P(Tickets, AreGoodForConnectionsAtTheSameTime) {
  const auto client = this->client();
  const auto worker = this->worker(keys('k'));
  EXPECT_FALSE(resumes(client, worker));
  auto one = join(client, worker), two = join(client, worker);
  EXPECT_TRUE(one.begin().client.layer->info().resumed);
  EXPECT_TRUE(two.begin().client.layer->info().resumed);
}

TEST_P(Tickets, AreForgottenWhenAHandshakeFails) {
  const auto client = this->client();
  const auto worker = this->worker(keys('k'));
  EXPECT_FALSE(resumes(client, worker));
  {
    const auto cut = client.start();
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
