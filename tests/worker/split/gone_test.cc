// Servers that go without a word, and those that close an idle session's connection.
#include "tests/worker/split/split_fixture.h"
#include "worker/split/split.h"

namespace sluice::worker {
namespace {

using namespace split_tests;
using mysql::Command;

class GoneTest : public SplitTest {
 protected:
  static std::string text(std::string_view sql) { return "\3" + std::string(sql); }
  void down(std::size_t server) {
    world.server(server).role = cluster::Role::none;
    world.server(server).health = cluster::Health::down;
  }
};
INSTANTIATE_TEST_SUITE_P(All, GoneTest, kManners, name_of);

TEST_P(GoneTest, AReadOnAFrozenReplicaIsReadElsewhere) {
  log_in_with_reader();
  client(query("SELECT a FROM t"));
  world.server(1).role = cluster::Role::none;  // too far behind, say: it will answer
  view();
  EXPECT_TRUE(open[2]);
  down(1);
  forget_said();
  view();
  EXPECT_FALSE(open[2]);
  EXPECT_THAT(said(Side::server), ElementsAre(text("SELECT a FROM t")));
}

TEST_P(GoneTest, AStatementOnAFrozenPrimaryIsAnsweredWhenThereIsAnother) {
  log_in_with_reader();
  client(query("UPDATE t SET a = 1"));
  down(0);
  world.server(1).role = cluster::Role::primary;
  view();
  EXPECT_THAT(last_error(), HasSubstr("whether the command took effect is not known"));
  EXPECT_EQ(s.phase, Phase::relaying);
}

TEST_P(GoneTest, ATiedSessionThatItsServerClosesIsClosedWithoutAWord) {
  log_in_with_reader();
  client(query("SELECT GET_LOCK('a', 0)"));
  home(result("1"));
  forget_said();
  lost(Side::server);
  EXPECT_EQ(s.phase, Phase::relaying);
  home(greeting(18));
  EXPECT_EQ(s.phase, Phase::closing);
  EXPECT_THAT(raw(Side::client), IsEmpty());
}

/// A server that was started anew counts its connections anew.
TEST_P(GoneTest, ASessionSurvivesThatItsPrimaryIsStartedAnew) {
  log_in_with_reader();
  lost(Side::server);
  EXPECT_THAT(connects, IsEmpty()) << "it may be used by nobody any more";
  client(query("UPDATE t SET a = 1"));
  new_home_logs_in(4);
  EXPECT_EQ(s.phase, Phase::relaying);
  EXPECT_EQ(said(Side::server).back(), text("UPDATE t SET a = 1"));
}

TEST_P(GoneTest, ASessionSurvivesThatItsPrimaryWasDown) {
  log_in_with_reader();
  lost(Side::server);
  const auto up = world.server(0);
  down(0);
  view();
  world.server(0) = up;
  view();
  client(query("UPDATE t SET a = 1"));
  new_home_logs_in(4711);  // many have come back before
  EXPECT_EQ(said(Side::server).back(), text("UPDATE t SET a = 1"));
}

TEST_P(GoneTest, ATiedSessionWhosePrimaryWasStartedAnewIsToldWhy) {
  log_in_with_reader();
  client(query("SELECT GET_LOCK('a', 0)"));
  home(result("1"));
  lost(Side::server);
  home(greeting(4));
  EXPECT_EQ(s.phase, Phase::closing);
  EXPECT_THAT(last_error(), HasSubstr("it has taken a named lock"));
}

TEST_P(GoneTest, TheSameWhereThatPrimaryWasDownMeanwhile) {
  log_in_with_reader();
  client(query("SELECT GET_LOCK('a', 0)"));
  home(result("1"));
  lost(Side::server);
  down(0);
  view();
  home(greeting(4711));
  EXPECT_EQ(s.phase, Phase::closing);
  EXPECT_THAT(last_error(), HasSubstr("it has taken a named lock"));
}

/// Both are waited for only so long, whoever comes first.
TEST_P(GoneTest, APrimaryThatNeverAnswersIsGivenUpThoughAReplicaHasLoggedInMeanwhile) {
  log_in();
  event([&](Actions& out) { split::on_said_killed(s, world.surroundings(), out); });
  lost(Side::server);
  late();  // whether it is alive is looked at
  EXPECT_THAT(connects, ElementsAre("db1"));
  client(query("SELECT a FROM t"));
  reader_logs_in();
  reader(joined({ok(), ok()}));
  reader(result("1"));
  EXPECT_EQ(raw(Side::client), result("1"));
  EXPECT_TRUE(open[1]);
  late();
  EXPECT_FALSE(open[1]);
  EXPECT_EQ(s.phase, Phase::relaying);
}

TEST_P(GoneTest, ATiedSessionThatLosesItsServerIsToldWhy) {
  log_in_with_reader();
  client(query("SELECT GET_LOCK('a', 0)"));
  home(result("1"));
  home_is_dead();
  EXPECT_EQ(s.phase, Phase::closing);
  EXPECT_THAT(last_error(), HasSubstr("it has taken a named lock"));
}

TEST_P(GoneTest, TheLastInsertIdGoesWithItsPrimaryUnlessItWasAsked) {
  log_in_with_reader();
  client(query("INSERT INTO t VALUES (1)"));
  home(ok());
  primary_moves();
  lost(Side::server);
  forget_said();
  client(query("SELECT LAST_INSERT_ID()"));
  EXPECT_THAT(last_error(), HasSubstr("the last insert id is not known any more"));
  client(query("UPDATE s SET id = LAST_INSERT_ID(id + 1)"));
  new_home_logs_in();
  home(ok());
  forget_said();
  client(query("SELECT LAST_INSERT_ID()"));
  EXPECT_THAT(said(Side::server), ElementsAre(text("SELECT LAST_INSERT_ID()")));
}

TEST_P(GoneTest, AServerThatSaysSoClosesItsIdleSessions) {
  if (GetParam().piece == 1) GTEST_SKIP() << "what is not whole is taken for the loss of it";
  log_in_with_reader();
  home(error(mysql::kIdleTooLong, 0));
  EXPECT_EQ(s.phase, Phase::closing);
  EXPECT_THAT(raw(Side::client), IsEmpty());
}

/// A write of which its primary told nothing: nobody knows whether a replica has it.
class LostWriteTest : public GoneTest {
 protected:
  void expect_read_behind_next_home() {
    EXPECT_THAT(said(Side::reader), IsEmpty());
    new_home_logs_in(4);
    EXPECT_EQ(said(Side::server).back(), text("SELECT @@global.gtid_current_pos"));
    home(result("0-1-7"));
    EXPECT_THAT(said(Side::reader).back(), HasSubstr("MASTER_GTID_WAIT('0-1-7'"));
    reader(result("0"));
    EXPECT_THAT(said(Side::reader), ElementsAre(kRead));
  }
  const std::string kRead = text("SELECT a FROM t");
};
INSTANTIATE_TEST_SUITE_P(All, LostWriteTest, kManners, name_of);

TEST_P(LostWriteTest, ACommandUnderWayIsNeverSentAgain) {
  log_in_with_reader();
  client(joined({query("INSERT INTO t VALUES (1)"), query("SELECT a FROM t")}));
  lost(Side::server);
  EXPECT_THAT(last_error(), HasSubstr("whether the command took effect is not known"));
  EXPECT_EQ(s.phase, Phase::relaying);
  expect_read_behind_next_home();
}

TEST_P(LostWriteTest, APrimaryLostWhileItIsAskedWhatWasWritten) {
  log_in_with_reader();
  client(query("INSERT INTO t VALUES (1) RETURNING a"));
  home(result("1"));
  forget_said();
  client(query("SELECT a FROM t"));
  ASSERT_THAT(said(Side::server), ElementsAre("\3SELECT @@session.last_gtid"));
  lost(Side::server);
  expect_read_behind_next_home();
}

TEST_P(LostWriteTest, APrimaryLostBeforeItIsAskedWhatWasWritten) {
  log_in_with_reader();
  client(query("INSERT INTO t VALUES (1) RETURNING a"));
  home(result("1"));
  lost(Side::server);
  client(query("SELECT a FROM t"));
  forget_said();
  expect_read_behind_next_home();
}

/// A read on a replica goes on without its home, and may have to come there all the same.
TEST_P(GoneTest, AReadThatTheReplicaRefusesComesToTheNextHome) {
  log_in_with_reader();
  client(query("SELECT b FROM t"));
  lost(Side::server);
  reader(error(1146));
  EXPECT_THAT(connects, ElementsAre("db1"));
  new_home_logs_in(4);
  EXPECT_EQ(said(Side::server).back(), text("SELECT b FROM t"));
}

TEST_P(GoneTest, SoDoesOneWhoseReplicaIsLostToo) {
  log_in_with_reader();
  client(query("SELECT b FROM t"));
  lost(Side::server);
  lost(Side::reader);
  EXPECT_THAT(connects, ElementsAre("db1"));
  new_home_logs_in(4);
  EXPECT_EQ(said(Side::server).back(), text("SELECT b FROM t"));
}

/// Home must not take the session for idle meanwhile.
TEST_P(GoneTest, WhileAReplicaReadsForLongHomeIsPinged) {
  log_in_with_reader();
  client(query("SELECT b FROM t"));
  forget_said();
  late();
  EXPECT_THAT(said(Side::server), ElementsAre("\x0e"));
  EXPECT_EQ(deadline_of(s), 0);
  home(ok());
  EXPECT_NE(deadline_of(s), 0);
  reader(result("2"));
  EXPECT_EQ(raw(Side::client), result("2"));
  EXPECT_EQ(deadline_of(s), 0);
}

TEST_P(GoneTest, TheNextHomeTakesSeveralStatementsAsTheLastOneDid) {
  log_in_with_reader();
  client(command(Command::set_option, number(0, 2)));
  home(packet(1, std::string("\xFE\0\0\2\0", 5)));
  lost(Side::server);
  forget_said();
  client(query("UPDATE t SET a = 1; UPDATE t SET a = 2"));
  home(greeting(4));
  home(packet(2, ok_payload()));
  EXPECT_THAT(said(Side::server), testing::Contains("\x1B" + number(0, 2)));
  home(packet(1, std::string("\xFE\0\0\2\0", 5)));
  home(joined({ok(), ok()}));
  EXPECT_EQ(said(Side::server).back(), text("UPDATE t SET a = 1; UPDATE t SET a = 2"));
}

}  // namespace
}  // namespace sluice::worker
