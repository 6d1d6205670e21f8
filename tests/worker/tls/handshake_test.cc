// Handshake, data and close: our two roles with each other and with OpenSSL itself.
#include <gmock/gmock.h>

#include "tests/worker/tls/samples.h"

namespace sluice::tls {
namespace {

using testing::HasSubstr;

/// Every combination of roles that has ours in it, with each version.
enum class Pair { ours_with_ours, our_client_with_openssl, openssl_with_our_server };
struct Case {
  Pair pair;
  int version;
};

void PrintTo(const Case& c, std::ostream* out) {
  constexpr std::string_view kNames[] = {"ours", "our client, OpenSSL", "OpenSSL, our server"};
  *out << kNames[static_cast<int>(c.pair)] << (c.version == TLS1_3_VERSION ? ", 1.3" : ", 1.2");
}

class Handshake : public testing::TestWithParam<Case> {
 protected:
  Connection connect(std::size_t step = SIZE_MAX) const {
    return {client_layer(), server_layer(), step};
  }
  std::string_view version() const {
    return GetParam().version == TLS1_3_VERSION ? "TLSv1.3" : "TLSv1.2";
  }

 private:
  /// One of ours is held to a version by the other end, or by its ciphers.
  std::unique_ptr<Layer> client_layer() const {
    if (GetParam().pair == Pair::openssl_with_our_server) {
      const auto context = peer_context(Role::client);
      trust(context, authority_.ca.pem());
      hold(context);
      return std::make_unique<OpensslPeer>(context, Role::client);
    }
    auto server = server_with(authority_.ca.pem());
    if (GetParam().version == TLS1_3_VERSION) server.tls.min_version = "1.3";
    return must(towards_server(server).start());
  }
  std::unique_ptr<Layer> server_layer() const {
    if (GetParam().pair == Pair::our_client_with_openssl) {
      const auto context = peer_context(Role::server);
      show(context, authority_.server);
      hold(context);
      return std::make_unique<OpensslPeer>(context, Role::server);
    }
    return must(towards_clients(service_with(authority_.server)).start());
  }
  void hold(const SslContext& context) const {
    SSL_CTX_set_min_proto_version(context.get(), GetParam().version);
    SSL_CTX_set_max_proto_version(context.get(), GetParam().version);
  }

  Authority authority_;
};

INSTANTIATE_TEST_SUITE_P(Pairs, Handshake,
                         testing::Values(Case{Pair::ours_with_ours, TLS1_3_VERSION},
                                         Case{Pair::our_client_with_openssl, TLS1_3_VERSION},
                                         Case{Pair::our_client_with_openssl, TLS1_2_VERSION},
                                         Case{Pair::openssl_with_our_server, TLS1_3_VERSION},
                                         Case{Pair::openssl_with_our_server, TLS1_2_VERSION}));

TEST_P(Handshake, BothSidesKnowWhatWasAgreed) {
  auto c = connect();
  EXPECT_FALSE(c.client.layer->established());
  ASSERT_TRUE(c.begin().established()) << c.errors();
  for (const auto* layer : {c.client.layer.get(), c.server.layer.get()}) {
    EXPECT_EQ(layer->info().version, version());
    EXPECT_FALSE(layer->info().cipher.empty());
    EXPECT_FALSE(layer->info().resumed);
    EXPECT_FALSE(layer->peer_closed());
  }
  EXPECT_TRUE(c.client.layer->info().peer_verified);
  EXPECT_EQ(c.client.layer->info().peer_subject, "/CN=db1.example.com");
  EXPECT_EQ(c.client.layer->info().peer_issuer, "/CN=Test CA");
  EXPECT_FALSE(c.server.layer->info().peer_verified);
  EXPECT_EQ(c.server.layer->info().peer_subject, "");
}

TEST_P(Handshake, ByteAfterByte) {
  auto c = connect(1);
  ASSERT_TRUE(c.begin().established()) << c.errors();
  c.client.say("SELECT 1");
  c.server.say("1");
  c.carry();
  EXPECT_EQ(c.server.heard(), "SELECT 1");
  EXPECT_EQ(c.client.heard(), "1");
}

TEST_P(Handshake, InPiecesOfManySizes) {
  for (const std::size_t step : {2, 3, 5, 7, 64, 131, 1000}) {
    auto c = connect(step);
    EXPECT_TRUE(c.begin().established()) << step << ": " << c.errors();
  }
}

TEST_P(Handshake, DataOfEveryRecordSize) {
  auto c = connect();
  ASSERT_TRUE(c.begin().established()) << c.errors();
  for (const std::size_t size : {1, 1024, 16383, 16384, 16385, 32768, 100'000, 1'000'000}) {
    const std::string text(size, static_cast<char>('a' + size % 26));
    c.client.received.clear();
    c.server.received.clear();
    c.client.say(text);
    c.server.say(text);
    c.carry();
    EXPECT_TRUE(c.server.heard() == text) << size << " bytes to the server: " << c.errors();
    EXPECT_TRUE(c.client.heard() == text) << size << " bytes to the client: " << c.errors();
  }
}

TEST_P(Handshake, RecordsCutAtEveryByte) {
  auto c = connect();
  ASSERT_TRUE(c.begin().established()) << c.errors();
  for (std::size_t cut = 0; cut < 70; ++cut) {
    c.client.say("one");
    c.client.say("two");
    const Bytes records = std::exchange(c.client.unsent, {});
    const auto n = std::min(cut, records.size());
    c.server.take(ByteSpan(records).first(n));
    c.server.take(ByteSpan(records).subspan(n));
    ASSERT_EQ(c.server.heard(), "onetwo") << "cut at byte " << cut << ": " << c.errors();
    c.server.received.clear();
  }
}

TEST_P(Handshake, DataBehindItInTheSameBytes) {
  auto c = connect();
  c.client.take({});
  while (!c.client.layer->established()) {
    c.server.take(std::exchange(c.client.unsent, {}));
    c.client.take(std::exchange(c.server.unsent, {}));
    ASSERT_EQ(c.errors(), "client: , server: ");
  }
  c.client.say("first words");  // in TLS 1.3 behind the client's Finished
  c.carry();
  EXPECT_EQ(c.server.heard(), "first words");
}

TEST_P(Handshake, EachSideClosesItsOwnHalf) {
  auto c = connect();
  ASSERT_TRUE(c.begin().established()) << c.errors();
  c.client.say("QUIT");
  c.client.close();
  c.client.close();
  c.carry();
  EXPECT_EQ(c.server.heard(), "QUIT");
  EXPECT_TRUE(c.server.layer->peer_closed());
  EXPECT_FALSE(c.client.layer->peer_closed());

  c.server.say("last words");
  c.server.close();
  c.carry();
  EXPECT_EQ(c.client.heard(), "last words");
  EXPECT_TRUE(c.client.layer->peer_closed());
  EXPECT_EQ(c.errors(), "client: , server: ");
}

TEST(Layer, KeysAreChangedWhenThePeerAsks) {
  const Authority authority;
  const auto context = peer_context(Role::client);
  auto peer = std::make_unique<OpensslPeer>(context, Role::client);
  auto* openssl = peer.get();
  Connection c(std::move(peer), must(towards_clients(service_with(authority.server)).start()));
  ASSERT_TRUE(c.begin().established()) << c.errors();
  for (const int kind : {SSL_KEY_UPDATE_REQUESTED, SSL_KEY_UPDATE_NOT_REQUESTED}) {
    SSL_key_update(openssl->ssl(), kind);
    SSL_do_handshake(openssl->ssl());
    openssl->flush(c.client.unsent);
    c.client.say("after");
    c.carry();
    c.server.say("after");
    c.carry();
  }
  EXPECT_EQ(c.server.heard(), "afterafter");
  EXPECT_EQ(c.client.heard(), "afterafter");
  EXPECT_EQ(c.errors(), "client: , server: ");
}

TEST(Layer, SendsNothingBeforeTheHandshakeAndAfterTheClose) {
  const Authority authority;
  auto c = join(towards_server(server_with(authority.ca.pem())),
                towards_clients(service_with(authority.server)));
  c.client.say("too early");
  EXPECT_THAT(c.client.error, HasSubstr("not established"));
  EXPECT_TRUE(c.client.unsent.empty());
  c.client.close();
  EXPECT_TRUE(c.client.unsent.empty());

  c.client.error.clear();
  ASSERT_TRUE(c.begin().established()) << c.errors();
  c.client.close();
  c.client.say("too late");
  EXPECT_FALSE(c.client.error.empty());
}

TEST(Layer, SaysNothingForNothing) {
  const Authority authority;
  auto c = join(towards_server(server_with(authority.ca.pem())),
                towards_clients(service_with(authority.server)));
  ASSERT_TRUE(c.begin().established()) << c.errors();
  c.client.say("");
  EXPECT_TRUE(c.client.unsent.empty());
  EXPECT_EQ(c.client.error, "");
}

TEST(Layer, EveryCallAppends) {
  const Authority authority;
  auto c = join(towards_server(server_with(authority.ca.pem())),
                towards_clients(service_with(authority.server)));
  ASSERT_TRUE(c.begin().established()) << c.errors();
  c.client.unsent = {std::byte{1}};
  c.client.say("x");
  EXPECT_EQ(c.client.unsent.front(), std::byte{1});
  c.client.unsent.erase(c.client.unsent.begin());
  c.server.received = {std::byte{'>'}};
  c.carry();
  EXPECT_EQ(c.server.heard(), ">x");
}

TEST(Info, TravelsBetweenProcesses) {
  static_assert(ipc::complete<Info>());
  const Info info{"TLSv1.3", "TLS_AES_256_GCM_SHA384", true, true, "/CN=a", "/CN=b",
                  -5,        Bytes(32, std::byte{7})};
  const auto back = ipc::decode<Info>(ipc::encode(info));
  ASSERT_TRUE(back);
  EXPECT_EQ(*back, info);
}

}  // namespace
}  // namespace sluice::tls
