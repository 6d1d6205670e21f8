// Statements that ask about the ones before them.
#include "tests/worker/split/split_fixture.h"

namespace sluice::worker {
namespace {

using namespace split_tests;
using mysql::Command;
using testing::SizeIs;

class AskingTest : public SplitTest {
 protected:
  static std::string text(std::string_view sql) { return "\3" + std::string(sql); }
  void read(std::string_view sql) {
    client(query(sql));
    reader(result("1"));
    forget_said();
  }
};
INSTANTIATE_TEST_SUITE_P(All, AskingTest, kManners, name_of);

TEST_P(AskingTest, TheReplicaThatReadIsAsked) {
  log_in_with_reader();
  read("SELECT a FROM t");
  client(query("SELECT FOUND_ROWS()"));
  EXPECT_THAT(said(Side::reader), ElementsAre(text("SELECT FOUND_ROWS()")));
  reader(result("1"));
  EXPECT_EQ(raw(Side::client), result("1"));
  EXPECT_THAT(said(Side::server), IsEmpty());
}

TEST_P(AskingTest, HomeReadsAgainWhatItIsAskedAbout) {
  log_in_with_reader();
  read("SELECT a FROM t");
  client(query("SET @n = FOUND_ROWS()"));
  EXPECT_THAT(said(Side::server), ElementsAre(text("SELECT a FROM t")));
  home(result("7"));
  EXPECT_THAT(said(Side::client), IsEmpty());
  EXPECT_THAT(said(Side::server), ElementsAre(text("SET @n = FOUND_ROWS()")));
  home(ok());
  EXPECT_EQ(raw(Side::client), ok());
  client(query("SELECT FOUND_ROWS()"));  // by now home is the one to be asked
  EXPECT_THAT(said(Side::server), ElementsAre(text("SELECT FOUND_ROWS()")));
}

TEST_P(AskingTest, WhatWasNotLookedIntoHasRowsToo) {
  for (const bool bulk : {true, false}) {
    s = SessionState{.id = 1, .service = "shop", .client_ip = "127.0.0.1"};
    open = {true, false, false};
    log_in_with_reader();
    client(command(Command::stmt_prepare, "INSERT INTO t VALUES (?)"));
    home(prepared(5, 1));
    read("SELECT a FROM t");
    if (bulk)
      client(command(Command::stmt_bulk_execute, number(5, 4) + number(0, 2) + "1"));
    else if (GetParam().piece != 1)
      client(query("INSERT INTO t VALUES ('" + std::string(200 * 1024, 'a') + "')"));
    else
      continue;
    home(ok());
    forget_said();
    client(query("SELECT ROW_COUNT()"));
    EXPECT_THAT(said(Side::server), ElementsAre(text("SELECT ROW_COUNT()"))) << bulk;
  }
}

TEST_P(AskingTest, WithinATransactionHomeReadsAgain) {
  log_in_with_reader();
  read("SELECT a FROM t");
  client(query("BEGIN"));
  home(ok(kOpen));
  forget_said();
  client(query("SELECT FOUND_ROWS()"));
  EXPECT_THAT(said(Side::server), ElementsAre(text("SELECT a FROM t")));
}

TEST_P(AskingTest, ALostReplicaIsNotMissed) {
  log_in_with_reader();
  read("SELECT a FROM t");
  lost(Side::reader);
  client(query("SELECT FOUND_ROWS()"));
  EXPECT_THAT(said(Side::server), ElementsAre(text("SELECT a FROM t")));
  home(result("7"));
  EXPECT_THAT(said(Side::server), ElementsAre(text("SELECT FOUND_ROWS()")));
}

TEST_P(AskingTest, WhatALostPrimaryKnewIsSaidToBeGone) {
  log_in_with_reader();
  read("SELECT a FROM t");
  client(query("INSERT INTO t VALUES (FOUND_ROWS())"));
  home(result("7"));
  home(ok());
  primary_moves();
  lost(Side::server);
  forget_said();
  client(query("SELECT FOUND_ROWS()"));
  EXPECT_THAT(last_error(), HasSubstr("not known any more"));
}

TEST_P(AskingTest, WarningsOfALostPrimaryAreSaidToBeGone) {
  log_in_with_reader();
  client(query("DROP TABLE nosuch"));
  home(error(1051));
  primary_moves();
  lost(Side::server);
  forget_said();
  client(query("SHOW WARNINGS"));
  EXPECT_THAT(last_error(), HasSubstr("what the statement before warned of is not known any more"));
}

TEST_P(AskingTest, AnExecutionIsReadAgainByHomesOwnStatement) {
  log_in_with_reader();
  client(command(Command::stmt_prepare, "SELECT a FROM t"));
  home(prepared(5));
  client(execute(5));
  reader(prepared(77));
  reader(result("1"));
  forget_said();
  client(query("SELECT FOUND_ROWS() INTO @n"));
  EXPECT_EQ(raw(Side::server), execute(5));
  home(result("7"));
  EXPECT_THAT(said(Side::server), ElementsAre(text("SELECT FOUND_ROWS() INTO @n")));
}

TEST_P(AskingTest, WhatCantBeReadAgainIsSaid) {
  if (GetParam().piece == 1) GTEST_SKIP() << "its packets are long";
  log_in_with_reader();
  client(command(Command::stmt_prepare, "SELECT a FROM t"));
  home(prepared(5));
  client(execute(5));
  reader(prepared(77));
  reader(result("1"));
  client(command(Command::stmt_close, number(5, 4)));
  forget_said();
  client(query("SET @n = FOUND_ROWS()"));
  EXPECT_THAT(last_error(), HasSubstr("how many rows the statement before had"));
  read("SELECT a FROM t -- " + std::string(20'000, 'x'));
  client(query("GET DIAGNOSTICS @n = NUMBER"));
  EXPECT_THAT(last_error(), HasSubstr("what the statement before warned of"));
  EXPECT_THAT(said(Side::server), IsEmpty());
  client(query("SELECT FOUND_ROWS()"));
  EXPECT_THAT(said(Side::reader), SizeIs(1));
}

TEST_P(AskingTest, QuestionsArePreparedBeforeWhatTheyAskAbout) {
  log_in_with_reader();
  client(command(Command::stmt_prepare, "SELECT FOUND_ROWS()"));
  home(prepared(5));
  client(query("SELECT 1/a FROM t"));
  EXPECT_THAT(said(Side::reader), ElementsAre("\x16SELECT FOUND_ROWS()"));
  reader(prepared(77));
  EXPECT_THAT(said(Side::reader), ElementsAre(text("SELECT 1/a FROM t")));
  reader(result("1"));
  forget_said();
  client(execute(5));
  EXPECT_EQ(raw(Side::reader), execute(77));
  EXPECT_THAT(said(Side::server), IsEmpty());
}

TEST_P(AskingTest, AReplicaIsAskedWithTheSettingsOfToday) {
  log_in_with_reader();
  read("SELECT a FROM t");
  client(query("SET sql_mode = 'ANSI_QUOTES'"));
  home(ok(kPlain, variable("sql_mode", "ANSI_QUOTES")));
  forget_said();
  client(query("SELECT FOUND_ROWS()"));
  EXPECT_THAT(said(Side::reader), ElementsAre(HasSubstr("sql_mode"), text("SELECT FOUND_ROWS()")));
}

}  // namespace
}  // namespace sluice::worker
