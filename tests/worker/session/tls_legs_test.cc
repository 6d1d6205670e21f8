// Sessions with TLS on either leg.
#include "tests/worker/session/engine_fixture.h"

namespace sluice::worker {
namespace {

const std::string kProof(64, 'p');  // of client_ed25519

using namespace engine_tests;

// TLS with the client.

class ClientTlsTest : public EngineTest {
 protected:
  void SetUp() override { world.service.tls.mode = config::TlsMode::preferred; }
  uint64_t offered() const {
    return mysql::parse_greeting(ByteSpan(to_client).subspan(4))->capabilities;
  }
};

TEST_F(ClientTlsTest, IsOfferedWhateverTheServerHas) {
  for (const uint64_t of_server : {uint64_t{0}, uint64_t{mysql::kSsl}})
    for (const auto mode : {config::TlsMode::off, config::TlsMode::preferred}) {
      s = {.id = 1, .service = "shop", .client_ip = "127.0.0.1"};
      world.service.tls.mode = mode;
      accept();
      server(greeting(mysql::kProtocol41 | of_server));
      EXPECT_EQ((offered() & mysql::kSsl) != 0, mode != config::TlsMode::off);
    }
}

TEST_F(ClientTlsTest, EachLegCountsItsOwnPackets) {
  reach(Phase::securing_client);
  EXPECT_EQ(s.phase, Phase::securing_client);
  EXPECT_TRUE(tls_client);
  EXPECT_TRUE(to_client.empty() && to_server.empty());
  EXPECT_TRUE(wants_read(s, Side::client));
  secured(Side::client);
  EXPECT_EQ(s.phase, Phase::greeted);
  EXPECT_EQ(s.client_tls->version, "TLSv1.3");
  client(login("app", mysql::kSsl, 2));
  EXPECT_EQ(to_server, login()) << "in clear, and without a word of TLS";
  server(packet(2, std::string("\xFE") + "client_ed25519"));
  EXPECT_EQ(to_client, packet(3, std::string("\xFE") + "client_ed25519"));
  client(packet(4, kProof));
  EXPECT_EQ(to_server, packet(3, kProof));
  server(packet(4, kOk));
  EXPECT_EQ(to_client, packet(5, kOk));
  EXPECT_EQ(s.phase, Phase::relaying);
}

TEST_F(ClientTlsTest, BytesBehindTheRequestAreAnAttack) {
  for (const auto& more : {login("app", mysql::kSsl, 2), Bytes{std::byte{22}}, ssl_request()}) {
    s = {.id = 1, .service = "shop", .client_ip = "127.0.0.1"};
    reach(Phase::greeted);
    client(joined({ssl_request(), more}));
    EXPECT_FALSE(tls_client);
    EXPECT_THAT(error(2), HasSubstr("bytes behind the request for TLS"));
    EXPECT_THAT(warned, HasSubstr("bytes behind a request for TLS"));
    EXPECT_TRUE(excused());
  }
}

TEST_F(ClientTlsTest, ARequestCutAtEveryByteIsTheSame) {
  const auto request = ssl_request();
  for (std::size_t n = 1; n < request.size(); ++n) {
    s = {.id = 1, .service = "shop", .client_ip = "127.0.0.1"};
    reach(Phase::greeted);
    client(Bytes(request.begin(), request.begin() + static_cast<std::ptrdiff_t>(n)));
    ASSERT_FALSE(tls_client);
    client(Bytes(request.begin() + static_cast<std::ptrdiff_t>(n), request.end()));
    ASSERT_TRUE(tls_client) << n;
  }
}

TEST_F(ClientTlsTest, ThereIsNoneInsideOfIt) {
  reach(Phase::securing_client);
  secured(Side::client);
  auto again = ssl_request();
  again[3] = std::byte{2};
  client(again);
  EXPECT_THAT(error(3), HasSubstr("TLS inside TLS"));
  EXPECT_TRUE(excused());
}

TEST_F(ClientTlsTest, WhereItIsRequiredItIs) {
  world.service.tls.mode = config::TlsMode::required;
  reach(Phase::greeted);
  client(login());
  EXPECT_THAT(error(2), testing::StartsWith("3159 "));
  EXPECT_TRUE(excused());
  s = {.id = 1, .service = "shop"};  // a Unix socket: nobody can listen in
  reach(Phase::greeted);
  client(login());
  EXPECT_EQ(s.phase, Phase::proving);
  s = {.id = 1, .service = "shop", .client_ip = "127.0.0.1"};
  reach(Phase::greeted);
  client(ssl_request());
  secured(Side::client);
  client(login("app", mysql::kSsl, 2));
  EXPECT_EQ(s.phase, Phase::proving);
}

TEST_F(ClientTlsTest, OneThatFailsEndsTheConnectionWithoutAWord) {
  reach(Phase::securing_client);
  tls_failed(Side::client);
  EXPECT_EQ(s.phase, Phase::over);
  EXPECT_TRUE(to_client.empty() && closed_client && excused());
  EXPECT_THAT(warned, HasSubstr("TLS with the client: certificate verify failed"));
}

TEST_F(ClientTlsTest, NothingIsSaidInsideOfAHandshake) {
  for (const bool is_late : {true, false}) {
    s = {.id = 1, .service = "shop", .client_ip = "127.0.0.1"};
    reach(Phase::securing_client);
    is_late ? late() : order();
    EXPECT_TRUE(to_client.empty());
    EXPECT_EQ(s.phase, Phase::closing);
    EXPECT_TRUE(excused());
  }
}

/// What an account demands of TLS is asked of the client's leg, of which the server knows nothing.
TEST_F(ClientTlsTest, AnAccountThatDemandsItIsAskedAboutWhereTheServerSeesOurs) {
  world.load_accounts({{"app", "%"}}, accounts::TlsRule::any);
  world.configured[0].tls.mode = config::TlsMode::preferred;
  for (const bool with_tls : {false, true}) {
    s = {.id = 1, .service = "shop", .client_ip = "127.0.0.1"};
    reach(Phase::greeted);
    if (with_tls) client(ssl_request()), secured(Side::client);
    client(login("app", 0, with_tls ? 2 : 1));
    if (!with_tls) {
      EXPECT_TRUE(refresh) << "the tables may be old";
      accounts();
      EXPECT_THAT(warned, HasSubstr("demands TLS"));
    }
    EXPECT_EQ(s.login->exchange.doomed, !with_tls);
    EXPECT_EQ(s.phase, Phase::securing_server);
  }
}

// TLS with the server.

class ServerTlsTest : public EngineTest {
 protected:
  void SetUp() override {
    world.load_accounts({{"app", "%"}});
    for (auto& server : world.configured) server.tls.mode = config::TlsMode::preferred;
  }
  void answered() {
    reach(Phase::greeted);
    client(login());
  }
};

/// Servers take a client's capabilities from the wish for TLS, and ignore those behind it.
TEST_F(ServerTlsTest, TheWishAsksForNewsOfTheSessionWhereStatementsAreSplit) {
  for (const bool splits : {false, true}) {
    s = {.id = 1, .service = "shop", .client_ip = "127.0.0.1"};
    world.service.router =
        splits ? config::RouterKind::read_write_split : config::RouterKind::connection;
    answered();
    ASSERT_EQ(s.phase, Phase::securing_server);
    const auto capabilities = ByteReader(ByteSpan(to_server).subspan(4)).fixed<uint32_t>("those");
    EXPECT_EQ((*capabilities & mysql::kSessionTrack) != 0, splits);
  }
}

TEST_F(ServerTlsTest, IsAskedForBeforeAnythingIsSaid) {
  answered();
  EXPECT_EQ(s.phase, Phase::securing_server);
  EXPECT_TRUE(tls_server);
  auto wish = login("", mysql::kSsl);
  EXPECT_EQ(to_server, packet(1, as_text(ByteSpan(wish).subspan(4, 32))));
  EXPECT_FALSE(wants_read(s, Side::client));
  secured(Side::server);
  EXPECT_EQ(to_server, login("app", mysql::kSsl, 2));
  EXPECT_EQ(s.phase, Phase::proving);
  server(packet(3, std::string("\xFE") + "client_ed25519"));
  EXPECT_EQ(to_client, packet(2, std::string("\xFE") + "client_ed25519"));
  client(packet(3, kProof));
  EXPECT_EQ(to_server, packet(4, kProof));
  server(packet(5, kOk));
  EXPECT_EQ(to_client, packet(4, kOk));
}

TEST_F(ServerTlsTest, OnBothLegsTheNumbersAreTheSame) {
  world.service.tls.mode = config::TlsMode::preferred;
  reach(Phase::greeted);
  client(ssl_request());
  secured(Side::client);
  client(login("app", mysql::kSsl, 2));
  secured(Side::server);
  EXPECT_EQ(to_server, login("app", mysql::kSsl, 2));
  server(packet(3, kOk));
  EXPECT_EQ(to_client, packet(3, kOk));
}

TEST_F(ServerTlsTest, AServerWithoutItIsTakenOnlyWhereItMayBe) {
  world.service.target = config::Target::any;
  accept();
  server(greeting(mysql::kProtocol41 | mysql::kSecureConnection));
  client(login());
  EXPECT_EQ(to_server, login()) << "preferred, and not offered";

  for (auto& server : world.configured) server.tls.mode = config::TlsMode::required;
  s = {.id = 1, .service = "shop", .client_ip = "127.0.0.1"};
  accept();
  server(greeting(mysql::kProtocol41));
  EXPECT_THAT(connects, testing::ElementsAre("db2"));
  EXPECT_TRUE(to_client.empty() && closed_server);
  server(greeting(mysql::kProtocol41));
  EXPECT_THAT(error(0), HasSubstr("does not offer TLS, which is required"));
  EXPECT_THAT(error(0), testing::StartsWith(kCantConnect));
}

TEST_F(ServerTlsTest, OneThatFailsIsNeverDoneWithout) {
  answered();
  tls_failed(Side::server);
  EXPECT_TRUE(to_server.empty() && closed_server);
  EXPECT_THAT(error(2), HasSubstr("sluice: TLS with server db1: certificate verify failed"));
  EXPECT_THAT(warned, HasSubstr("TLS with the server"));
}

TEST_F(ServerTlsTest, AServerThatLeavesOrIsLateInTheHandshakeIsNamed) {
  answered();
  closed(Side::server);
  EXPECT_THAT(error(2), HasSubstr("server db1 closed the connection during the login"));
  s = {.id = 1, .service = "shop", .client_ip = "127.0.0.1"};
  answered();
  late();
  EXPECT_THAT(error(2), HasSubstr("the login took too long"));
  EXPECT_TRUE(to_server.empty()) << "nothing in clear into a handshake";
}

/// After the login a broken connection is the end, as a close is.
TEST_F(ServerTlsTest, OneThatBreaksLaterEndsTheSession) {
  answered();
  secured(Side::server);
  server(packet(3, kOk));
  ASSERT_EQ(s.phase, Phase::relaying);
  tls_failed(Side::server);
  EXPECT_EQ(s.phase, Phase::over);
}

TEST_F(ServerTlsTest, ACommandThatChangesTheUserStaysInside) {
  answered();
  secured(Side::server);
  server(packet(3, kOk));
  client(change_user("app"));
  EXPECT_FALSE(tls_server);
  EXPECT_EQ(to_server, change_user("app"));
  server(packet(1, kOk));
  EXPECT_EQ(to_client, packet(1, kOk));
}

// The proof between legs that differ: what is sluice's own counts on one leg only.

class MixedLegsTest : public ServerTlsTest {
 protected:
  /// Asked by the server for the password itself.
  void full_authentication() {
    answered();
    secured(Side::server);
    server(packet(3, std::string("\xFE") + "caching_sha2_password" + '\0' + std::string(20, 's')));
    client(packet(3, "a proof of 32 bytes, say a hash."));
    server(packet(5, "\1\4"));
    EXPECT_EQ(to_client, packet(4, "\1\4"));
  }
};

TEST_F(MixedLegsTest, WithoutAKeyOfOursThePasswordCannotCome) {
  full_authentication();
  client(packet(5, "\2"));
  EXPECT_THAT(error(6), HasSubstr("no key for passwords without TLS"));
  EXPECT_EQ(to_server, packet(6, std::string(1, '\0'))) << "no password, and no broken login";
}

TEST_F(MixedLegsTest, AnOkThatNobodyEarnedIsNoLogin) {
  full_authentication();
  server(packet(6, kOk));
  EXPECT_THAT(error(5), HasSubstr("accepts what was not proved"));
  EXPECT_EQ(s.phase, Phase::closing);
}

TEST_F(EngineTest, AnOkInPlaceOfTheGreetingOrOfTheAnswerIsNoLogin) {
  accept();
  server(packet(0, kOk));
  EXPECT_THAT(error(0), HasSubstr("malformed greeting"));
  for (const auto phase : {Phase::greeted, Phase::securing_client}) {
    s = {.id = 1, .service = "shop", .client_ip = "127.0.0.1"};
    reach(phase);
    server(packet(2, kOk));
    EXPECT_EQ(s.phase, Phase::closing);
    EXPECT_NE(to_client, packet(2, kOk));
  }
}

}  // namespace
}  // namespace sluice::worker
