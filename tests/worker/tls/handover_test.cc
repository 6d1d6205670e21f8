// From OpenSSL's handshake to our own records: when a connection goes over, and that OpenSSL at the
// other end never notices, whatever is said, whoever changes keys, and how often we move.
#include <gmock/gmock.h>

#include <random>
#include <set>

#include "tests/worker/tls/samples.h"

namespace sluice::tls {
namespace {

using testing::HasSubstr;

/// The same connection in another process.
void move(End& end) {
  const auto info = end.layer->info();
  const auto bytes = ipc::encode(must(end.layer->leave()));
  const auto state = ipc::decode<RecordsState>(bytes);
  ASSERT_TRUE(state);
  end.layer = must(resume(*state, info));
  EXPECT_EQ(end.layer->info(), info);
}

struct Case {
  Role role;  ///< ours
  int version;
  const char* cipher;
};
void PrintTo(const Case& c, std::ostream* out) {
  *out << "our " << enum_name(c.role) << ", " << c.cipher;
}
std::vector<Case> cases() {
  std::vector<Case> out;
  for (const auto role : {Role::client, Role::server}) {
    for (const auto* suite :
         {"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"})
      out.push_back({role, TLS1_3_VERSION, suite});
    for (const auto* cipher : {"ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384",
                               "ECDHE-ECDSA-CHACHA20-POLY1305"})
      out.push_back({role, TLS1_2_VERSION, cipher});
  }
  return out;
}

class Handover : public testing::TestWithParam<Case> {
 protected:
  Handover() {
    SSL_CTX_set_min_proto_version(context_.get(), case_.version);
    SSL_CTX_set_max_proto_version(context_.get(), case_.version);
    if (is_13())
      SSL_CTX_set_ciphersuites(context_.get(), case_.cipher);
    else
      SSL_CTX_set_cipher_list(context_.get(), case_.cipher);
    if (case_.role == Role::client) show(context_, authority_.server);
  }
  bool is_13() const { return case_.version == TLS1_3_VERSION; }
  Role their_role() const { return case_.role == Role::client ? Role::server : Role::client; }

  Connection connect() {
    auto peer = std::make_unique<OpensslPeer>(context_, their_role());
    openssl_ = peer.get();
    if (case_.role == Role::client) return {must(client_.start()), std::move(peer)};
    return {std::move(peer), must(server_.start())};
  }
  /// A connection of which our end is movable.
  Connection connected() {
    auto c = connect();
    EXPECT_TRUE(c.begin().established()) << c.errors();
    theirs(c).say("hello");
    c.carry();
    EXPECT_EQ(ours(c).layer->why_not_movable(), "");
    theirs(c).received.clear();
    ours(c).received.clear();
    return c;
  }
  End& ours(Connection& c) const { return case_.role == Role::client ? c.client : c.server; }
  End& theirs(Connection& c) const { return case_.role == Role::client ? c.server : c.client; }
  void change_peers_keys(Connection& c, int kind) {
    SSL_key_update(openssl_->ssl(), kind);
    SSL_do_handshake(openssl_->ssl());
    openssl_->flush(theirs(c).unsent);
  }

  const Case case_ = GetParam();
  const Authority authority_;
  const SslContext context_ = peer_context(their_role());
  const Context client_ = towards_server(server_with(authority_.ca.pem()));
  const Context server_ = towards_clients(service_with(authority_.server));
  OpensslPeer* openssl_ = nullptr;
};

INSTANTIATE_TEST_SUITE_P(Suites, Handover, testing::ValuesIn(cases()));

TEST_P(Handover, OurServerAtOnceAndOurClientWithTheFirstData) {
  auto c = connect();
  EXPECT_EQ(ours(c).layer->why_not_movable(), "its TLS handshake is not over");
  EXPECT_FALSE(ours(c).layer->leave());
  ASSERT_TRUE(c.begin().established()) << c.errors();
  const bool waits = case_.role == Role::client && is_13();
  EXPECT_EQ(ours(c).layer->why_not_movable(), waits ? "nothing has come over its TLS" : "");
  theirs(c).say("hello");
  c.carry();
  EXPECT_EQ(ours(c).layer->why_not_movable(), "");
  EXPECT_EQ(ours(c).layer->info().cipher, case_.cipher);
  EXPECT_EQ(ours(c).heard(), "hello");
}

TEST_P(Handover, BytesBehindTheHandshakeAreNotLost) {
  for (const std::size_t step : {1, 7, 100, 100'000}) {
    auto c = connect();
    c.client.take({});
    while (!theirs(c).layer->established()) {
      c.server.take(std::exchange(c.client.unsent, {}));
      c.client.take(std::exchange(c.server.unsent, {}));
      ASSERT_EQ(c.errors(), "client: , server: ");
    }
    for (const auto* word : {"one ", "two ", "three"}) theirs(c).say(word);
    const Bytes bytes = std::exchange(theirs(c).unsent, {});
    for (ByteSpan rest = bytes; !rest.empty(); rest = rest.subspan(std::min(step, rest.size())))
      ours(c).take(rest.first(std::min(step, rest.size())));
    c.carry();
    EXPECT_EQ(ours(c).heard(), "one two three") << step << ": " << c.errors();
    EXPECT_EQ(ours(c).layer->why_not_movable(), "");
  }
}

/// Random talk. The bytes that are on the way are cut anywhere, and so are the moves.
TEST_P(Handover, OpensslNeverNotices) {
  for (unsigned seed = 1; seed <= 5; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    const auto below = [&random](std::size_t n) { return random() % n; };
    const auto text = [&] {
      return std::string(below(4) == 0 ? below(50'000) : below(300),
                         static_cast<char>('a' + below(26)));
    };
    auto c = connected();
    std::string said_by_us, said_by_them;
    for (int i = 0; i < 300; ++i) {
      switch (below(7)) {
        case 0:
        case 1: {
          const auto words = text();
          said_by_us += words;
          ours(c).say(words);
          break;
        }
        case 2: {
          const auto words = text();
          if (words.empty()) break;  // SSL_write(3) takes no empty records
          said_by_them += words;
          theirs(c).say(words);
          break;
        }
        case 3: {
          Bytes& on_the_way = theirs(c).unsent;
          const auto n = below(on_the_way.size() + 1);
          const Bytes part(on_the_way.begin(), on_the_way.begin() + static_cast<int>(n));
          on_the_way.erase(on_the_way.begin(), on_the_way.begin() + static_cast<int>(n));
          ours(c).take(part);
          break;
        }
        case 4:
          theirs(c).take(std::exchange(ours(c).unsent, {}));
          break;
        case 5:
          move(ours(c));
          break;
        default:
          if (is_13())
            change_peers_keys(
                c, below(2) == 0 ? SSL_KEY_UPDATE_REQUESTED : SSL_KEY_UPDATE_NOT_REQUESTED);
      }
      ASSERT_EQ(c.errors(), "client: , server: ") << "action " << i;
    }
    c.carry();
    EXPECT_TRUE(theirs(c).heard() == said_by_us);
    EXPECT_TRUE(ours(c).heard() == said_by_them);
    ours(c).close();
    theirs(c).close();
    c.carry();
    EXPECT_TRUE(ours(c).layer->peer_closed());
    EXPECT_TRUE(theirs(c).layer->peer_closed());
    EXPECT_EQ(c.errors(), "client: , server: ");
  }
}

TEST_P(Handover, OpensslUnderstandsOurAlerts) {
  auto c = connected();
  theirs(c).say("money");
  theirs(c).unsent.back() ^= std::byte{1};
  c.carry();
  EXPECT_EQ(ours(c).error, "broken TLS: bad record mac");
  EXPECT_EQ(theirs(c).error, "peer sent alert: bad record mac");
}

TEST_P(Handover, WeUnderstandOpenssls) {
  auto c = connected();
  ours(c).say("money");
  ours(c).unsent.back() ^= std::byte{1};
  c.carry();
  EXPECT_EQ(ours(c).error, "peer sent alert: bad record mac");
}

/// Keys that were changed while OpenSSL still had the records.
TEST_P(Handover, KeysThatAServerChangesWithItsFirstWords) {
  if (!is_13()) return;
  for (const int kind : {SSL_KEY_UPDATE_REQUESTED, SSL_KEY_UPDATE_NOT_REQUESTED}) {
    auto c = connect();
    ASSERT_TRUE(c.begin().established()) << c.errors();
    for (int i = 0; i < 3; ++i) {
      change_peers_keys(c, kind);
      c.carry();
      ours(c).say("x");
      c.carry();
    }
    theirs(c).say("hello");
    c.carry();
    ASSERT_EQ(ours(c).layer->why_not_movable(), "");
    move(ours(c));
    ours(c).say("y");
    theirs(c).say("and more");
    c.carry();
    EXPECT_EQ(theirs(c).heard(), "xxxy") << c.errors();
    EXPECT_EQ(ours(c).heard(), "helloand more") << c.errors();
  }
}

/// RFC 5288, 3: an AES-GCM nonce that comes twice gives the key away. All that we send is looked
/// at, from our Finished, which is OpenSSL's, on.
TEST_P(Handover, NoNonceOfTls12ComesTwice) {
  if (is_13() || std::string_view(case_.cipher).ends_with("POLY1305")) return;
  auto c = connect();
  Bytes sent;
  c.client.take({});
  const auto carry = [&] {
    while (!c.client.unsent.empty() || !c.server.unsent.empty()) {
      ByteWriter(sent).raw(ours(c).unsent);
      const Bytes by_client = std::exchange(c.client.unsent, {});
      const Bytes by_server = std::exchange(c.server.unsent, {});
      c.server.take(by_client);
      c.client.take(by_server);
    }
  };
  carry();
  for (int i = 0; i < 20; ++i) {
    ours(c).say("x");
    carry();
    if (i % 3 == 0) move(ours(c));
  }
  ours(c).close();
  carry();
  std::set<Bytes> nonces;
  std::size_t encrypted = 0;
  bool is_encrypted = false;
  for (ByteSpan rest = sent; !rest.empty();) {
    const auto size =
        5 + (std::to_integer<std::size_t>(rest[3]) << 8 | std::to_integer<std::size_t>(rest[4]));
    if (is_encrypted) {
      ++encrypted;
      nonces.emplace(rest.begin() + 5, rest.begin() + 13);
    }
    is_encrypted = is_encrypted || rest[0] == std::byte{20};
    rest = rest.subspan(size);
  }
  EXPECT_EQ(encrypted, 22u) << "Finished, data and the close";
  EXPECT_EQ(nonces.size(), encrypted);
  EXPECT_EQ(theirs(c).heard(), std::string(20, 'x')) << c.errors();
}

class HandoverTowardsServers : public testing::Test {
 protected:
  Authority authority_;
};

TEST_F(HandoverTowardsServers, SessionsAreResumedAsBefore) {
  const Context client = towards_server(server_with(authority_.ca.pem()));
  const Context server = towards_clients(service_with(authority_.server));
  for (int i = 0; i < 4; ++i) {
    auto c = join(client, server);
    ASSERT_TRUE(c.begin().established()) << c.errors();
    c.server.say("hello");
    c.carry();
    EXPECT_EQ(c.client.layer->why_not_movable(), "");
    EXPECT_EQ(c.client.layer->info().resumed, i > 0);
    EXPECT_EQ(c.server.layer->info().resumed, i > 0);
    move(c.client);
    move(c.server);
    c.client.say("SELECT 1");
    c.carry();
    EXPECT_EQ(c.server.heard(), "SELECT 1") << c.errors();
  }
}

/// The longest fragments are the client's choice (RFC 6066, 4).
TEST(HandoverTowardsClients, FragmentsAreAsShortAsTheClientAsked) {
  const Authority authority;
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    const auto context = peer_context(Role::client);
    SSL_CTX_set_max_proto_version(context.get(), version);
    SSL_CTX_set_tlsext_max_fragment_length(context.get(), TLSEXT_max_fragment_length_1024);
    Connection c(std::make_unique<OpensslPeer>(context, Role::client),
                 must(towards_clients(service_with(authority.server)).start()));
    ASSERT_TRUE(c.begin().established()) << c.errors();
    c.server.say(std::string(5000, 'x'));
    c.carry();
    EXPECT_EQ(c.client.received.size(), 5000u) << c.errors();
    EXPECT_EQ(must(c.server.layer->leave()).fragment, 1024);
  }
}

TEST(HandoverTowardsClients, OtherCiphersStayWithOpenssl) {
  const Authority authority;
  const auto context = peer_context(Role::client);
  SSL_CTX_set_max_proto_version(context.get(), TLS1_2_VERSION);
  for (const std::string cipher : {"ECDHE-ECDSA-AES256-CCM", "ECDHE-ECDSA-AES128-SHA256"}) {
    SSL_CTX_set_cipher_list(context.get(), cipher.c_str());
    auto service = service_with(authority.server);
    service.tls.ciphers = cipher;
    Connection c(std::make_unique<OpensslPeer>(context, Role::client),
                 must(towards_clients(service).start()));
    ASSERT_TRUE(c.begin().established()) << c.errors();
    c.client.say("hello");
    c.server.say("hello");
    c.carry();
    EXPECT_EQ(c.server.heard(), "hello");
    EXPECT_EQ(c.client.heard(), "hello");
    EXPECT_EQ(c.server.layer->why_not_movable(), "TLSv1.2 with " + cipher);
    const auto left = c.server.layer->leave();
    ASSERT_FALSE(left);
    EXPECT_EQ(left.error().code, Errc::unavailable);
    c.server.say("still here");
    c.carry();
    EXPECT_THAT(c.client.heard(), HasSubstr("still here"));
  }
}

}  // namespace
}  // namespace sluice::tls
