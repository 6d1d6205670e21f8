// Peers that speak something else, lie, or break off.
#include <gmock/gmock.h>

#include "tests/worker/tls/samples.h"

namespace sluice::tls {
namespace {

using testing::AnyOf;
using testing::HasSubstr;
using testing::StartsWith;

class Hostile : public testing::Test {
 protected:
  std::unique_ptr<Layer> client() const {
    return must(towards_server(server_with(own_.ca.pem())).start());
  }
  std::unique_ptr<Layer> server() const {
    return must(towards_clients(service_with(own_.server)).start());
  }
  Connection established() const {
    Connection c(client(), server());
    EXPECT_TRUE(c.begin().established()) << c.errors();
    return c;
  }
  /// The error of a fresh layer that gets these bytes first.
  static std::string first_error(std::unique_ptr<Layer> layer, std::string_view bytes) {
    End end{std::move(layer)};
    end.take({});
    end.take(as_bytes(bytes));
    EXPECT_TRUE(end.received.empty());
    EXPECT_FALSE(end.layer->established());
    return end.error;
  }

  Authority own_;
};

TEST_F(Hostile, WhatIsNotTlsIsCalledThat) {
  const std::pair<std::string_view, const char*> samples[] = {
      {"GET / HTTP/1.1\r\n\r\n", "not TLS: the first byte is 0x47"},
      {"SSH-2.0-OpenSSH_9.2\r\n", "not TLS: the first byte is 0x53"},
      {{"\0\0\0\0", 4}, "not TLS: the first byte is 0x00"},
      {"\x80\x2e\x01\x03\x01", "not TLS: the first byte is 0x80"},  // SSL 2
      {"\x17\x03\x03\x00\x05hello", "not TLS: the first byte is 0x17"},
  };
  for (const auto& [bytes, error] : samples) {
    EXPECT_EQ(first_error(server(), bytes), error);
    EXPECT_EQ(first_error(client(), bytes), error);
  }
}

TEST_F(Hostile, HandshakesThatAreNone) {
  EXPECT_EQ(first_error(server(), "\x16GET / HTTP"), "TLS handshake failed: wrong version number");
  EXPECT_THAT(first_error(server(), {"\x16\x03\x01\xff\xff", 5}),
              StartsWith("TLS handshake failed"));
  EXPECT_THAT(first_error(client(), {"\x16\x03\x03\x00\x04\x01\x00\x00\x00", 9}),
              StartsWith("TLS handshake failed"));
  EXPECT_EQ(first_error(client(), {"\x15\x03\x03\x00\x02\x02\x28", 7}),
            "peer sent alert: handshake failure");
  EXPECT_EQ(first_error(server(), {"\x15\x03\x01\x00\x02\x02\x30", 7}),
            "TLS handshake failed: unexpected message");
}

TEST_F(Hostile, ErrorsStayErrors) {
  End end{server()};
  end.take(as_bytes("GET"));
  Bytes plain, cipher;
  EXPECT_FALSE(end.layer->receive({}, plain, cipher));
  EXPECT_FALSE(end.layer->receive(as_bytes("\x16"), plain, cipher));
  EXPECT_FALSE(end.layer->send(as_bytes("x"), cipher));
  end.layer->close(cipher);
  EXPECT_TRUE(cipher.empty());
  EXPECT_FALSE(end.layer->peer_closed());
}

TEST_F(Hostile, NoCipherInCommonIsToldToBoth) {
  auto of = server_with(own_.ca.pem());
  of.tls.ciphers = "TLS_AES_128_GCM_SHA256";
  auto service = service_with(own_.server);
  service.tls.ciphers = "TLS_AES_256_GCM_SHA384";
  auto c = join(towards_server(of), towards_clients(service));
  c.begin();
  EXPECT_EQ(c.server.error, "TLS handshake failed: no shared cipher");
  EXPECT_EQ(c.client.error, "peer sent alert: handshake failure");
}

TEST_F(Hostile, ChangedBytesAreNoticed) {
  for (std::size_t at : {0, 1, 4, 5, 12, 24}) {
    auto c = established();
    c.client.say("money");
    c.client.unsent[at] ^= std::byte{1};
    c.carry();
    EXPECT_EQ(c.server.heard(), "") << "byte " << at;
    if (at == 4) continue;  // a longer record: the rest is waited for
    EXPECT_THAT(c.server.error, StartsWith("broken TLS: ")) << "byte " << at;
    EXPECT_THAT(c.client.error, StartsWith("peer sent alert: ")) << "byte " << at;
  }
}

TEST_F(Hostile, EveryByteOfAHandshakeCounts) {
  auto example = Connection(client(), server());
  example.client.take({});
  const auto size = example.client.unsent.size();
  for (std::size_t at = 0; at < size; at += 3) {
    Connection c(client(), server());
    c.client.take({});
    ASSERT_GT(c.client.unsent.size(), at);
    c.client.unsent[at] ^= std::byte{0x40};
    c.carry();
    EXPECT_FALSE(c.client.layer->established() && c.server.layer->established()) << "byte " << at;
  }
}

TEST_F(Hostile, RecordsAreNotTakenTwiceOrInAnotherOrder) {
  auto c = established();
  c.client.say("one");
  const Bytes first = std::exchange(c.client.unsent, {});
  c.client.say("two");
  c.server.take(std::exchange(c.client.unsent, {}));
  EXPECT_EQ(c.server.heard(), "");
  EXPECT_NE(c.server.error, "");

  auto d = established();
  d.client.say("one");
  const Bytes twice = std::exchange(d.client.unsent, {});
  d.server.take(twice);
  d.server.take(twice);
  EXPECT_EQ(d.server.heard(), "one");
  EXPECT_NE(d.server.error, "");
}

TEST_F(Hostile, PlainBytesBehindTheHandshakeAreAnError) {
  auto c = established();
  c.server.take(as_bytes(std::string_view("\x03\0\0\0\x01", 5)));
  EXPECT_THAT(c.server.error, StartsWith("broken TLS: "));
}

TEST_F(Hostile, BytesBehindTheCloseAreDropped) {
  auto c = established();
  c.client.close();
  c.carry();
  c.server.take(as_bytes("anything"));
  EXPECT_EQ(c.server.error, "");
  EXPECT_EQ(c.server.heard(), "");
  EXPECT_TRUE(c.server.layer->peer_closed());
}

TEST_F(Hostile, AnEndWithoutGoodByeIsNoClose) {
  auto c = established();
  c.client.say("half of it");
  c.carry();
  EXPECT_FALSE(c.server.layer->peer_closed());
}

TEST_F(Hostile, KeyUpdatesAreNotMultiplied) {
  const auto context = peer_context(Role::client);
  auto peer = std::make_unique<OpensslPeer>(context, Role::client);
  auto* openssl = peer.get();
  Connection c(std::move(peer), server());
  ASSERT_TRUE(c.begin().established()) << c.errors();
  for (int i = 0; i < 1000; ++i) {
    SSL_key_update(openssl->ssl(), SSL_KEY_UPDATE_REQUESTED);
    SSL_do_handshake(openssl->ssl());
    openssl->flush(c.client.unsent);
  }
  const auto asked = c.client.unsent.size();
  c.server.take(std::exchange(c.client.unsent, {}));
  EXPECT_LE(c.server.unsent.size(), asked);
  EXPECT_EQ(c.server.error, "");
}

/// TLS 1.2 only: its renegotiation is refused in both roles, and the old keys stay.
class Renegotiation : public Hostile {
 protected:
  void attempt(Connection& c, OpensslPeer& openssl, End& peer, End& ours) {
    ASSERT_TRUE(c.begin().established()) << c.errors();
    ASSERT_EQ(SSL_renegotiate(openssl.ssl()), 1);
    SSL_do_handshake(openssl.ssl());
    openssl.flush(peer.unsent);
    ASSERT_FALSE(peer.unsent.empty());
    ours.take(std::exchange(peer.unsent, {}));
    EXPECT_LT(ours.unsent.size(), 100u) << "no more than a warning";
    EXPECT_EQ(ours.layer->info().version, "TLSv1.2");
    peer.take(std::exchange(ours.unsent, {}));
    EXPECT_EQ(peer.error, "peer: no renegotiation");
  }
  static SslContext older(Role role) {
    auto context = peer_context(role);
    SSL_CTX_set_max_proto_version(context.get(), TLS1_2_VERSION);
    SSL_CTX_set_options(context.get(), SSL_OP_ALLOW_CLIENT_RENEGOTIATION);
    return context;
  }
};

TEST_F(Renegotiation, ByAClientIsRefused) {
  auto peer = std::make_unique<OpensslPeer>(older(Role::client), Role::client);
  auto& openssl = *peer;
  Connection c(std::move(peer), server());
  attempt(c, openssl, c.client, c.server);
}

TEST_F(Renegotiation, ByAServerIsRefused) {
  const auto context = older(Role::server);
  show(context, own_.server);
  auto peer = std::make_unique<OpensslPeer>(context, Role::server);
  auto& openssl = *peer;
  Connection c(client(), std::move(peer));
  attempt(c, openssl, c.server, c.client);
}

TEST_F(Hostile, AFailureLeavesOthersAlone) {
  auto good = established();
  End bad{server()};
  bad.take(as_bytes(std::string_view("\x16\x03\x01\x00\x04garb", 9)));
  EXPECT_NE(bad.error, "");
  good.client.say("SELECT 1");
  good.carry();
  EXPECT_EQ(good.server.heard(), "SELECT 1");
  EXPECT_EQ(good.errors(), "client: , server: ");
}

}  // namespace
}  // namespace sluice::tls
