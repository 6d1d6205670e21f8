// Transactions that are never run again with another primary, though nothing in a single command
// says so, and commands that would be others there.
#include "tests/worker/split/replay_fixture.h"

namespace sluice::worker::split_tests {
namespace {

using mysql::Command;

constexpr uint16_t kOff = 0, kOffOpen = mysql::kInTransaction;

class ReplayDoubtTest : public ReplayTest {
 protected:
  /// The loss of its primary ends the session.
  void expect_never_again() {
    forget_said();
    home_is_dead();
    EXPECT_EQ(s.phase, Phase::closing);
  }
  void lose_again() {
    lost(Side::server);
    std::swap(world.server(0).role, world.server(1).role);
    forget_said();
    view();
  }
};
INSTANTIATE_TEST_SUITE_P(All, ReplayDoubtTest, kManners, name_of);

Bytes ok_with_id(char id, uint16_t status) {
  return packet(1, std::string("\0\1", 2) + id + number(status, 2) + number(0, 2));
}

/// Its id may be another statement's at the next primary.
TEST_P(ReplayDoubtTest, AStatementThatIsClosedIsPreparedOnceMore) {
  log_in();
  answered(command(Command::stmt_prepare, "UPDATE t SET a = 1"), prepared(1));
  answered(command(Command::stmt_prepare, "UPDATE t SET b = 2"), prepared(2));
  answered(query("BEGIN"), ok(kOpen));
  answered(execute(2), ok(kOpen));
  answered(execute(1), ok(kOpen));
  client(command(Command::stmt_close, number(1, 4)));
  lose();
  client(query("COMMIT"));
  new_home_logs_in();
  home(ok(kOpen));
  EXPECT_EQ(said(Side::server).back(), "\x16UPDATE t SET b = 2");
  home(prepared(1));
  EXPECT_EQ(raw(Side::server), execute(1));
  home(ok(kOpen));
  EXPECT_THAT(said(Side::server), ElementsAre("\x16UPDATE t SET a = 1"));
  home(prepared(2));
  EXPECT_EQ(raw(Side::server), execute(2));
  home(ok(kOpen));
  EXPECT_THAT(said(Side::server), ElementsAre("\x19" + number(2, 4), kCommit));
  home(ok());
  EXPECT_TRUE(s.split->transaction.closed.empty());
}

TEST_P(ReplayDoubtTest, SoIsOneThatIsClosedWhenItsPrimaryIsLost) {
  log_in();
  answered(command(Command::stmt_prepare, "UPDATE t SET a = 1"), prepared(1));
  answered(query("BEGIN"), ok(kOpen));
  answered(execute(1), ok(kOpen));
  lose();
  client(command(Command::stmt_close, number(1, 4)));
  client(query("COMMIT"));
  new_home_logs_in();
  home(ok(kOpen));
  EXPECT_EQ(said(Side::server).back(), "\x16UPDATE t SET a = 1");
}

TEST_P(ReplayDoubtTest, ItsIdIsNotGivenAwayBefore) {
  log_in();
  answered(command(Command::stmt_prepare, "UPDATE t SET a = 1"), prepared(1));
  answered(command(Command::stmt_prepare, "UPDATE t SET b = 2"), prepared(2));
  lose();
  client(query("BEGIN"));
  new_home_logs_in();  // its ids begin with 1
  home(ok(kOpen));
  client(execute(2));
  home(prepared(1));
  home(ok(kOpen));
  client(command(Command::stmt_close, number(2, 4)));
  answered(command(Command::stmt_prepare, "DELETE FROM u"), prepared(2));
  EXPECT_EQ(s.split->last_prepared, 3u);
  lose_again();
  client(query("COMMIT"));
  new_home_logs_in();
  home(ok(kOpen));
  EXPECT_EQ(said(Side::server).back(), "\x16UPDATE t SET b = 2");
}

TEST_P(ReplayDoubtTest, WhatIsClosedIsBoundedToo) {
  world.service.transaction_replay_max_size = 100;
  log_in();
  answered(command(Command::stmt_prepare, "UPDATE t SET a = '" + std::string(100, 'x') + "'"),
           prepared(1));
  answered(query("BEGIN"), ok(kOpen));
  answered(execute(1), ok(kOpen));
  client(command(Command::stmt_close, number(1, 4)));
  EXPECT_TRUE(s.split->transaction.closed.empty());
  expect_never_again();
}

TEST_P(ReplayDoubtTest, SoIsWhatIsClosedBeforeItIsRunAgain) {
  world.service.transaction_replay_max_size = 100;
  log_in();
  answered(command(Command::stmt_prepare, "UPDATE t SET a = '" + std::string(100, 'x') + "'"),
           prepared(1));
  answered(query("BEGIN"), ok(kOpen));
  answered(execute(1), ok(kOpen));
  lose();
  client(command(Command::stmt_close, number(1, 4)));
  client(query("COMMIT"));
  new_home_logs_in();
  EXPECT_THAT(how_it_ended(), HasSubstr("it is longer than transaction_replay_max_size"));
}

TEST_P(ReplayDoubtTest, AStatementThatNobodyKnowsIsNotAnotherOne) {
  log_in();
  answered(command(Command::stmt_prepare, "UPDATE t SET a = 1"), prepared(5));
  lose();
  client(execute(5));
  new_home_logs_in();
  home(prepared(1));
  home(ok());
  forget_said();
  client(execute(1));
  EXPECT_THAT(raw(Side::server), testing::Not(execute(1)));
}

TEST_P(ReplayDoubtTest, TheLastInsertIdOfBeforeIsNotWrittenAgain) {
  log_in();
  answered(query("INSERT INTO a VALUES ()"), ok_with_id(7, kPlain));
  answered(query("BEGIN"), ok(kOpen));
  answered(query("INSERT INTO b VALUES (LAST_INSERT_ID())"), ok(kOpen));
  expect_never_again();
}

TEST_P(ReplayDoubtTest, NorByAPreparedStatement) {
  log_in();
  answered(command(Command::stmt_prepare, "INSERT INTO b VALUES (LAST_INSERT_ID())"), prepared(5));
  answered(query("INSERT INTO a VALUES ()"), ok_with_id(7, kPlain));
  answered(query("BEGIN"), ok(kOpen));
  answered(execute(5), ok(kOpen));
  expect_never_again();
}

TEST_P(ReplayDoubtTest, ThatOfTheTransactionIs) {
  log_in();
  answered(query("UPDATE t SET a = 1"), ok());
  answered(query("BEGIN"), ok(kOpen));
  answered(query("INSERT INTO a VALUES ()"), ok_with_id(7, kOpen));
  answered(query("INSERT INTO b VALUES (LAST_INSERT_ID())"), ok(kOpen));
  lose();
  client(query("SELECT LAST_INSERT_ID()"));
  EXPECT_EQ(last_error(), "nothing");
  new_home_logs_in();
  home(ok(kOpen));
  home(ok_with_id(7, kOpen));
  home(ok(kOpen));
  EXPECT_EQ(said(Side::server).back(), "\3SELECT LAST_INSERT_ID()");
}

TEST_P(ReplayDoubtTest, NeitherAreFoundRows) {
  log_in();
  answered(query("SELECT SQL_CALC_FOUND_ROWS a FROM t LIMIT 1"), result("1"));
  answered(query("BEGIN"), ok(kOpen));
  answered(query("INSERT INTO u VALUES (FOUND_ROWS())"), ok(kOpen));
  expect_never_again();
}

TEST_P(ReplayDoubtTest, NorThoseOfAReadOnAReplica) {
  log_in_with_reader();
  answered(query("SET autocommit = 0"), ok(kOff));
  client(query("INSERT INTO u VALUES (FOUND_ROWS())"));
  home(result("1", kOffOpen));  // it is read again
  home(ok(kOffOpen));
  expect_never_again();
}

TEST_P(ReplayDoubtTest, NorWhatWasDrawnFromASequence) {
  log_in();
  answered(query("SELECT NEXTVAL(q)"), result("7"));
  answered(query("BEGIN"), ok(kOpen));
  answered(query("INSERT INTO u VALUES (LASTVAL(q))"), ok(kOpen));
  expect_never_again();
}

TEST_P(ReplayDoubtTest, WhatSetTransactionSaidIsNotKept) {
  log_in();
  answered(query("SET autocommit = 0"), ok(kOff));
  answered(query("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE"), ok(kOff));
  answered(query("UPDATE t SET a = 1"), ok(kOffOpen));
  expect_never_again();
}

TEST_P(ReplayDoubtTest, NorIfItWasPrepared) {
  log_in();
  answered(command(Command::stmt_prepare, "SET TRANSACTION READ ONLY"), prepared(5));
  answered(execute(5), ok());
  EXPECT_TRUE(s.split->kept.next_at_home);
  answered(query("BEGIN"), ok(kOpen));
  answered(query("UPDATE t SET a = 1"), ok(kOpen));
  expect_never_again();
}

/// The rows that came before may have stayed.
TEST_P(ReplayDoubtTest, ABulkExecutionThatFailedMayHaveBegunIt) {
  log_in();
  answered(query("SET autocommit = 0"), ok(kOff));
  answered(command(Command::stmt_prepare, "UPDATE t SET a = ?"), prepared(5, 1));
  answered(command(Command::stmt_bulk_execute, number(5, 4) + number(0, 2) + "xx"), error(1062));
  answered(query("UPDATE t SET a = 1"), ok(kOffOpen));
  expect_never_again();
}

TEST_P(ReplayDoubtTest, ACallThatFailedMayHaveToo) {
  log_in();
  answered(query("SET autocommit = 0"), ok(kOff));
  answered(query("CALL p()"), error(1644));
  expect_never_again();
}

TEST_P(ReplayDoubtTest, APrepareThatFailedHasBegunNothing) {
  log_in();
  answered(query("SET autocommit = 0"), ok(kOff));
  answered(command(Command::stmt_prepare, "UPDATE nix SET a = ?"), error(1146));
  answered(query("UPDATE t SET a = 1"), ok(kOffOpen));
  EXPECT_EQ(s.split->transaction.commands.size(), 1u);
}

TEST_P(ReplayDoubtTest, SeveralStatementsAreNoBegin) {
  for (const std::string last : {"BEGIN", "TRUNCATE u"}) {
    s = {.id = 1, .service = "shop", .client_ip = "127.0.0.1"};
    open = {true, false, false};
    log_in(mysql::kMultiStatements);
    client(query("BEGIN; INSERT INTO t VALUES (1); " + last));
    home_is_dead();
    client(query("DO 1"));
    EXPECT_THAT(said(Side::server), testing::Not(testing::Contains(HasSubstr("DO"))));
  }
}

/// Nothing would warn of it then.
TEST_P(ReplayDoubtTest, APrepareThatFailedEndsIt) {
  log_in();
  answered(query("BEGIN"), ok(kOpen));
  answered(query("UPDATE t SET a = 1"), ok(kOpen));
  answered(command(Command::stmt_prepare, "UPDATE nix SET a = ?"), error(1146));
  expect_never_again();
}

/// It has committed what was open, or not.
TEST_P(ReplayDoubtTest, ABeginThatFailedEndsIt) {
  log_in();
  answered(query("BEGIN"), ok(kOpen));
  answered(query("UPDATE t SET a = 1"), ok(kOpen));
  answered(query("START TRANSACTION READ WRITE"), error(1290));
  answered(query("UPDATE t SET a = 2"), ok(kOpen));
  expect_never_again();
}

TEST_P(ReplayDoubtTest, NothingRunsWhereNoTransactionIsOpen) {
  open_and_lose();
  client(query("COMMIT"));
  new_home_logs_in();
  home(ok());
  EXPECT_THAT(how_it_ended(), HasSubstr("another answer"));
  EXPECT_THAT(said(Side::server), testing::Not(testing::Contains(kUpdate)));
}

TEST_P(ReplayDoubtTest, SetStatementIsNotOfTheSession) {
  log_in();
  answered(query("BEGIN"), ok(kOpen));
  answered(query("SET STATEMENT sql_mode='ANSI_QUOTES' FOR UPDATE t SET a = 1"),
           ok(kOpen, variable("sql_mode", "ANSI_QUOTES")));
  const auto version = s.split->settings.version;
  lose();
  client(query("COMMIT"));
  new_home_logs_in();
  home(ok(kOpen));
  home(ok(kOpen, variable("sql_mode", "ANSI_QUOTES")));
  EXPECT_EQ(said(Side::server).back(), kCommit);
  EXPECT_EQ(s.split->settings.version, version);
  EXPECT_FALSE(s.split->settings.mode.ansi_quotes);
}

TEST_P(ReplayDoubtTest, TheNextPrimaryIsNotSetUpByIt) {
  log_in();
  answered(query("BEGIN"), ok(kOpen));
  answered(query("SET GLOBAL read_only = 1"), ok(kOpen));
  expect_never_again();
}

/// It would run without the lock.
TEST_P(ReplayDoubtTest, ALockThatItHasLetGoIsMissed) {
  log_in();
  answered(query("SELECT GET_LOCK('x', 1)"), result("1"));
  answered(query("BEGIN"), ok(kOpen));
  answered(query("UPDATE t SET a = 1"), ok(kOpen));
  answered(query("DO RELEASE_LOCK('x')"), ok(kOpen));
  expect_never_again();
}

}  // namespace
}  // namespace sluice::worker::split_tests
