// The engine, event by event: the way to the login, traffic and the end, and which number sluice's
// own errors have.
#include "tests/worker/session/engine_fixture.h"

namespace sluice::worker {
namespace {

using namespace engine_tests;

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

/// A client that compresses though nobody has offered it would not be understood otherwise.
TEST_F(EngineTest, OffersCompressionWhereItIsConfiguredAndOnTheClientsLegOnly) {
  for (const auto& [offers, asks] :
       {std::pair(true, true), {true, false}, {false, true}, {false, false}}) {
    world.service.compression = offers;
    s = {.id = 1, .service = "shop", .client_ip = "127.0.0.1"};
    accept();
    server(greeting(mysql::kProtocol41 | mysql::kSecureConnection));
    const auto g = mysql::parse_greeting(ByteSpan(to_client).subspan(4));
    ASSERT_TRUE(g);
    EXPECT_EQ((g->capabilities & mysql::kCompress) != 0, offers);
    client(login("app", asks ? uint64_t{mysql::kCompress} : 0));
    const auto r = mysql::parse_handshake_response(ByteSpan(to_server).subspan(4));
    ASSERT_TRUE(r);
    EXPECT_FALSE(r->capabilities & mysql::kCompress);
    server(packet(2, kOk));
    EXPECT_EQ(compresses, asks);
    EXPECT_EQ(s.phase, Phase::relaying);
    EXPECT_FALSE(s.conversation.capabilities & mysql::kCompress);
  }
}

TEST_F(EngineTest, WhatIsNotCompressedCannotStandAheadOfTheLoginsEnd) {
  world.service.compression = true;
  accept();
  server(greeting());
  client(joined({login("app", mysql::kCompress), packet(0, "\x03SELECT 1")}));
  server(packet(2, kOk));
  EXPECT_THAT(error(2), HasSubstr("ahead of the login's end"));
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

TEST_F(EngineTest, AClientThatLeavesInTheMiddleOfTheProofIsExcused) {
  reach(Phase::proving);
  server(packet(2, std::string("\xFE"
                               "mysql_native_password\0",
                               23) +
                       std::string(20, 's') + '\0'));
  closed(Side::client);
  EXPECT_TRUE(closed_server);
  EXPECT_EQ(to_server, packet(3, std::string(20, '\0')));  // of the length of a proof, and wrong
}

TEST_F(EngineTest, OkOfTheServerIsTheOkOfTheClient) {
  reach(Phase::proving);
  EXPECT_TRUE(to_client.empty());
  server(packet(2, kOk));
  EXPECT_EQ(to_client, packet(2, kOk));
  EXPECT_EQ(s.phase, Phase::relaying);
  EXPECT_EQ(deadline_of(s), 0);
  EXPECT_FALSE(s.login);
  EXPECT_TRUE(s.conversation.at_boundary());
}

TEST_F(EngineTest, TheProofTakesAsManyStepsAsTheServerWants) {
  reach(Phase::proving);
  const auto more = packet(2, std::string("\xFE") + "client_ed25519");
  server(more);
  EXPECT_EQ(to_client, more);
  const auto proof = packet(3, std::string(64, 'p'));
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
  EXPECT_EQ(deadline_of(s), world.now_ns + stats::LoginGuard::kPaceNs);
  late();
  EXPECT_EQ(to_server, login());
  for (int i = 0; i < 100 && s.phase != Phase::closing; ++i) {
    s = {.id = 1, .service = "shop", .client_ip = "127.0.0.1"};
    reach(Phase::greeted);
    client(login());
  }
  EXPECT_THAT(error(2), HasSubstr("too many logins from this address have failed"));
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

TEST_F(EngineTest, OneThatWasNotAskedYetIsNotLeft) {
  reach(Phase::relaying);
  world.server(0).role = cluster::Role::none;
  world.server(0).health = cluster::Health::unknown;
  view();
  EXPECT_EQ(s.phase, Phase::relaying);
  world.server(0).health = cluster::Health::down;
  view();
  EXPECT_EQ(s.phase, Phase::closing);
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
          wants_read(s, Side::client) || wants_read(s, Side::server) || deadline_of(s) != 0;
      EXPECT_TRUE(waits || s.phase == Phase::over) << enum_name(p) << " stuck after event " << what;
      EXPECT_TRUE(ipc::decode<SessionState>(ipc::encode(s)));
    }
  }
}

}  // namespace
}  // namespace sluice::worker
