// Transactions that are run again with the next primary (setting transaction_replay).
#include "tests/worker/split/replay_fixture.h"

namespace sluice::worker::split_tests {
namespace {

using mysql::Command;

INSTANTIATE_TEST_SUITE_P(, ReplayTest, kManners, name_of);

TEST_P(ReplayTest, RunsAgainBeforeTheNextCommand) {
  open_and_lose();
  EXPECT_THAT(connects, IsEmpty());  // nothing is locked anywhere until it is needed
  client(query("COMMIT"));
  new_home_logs_in();
  EXPECT_EQ(said(Side::server).back(), kBegin);
  home(ok(kOpen));
  EXPECT_THAT(said(Side::server), ElementsAre(kUpdate));
  EXPECT_THAT(raw(Side::client), IsEmpty());
  home(ok(kOpen));
  EXPECT_THAT(said(Side::server), ElementsAre(kCommit));
  home(ok());
  EXPECT_EQ(raw(Side::client), ok());
  EXPECT_TRUE(s.split->transaction.commands.empty());
}

TEST_P(ReplayTest, ReadsBelongToTheTransactionThatIsRunAgain) {
  log_in_with_reader();
  answered(query("BEGIN"), ok(kOpen));
  answered(query("UPDATE t SET a = 1"), ok(kOpen));
  primary_moves();
  lost(Side::server);
  forget_said();
  client(query("SELECT a FROM t"));
  EXPECT_THAT(said(Side::reader), IsEmpty());
  new_home_logs_in();
  EXPECT_EQ(said(Side::server).back(), kBegin);
}

TEST_P(ReplayTest, WhatWasUnderWayIsSentAgain) {
  log_in();
  answered(query("BEGIN"), ok(kOpen));
  client(joined({query("UPDATE t SET a = 1"), query("COMMIT")}));
  lose();
  new_home_logs_in();
  home(ok(kOpen));
  EXPECT_EQ(said(Side::server).back(), kUpdate);
  home(ok(kOpen));
  EXPECT_EQ(raw(Side::client), ok(kOpen));
  EXPECT_THAT(said(Side::server), ElementsAre(kCommit));
}

TEST_P(ReplayTest, ResultsAreCompared) {
  log_in();
  answered(query("BEGIN"), ok(kOpen));
  answered(query("SELECT a FROM t FOR UPDATE"), result("1", kOpen));
  lose();
  client(query("COMMIT"));
  new_home_logs_in();
  home(ok(kOpen));
  home(result("1", kOpen));
  EXPECT_EQ(said(Side::server).back(), kCommit);
}

TEST_P(ReplayTest, WarningsAreThereAgain) {
  const auto warned = packet(1, std::string("\0\0\0", 3) + number(kOpen, 2) + number(1, 2));
  log_in();
  answered(query("BEGIN"), ok(kOpen));
  answered(query("UPDATE t SET a = 'x'"), warned);
  lose();
  client(query("SHOW WARNINGS"));
  new_home_logs_in();
  home(ok(kOpen));
  forget_said();
  home(warned);
  EXPECT_THAT(said(Side::server), ElementsAre("\3SHOW WARNINGS"));
}

TEST_P(ReplayTest, WhatIsTooLongStaysSo) {
  world.service.transaction_replay_max_size = 50;
  log_in();
  answered(query("BEGIN"), ok(kOpen));
  for (int i = 0; i < 4; ++i) answered(query("UPDATE t SET a = 1"), ok(kOpen));
  primary_moves();
  home_is_dead();
  EXPECT_THAT(how_it_ended(), HasSubstr("longer than transaction_replay_max_size"));
}

TEST_P(ReplayTest, AnotherResultEndsTheSession) {
  log_in();
  answered(query("BEGIN"), ok(kOpen));
  answered(query("SELECT a FROM t FOR UPDATE"), result("1", kOpen));
  lose();
  client(query("COMMIT"));
  new_home_logs_in();
  home(ok(kOpen));
  forget_said();
  home(result("2", kOpen));
  EXPECT_THAT(said(Side::server), IsEmpty());
  EXPECT_THAT(how_it_ended(),
              HasSubstr("was lost with its primary, and can't be run again on db2: the next "
                        "primary gave another answer"));
}

TEST_P(ReplayTest, ACommitUnderWayIsNeverSentAgain) {
  log_in();
  answered(query("BEGIN"), ok(kOpen));
  answered(query("UPDATE t SET a = 1"), ok(kOpen));
  client(query("COMMIT"));
  lost(Side::server);
  EXPECT_THAT(how_it_ended(), HasSubstr("a command may have ended its transaction"));
}

TEST_P(ReplayTest, WhatMayHaveEndedItIsNeverSentAgain) {
  for (const char* text : {"CALL p()", "CREATE TABLE u (a INT)", "BEGIN", "ROLLBACK AND CHAIN",
                           "SET autocommit = 1", "EXECUTE p", "UPDATE t SET a = 1; COMMIT"}) {
    s = {.id = 1, .service = "shop", .client_ip = "127.0.0.1"};
    open = {true, false, false};
    forget_said();
    log_in(mysql::kMultiStatements);
    answered(query("BEGIN"), ok(kOpen));
    client(query(text));
    lost(Side::server);
    EXPECT_EQ(s.phase, Phase::closing) << text;
  }
}

TEST_P(ReplayTest, AfterACallItIsNotRunAgain) {
  log_in();
  answered(query("BEGIN"), ok(kOpen));
  answered(query("CALL p()"), ok(kOpen));
  home_is_dead();
  EXPECT_THAT(how_it_ended(), HasSubstr("it has run what may have ended it"));
}

TEST_P(ReplayTest, AfterADeadlockItIsNotRunAgain) {
  log_in();
  answered(query("BEGIN"), ok(kOpen));
  answered(query("UPDATE t SET a = 1"), error(1213));
  home_is_dead();
  EXPECT_THAT(how_it_ended(), HasSubstr("the server may have rolled it back"));
}

TEST_P(ReplayTest, ANewOneForgetsTheOneBefore) {
  log_in();
  answered(query("BEGIN"), ok(kOpen));
  answered(query("UPDATE t SET a = 1"), ok(kOpen));
  answered(query("BEGIN"), ok(kOpen));  // which has committed the other
  lose();
  client(query("COMMIT"));
  new_home_logs_in();
  EXPECT_EQ(said(Side::server).back(), kBegin);
  home(ok(kOpen));
  EXPECT_THAT(said(Side::server), ElementsAre(kCommit));
}

TEST_P(ReplayTest, SettingsThatChangedWithinItEndTheSession) {
  log_in();
  answered(query("BEGIN"), ok(kOpen));
  answered(query("SET sql_mode = ''"), ok(kOpen, variable("sql_mode", "")));
  home_is_dead();
  EXPECT_THAT(how_it_ended(), HasSubstr("it has changed the session's settings"));
}

TEST_P(ReplayTest, ItIsBounded) {
  world.service.transaction_replay_max_size = 64;
  log_in();
  answered(query("BEGIN"), ok(kOpen));
  answered(query("UPDATE t SET a = 'a text that is longer than what may be kept of it'"),
           ok(kOpen));
  EXPECT_EQ(s.split->transaction.bytes, query("BEGIN").size());
  home_is_dead();
  EXPECT_THAT(how_it_ended(), HasSubstr("longer than transaction_replay_max_size"));
}

TEST_P(ReplayTest, WithoutAutocommitItBeginsByItself) {
  constexpr uint16_t kOff = 0, kOffOpen = mysql::kInTransaction;
  log_in();
  answered(query("SET autocommit = 0"), ok(kOff));
  answered(query("UPDATE t SET a = 1"), ok(kOffOpen));
  lose();
  client(query("COMMIT"));
  home(greeting());
  home(packet(2, ok_payload()));
  EXPECT_THAT(said(Side::server), testing::Contains("\3SET @@session.autocommit=0"));
  home(joined({ok(), ok(kOff), ok(kOff)}));
  EXPECT_THAT(said(Side::server), ElementsAre(kUpdate));
  home(ok(kOffOpen));
  EXPECT_THAT(said(Side::server), ElementsAre(kCommit));
}

TEST_P(ReplayTest, StatementsArePreparedAnewAndHaveTheirTypes) {
  log_in();
  answered(command(Command::stmt_prepare, "UPDATE t SET a = ?"), prepared(5, 1));
  answered(query("BEGIN"), ok(kOpen));
  answered(execute(5, with_type('a')), ok(kOpen));
  answered(execute(5, without_type('b')), ok(kOpen));
  lose();
  client(query("COMMIT"));
  new_home_logs_in();
  home(ok(kOpen));
  EXPECT_EQ(said(Side::server).back(), "\x16UPDATE t SET a = ?");
  home(prepared(1, 1));
  EXPECT_EQ(raw(Side::server), execute(1, with_type('a')));
  home(ok(kOpen));
  EXPECT_EQ(raw(Side::server), execute(1, with_type('b')));
  home(ok(kOpen));
  EXPECT_THAT(said(Side::server), ElementsAre(kCommit));
}

/// Sent again it would be one more statement, and its answer another id.
TEST_P(ReplayTest, WhatIsPreparedWithinItIsNoPartOfIt) {
  log_in();
  answered(query("BEGIN"), ok(kOpen));
  answered(command(Command::stmt_prepare, "UPDATE t SET a = ?"), prepared(5, 1));
  answered(execute(5, with_type('a')), ok(kOpen));
  lose();
  client(query("COMMIT"));
  new_home_logs_in();
  home(ok(kOpen));
  EXPECT_EQ(said(Side::server).back(), "\x16UPDATE t SET a = ?");
  home(prepared(1, 1));
  EXPECT_EQ(raw(Side::server), execute(1, with_type('a')));
  home(ok(kOpen));
  EXPECT_THAT(said(Side::server), ElementsAre(kCommit));
}

/// Its beginning was not kept.
TEST_P(ReplayTest, WhatWasOpenBeforeTheSettingIsNotRunAgain) {
  world.service.transaction_replay = false;
  log_in();
  answered(query("BEGIN"), ok(kOpen));
  answered(query("UPDATE t SET a = 1"), ok(kOpen));
  world.service.transaction_replay = true;
  answered(query("UPDATE t SET a = 2"), ok(kOpen));
  EXPECT_TRUE(s.split->transaction.commands.empty());
  home_is_dead();
  EXPECT_THAT(how_it_ended(), HasSubstr("it was begun by something else than BEGIN"));
}

TEST_P(ReplayTest, TheNextOneAfterSuchIsRunAgain) {
  log_in();
  answered(query("BEGIN"), ok(kOpen));
  answered(query("UPDATE t SET a = 2"), error(1205));
  answered(query("BEGIN"), ok(kOpen));  // commits what was open
  answered(query("UPDATE t SET a = 1"), ok(kOpen));
  lose();
  client(query("COMMIT"));
  new_home_logs_in();
  home(ok(kOpen));
  EXPECT_EQ(said(Side::server).back(), kUpdate);
}

TEST_P(ReplayTest, APreparedStatementMayBeginIt) {
  log_in();
  answered(command(Command::stmt_prepare, "BEGIN"), prepared(5));
  answered(execute(5), ok(kOpen));
  answered(query("UPDATE t SET a = 1"), ok(kOpen));
  lose();
  client(query("COMMIT"));
  new_home_logs_in();
  EXPECT_EQ(said(Side::server).back(),
            "\x16"
            "BEGIN");
  home(prepared(1));
  EXPECT_EQ(raw(Side::server), execute(1));
  home(ok(kOpen));
  EXPECT_THAT(said(Side::server), ElementsAre(kUpdate));
  home(ok(kOpen));
  EXPECT_THAT(said(Side::server), ElementsAre(kCommit));
}

TEST_P(ReplayTest, AStatementThatCannotBePreparedEndsTheSession) {
  log_in();
  answered(command(Command::stmt_prepare, "UPDATE t SET a = 1"), prepared(5));
  answered(query("BEGIN"), ok(kOpen));
  answered(execute(5), ok(kOpen));
  lose();
  client(query("COMMIT"));
  new_home_logs_in();
  home(ok(kOpen));
  home(error(1146));
  EXPECT_THAT(how_it_ended(), HasSubstr("can't prepare a statement of it"));
}

TEST_P(ReplayTest, ThePrimaryMayBeLostAgainMeanwhile) {
  open_and_lose();
  client(query("COMMIT"));
  new_home_logs_in();
  home(ok(kOpen));
  lost(Side::server);
  ASSERT_EQ(s.phase, Phase::relaying);
  world.server(0).role = cluster::Role::primary;
  world.server(1).role = cluster::Role::none;
  forget_said();
  view();
  home(greeting());
  home(packet(2, ok_payload()));
  home(joined({ok(), ok()}));
  EXPECT_EQ(said(Side::server).back(), kBegin);
  home(ok(kOpen));
  home(ok(kOpen));
  EXPECT_THAT(said(Side::server), ElementsAre(kUpdate, kCommit));
}

TEST_P(ReplayTest, WaitsOnlySoLong) {
  open_and_lose();
  world.server(1).role = cluster::Role::none;
  client(query("COMMIT"));
  const auto until = world.now_ns + 30 * kSecondNs;
  for (int i = 0; i < 1000 && s.phase == Phase::relaying; ++i) late();
  EXPECT_EQ(world.now_ns, until);
  EXPECT_THAT(how_it_ended(), HasSubstr("transaction_replay_timeout"));
}

TEST_P(ReplayTest, AnAnswerThatHasBegunEndsTheSession) {
  log_in();
  answered(query("BEGIN"), ok(kOpen));
  client(query("SELECT a FROM t"));
  home(packet(1, "\1"));
  lost(Side::server);
  EXPECT_EQ(s.phase, Phase::closing);
}

TEST_P(ReplayTest, ASwitchoverTakesItAlong) {
  log_in();
  answered(query("BEGIN"), ok(kOpen));
  answered(query("UPDATE t SET a = 1"), ok(kOpen));
  world.server(0).role = cluster::Role::replica;
  world.server(1).role = cluster::Role::primary;
  view();
  ASSERT_EQ(s.phase, Phase::relaying);
  EXPECT_FALSE(open[static_cast<std::size_t>(Side::server)]);
  forget_said();
  client(query("COMMIT"));
  new_home_logs_in();
  home(ok(kOpen));
  home(ok(kOpen));
  EXPECT_EQ(said(Side::server).back(), kCommit);
}

TEST_P(ReplayTest, WithoutTheSettingItEndsWithItsPrimary) {
  world.service.transaction_replay = false;
  log_in();
  answered(query("BEGIN"), ok(kOpen));
  EXPECT_TRUE(s.split->transaction.commands.empty());
  home_is_dead();
  EXPECT_THAT(how_it_ended(), HasSubstr("it is in a transaction"));
}

}  // namespace
}  // namespace sluice::worker::split_tests
