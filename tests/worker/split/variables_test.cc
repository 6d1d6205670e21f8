// User variables that are set to constants: the same on every server of the session.
#include "tests/worker/split/split_fixture.h"
#include "worker/split/lending.h"

namespace sluice::worker {
namespace {

using namespace split_tests;

class SplitVariablesTest : public SplitTest {
 protected:
  void at_home(std::string_view text, std::string_view news = "") {
    client(query(text));
    home(ok(kPlain, news));
    forget_said();
  }
  bool is_tied() const { return !s.split->kept.tied.empty(); }
};
INSTANTIATE_TEST_SUITE_P(All, SplitVariablesTest, kManners, name_of);

TEST_P(SplitVariablesTest, AreSetOnTheReplicaBeforeARead) {
  log_in_with_reader();
  at_home("SET @A = 5, @b := NULL, @c=-1.50");
  at_home("SET @a = 6");
  EXPECT_FALSE(is_tied());
  client(query("SELECT @a, a FROM t"));
  EXPECT_THAT(said(Side::reader),
              ElementsAre("\3SET @b=null,@c=-1.50,@a=6", "\3SELECT @a, a FROM t"));
  EXPECT_THAT(said(Side::server), IsEmpty());
  reader(joined({ok(), result("6")}));
  EXPECT_EQ(raw(Side::client), result("6"));
  client(query("SELECT @a, a FROM t"));
  EXPECT_THAT(said(Side::reader), ElementsAre("\3SELECT @a, a FROM t"));
}

TEST_P(SplitVariablesTest, StringsKeepTheirCollation) {
  log_in_with_reader();
  at_home("SET NAMES utf8mb4", variable("collation_connection", "utf8mb4_general_ci"));
  at_home("SET @a = 'x y', @b = \"z\"");
  at_home("SET NAMES latin1", variable("collation_connection", "latin1_swedish_ci"));
  EXPECT_FALSE(is_tied());
  client(query("SELECT @a FROM t"));
  const auto sent = said(Side::reader);
  ASSERT_EQ(sent.size(), 3u);
  EXPECT_EQ(sent[1],
            "\3SET @a=_utf8mb4'x y' COLLATE utf8mb4_general_ci,"
            "@b=_utf8mb4'z' COLLATE utf8mb4_general_ci");
}

TEST_P(SplitVariablesTest, WhatIsNoConstantTies) {
  for (const std::string text :
       {"SET @a = @b", "SET @a = 1 + 1", "SET @a = NOW()", "SET @a = CURRENT_USER",
        "SET @a = 'it\\'s'", "SET @a = 1, sql_mode = @b", "SET @a = 1; SELECT 1", "SELECT @a := 1",
        "SELECT a FROM t INTO @a", "SET @`a b` = 1", "SET @a = 'x'"}) {
    s = SessionState{.id = 1, .service = "shop", .client_ip = "127.0.0.1"};
    open = {true, false, false};
    log_in_with_reader(mysql::kMultiStatements);
    at_home("SET @z = 1");
    EXPECT_FALSE(is_tied());
    client(query(text));
    EXPECT_TRUE(is_tied()) << text;
    home(ok());
    client(query("SELECT @z FROM t"));
    EXPECT_THAT(said(Side::reader), IsEmpty()) << text;
  }
}

TEST_P(SplitVariablesTest, ThoseThatAreNotKnownAreReadAtHome) {
  log_in_with_reader();
  at_home("SET @a = 1");
  client(query("SELECT @a, @b FROM t"));
  EXPECT_THAT(said(Side::server), ElementsAre(HasSubstr("@b")));
  EXPECT_THAT(said(Side::reader), IsEmpty());
}

TEST_P(SplitVariablesTest, AfterAWriteHomeIsAskedWhetherTheyAreTheSame) {
  log_in_with_reader();
  at_home("SET @a = 1");
  at_home("BEGIN");
  at_home("COMMIT");
  EXPECT_FALSE(s.split->variables.list[0].unsure);
  at_home("INSERT INTO t VALUES (1)");
  EXPECT_TRUE(s.split->variables.list[0].unsure);
  EXPECT_TRUE(split::has_to_ask(*s.split)) << "before its connection is lent";
  client(query("SELECT @a FROM t"));
  EXPECT_THAT(said(Side::server), ElementsAre("\3SELECT CAST(@a AS BINARY) <=> CAST(1 AS BINARY)"));
  EXPECT_THAT(said(Side::reader), IsEmpty());
  home(result("1"));
  EXPECT_THAT(said(Side::reader), ElementsAre("\3SET @a=1", "\3SELECT @a FROM t"));
  reader(joined({ok(), result("1")}));
  EXPECT_EQ(raw(Side::client), result("1"));
  EXPECT_FALSE(is_tied());

  at_home("INSERT INTO t VALUES (1)");
  client(query("SELECT @a FROM t"));
  forget_said();
  home(result("0"));  // a trigger has set it
  EXPECT_THAT(said(Side::server), ElementsAre("\3SELECT @a FROM t"));
  EXPECT_TRUE(is_tied());
}

TEST_P(SplitVariablesTest, ASettingMayBeSetWithThem) {
  log_in_with_reader();
  at_home("SET @a = 1, time_zone = 'x', @b = 2", variable("time_zone", "Mars"));
  EXPECT_FALSE(is_tied());
  client(query("SELECT @a, @b FROM t"));
  EXPECT_THAT(said(Side::reader), ElementsAre("\3SET @@session.time_zone='Mars'", "\3SET @a=1,@b=2",
                                              "\3SELECT @a, @b FROM t"));
}

TEST_P(SplitVariablesTest, AnIdleSessionIsSureOfThem) {
  log_in_with_reader();
  at_home("SET @a = 1");
  at_home("INSERT INTO t VALUES (1)");
  late();
  EXPECT_THAT(said(Side::server), ElementsAre(HasSubstr("CAST(@a")));
  home(result("1"));
  EXPECT_THAT(raw(Side::client), IsEmpty());
  EXPECT_EQ(deadline_of(s), 0);
  primary_moves();
  lost(Side::server);
  EXPECT_EQ(s.phase, Phase::relaying) << last_error();
}

TEST_P(SplitVariablesTest, PeopleAreNotDisturbed) {
  log_in_with_reader(mysql::kInteractive);
  at_home("SET @a = 1");
  at_home("INSERT INTO t VALUES (1)");
  EXPECT_EQ(deadline_of(s), 0);
}

TEST_P(SplitVariablesTest, WhoAsksForRowsIsNotAskedAnything) {
  log_in_with_reader();
  at_home("SET @a = 1");
  client(query("SELECT ROW_COUNT()"));
  home(result("0"));
  at_home("INSERT INTO t VALUES (1)");
  EXPECT_EQ(deadline_of(s), 0);
}

TEST_P(SplitVariablesTest, ATransactionIsRunAgainWithThoseOfItsBeginning) {
  world.service.transaction_replay = true;
  log_in_with_reader();
  at_home("SET @a = 1");
  client(query("INSERT INTO t VALUES (1)"));
  home(ok());
  EXPECT_EQ(said(Side::server).back(), "\3SELECT CAST(@a AS BINARY) <=> CAST(1 AS BINARY)");
  home(result("1"));
  for (const auto* text : {"BEGIN", "INSERT INTO t VALUES (2)"}) {
    client(query(text));
    home(ok(kOpen));
  }
  EXPECT_TRUE(s.split->variables.list[0].unsure);
  primary_moves();
  lost(Side::server);
  forget_said();
  client(query("COMMIT"));
  new_home_logs_in();
  EXPECT_THAT(said(Side::server), testing::Contains("\3SET @a=1"));
}

TEST_P(SplitVariablesTest, TheNextPrimaryGetsThem) {
  log_in_with_reader();
  at_home("SET @a = 1");
  primary_moves();
  lost(Side::server);
  connects.clear();
  client(query("INSERT INTO t VALUES (@a)"));
  home(greeting());
  home(packet(2, ok_payload()));
  EXPECT_THAT(said(Side::server), testing::Contains("\3SET @a=1"));
}

TEST_P(SplitVariablesTest, ThoseThatATriggerMayHaveSetAreLostWithThePrimary) {
  log_in_with_reader();
  at_home("SET @a = 1");
  at_home("INSERT INTO t VALUES (1)");
  primary_moves();
  home_is_dead();
  EXPECT_THAT(last_error(), HasSubstr("it has user variables"));
}

TEST_P(SplitVariablesTest, ATransactionThatSetsThemIsNotRunAgain) {
  world.service.transaction_replay = true;
  log_in_with_reader();
  client(query("BEGIN"));
  home(ok(kOpen));
  client(query("SET @a = 1"));
  home(ok(kOpen));
  EXPECT_EQ(s.split->transaction.broken, "it has set user variables");
}

TEST_P(SplitVariablesTest, AreBounded) {
  log_in_with_reader();
  for (int i = 0; i < 64; ++i) at_home("SET @a" + std::to_string(i) + " = 1");
  EXPECT_FALSE(is_tied());
  at_home("SET @b = 1");
  EXPECT_TRUE(is_tied());
  EXPECT_TRUE(s.split->variables.list.empty());
}

TEST_P(SplitVariablesTest, AnErrorLeavesThemUnknown) {
  log_in_with_reader();
  client(query("SET @a = 1"));
  home(error(1317));
  EXPECT_TRUE(is_tied());
}

}  // namespace
}  // namespace sluice::worker
