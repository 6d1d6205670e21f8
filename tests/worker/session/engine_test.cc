// The engine, event by event: what each phase does with each event, who may log in, and which
// number sluice's own errors have.
#include "worker/session/engine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/base/clock.h"
#include "common/mysql/packets.h"
#include "common/proxy_protocol/header.h"
#include "tests/worker/session/world.h"

namespace sluice::worker {
namespace {

using testing::HasSubstr;
using Kind = Action::Kind;

const auto kCantConnect = std::to_string(mysql::kCantConnect) + " ";
const std::string kOk("\0\0\0\2\0\0\0", 7);

Bytes packet(uint8_t sequence, std::string_view payload) {
  Bytes out;
  mysql::append_packet(out, sequence, as_bytes(payload));
  return out;
}

Bytes error_packet(uint8_t sequence, uint16_t number, std::string_view message) {
  return packet(sequence, as_text(mysql::encode_error(number, "HY000", message)));
}

Bytes greeting(uint64_t capabilities = ~uint64_t{0} & ~uint64_t{mysql::kLongPassword}) {
  mysql::Greeting g;
  g.version = "5.5.5-10.11.6-MariaDB";
  g.connection_id = 4711;
  g.capabilities = capabilities;
  g.plugin = "mysql_native_password";
  return packet(0, as_text(mysql::encode_greeting(g)));
}

Bytes login(std::string_view user = "app", uint64_t extra = 0, uint8_t sequence = 1) {
  Bytes payload;
  ByteWriter w(payload);
  w.fixed<uint32_t>(static_cast<uint32_t>(mysql::kProtocol41 | mysql::kSecureConnection | extra));
  w.fixed<uint32_t>(mysql::kMaxPayload);
  w.byte(45);
  w.zeros(23);
  w.nul_text(user);
  w.byte(0);
  return packet(sequence, as_text(payload));
}

const std::vector<std::string> kLoopback{"127.0.0.0/8"};

Bytes ssl_request() {
  const auto answer = login("", mysql::kSsl);
  return packet(1, as_text(ByteSpan(answer).subspan(4, 32)));
}

Bytes change_user(std::string_view user) {
  Bytes payload;
  ByteWriter w(payload);
  w.byte(0x11);
  w.nul_text(user);
  w.byte(0);
  w.nul_text("shop");
  w.nul_text("padding, so that its head is whole");
  return packet(0, as_text(payload));
}

Bytes joined(std::initializer_list<Bytes> parts) {
  Bytes out;
  for (const auto& part : parts) out.insert(out.end(), part.begin(), part.end());
  return out;
}

class EngineTest : public testing::Test {
 protected:
  World world;
  SessionState s{.id = 1, .service = "shop", .client_ip = "127.0.0.1"};
  // What the engine wanted done at the last event.
  Bytes to_client, to_server;
  std::vector<std::string> connects;
  bool closed_client = false, closed_server = false, finished = false, refresh = false;
  bool tls_client = false, tls_server = false;
  std::vector<std::string> resolved;
  std::string logged, warned;

  void note(Actions& actions) {
    to_client.clear(), to_server.clear(), connects.clear(), logged.clear();
    closed_client = closed_server = finished = refresh = tls_client = tls_server = false;
    resolved.clear(), warned.clear();
    for (const auto& a : actions.list()) {
      auto& target = a.side == Side::client ? to_client : to_server;
      switch (a.kind) {
        case Kind::send:
          target.insert(target.end(), a.bytes.begin(), a.bytes.end());
          break;
        case Kind::connect:
          connects.emplace_back(a.text);
          break;
        case Kind::close:
          (a.side == Side::client ? closed_client : closed_server) = true;
          break;
        case Kind::finish_client:
          finished = true;
          break;
        case Kind::start_tls:
          (a.side == Side::client ? tls_client : tls_server) = true;
          break;
        case Kind::refresh_accounts:
          refresh = true;
          break;
        case Kind::resolve:
          resolved.emplace_back(a.text);
          break;
        case Kind::log:
          logged = a.text;
          break;
        case Kind::warn:
          warned = a.text;
          break;
      }
    }
  }
  template <class Event>
  void event(Event happens) {
    Actions actions;
    happens(actions);
    note(actions);
  }
  void accept() {
    event([&](Actions& out) { on_accepted(s, world.surroundings(), out); });
  }
  void bytes(Side from, const Bytes& all) {
    event([&](Actions& out) { on_bytes(s, world.surroundings(), from, all, out); });
  }
  void client(const Bytes& all) { bytes(Side::client, all); }
  void server(const Bytes& all) { bytes(Side::server, all); }
  void closed(Side side) {
    event([&](Actions& out) { on_closed(s, world.surroundings(), side, out); });
  }
  void late() {
    world.now_ns = s.deadline_ns;
    event([&](Actions& out) { on_deadline(s, world.surroundings(), out); });
  }
  void view() {
    event([&](Actions& out) { on_view(s, world.surroundings(), out); });
  }
  /// The load that was asked for is over.
  void accounts() {
    world.accounts_began_ns = world.now_ns;
    event([&](Actions& out) { on_accounts(s, world.surroundings(), out); });
  }
  void failed(std::string why) {
    event([&](Actions& out) { on_connect_failed(s, world.surroundings(), std::move(why), out); });
  }
  void secured(Side side) {
    event([&](Actions& out) {
      on_secured(s, world.surroundings(), side, {.version = "TLSv1.3", .cipher = "C"}, out);
    });
  }
  void tls_failed(Side side) {
    event([&](Actions& out) {
      on_tls_failed(s, world.surroundings(), side, "certificate verify failed", out);
    });
  }
  void order(int64_t deadline_ns = 1'000 * kSecondNs) {
    event([&](Actions& out) {
      on_order_to_end(s, world.surroundings(), {1053, "08S01", "going"}, deadline_ns, out);
    });
  }

  void fail_often() {
    world.failures = std::make_unique<stats::LoginGuardPage>();
    stats::LoginGuard guard(*world.failures);
    for (int i = 0; i < 100; ++i) guard.failed(s.client_ip, "app", world.now_ns);
  }
  /// A new session on its way to the phase, by whatever leads there.
  void reach(Phase phase) {
    world.known = phase != Phase::waiting;
    if (phase == Phase::announced) world.announced_from = *Networks::from(kLoopback);
    if (phase == Phase::securing_client) world.service.tls.mode = config::TlsMode::preferred;
    if (phase == Phase::securing_server) world.configured[0].tls.mode = config::TlsMode::preferred;
    if (phase == Phase::slowed) fail_often();
    accept();
    if (phase >= Phase::greeted) server(greeting());
    if (phase == Phase::securing_client) return client(ssl_request());
    if (phase >= Phase::slowed) client(login());
    if (phase == Phase::refusing) return server(error_packet(2, 1045, "Access denied"));
    if (phase >= Phase::relaying) server(packet(2, kOk));
    if (phase == Phase::ending) client(packet(0, "\3SELECT 1")), order();
    if (phase == Phase::closing) order();
    ASSERT_EQ(s.phase, phase);
  }
  /// A client that needs an account of its own.
  void come_from_elsewhere() {
    s.client_ip = "10.1.2.3";
    on_connected(s, "10.9.9.9");
  }
  /// The server got an answer that it can refuse, and no word of the client.
  bool excused() const {
    const auto absent = mysql::encode_handshake_response("client_left");
    return closed_server && to_server == packet(1, as_text(absent));
  }
  /// The error that the client was sent, checked for its number.
  std::string error(uint8_t sequence) {
    if (to_client.size() < 5) return "nothing";
    EXPECT_EQ(static_cast<uint8_t>(to_client[3]), sequence);
    const auto e = mysql::parse_error(ByteSpan(to_client).subspan(4));
    return e ? std::to_string(e->number) + " " + std::string(e->message) : "no error";
  }
};

// The way to the login.

TEST_F(EngineTest, WaitsUntilTheClusterIsKnown) {
  reach(Phase::waiting);
  EXPECT_TRUE(connects.empty());
  EXPECT_FALSE(wants_read(s, Side::client));
  world.known = true;
  view();
  EXPECT_THAT(connects, testing::ElementsAre("db1"));
}

TEST_F(EngineTest, ReadsNoFurtherThanARequestForTls) {
  reach(Phase::greeted);
  const auto request = ssl_request();
  EXPECT_EQ(read_limit(s, Side::server, 9000), 9000u);
  for (std::size_t i = 0; i < request.size(); ++i) {
    const std::size_t end = i < mysql::kHeaderSize ? mysql::kHeaderSize : request.size();
    EXPECT_EQ(read_limit(s, Side::client, 9000), end - i);
    EXPECT_EQ(read_limit(s, Side::client, 2), std::min<std::size_t>(end - i, 2));
    client({request.begin() + static_cast<std::ptrdiff_t>(i),
            request.begin() + static_cast<std::ptrdiff_t>(i) + 1});
  }
  EXPECT_EQ(read_limit(s, Side::client, 9000), 9000u);
}

TEST_F(EngineTest, WaitsOnlySoLong) {
  reach(Phase::waiting);
  late();
  EXPECT_THAT(error(0), HasSubstr("nothing is known about cluster c1 yet"));
  EXPECT_EQ(s.phase, Phase::closing);
  EXPECT_TRUE(finished);
}

TEST_F(EngineTest, MasksWhatItCannotCarryInTheGreetingAndInTheAnswer) {
  accept();
  server(greeting());
  const auto g = mysql::parse_greeting(ByteSpan(to_client).subspan(4));
  ASSERT_TRUE(g);
  EXPECT_EQ(g->capabilities & (mysql::kSsl | mysql::kCompress | mysql::kZstd), 0u);
  EXPECT_EQ(g->connection_id, 4711u);
  client(login("app", mysql::kCompress | mysql::kSsl | mysql::kZstd | mysql::kDeprecateEof));
  const auto r = mysql::parse_handshake_response(ByteSpan(to_server).subspan(4));
  ASSERT_TRUE(r);
  EXPECT_EQ(r->capabilities & (mysql::kSsl | mysql::kCompress | mysql::kZstd), 0u);
  EXPECT_TRUE(s.conversation.capabilities & mysql::kDeprecateEof);
}

TEST_F(EngineTest, CapabilitiesAreThoseOfBothSides) {
  accept();
  server(greeting(mysql::kProtocol41 | mysql::kSecureConnection));
  client(login("app", mysql::kDeprecateEof));
  EXPECT_FALSE(s.conversation.capabilities & mysql::kDeprecateEof);
}

TEST_F(EngineTest, TakesTheNextServerWhenOneFails) {
  world.service.target = config::Target::any;
  accept();
  EXPECT_THAT(connects, testing::ElementsAre("db1"));
  failed("Connection refused");
  EXPECT_THAT(connects, testing::ElementsAre("db2"));
  EXPECT_TRUE(closed_server);
  failed("No route to host");
  EXPECT_THAT(error(0), HasSubstr("db1: could not be reached"));
  EXPECT_THAT(error(0), HasSubstr("No route to host"));
  EXPECT_THAT(error(0), testing::StartsWith(kCantConnect));
}

TEST_F(EngineTest, TheOnlyServerIsAskedAgainAsLongAsTheLoginMayTake) {
  const auto end_ns = world.now_ns + int64_t{world.service.login_timeout_ms} * kMillisecondNs;
  accept();
  int asked = 1;
  for (late(); s.phase == Phase::connecting && asked < 100; late(), ++asked) {
    EXPECT_THAT(connects, testing::ElementsAre("db1"));
    EXPECT_TRUE(closed_server);
  }
  EXPECT_GT(asked, 1);
  EXPECT_LE(world.now_ns, end_ns);
  EXPECT_THAT(error(0), HasSubstr("no greeting in time"));
}

TEST_F(EngineTest, ALateServerIsLeftForAnother) {
  world.service.target = config::Target::any;
  accept();
  late();
  EXPECT_THAT(connects, testing::ElementsAre("db2"));
}

TEST_F(EngineTest, TheServersOwnErrorInPlaceOfItsGreetingReachesTheClient) {
  accept();
  server(error_packet(0, 1040, "Too many connections"));
  EXPECT_EQ(error(0), "1040 Too many connections");
}

TEST_F(EngineTest, MalformedGreetingsAreTheServersFault) {
  for (const auto& bad :
       {packet(0, "\x09old"), packet(0, ""), joined({greeting(), packet(0, "more")}),
        packet(0, std::string(1, '\x0A') + "no end")}) {
    s = {.id = 1, .service = "shop", .client_ip = "127.0.0.1"};
    accept();
    server(bad);
    EXPECT_THAT(error(0), testing::StartsWith(kCantConnect));
  }
}

TEST_F(EngineTest, AGreetingWithoutEndIsCutOff) {
  accept();
  for (int i = 0; i < 5 && s.phase == Phase::connecting; ++i)
    server(i == 0 ? joined({Bytes{std::byte{0xFF}, std::byte{0xFF}, std::byte{0xFF}, std::byte{0}},
                            Bytes(30'000)})
                  : Bytes(30'000));
  EXPECT_EQ(s.phase, Phase::closing);
}

TEST_F(EngineTest, AServerThatSpeaksOutOfTurnIsCutOff) {
  reach(Phase::greeted);
  for (int i = 0; i < 5 && s.phase == Phase::greeted; ++i)
    server(i == 0 ? joined({Bytes{std::byte{0xFF}, std::byte{0xFF}, std::byte{0xFF}, std::byte{0}},
                            Bytes(30'000)})
                  : Bytes(30'000));
  EXPECT_EQ(s.phase, Phase::closing);
  EXPECT_THAT(error(2), testing::StartsWith("1043 "));
}

TEST_F(EngineTest, TheServersLastWordsDuringTheHandshakeReachTheClient) {
  reach(Phase::greeted);
  server(error_packet(2, 1159, "Got timeout reading communication packets"));
  EXPECT_THAT(error(2), testing::StartsWith("1159 "));
}

TEST_F(EngineTest, BadAnswersOfTheClientAreRefused) {
  auto wrong_number = login();
  wrong_number[3] = std::byte{2};
  auto tls = login("app", mysql::kSsl);
  tls = packet(1, as_text(ByteSpan(tls).subspan(4, 32)));
  auto cut = packet(1, as_text(ByteSpan(login()).subspan(4, 33)));
  const std::pair<Bytes, const char*> cases[] = {{wrong_number, "wrong sequence number"},
                                                 {tls, "TLS"},
                                                 {cut, "malformed user"},
                                                 {packet(1, ""), "malformed capabilities"},
                                                 {packet(1, "garbage"), "malformed"}};
  for (const auto& [answer, why] : cases) {
    s = {.id = 1, .service = "shop", .client_ip = "127.0.0.1"};
    reach(Phase::greeted);
    client(answer);
    EXPECT_THAT(error(2), HasSubstr(why));
    EXPECT_TRUE(closed_server);
    EXPECT_TRUE(excused());
  }
}

TEST_F(EngineTest, AnAnswerWithoutEndIsRefused) {
  reach(Phase::greeted);
  client(Bytes{std::byte{0xFF}, std::byte{0xFF}, std::byte{0xFF}, std::byte{1}});
  for (int i = 0; i < 5 && s.phase == Phase::greeted; ++i) client(Bytes(30'000));
  EXPECT_THAT(error(2), HasSubstr("too large"));
}

TEST_F(EngineTest, AClientThatLeavesBeforeItAnswersIsExcused) {
  reach(Phase::greeted);
  closed(Side::client);
  EXPECT_EQ(s.phase, Phase::over);
  EXPECT_TRUE(closed_client && excused());
}

TEST_F(EngineTest, OkOfTheServerIsTheOkOfTheClient) {
  reach(Phase::proving);
  EXPECT_TRUE(to_client.empty());
  server(packet(2, kOk));
  EXPECT_EQ(to_client, packet(2, kOk));
  EXPECT_EQ(s.phase, Phase::relaying);
  EXPECT_EQ(s.deadline_ns, 0);
  EXPECT_FALSE(s.login);
  EXPECT_TRUE(s.conversation.at_boundary());
}

TEST_F(EngineTest, TheProofTakesAsManyStepsAsTheServerWants) {
  reach(Phase::proving);
  const auto more = packet(2, std::string("\xFE") + "client_ed25519");
  server(more);
  EXPECT_EQ(to_client, more);
  const auto proof = packet(3, "a proof");
  client(proof);
  EXPECT_EQ(to_server, proof);
  server(packet(4, "\1more"));
  EXPECT_EQ(s.phase, Phase::proving);
  server(packet(5, kOk));
  EXPECT_EQ(s.phase, Phase::relaying);
}

TEST_F(EngineTest, TheServersRefusalReachesTheClient) {
  reach(Phase::proving);
  const auto refusal = error_packet(2, 1045, "Access denied for user");
  server(refusal);
  EXPECT_EQ(to_client, refusal);
  EXPECT_EQ(s.phase, Phase::closing);
  EXPECT_TRUE(finished && closed_server);
}

TEST_F(EngineTest, AServerThatLeavesDuringTheProofIsNamed) {
  reach(Phase::proving);
  server(packet(2, std::string("\xFE") + "client_ed25519"));
  client(packet(3, "a proof"));
  closed(Side::server);
  EXPECT_THAT(error(4), HasSubstr("server db1 closed the connection during the login"));
}

TEST_F(EngineTest, ALoginThatTakesTooLongIsRefusedWithTheRightNumber) {
  for (const auto& [phase, number] : {std::pair{Phase::greeted, 2}, {Phase::proving, 2}}) {
    s = {.id = 1, .service = "shop", .client_ip = "127.0.0.1"};
    reach(phase);
    late();
    EXPECT_THAT(error(static_cast<uint8_t>(number)), HasSubstr("the login took too long"));
  }
}

TEST_F(EngineTest, CommandsBehindTheAnswerWaitForTheEndOfTheLogin) {
  reach(Phase::greeted);
  const auto query = packet(0, "\3SELECT 1");
  client(joined({login(), query}));
  EXPECT_EQ(to_server, login());
  server(packet(2, kOk));
  EXPECT_EQ(s.phase, Phase::relaying);
  EXPECT_EQ(to_client, packet(2, kOk));
  EXPECT_EQ(to_server, query);
  server(packet(1, kOk));
  EXPECT_TRUE(s.conversation.at_boundary());
  EXPECT_EQ(s.conversation.commands, 1u);
}

TEST_F(EngineTest, CommandsBehindTheAnswerDoNotChangeTheNumberOfARefusal) {
  reach(Phase::greeted);
  client(joined({login(), packet(0, "\3SELECT 1")}));
  late();
  EXPECT_THAT(error(2), HasSubstr("too long"));
}

TEST_F(EngineTest, OverTheLimitIsSaid) {
  world.service.max_connections = 5;
  event([&](Actions& out) { on_limit(s, world.surroundings(), out); });
  EXPECT_THAT(error(0), testing::StartsWith("1040 "));
  EXPECT_THAT(error(0), HasSubstr("service shop allows 5"));
}

TEST_F(EngineTest, AnAddressThatFailedOftenWaitsForItsTurn) {
  reach(Phase::slowed);
  EXPECT_TRUE(to_server.empty());
  EXPECT_EQ(s.deadline_ns, world.now_ns + stats::LoginGuard::kPaceNs);
  late();
  EXPECT_EQ(to_server, login());
  for (int i = 0; i < 100 && s.phase != Phase::closing; ++i) {
    s = {.id = 1, .service = "shop", .client_ip = "127.0.0.1"};
    reach(Phase::greeted);
    client(login());
  }
  EXPECT_THAT(error(2), HasSubstr("too many logins from this address have failed"));
}

// Accounts.

TEST_F(EngineTest, AClientFromElsewhereNeedsTheAccountThatTheServerWillPick) {
  world.load_accounts({{"app", "%"}});
  come_from_elsewhere();
  reach(Phase::proving);
  EXPECT_EQ(to_server, login());
}

TEST_F(EngineTest, AnotherAccountThanItsOwnIsRefused) {
  world.load_accounts({{"app", "10.1.%"}, {"app", "10.9.%"}});
  come_from_elsewhere();
  reach(Phase::greeted);
  client(login());
  EXPECT_EQ(s.phase, Phase::judging);
  EXPECT_TRUE(refresh) << "the tables may be old";
  EXPECT_TRUE(to_server.empty());
  EXPECT_FALSE(wants_read(s, Side::client));
  accounts();
  EXPECT_THAT(error(2), HasSubstr("'app'@'10.1.%'"));
  EXPECT_THAT(error(2), testing::StartsWith("1045 "));
}

TEST_F(EngineTest, AnotherAccountIsAllowedWhereTheServiceSaysSo) {
  world.load_accounts({{"app", "10.1.%"}, {"app", "10.9.%"}});
  world.service.account_mismatch = config::AccountMismatch::allow;
  come_from_elsewhere();
  reach(Phase::proving);
}

/// MariaDB greets first and reads the PROXY header then.
TEST_F(EngineTest, WhatTheServerSaysBehindItsGreetingReachesTheClient) {
  reach(Phase::connecting);
  server(joined({greeting(), error_packet(1, 1130, "Host '10.1.2.3' is not allowed")}));
  EXPECT_THAT(as_text(to_client), HasSubstr("Host '10.1.2.3' is not allowed"));
  EXPECT_TRUE(closed_server);
}

TEST_F(EngineTest, AnAccountThatIsNewIsFoundAfterTheTablesWereReadAgain) {
  world.load_accounts({{"old", "%"}});
  come_from_elsewhere();
  reach(Phase::greeted);
  client(login());
  EXPECT_TRUE(refresh);
  world.load_accounts({{"app", "%"}});
  accounts();
  EXPECT_EQ(s.phase, Phase::proving);
  EXPECT_EQ(to_server, login());
}

TEST_F(EngineTest, WithoutAccountsALoginIsRefusedInTheEnd) {
  come_from_elsewhere();
  reach(Phase::greeted);
  client(login());
  EXPECT_TRUE(refresh);
  accounts();
  EXPECT_EQ(s.phase, Phase::judging) << "the first load may still come";
  late();
  EXPECT_THAT(error(2), HasSubstr("not loaded yet"));
}

class JudgedTest : public EngineTest {
 protected:
  void SetUp() override {
    world.load_accounts({{"app", "%"}, {"other", "%"}, {"split", "10.1.%"}, {"split", "10.9.%"}});
    come_from_elsewhere();
  }
};

TEST_F(JudgedTest, ChangeUserToAnAccountOfItsOwnGoesOn) {
  reach(Phase::relaying);
  client(change_user("other"));
  EXPECT_EQ(to_server, change_user("other"));
  EXPECT_EQ(s.phase, Phase::proving);
  server(packet(1, std::string("\xFE") + "client_ed25519"));
  client(packet(2, "a proof"));
  server(packet(3, kOk));
  EXPECT_EQ(to_client, packet(3, kOk));
  EXPECT_EQ(s.phase, Phase::relaying);
}

/// Who does not prove the password of the account learns nothing of it; the server judges a proof
/// that can't be right, and whatever it says is a refusal.
TEST_F(JudgedTest, ChangeUserToAnotherAccountIsRefusedAsAWrongPasswordIs) {
  reach(Phase::relaying);
  client(change_user("split"));
  EXPECT_TRUE(to_server.empty());
  EXPECT_TRUE(refresh);
  accounts();
  EXPECT_FALSE(to_server.empty());
  EXPECT_NE(to_server, change_user("split"));
  EXPECT_THAT(warned, HasSubstr("is refused"));
  server(packet(1, kOk));
  EXPECT_THAT(error(1),
              testing::StartsWith("1045 Access denied for user 'split'@'10.1.2.3' (using"));
  EXPECT_TRUE(closed_server);
}

TEST_F(JudgedTest, AnUnknownUserIsRefusedAsAWrongPasswordIs) {
  reach(Phase::greeted);
  client(login("nobody"));
  accounts();
  server(error_packet(2, 1045, "Access denied for user 'nobody'@'10.9.9.9' (using password: YES)"));
  const auto unknown = error(2);
  s = {.id = 1, .service = "shop", .client_ip = "127.0.0.1"};
  come_from_elsewhere();
  reach(Phase::refusing);
  EXPECT_TRUE(refresh) << "it takes as long as that of a user who is not known";
  EXPECT_TRUE(to_client.empty());
  accounts();
  EXPECT_EQ(unknown, "1045 Access denied for user 'nobody'@'10.1.2.3' (using password: NO)");
  EXPECT_EQ(error(2), "1045 Access denied for user 'app'@'10.1.2.3' (using password: NO)");
}

/// The number of a plugin that knows no password is kept, the proxy's address is not.
TEST_F(JudgedTest, ADenialThatMentionsNoPasswordNamesTheClientToo) {
  reach(Phase::proving);
  server(error_packet(2, 1698, "Access denied for user 'app'@'10.9.9.9'"));
  accounts();
  EXPECT_EQ(error(2), "1698 Access denied for user 'app'@'10.1.2.3'");
}

TEST_F(JudgedTest, AHostThatNoAccountCoversIsToldSo) {
  world.load_accounts({{"app", "10.9.%"}});
  reach(Phase::greeted);
  client(login());
  accounts();
  EXPECT_THAT(error(2), testing::StartsWith("1130 "));
}

TEST_F(JudgedTest, ChangeUserInPiecesIsJudgedWhole) {
  reach(Phase::relaying);
  const auto whole = change_user("other");
  Bytes got;
  for (const auto byte : whole) {
    EXPECT_TRUE(got.empty());
    client({byte});
    got.insert(got.end(), to_server.begin(), to_server.end());
  }
  EXPECT_EQ(got, whole);
}

TEST_F(JudgedTest, CommandsAroundAChangeUserTakeTheirTurns) {
  reach(Phase::relaying);
  const auto ping = packet(0, "\x0E");
  client(joined({ping, change_user("other"), ping}));
  EXPECT_EQ(to_server, ping);
  server(packet(1, kOk));
  EXPECT_EQ(to_server, change_user("other"));
  server(packet(1, kOk));
  EXPECT_EQ(to_server, ping);
  EXPECT_EQ(s.user, "other");
}

TEST_F(JudgedTest, ChangeUserBehindTheAnswerToTheGreetingIsJudgedToo) {
  reach(Phase::greeted);
  client(joined({login(), change_user("split")}));
  EXPECT_EQ(to_server, login()) << "nothing that was not judged";
  server(packet(2, kOk));
  EXPECT_EQ(s.phase, Phase::judging);
  EXPECT_TRUE(to_server.empty());
  EXPECT_TRUE(refresh);
  accounts();
  EXPECT_NE(to_server, change_user("split")) << "its proof was spoiled";
  server(packet(1, kOk));
  EXPECT_THAT(error(1), testing::StartsWith("1045 "));
}

TEST_F(JudgedTest, MuchAheadOfTheLoginIsNotRead) {
  reach(Phase::proving);
  for (int i = 0; i < 5 && wants_read(s, Side::client); ++i)
    client(packet(0, std::string(30'000, 'x')));
  EXPECT_EQ(s.phase, Phase::proving);
  EXPECT_FALSE(wants_read(s, Side::client));
  EXPECT_LT(s.held.size(), 2 * kMaxLoginPacket);
}

TEST_F(JudgedTest, AChangeUserWithoutEndIsRefused) {
  reach(Phase::relaying);
  client(joined(
      {Bytes{std::byte{0xFF}, std::byte{0xFF}, std::byte{0xF0}, std::byte{0}, std::byte{0x11}},
       Bytes(60)}));
  for (int i = 0; i < 5 && s.phase == Phase::relaying; ++i) client(Bytes(30'000));
  EXPECT_THAT(error(1), testing::StartsWith("1835 "));
}

// PROXY headers.

class HeaderTest : public EngineTest {
 protected:
  static Bytes text(std::string_view header) {
    const auto bytes = as_bytes(header);
    return {bytes.begin(), bytes.end()};
  }
  static Bytes v1() { return text("PROXY TCP4 10.1.2.3 10.0.0.9 4711 3306\r\n"); }
  static Bytes v2() {
    return *proxy_protocol::encode_tcp({.ip = "10.1.2.3", .port = 4711}, {"10.0.0.9", 3306});
  }
  void again() {
    s = {.id = 1, .service = "shop", .client_ip = "127.0.0.1"};
    reach(Phase::announced);
  }
  void expect_arrived(const std::string& ip, uint16_t port) {
    EXPECT_THAT(connects, testing::ElementsAre("db1"));
    EXPECT_EQ(s.client_ip, ip);
    EXPECT_EQ(s.client_port, port);
    EXPECT_EQ(s.phase, Phase::connecting);
    EXPECT_EQ(warned, "");
  }
  void expect_closed(std::string_view why) {
    EXPECT_EQ(s.phase, Phase::over);
    EXPECT_TRUE(closed_client);
    EXPECT_TRUE(to_client.empty() && to_server.empty() && connects.empty());
    EXPECT_THAT(warned, HasSubstr(why));
  }
};

TEST_F(HeaderTest, TheAddressItCarriesIsTheClients) {
  for (const auto& header : {v1(), v2()}) {
    again();
    EXPECT_TRUE(connects.empty());
    client(header);
    expect_arrived("10.1.2.3", 4711);
  }
}

TEST_F(HeaderTest, CutAtEveryByteItIsTheSame) {
  for (const auto& header : {v1(), v2()})
    for (std::size_t n = 1; n < header.size(); ++n) {
      again();
      client(Bytes(header.begin(), header.begin() + static_cast<std::ptrdiff_t>(n)));
      ASSERT_EQ(s.phase, Phase::announced) << n;
      ASSERT_TRUE(connects.empty() && warned.empty());
      client(Bytes(header.begin() + static_cast<std::ptrdiff_t>(n), header.end()));
      expect_arrived("10.1.2.3", 4711);
    }
}

TEST_F(HeaderTest, OneThatSpeaksForNobodyLeavesTheAddress) {
  for (const auto& header : {text("PROXY UNKNOWN\r\n"), proxy_protocol::encode_local()}) {
    again();
    client(header);
    expect_arrived("127.0.0.1", 0);
  }
}

TEST_F(HeaderTest, WhatIsNoneEndsTheConnection) {
  for (const auto& bad : {login(), ssl_request(), text("PROXY TCP4 nonsense\r\n"), Bytes(600),
                          proxy_protocol::encode_unix(), text("GET / HTTP/1.1\r\n")}) {
    again();
    client(bad);
    expect_closed("no PROXY header from a trusted address");
  }
}

TEST_F(HeaderTest, NothingMayFollowIt) {
  for (const auto& header : {v1(), v2()})
    for (const auto& more : {v1(), v2(), login(), Bytes{std::byte{0}}}) {
      again();
      client(joined({header, more}));
      expect_closed("bytes behind the PROXY header");
    }
}

TEST_F(HeaderTest, ASecondOneIsNoAnswer) {
  for (const auto& header : {v1(), v2()})
    for (const auto& second : {v1(), v2()}) {
      again();
      client(header);
      server(greeting());
      client(second);
      EXPECT_THAT(error(2), testing::StartsWith("1043 "));
      EXPECT_THAT(warned, HasSubstr("not trusted"));
      EXPECT_EQ(s.client_ip, "10.1.2.3");
      EXPECT_TRUE(excused());
    }
}

TEST_F(HeaderTest, OneOfAnAddressThatIsNotTrustedIsNoAnswer) {
  for (const auto& header : {v1(), v2()}) {
    s = {.id = 1, .service = "shop", .client_ip = "127.0.0.1"};
    reach(Phase::greeted);
    client(header);
    EXPECT_THAT(error(2), HasSubstr("PROXY header"));
    EXPECT_THAT(warned, HasSubstr("a PROXY header from an address that is not trusted"));
    EXPECT_EQ(s.client_ip, "127.0.0.1");
    EXPECT_TRUE(excused());
  }
}

TEST_F(HeaderTest, ItIsNotAwaitedForEver) {
  again();
  client(text("PROXY "));
  late();
  expect_closed("no PROXY header came");
}

TEST_F(HeaderTest, WhoIsCarriedIsJudgedByThatAddress) {
  world.load_accounts({{"app", "10.1.%"}, {"app", "127.%"}});
  again();
  on_connected(s, "10.9.9.9");
  client(v2());
  server(greeting());
  client(login());
  EXPECT_EQ(s.phase, Phase::judging);
  accounts();
  EXPECT_THAT(error(2), HasSubstr("'app'@'10.1.%'"));
}

TEST_F(HeaderTest, AServerThatTakesHeadersGetsOneFirst) {
  world.configured[0].proxy_protocol = true;
  again();
  client(v1());
  EXPECT_EQ(to_server,
            *proxy_protocol::encode_tcp({.ip = "10.1.2.3", .port = 4711}, {"10.0.0.1", 3306}));
  s = {.id = 1, .service = "shop", .client_ip = "127.0.0.1"};
  world.announced_from = {};
  reach(Phase::connecting);
  EXPECT_EQ(to_server, proxy_protocol::encode_local()) << "one of this host";
  world.service.identity = config::IdentityMode::as_connected;
  s = {.id = 1, .service = "shop"};
  reach(Phase::connecting);
  EXPECT_EQ(to_server, proxy_protocol::encode_unix());
}

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
  client(packet(4, "a proof"));
  EXPECT_EQ(to_server, packet(3, "a proof"));
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
  client(packet(3, "a proof"));
  EXPECT_EQ(to_server, packet(4, "a proof"));
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
  EXPECT_TRUE(to_server.empty());
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

// The refusal that waits.

TEST_F(JudgedTest, ARefusalWaitsForTheTablesAndNoLonger) {
  reach(Phase::refusing);
  EXPECT_TRUE(closed_server);
  EXPECT_FALSE(wants_read(s, Side::client) || wants_read(s, Side::server));
  late();
  EXPECT_THAT(error(2), testing::StartsWith("1045 "));
  EXPECT_EQ(s.phase, Phase::closing);
}

TEST_F(JudgedTest, AnOrderToEndSpeaksInsteadOfARefusal) {
  reach(Phase::refusing);
  order();
  EXPECT_EQ(error(2), "1053 going");
}

TEST_F(JudgedTest, ARefusedChangeOfTheUserLeavesTheSessionToTheServer) {
  reach(Phase::relaying);
  client(joined({change_user("other"), packet(0, "\3SELECT 1")}));
  server(error_packet(1, 1045, "Access denied"));
  EXPECT_EQ(s.phase, Phase::refusing);
  EXPECT_FALSE(closed_server);
  accounts();
  EXPECT_EQ(s.phase, Phase::relaying);
  EXPECT_THAT(error(1), testing::StartsWith("1045 "));
  EXPECT_EQ(to_server, packet(0, "\3SELECT 1"));
  EXPECT_EQ(s.user, "app");
}

// Traffic.

TEST_F(EngineTest, BytesGoOnAsTheyAre) {
  reach(Phase::relaying);
  client(packet(0, "\3SELECT 1"));
  EXPECT_EQ(to_server, packet(0, "\3SELECT 1"));
  server(packet(1, kOk));
  EXPECT_EQ(to_client, packet(1, kOk));
}

TEST_F(EngineTest, AClientThatSpeaksNonsenseIsTheServersBusiness) {
  reach(Phase::relaying);
  const Bytes nonsense(1000, std::byte{0xFF});
  client(nonsense);
  EXPECT_EQ(to_server, nonsense);
  server(nonsense);
  EXPECT_EQ(to_client, nonsense);
}

TEST_F(EngineTest, ASlowReaderStopsTheOtherSide) {
  reach(Phase::relaying);
  s.unsent_to_client = Bytes(10);
  EXPECT_FALSE(wants_read(s, Side::server));
  EXPECT_TRUE(wants_read(s, Side::client));
}

TEST_F(EngineTest, ACloseOfEitherSideReachesTheOther) {
  for (const Side side : {Side::client, Side::server}) {
    s = {.id = 1, .service = "shop", .client_ip = "127.0.0.1"};
    reach(Phase::relaying);
    closed(side);
    EXPECT_EQ(s.phase, Phase::over);
    EXPECT_TRUE(closed_client && closed_server);
  }
}

TEST_F(EngineTest, WhatTheServerSaidLastIsSentBeforeTheClose) {
  reach(Phase::relaying);
  s.unsent_to_client = Bytes(10);
  closed(Side::server);
  EXPECT_EQ(s.phase, Phase::closing);
  EXPECT_FALSE(closed_client);
  s.unsent_to_client.clear();
  event([&](Actions& out) { on_sent(s, Side::client, out); });
  EXPECT_TRUE(finished);
}

// The end.

TEST_F(EngineTest, AnIdleSessionIsEndedAtOnceWithTheReason) {
  reach(Phase::relaying);
  order();
  EXPECT_EQ(error(1), "1053 going");
  EXPECT_TRUE(closed_server && finished);
  closed(Side::client);
  EXPECT_EQ(s.phase, Phase::over);
}

TEST_F(EngineTest, AnAnswerIsAwaitedBeforeTheEnd) {
  reach(Phase::ending);
  EXPECT_FALSE(wants_read(s, Side::client));
  server(packet(1, kOk));
  EXPECT_EQ(s.phase, Phase::closing);
  EXPECT_EQ(to_client, joined({packet(1, kOk),
                               packet(1, as_text(mysql::encode_error(1053, "08S01", "going")))}));
}

TEST_F(EngineTest, ACommandThatHasBegunToArriveIsReadToItsEnd) {
  reach(Phase::relaying);
  const auto query = packet(0, "\3SELECT 1, 2, 3, 4, 5, 6, 7, 8, 9");
  client(Bytes(query.begin(), query.begin() + 33));
  order();
  EXPECT_EQ(s.phase, Phase::ending);
  EXPECT_TRUE(wants_read(s, Side::client));
  client(Bytes(query.begin() + 33, query.end()));
  EXPECT_FALSE(wants_read(s, Side::client));
  server(packet(1, kOk));
  EXPECT_EQ(s.phase, Phase::closing);
}

TEST_F(EngineTest, ACommandWithoutAnAnswerEndsASessionThatIsEnding) {
  reach(Phase::relaying);
  const auto close = packet(0, "\x19....");
  client(Bytes(close.begin(), close.begin() + 6));
  order();
  EXPECT_EQ(s.phase, Phase::ending);
  client(Bytes(close.begin() + 6, close.end()));
  EXPECT_EQ(s.phase, Phase::closing);
  EXPECT_EQ(error(1), "1053 going");
}

TEST_F(EngineTest, TheProofOfAChangeUserIsReadWhileEnding) {
  reach(Phase::relaying);
  client(change_user("other"));
  order();
  server(packet(1, std::string("\xFE") + "client_ed25519"));
  EXPECT_TRUE(wants_read(s, Side::client));
  client(packet(2, "a proof"));
  server(packet(3, kOk));
  EXPECT_EQ(s.phase, Phase::closing);
}

TEST_F(EngineTest, AtTheDeadlineOfAnEndTheReasonStandsInPlaceOfTheAnswer) {
  reach(Phase::ending);
  server(joined({packet(1, "\1"), packet(2, "\3def")}));
  late();
  EXPECT_EQ(error(3), "1053 going");
}

TEST_F(EngineTest, APacketOfTheServerIsNeverCut) {
  reach(Phase::ending);
  const auto whole = packet(1, "\1");
  server(Bytes(whole.begin(), whole.begin() + 3));
  late();
  EXPECT_TRUE(to_client.empty());
  EXPECT_TRUE(finished);
}

TEST_F(EngineTest, ASessionLeavesAServerThatIsNoPrimaryAnyMore) {
  reach(Phase::relaying);
  view();
  EXPECT_EQ(s.phase, Phase::relaying);
  std::swap(world.server(0).role, world.server(1).role);
  view();
  EXPECT_EQ(s.phase, Phase::closing);
  EXPECT_THAT(error(1), HasSubstr("the primary is now db2"));
}

TEST_F(EngineTest, AnOrderDuringTheLoginRefuses) {
  for (const auto& [phase, number] : {std::pair{Phase::waiting, 0},
                                      {Phase::connecting, 0},
                                      {Phase::greeted, 2},
                                      {Phase::proving, 2}}) {
    s = {.id = 1, .service = "shop", .client_ip = "127.0.0.1"};
    reach(phase);
    order();
    EXPECT_EQ(error(static_cast<uint8_t>(number)), "1053 going");
    EXPECT_EQ(s.phase, Phase::closing);
  }
}

TEST_F(EngineTest, AClientThatDoesNotCloseIsClosed) {
  reach(Phase::closing);
  EXPECT_TRUE(wants_read(s, Side::client));
  client(Bytes(100));
  EXPECT_TRUE(to_client.empty() && to_server.empty());
  late();
  EXPECT_EQ(s.phase, Phase::over);
  EXPECT_TRUE(closed_client);
}

/// No pair of them does harm: the session goes on or ends, and has always something to wait for.
TEST_F(EngineTest, EveryPhaseTakesEveryEvent) {
  for (std::size_t i = 0; i < kEnumNames<Phase>.size(); ++i) {
    const auto p = static_cast<Phase>(i);
    if (p == Phase::over) continue;
    for (int what = 0; what < 15; ++what) {
      s = {.id = 1, .service = "shop", .client_ip = "127.0.0.1"};
      world.announced_from = {};
      world.failures.reset();
      world.service.tls.mode = world.configured[0].tls.mode = config::TlsMode::off;
      world.load_accounts({{"app", "%"}});
      if (p == Phase::judging || p == Phase::refusing) come_from_elsewhere();
      if (p == Phase::judging) world.load_accounts({{"other", "%"}});
      reach(p);
      ASSERT_EQ(s.phase, p);
      switch (what) {
        case 0:
          client(Bytes(50, std::byte{7}));
          break;
        case 1:
          server(Bytes(50, std::byte{7}));
          break;
        case 2:
          closed(Side::client);
          break;
        case 3:
          closed(Side::server);
          break;
        case 4:
          late();
          break;
        case 5:
          view();
          break;
        case 6:
          accounts();
          break;
        case 7:
          order();
          break;
        case 8:
          failed("x");
          break;
        case 9:
          tls_failed(Side::server);
          break;
        case 10:
          tls_failed(Side::client);
          break;
        case 11:
          secured(Side::server);
          break;
        case 12:
          secured(Side::client);
          break;
        case 13:
          server(packet(2, kOk));
          break;
        default:
          event([&](Actions& out) { on_sent(s, Side::client, out); });
      }
      const bool waits =
          wants_read(s, Side::client) || wants_read(s, Side::server) || s.deadline_ns != 0;
      EXPECT_TRUE(waits || s.phase == Phase::over) << enum_name(p) << " stuck after event " << what;
      EXPECT_TRUE(ipc::decode<SessionState>(ipc::encode(s)));
    }
  }
}

}  // namespace
}  // namespace sluice::worker
