// What may be asked about statements whose connection was lent since: warnings, errors, rows.
#include "tests/worker/split/lending_fixture.h"

namespace sluice::worker {
namespace {

using namespace split_tests;
using mysql::Command;
using split::may_lend;
using split::why_kept_by;
using stats::Pin;
using testing::Optional;

class LendingWarningsTest : public LendingTest {
 protected:
  static Bytes rows(std::size_t count) {
    auto out = joined({packet(1, "\1"), packet(2, "\3def and more")});
    for (std::size_t i = 0; i < count; ++i)
      out = joined({out, packet(static_cast<uint8_t>(3 + i), sized(std::string(100, 'w')))});
    return joined({out, packet(static_cast<uint8_t>(3 + count),
                               "\xFE" + std::string(2, '\0') + number(kPlain, 2) + number(0, 2))});
  }
  static Bytes warned() {
    return joined({packet(1, "\1"), packet(2, "\3def and more"), packet(3, sized("1")),
                   packet(4, "\xFE" + std::string(2, '\0') + number(kPlain, 2) + number(1, 2))});
  }
  /// A statement has failed, and home tells that before the connection may go.
  void fail_and_tell(const Bytes& answer = result("nosuch")) {
    client(query("DROP TABLE nosuch"));
    home(error(1051));
    forget_said();
    EXPECT_FALSE(why_kept_by(s, Side::server));
    EXPECT_FALSE(may_lend(s, Side::server));
    event([&](Actions& out) { split::prepare_to_lend(s, out); });
    EXPECT_TRUE(split::is_preparing_to_lend(s));
    EXPECT_THAT(said(Side::server), ElementsAre("\3SHOW WARNINGS", "\3SELECT LAST_INSERT_ID()",
                                                "\3SELECT @@session.last_gtid"));
    home(answer);
    home(result("0"));
    home(result("0-1-7"));
    EXPECT_THAT(raw(Side::client), IsEmpty());
    EXPECT_FALSE(split::is_preparing_to_lend(s));
  }
  void fail_and_lend(uint64_t extra = 0) {
    log_in_pooled(extra);
    fail_and_tell();
    lend(Side::server);
  }
  /// The next command gets another session's connection, as it has to be.
  void borrowed() {
    lent(Side::server, other_leg());
    home(ok());
    home(result(account(s, Side::server, "app@% ")));
    home(joined({ok(), ok()}));
    forget_said();
  }
  void expect_told() {
    forget_said();
    client(query("SHOW WARNINGS"));
    EXPECT_EQ(raw(Side::client), result("nosuch"));
    EXPECT_THAT(said(Side::server), IsEmpty());
  }
  void expect_refused(std::string_view text) {
    forget_said();
    client(query(text));
    EXPECT_THAT(last_error(), HasSubstr("what the statement before warned of is not known"))
        << text;
    EXPECT_THAT(said(Side::server), IsEmpty());
  }
  void read_by(std::string_view text, const Bytes& answered) {
    if (s.split->reader_link.step == split::Step::none) {
      client(query(text));
      lent(Side::reader, other_leg("db2"));
      reader(ok());
      reader(result(account(s, Side::reader, "app@% ")));
      reader(ok());
      for (auto owed = s.split->reader_link.errands.size(); owed > 0; --owed) reader(ok());
    } else {
      client(query(text));
    }
    reader(answered);
    forget_said();
  }
};
INSTANTIATE_TEST_SUITE_P(All, LendingWarningsTest, kManners, name_of);

TEST_P(LendingWarningsTest, AreToldWithoutAConnection) {
  fail_and_lend();
  for (const auto* text : {"SHOW WARNINGS", "show warnings;", " Show\t\nwarnings ; "}) {
    const auto commands = s.conversation.commands;
    client(query(text));
    EXPECT_EQ(raw(Side::client), result("nosuch")) << text;
    EXPECT_EQ(s.conversation.commands, commands + 1);
  }
  for (const auto* text :
       {"SHOW ERRORS", "SHOW WARNINGS LIMIT 1", "SHOW COUNT(*) WARNINGS", "SELECT @@warning_count",
        "SET @n = @@error_count", "GET DIAGNOSTICS @n = NUMBER", "SHOW WARNINGS; SELECT 1",
        "EXECUTE IMMEDIATE 'SHOW WARNINGS'"})
    expect_refused(text);
  expect_told();
  EXPECT_THAT(acquires, IsEmpty());
  client(query("SELECT FOUND_ROWS()"));  // of what no connection has shown
  EXPECT_THAT(last_error(), HasSubstr("how many rows"));
}

TEST_P(LendingWarningsTest, HomeTellsThemWhileItsConnectionIsThere) {
  log_in_pooled();
  fail_and_tell();
  client(query("SHOW WARNINGS"));
  EXPECT_THAT(said(Side::server), ElementsAre("\3SHOW WARNINGS"));
  home(result("nosuch"));
  EXPECT_EQ(raw(Side::client), result("nosuch"));
  lend(Side::server);
  expect_told();
}

TEST_P(LendingWarningsTest, CountsOfTheStatementBeforeAreGone) {
  log_in_pooled();
  fail_and_tell();
  client(query("SELECT ROW_COUNT()"));
  EXPECT_THAT(last_error(), HasSubstr("how many rows"));
}

TEST_P(LendingWarningsTest, AreTheSameOnTheNextConnection) {
  fail_and_lend();
  client(query("BEGIN"));
  borrowed();
  home(ok(kOpen));
  expect_refused("SHOW WARNINGS");  // the answer would say that the transaction is over
  client(query("COMMIT"));
  home(ok());
  expect_told();
  prepare_to_lend();
  lend(Side::server);
  expect_told();
  client(query("SET time_zone = '+01:00'"));
  borrowed();
  home(ok(kPlain, variable("time_zone", "+01:00")));
  expect_refused("SHOW WARNINGS");
}

TEST_P(LendingWarningsTest, AreAskedForAgainUnderOtherSettings) {
  log_in_pooled();
  fail_and_tell();
  client(query("SET NAMES latin1"));
  home(ok(kPlain, variable("character_set_results", "latin1")));
  EXPECT_FALSE(may_lend(s, Side::server));
  forget_said();
  event([&](Actions& out) { split::prepare_to_lend(s, out); });
  EXPECT_EQ(said(Side::server).front(), "\3SHOW WARNINGS");
}

TEST_P(LendingWarningsTest, EndWithTheNextStatementThatHasOthers) {
  fail_and_lend();
  client(query("INSERT INTO t VALUES (1)"));
  borrowed();
  home(ok());
  forget_said();
  client(query("SHOW WARNINGS"));
  EXPECT_THAT(said(Side::server), ElementsAre("\3SHOW WARNINGS"));
  home(rows(0));
  EXPECT_THAT(s.split->last.warnings.answer, IsEmpty());
  fail_and_tell(result("other"));
  lend(Side::server);
  client(query("SHOW WARNINGS"));
  EXPECT_EQ(raw(Side::client), result("other"));
}

TEST_P(LendingWarningsTest, MayBeThoseOfWhatHasReplacedThem) {
  for (const std::string text :
       {"SELECT 1; SELECT 2", "EXECUTE IMMEDIATE 'SET time_zone = DEFAULT'", "CALL p()"}) {
    s = SessionState{.id = 1, .service = "shop", .client_ip = "127.0.0.1"};
    open = {true, false, false};
    acquires.clear();
    fail_and_lend(mysql::kMultiStatements);
    client(query(text));
    borrowed();
    home(ok());
    expect_refused("SHOW WARNINGS");
    client(query(text));
    home(error(1305));
    EXPECT_FALSE(may_lend(s, Side::server)) << text;
    client(query(text));
    home(ok());
    prepare_to_lend();
    lend(Side::server);
    client(query("SHOW WARNINGS"));
    EXPECT_EQ(raw(Side::client), result("0")) << text;  // as home has said of late
  }
}

TEST_P(LendingWarningsTest, EndWithAReset) {
  fail_and_lend();
  client(command(Command::reset_connection));
  borrowed();
  home(ok());
  home(result(account(s, Side::server, "app@% ")));
  home(joined({ok(), ok(kPlain, variable("sql_mode", "STRICT"))}));
  forget_said();
  client(query("SHOW WARNINGS"));
  EXPECT_THAT(said(Side::server), ElementsAre("\3SHOW WARNINGS"));
}

TEST_P(LendingWarningsTest, OthersAreNotAskedAbout) {
  for (const std::string text :
       {"SIGNAL SQLSTATE '45000'", "INSERT INTO t VALUES (1); SELECT @@warning_count"}) {
    s = SessionState{.id = 1, .service = "shop", .client_ip = "127.0.0.1"};
    open = {true, false, false};
    acquires.clear();
    fail_and_lend(mysql::kMultiStatements);
    client(query(text));
    EXPECT_THAT(acquires, ElementsAre(Side::server)) << text;
  }
}

TEST_P(LendingWarningsTest, PreparedQuestionsAreRefused) {
  log_in_pooled();
  client(command(Command::stmt_prepare, "SHOW WARNINGS"));
  home(prepared(5));
  fail_and_tell();
  lend(Side::server);
  forget_said();
  client(execute(5));
  EXPECT_THAT(last_error(), HasSubstr("what the statement before warned of"));
  EXPECT_THAT(acquires, IsEmpty());
}

TEST_P(LendingWarningsTest, KeepTheConnectionIfTheyAreTooMany) {
  if (GetParam().piece == 1) GTEST_SKIP() << "its packets are long";
  const std::size_t many = GetParam().piece == 1 ? 170 : 2000;
  log_in_pooled();
  fail_and_tell(rows(many));
  EXPECT_THAT(why_kept_by(s, Side::server), Optional(Pin::diagnostics));
  EXPECT_THAT(s.split->last.warnings.answer, IsEmpty());
  client(query("INSERT INTO t VALUES (1)"));
  home(ok());
  EXPECT_FALSE(why_kept_by(s, Side::server));
  fail_and_tell(error(1317));
  EXPECT_THAT(why_kept_by(s, Side::server), Optional(Pin::diagnostics));
}

/// MariaDB: an error tells of no changes before it, so the next answer does.
TEST_P(LendingWarningsTest, NewsOfTheSessionAreNotTheClients) {
  const auto news = ok_payload(kPlain, variable("group_concat_max_len", "7")).substr(1);
  log_in_pooled();
  fail_and_tell(joined({packet(1, "\1"), packet(2, "\3def and more"), packet(3, sized("nosuch")),
                        packet(4, '\xFE' + news)}));
  lend(Side::server);
  expect_told();
  client(query("INSERT INTO t VALUES (1)"));
  lent(Side::server, other_leg());
  EXPECT_THAT(said(Side::server), testing::Contains(HasSubstr("group_concat_max_len=7")));
}

TEST_P(LendingWarningsTest, OfAReaderAreReadAgainAtHome) {
  log_in_pooled();
  read_by("SELECT 1/a FROM t", warned());
  EXPECT_TRUE(may_lend(s, Side::reader));
  lend(Side::reader);
  client(query("SHOW WARNINGS"));
  EXPECT_THAT(said(Side::server), ElementsAre("\3SELECT 1/a FROM t"));
  home(warned());
  EXPECT_THAT(said(Side::server), ElementsAre("\3SHOW WARNINGS"));
  home(result("division"));
  EXPECT_EQ(raw(Side::client), result("division"));
  EXPECT_FALSE(why_kept_by(s, Side::server));
}

TEST_P(LendingWarningsTest, OfAReaderKeepItIfThatCantBe) {
  if (GetParam().piece == 1) GTEST_SKIP() << "its packets are long";
  log_in_pooled();
  read_by("SELECT 1/a FROM t -- " + std::string(20'000, 'x'), warned());
  EXPECT_THAT(why_kept_by(s, Side::reader), Optional(Pin::diagnostics));
  read_by("SELECT a FROM t", result("1"));
  EXPECT_FALSE(why_kept_by(s, Side::reader));
  read_by("SELECT a FROM t", error(1317));  // it would not be stopped again
  EXPECT_THAT(why_kept_by(s, Side::reader), Optional(Pin::diagnostics));
}

TEST_P(LendingWarningsTest, TheNextReaderDoesNotKnowThem) {
  log_in_pooled();
  read_by("SELECT 1/a FROM t", warned());
  lend(Side::reader);
  read_by("SELECT 1", result("1"));  // without tables: it leaves them
  EXPECT_FALSE(why_kept_by(s, Side::reader));
  client(query("SHOW WARNINGS"));
  EXPECT_THAT(last_error(), HasSubstr("what the statement before warned of"));
  EXPECT_THAT(said(Side::reader), IsEmpty());
  read_by("SELECT 1/a FROM t", warned());
  client(query("SHOW WARNINGS"));
  EXPECT_THAT(said(Side::reader), ElementsAre("\3SHOW WARNINGS"));
}

TEST_P(LendingWarningsTest, CountsOfAReaderDoNotKeepIt) {
  log_in_pooled();
  read_by("SELECT a FROM t", result("1"));
  client(query("SELECT FOUND_ROWS()"));
  reader(result("1"));
  EXPECT_THAT(why_kept_by(s, Side::server), Optional(Pin::diagnostics));
  client(query("UPDATE t SET a = 1"));
  home(ok());
  EXPECT_THAT(why_kept_by(s, Side::reader), Optional(Pin::diagnostics));
  read_by("SELECT a FROM t", result("1"));
  lend(Side::reader);
  forget_said();
  client(query("SELECT FOUND_ROWS()"));
  EXPECT_THAT(said(Side::server), ElementsAre("\3SELECT a FROM t"));
}

}  // namespace
}  // namespace sluice::worker
