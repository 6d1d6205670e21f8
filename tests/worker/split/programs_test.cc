// What programs leave in a session, which no text tells of.
#include "tests/worker/split/split_fixture.h"

namespace sluice::worker {
namespace {

using namespace split_tests;
using mysql::Command;

class ProgramsTest : public SplitTest {
 protected:
  ProgramsTest() { world.service.causal_reads = config::CausalReads::off; }
  static constexpr const char* kTables = "TEMPORARY";
  static inline const std::string kRead = "\3SELECT a FROM t";
  /// A result of protocols that have EOF packets.
  static Bytes old_result(std::string_view value) {
    const std::string eof("\xFE\0\0\2\0", 5);
    return joined({packet(1, "\1"), packet(2, "\3def and more"), packet(3, eof),
                   packet(4, sized(value)), packet(5, eof)});
  }
  static std::string changed() { return "\2" + sized("1"); }
};
INSTANTIATE_TEST_SUITE_P(All, ProgramsTest, kManners, name_of);

TEST_P(ProgramsTest, HomeIsAskedOnceForTemporaryTables) {
  log_in_with_reader();
  client(query("CALL p()"));
  home(ok());
  EXPECT_THAT(said(Side::server), ElementsAre("\3CALL p()"));
  client(query("SELECT a FROM t"));
  EXPECT_THAT(said(Side::server), ElementsAre(HasSubstr(kTables)));
  EXPECT_THAT(said(Side::reader), IsEmpty());
  home(result("0 0"));
  EXPECT_THAT(said(Side::reader), ElementsAre(kRead));
  reader(result("1"));
  client(query("SELECT a FROM t"));
  EXPECT_THAT(said(Side::reader), ElementsAre(kRead));
}

TEST_P(ProgramsTest, ATemporaryTableKeepsTheSessionHome) {
  log_in_with_reader();
  client(query("CALL p()"));
  home(ok());
  client(query("SELECT a FROM t"));
  forget_said();
  home(result("1 0"));
  EXPECT_THAT(said(Side::server), ElementsAre(kRead));
  EXPECT_THAT(s.split->kept.pinned, HasSubstr("temporary"));
}

TEST_P(ProgramsTest, AnIdleSessionIsAskedInTime) {
  log_in_with_reader();
  client(query("CALL p()"));
  home(ok());
  forget_said();
  late();
  EXPECT_THAT(said(Side::server), ElementsAre(HasSubstr(kTables)));
  home(result("0 0"));
  primary_moves();
  lost(Side::server);
  EXPECT_EQ(s.phase, Phase::relaying) << last_error();
}

TEST_P(ProgramsTest, ATiedSessionIsNotAskedForNothing) {
  log_in_with_reader();
  client(query("HANDLER t OPEN"));
  home(ok());
  client(query("CALL p()"));
  home(ok());
  EXPECT_EQ(deadline_of(s), 0);
  client(query("HANDLER t CLOSE"));
  home(ok());
  forget_said();
  late();
  EXPECT_THAT(said(Side::server), ElementsAre(HasSubstr(kTables)));
}

TEST_P(ProgramsTest, WarningsThatMayBeAskedForAreLeft) {
  log_in_with_reader();
  client(query("CALL p()"));
  home(packet(1, std::string("\0\0\0", 3) + number(kPlain, 2) + number(1, 2)));
  EXPECT_EQ(deadline_of(s), 0);
}

TEST_P(ProgramsTest, WhatAProgramHasLeftIsLostWithThePrimary) {
  log_in_with_reader();
  client(query("CALL p()"));
  home(ok());
  primary_moves();
  home_is_dead();
  EXPECT_THAT(last_error(), HasSubstr("a program may have changed the session"));
}

TEST_P(ProgramsTest, AVariableThatAProgramHasSetTiesTheSession) {
  log_in_with_reader();
  client(query("CALL p()"));
  home(ok());
  client(query("SELECT a FROM t"));
  home(result("0 1"));
  EXPECT_THAT(s.split->kept.tied, HasSubstr("user variables"));
}

TEST_P(ProgramsTest, AnswersWithRowsHaveNoPlaceForNews) {
  log_in(mysql::kDeprecateEof);  // without
  client(query("SELECT a FROM t"));
  reader_logs_in();
  reader(joined({ok(), ok(), old_result("1")}));
  forget_said();
  client(query("SELECT f()"));
  home(old_result("1"));
  client(query("SELECT a FROM t"));
  EXPECT_THAT(said(Side::server),
              ElementsAre("\3SELECT f()", HasSubstr("time_zone"), HasSubstr(kTables)));
  home(joined({ok(kPlain, variable("time_zone", "+07:00")), result("0 0")}));
  EXPECT_THAT(said(Side::reader), ElementsAre(HasSubstr("time_zone='+07:00'"), kRead));
}

TEST_P(ProgramsTest, ATriggerThatChangesTheSessionKeepsItHome) {
  log_in_with_reader();
  client(query("INSERT INTO t VALUES (1)"));
  home(ok(kPlain, changed()));
  forget_said();
  client(query("SELECT a FROM t"));
  EXPECT_THAT(said(Side::server), ElementsAre(kRead));
  EXPECT_THAT(s.split->kept.pinned, HasSubstr("program"));
}

TEST_P(ProgramsTest, TextsOfTheirOwnAreLookedAt) {
  log_in_with_reader();
  client(query("EXECUTE IMMEDIATE 'CREATE TEMPORARY TABLE t (a INT)'"));
  home(ok());
  forget_said();
  client(query("SELECT a FROM t"));
  EXPECT_THAT(said(Side::server), ElementsAre(kRead));
}

/// A statement with thousands of parameters: a definition for each of them.
TEST_P(ProgramsTest, AStatementMayHaveAsManyParametersAsItLikes) {
  log_in_with_reader();
  client(command(Command::stmt_prepare, "SELECT a FROM t WHERE b IN (?, ?)"));
  home(prepared(5));
  client(execute(5));
  const uint16_t count = GetParam().piece == 1 ? 2 : 200;  // bytewise it takes long
  Bytes answer = packet(1, std::string("\0", 1) + number(77, 4) + number(0, 2) + number(count, 2) +
                               std::string(3, '\0'));
  for (int i = 0; i < count; ++i)
    answer = joined({answer, packet(static_cast<uint8_t>(2 + i), std::string(1000, 'd'))});
  forget_said();
  reader(answer);
  EXPECT_EQ(raw(Side::reader), execute(77));
}

/// A client that keeps what it was told of a statement's columns is not told again by a server
/// that has prepared the statement after the table was changed.
TEST_P(ProgramsTest, StatementsWhoseColumnsHaveChangedRunAtHome) {
  log_in_with_reader();
  s.conversation.capabilities |= mysql::kMariadbCacheMetadata;
  client(command(Command::stmt_prepare, "SELECT * FROM t WHERE b = ?"));
  home(prepared(5, 1));
  client(execute(5, with_type(1)));
  auto other = prepared(77, 1);
  other.back() = std::byte{'x'};
  forget_said();
  reader(other);
  EXPECT_THAT(said(Side::reader), IsEmpty());
  EXPECT_EQ(raw(Side::server), execute(5, with_type(1)));
}

TEST_P(ProgramsTest, AnotherHomeSaysThatColumnsHaveChanged) {
  log_in_with_reader();
  s.conversation.capabilities |= mysql::kMariadbCacheMetadata;
  client(command(Command::stmt_prepare, "SELECT * FROM t WHERE b = ? FOR UPDATE"));
  home(prepared(5, 1));
  primary_moves();
  lost(Side::server);
  client(execute(5, with_type(1)));
  new_home_logs_in();
  auto other = prepared(1, 1);
  other.back() = std::byte{'x'};
  forget_said();
  home(other);
  EXPECT_THAT(last_error(), StartsWith("1615 "));
  EXPECT_THAT(raw(Side::server), command(Command::stmt_close, number(1, 4)));
}

class CachedColumnsTest : public ProgramsTest {
 protected:
  void SetUp() override {
    log_in_with_reader();
    s.conversation.capabilities |= mysql::kMariadbCacheMetadata;
    client(command(Command::stmt_prepare, "SELECT ?"));
    home(prepared(5, 1));
    client(execute(5, with_type(1)));
    reader(prepared(77, 1));
    forget_said();
  }
  static Bytes rows(bool columns) {
    const auto end = "\xFE" + std::string(2, '\0') + number(kPlain, 2) + number(0, 2);
    const auto told = columns ? packet(2, "\3def and more") : Bytes();
    const auto next = static_cast<uint8_t>(columns ? 3 : 2);
    return joined({packet(1, columns ? "\1\1" : std::string("\1\0", 2)), told,
                   packet(next, sized("1")), packet(next + 1, end)});
  }
  void expect_home() {
    EXPECT_EQ(raw(Side::server), execute(5, with_type(1)));
    EXPECT_THAT(raw(Side::client), IsEmpty());
    home(rows(true));
    EXPECT_EQ(raw(Side::client), rows(true));
    client(execute(5, with_type(1)));
    EXPECT_EQ(raw(Side::server), execute(5, with_type(1)));
    home(rows(false));
    EXPECT_EQ(raw(Side::client), rows(false));
  }
  /// That has been sent the execution, and has told no columns yet but those of the preparation.
  void goes_on_with_another_home() {
    reader(rows(true));
    expect_home();
    primary_moves();
    lost(Side::server);
    client(execute(5, with_type(1)));
    new_home_logs_in();
    home(prepared(1, 1));
  }
};
INSTANTIATE_TEST_SUITE_P(All, CachedColumnsTest, kManners, name_of);

TEST_P(CachedColumnsTest, AReaderThatTellsNoneIsReadFrom) {
  reader(rows(false));
  EXPECT_EQ(raw(Side::client), rows(false));
  client(execute(5, with_type(1)));
  EXPECT_EQ(raw(Side::reader), execute(77, with_type(1)));
}

/// Home would not tell them again, and the client would have those of the reader.
TEST_P(CachedColumnsTest, OnlyHomeTellsOthers) {
  reader(rows(true));
  expect_home();
}

TEST_P(CachedColumnsTest, AReaderThatTellsMoreOfThemIsLeft) {
  if (GetParam().piece == 1) return;
  const auto all = rows(true);
  reader({all.begin(), all.begin() + 12});
  EXPECT_FALSE(open[static_cast<std::size_t>(Side::reader)]);
  expect_home();
}

TEST_P(CachedColumnsTest, AnErrorInPlaceOfAnAnswerIsOverWhenHomeIsLost) {
  goes_on_with_another_home();
  const auto none = rows(false);
  home({none.begin(), none.begin() + 6});
  world.server(1).role = cluster::Role::none;
  world.server(0).role = cluster::Role::primary;
  lost(Side::server);
  EXPECT_THAT(last_error(), HasSubstr("was lost while it ran this command"));
  client(query("INSERT INTO t VALUES (1)"));
  new_home_logs_in();
  home(ok());
  EXPECT_EQ(raw(Side::client), ok());
}

/// It has told none but those of the preparation.
TEST_P(CachedColumnsTest, AnotherHomeTellsThemAnew) {
  for (const bool tells : {true, false}) {
    s = SessionState{.id = 1, .service = "shop", .client_ip = "127.0.0.1"};
    open = {true, false, false};
    world.server(0).role = cluster::Role::primary;
    world.server(1).role = cluster::Role::replica;
    SetUp();
    goes_on_with_another_home();
    forget_said();
    home(rows(tells));
    if (tells)
      EXPECT_EQ(raw(Side::client), rows(true));
    else
      EXPECT_THAT(last_error(), StartsWith("1615 "));
    client(execute(5, with_type(1)));
    home(rows(true));
    EXPECT_EQ(raw(Side::client), rows(true));
    client(execute(5, with_type(1)));
    home(rows(false));
    EXPECT_EQ(raw(Side::client), rows(false));
  }
}

}  // namespace
}  // namespace sluice::worker
