// Logins that the accounts decide.
#include "tests/worker/session/engine_fixture.h"

namespace sluice::worker {
namespace {

using namespace engine_tests;

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

}  // namespace
}  // namespace sluice::worker
