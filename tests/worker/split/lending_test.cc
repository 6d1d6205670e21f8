// Sessions that lend each other their server connections: what may be lent, whom it fits, and that
// a session goes on with another connection as if it were its own.
#include "worker/split/lending.h"

#include "tests/worker/split/lending_fixture.h"
#include "worker/split/split.h"

namespace sluice::worker {
namespace {

using namespace split_tests;
using mysql::Command;
using split::may_lend;
using split::why_kept_by;
using stats::Pin;
using testing::Not;
using testing::Optional;

const std::string kRead("\3SELECT a FROM t"), kWrite("\3INSERT INTO t VALUES (1)");

INSTANTIATE_TEST_SUITE_P(All, LendingTest, kManners, name_of);

TEST_P(LendingTest, AConnectionIsMadeWhenItIsNeeded) {
  log_in_pooled();
  lend(Side::server);
  EXPECT_TRUE(s.home.server.empty());
  client(query("INSERT INTO t VALUES (1)"));
  EXPECT_THAT(acquires, ElementsAre(Side::server));
  EXPECT_THAT(connects, IsEmpty());
  if (GetParam().moves) move();
  granted(Side::server);
  EXPECT_THAT(connects, ElementsAre("db1"));
  forget_said();
  home(greeting());
  home(packet(2, ok_payload()));
  const auto errands = said(Side::server);
  ASSERT_EQ(errands.size(), 4u);
  EXPECT_THAT(errands[1], HasSubstr("CURRENT_USER()"));
  EXPECT_EQ(errands[2], "\3SET @@session.sql_mode='STRICT'");
  home(result(account(s, Side::server, "app@% ")));
  EXPECT_THAT(said(Side::server), IsEmpty());  // not before all is as it was
  home(joined({ok(), ok()}));
  EXPECT_THAT(said(Side::server), ElementsAre(kWrite));
  home(ok());
  EXPECT_THAT(said(Side::client), ElementsAre(ok_payload()));
  EXPECT_EQ(deadline_of(s), 0);
}

TEST_P(LendingTest, AnothersConnectionIsResetFirst) {
  log_in_pooled();
  borrow();
  const auto errands = said(Side::server);
  ASSERT_EQ(errands.size(), 4u);
  EXPECT_EQ(errands[0], "\x1F");
  EXPECT_THAT(errands[1], HasSubstr("CURRENT_USER()"));
  EXPECT_EQ(errands[2], "\3SET @@session.sql_mode='STRICT'");
  EXPECT_FALSE(why_kept_by(s, Side::server) == std::nullopt);
  home(ok());
  home(result(account(s, Side::server, "app@% ")));
  home(joined({ok(), ok()}));
  EXPECT_THAT(said(Side::server), ElementsAre(kWrite));
  EXPECT_THAT(raw(Side::client), IsEmpty());
  home(ok());
  EXPECT_THAT(said(Side::client), ElementsAre(ok_payload()));
  EXPECT_EQ(s.home.connection_id, 77u);
  EXPECT_EQ(s.told_id, 17u);
}

/// One packet more than was asked for: every later answer would be that of the command before.
TEST_P(LendingTest, AStrayPacketIsNoAnswer) {
  log_in_pooled();
  borrow();
  forget_said();
  home(ok());  // nobody's
  home(ok());
  EXPECT_FALSE(open[1]);
  EXPECT_THAT(raw(Side::client), IsEmpty());
  EXPECT_TRUE(s.split->lending.own);
  late();
  EXPECT_THAT(acquires, ElementsAre(Side::server, Side::server));
  EXPECT_FALSE(split::fits(s, s, Side::server, world.surroundings()));
}

TEST_P(LendingTest, AnotherAccountsConnectionIsNotUsed) {
  for (const std::string_view other : {"app@10.% ", "app@% admin", ""}) {
    s = SessionState{.id = 1, .service = "shop", .client_ip = "127.0.0.1"};
    open = {true, false, false};
    acquires.clear();
    log_in_pooled();
    borrow();
    forget_said();
    home(ok());
    home(result(account(s, Side::server, other)));
    EXPECT_FALSE(open[1]) << other;
    EXPECT_THAT(said(Side::server), IsEmpty());
    EXPECT_TRUE(s.split->lending.own);
  }
}

TEST_P(LendingTest, AConnectionThatIsAboutToCloseIsReplaced) {
  log_in_pooled();
  borrow();
  lost(Side::server);
  EXPECT_EQ(s.phase, Phase::relaying);
  late();
  EXPECT_THAT(acquires, ElementsAre(Side::server, Side::server));
  granted(Side::server);
  home(greeting());
  home(packet(2, ok_payload()));
  home(result(account(s, Side::server, "app@% ")));
  home(joined({ok(), ok()}));
  EXPECT_EQ(said(Side::server).back(), kWrite);
}

TEST_P(LendingTest, WhatASessionIsInKeepsItsConnection) {
  const std::pair<std::string, Pin> kCases[] = {
      {"SET @a = 1 + 1", Pin::user_variable},
      {"CREATE TEMPORARY TABLE x (a INT)", Pin::temporary_table},
      {"LOCK TABLES t WRITE", Pin::locked_tables},
      {"SELECT GET_LOCK('a', 1)", Pin::named_lock},
      {"SET ROLE admin", Pin::role},
      {"PREPARE p FROM 'SELECT 1'", Pin::named_statement},
      {"HANDLER t OPEN", Pin::handler},
      {"SET TRANSACTION READ ONLY", Pin::other},
      {"SELECT SQL_CALC_FOUND_ROWS a FROM t", Pin::diagnostics},
      {"SELECT FOUND_ROWS()", Pin::diagnostics},
      {"SELECT CONNECTION_ID()", Pin::connection_id},
      {"SELECT @@pseudo_thread_id", Pin::connection_id},
      {"INSERT INTO t VALUES (CONNECTION_ID())", Pin::connection_id},
  };
  for (const auto& [text, pin] : kCases) {
    s = SessionState{.id = 1, .service = "shop", .client_ip = "127.0.0.1"};
    open = {true, false, false};
    log_in_pooled();
    client(query(text));
    EXPECT_THAT(why_kept_by(s, Side::server), Optional(Pin::command)) << text;
    home(ok());
    EXPECT_THAT(why_kept_by(s, Side::server), Optional(pin)) << text;
  }
}

TEST_P(LendingTest, WhatItsServerSaysKeepsItsConnection) {
  log_in_pooled();
  client(query("BEGIN"));
  home(ok(kOpen));
  EXPECT_THAT(why_kept_by(s, Side::server), Optional(Pin::transaction));
  client(query("COMMIT"));
  home(ok());
  EXPECT_FALSE(why_kept_by(s, Side::server));
  client(query("SET autocommit = 0"));
  home(ok(0, variable("autocommit", "OFF")));
  EXPECT_THAT(why_kept_by(s, Side::server), Optional(Pin::autocommit));
  client(query("SET autocommit = 1"));
  home(ok(kPlain, variable("autocommit", "ON")));
  EXPECT_FALSE(why_kept_by(s, Side::server));
  client(query("SET sql_auto_is_null = 1"));
  home(ok(kPlain, variable("sql_auto_is_null", "ON")));
  EXPECT_THAT(why_kept_by(s, Side::server), Optional(Pin::other));
  client(query("SET sql_auto_is_null = 0"));
  home(ok(kPlain, variable("sql_auto_is_null", "OFF")));
  EXPECT_FALSE(why_kept_by(s, Side::server));
  client(query("DROP TABLE IF EXISTS x"));
  home(error(1051));
  EXPECT_FALSE(why_kept_by(s, Side::server));
  client(query("SET SESSION TRANSACTION READ ONLY"));
  home(ok(kPlain, variable("tx_read_only", "ON")));
  EXPECT_THAT(why_kept_by(s, Side::server), Optional(Pin::other));
}

TEST_P(LendingTest, NothingIsLentWhileAnythingIsOnItsWay) {
  log_in_pooled();
  client({std::byte{5}});  // the beginning of a command
  EXPECT_THAT(why_kept_by(s, Side::server), Optional(Pin::command));
  client(joined(
      {Bytes{std::byte{0}, std::byte{0}, std::byte{0}},
       Bytes{std::byte{3}, std::byte{'D'}, std::byte{'O'}, std::byte{' '}, std::byte{'1'}}}));
  EXPECT_THAT(why_kept_by(s, Side::server), Optional(Pin::command));
  s.unsent_to_client = {std::byte{1}};
  home(ok());
  EXPECT_THAT(why_kept_by(s, Side::server), Optional(Pin::command));
  s.unsent_to_client = {};
  EXPECT_FALSE(why_kept_by(s, Side::server));
  s.home.unsent = {std::byte{1}};
  EXPECT_THAT(why_kept_by(s, Side::server), Optional(Pin::command));
}

TEST_P(LendingTest, OpenCursorsKeepTheirConnection) {
  log_in_pooled();
  client(command(Command::stmt_prepare, "SELECT a FROM t FOR UPDATE"));
  home(prepared(1));
  EXPECT_EQ(why_kept_by(s, Side::server), std::nullopt);
  constexpr uint16_t kCursor = kPlain | mysql::kCursorExists;
  client(packet(0, '\x17' + number(1, 4) + '\1' + number(1, 4)));
  home(joined({packet(1, "\1"), packet(2, "\3def and more"),
               packet(3, "\xFE" + number(0, 2) + number(kCursor, 2) + number(0, 2))}));
  EXPECT_THAT(why_kept_by(s, Side::server), Optional(Pin::cursor));
  client(command(Command::stmt_fetch, number(1, 4) + number(1, 4)));
  home(joined(
      {packet(1, '\0' + number(0, 2)),
       packet(2, "\xFE" + number(0, 2) + number(kPlain | mysql::kLastRowSent, 2) + number(0, 2))}));
  EXPECT_FALSE(why_kept_by(s, Side::server));
}

TEST_P(LendingTest, TheLastInsertIdGoesWithTheSession) {
  log_in_pooled();
  client(query("INSERT INTO t VALUES (1)"));
  home(ok());
  forget_said();
  EXPECT_FALSE(why_kept_by(s, Side::server));
  EXPECT_FALSE(may_lend(s, Side::server));
  event([&](Actions& out) { split::prepare_to_lend(s, out); });
  EXPECT_TRUE(split::is_preparing_to_lend(s));
  EXPECT_THAT(said(Side::server), ElementsAre("\3SELECT LAST_INSERT_ID()"));
  client(query("SELECT LAST_INSERT_ID()"));  // its turn comes after ours
  EXPECT_THAT(said(Side::server), IsEmpty());
  home(result("42"));
  EXPECT_THAT(said(Side::server), ElementsAre("\3SELECT LAST_INSERT_ID()"));
  home(result("42"));
  EXPECT_EQ(raw(Side::client), result("42"));
  event([&](Actions& out) { split::prepare_to_lend(s, out); });
  EXPECT_THAT(said(Side::server),
              ElementsAre("\3SELECT LAST_INSERT_ID()", "\3SELECT @@session.last_gtid"));
  home(joined({result("42"), result("0-1-7")}));
  forget_said();
  borrow();
  EXPECT_THAT(said(Side::server), testing::Contains("\3SET @@session.last_insert_id=42"));
}

TEST_P(LendingTest, CountsThatWentWithTheConnectionAreNotMadeUp) {
  log_in_pooled();
  client(query("UPDATE t SET a = 1"));
  home(ok());
  event([&](Actions& out) { split::prepare_to_lend(s, out); });
  home(result("0"));
  lend(Side::server);
  forget_said();
  client(query("SELECT ROW_COUNT()"));
  EXPECT_THAT(last_error(), HasSubstr("not known any more"));
  EXPECT_THAT(acquires, IsEmpty());
  client(query("UPDATE t SET a = 2"));
  lent(Side::server, other_leg());
  home(ok());
  home(result(account(s, Side::server, "app@% ")));
  home(joined({ok(), ok()}));
  home(ok());
  EXPECT_THAT(why_kept_by(s, Side::server), Optional(Pin::diagnostics));
  forget_said();
  client(query("SELECT ROW_COUNT()"));
  EXPECT_THAT(said(Side::server), ElementsAre("\3SELECT ROW_COUNT()"));
}

TEST_P(LendingTest, AVariableIsThereForTheStatementThatChangesIt) {
  log_in_pooled();
  client(query("SET @a = 5"));
  home(ok());
  prepare_to_lend();
  forget_said();
  borrow("\3SET @a = @a + 1");
  EXPECT_THAT(said(Side::server), testing::Contains(HasSubstr("SET @a=5")));
}

/// FOUND_ROWS() is what it has counted until another statement finds rows.
TEST_P(LendingTest, WhatWasCountedIsKeptUntilTheNextRead) {
  log_in_pooled();
  client(query("SELECT SQL_CALC_FOUND_ROWS a FROM t LIMIT 1"));
  home(result("1"));
  client(query("UPDATE t SET a = 1"));
  home(ok());
  EXPECT_THAT(why_kept_by(s, Side::server), Optional(Pin::diagnostics));
  client(query("SELECT a FROM t FOR UPDATE"));
  home(result("1"));
  EXPECT_FALSE(why_kept_by(s, Side::server));
}

/// A connection knows the last value of each sequence, and nobody else does.
TEST_P(LendingTest, LastValuesOfSequencesWentWithTheConnection) {
  log_in_pooled();
  client(query("SELECT NEXT VALUE FOR s"));
  home(result("7"));
  EXPECT_FALSE(why_kept_by(s, Side::server));
  prepare_to_lend();
  borrow();
  home(ok());
  home(result(account(s, Side::server, "app@% ")));
  home(joined({ok(), ok()}));
  home(ok());
  forget_said();
  client(query("SELECT LASTVAL(s)"));
  EXPECT_THAT(last_error(), testing::AllOf(HasSubstr("sequence"), HasSubstr("not known any more")));
  EXPECT_THAT(said(Side::server), IsEmpty());
  EXPECT_THAT(why_kept_by(s, Side::server), Optional(Pin::diagnostics));
  client(query("SELECT PREVIOUS VALUE FOR s"));
  EXPECT_THAT(said(Side::server), ElementsAre("\3SELECT PREVIOUS VALUE FOR s"));
}

TEST_P(LendingTest, WhoAsksForTheLastValueOfASequenceKeepsItsConnection) {
  log_in_pooled();
  borrow();
  home(ok());
  home(result(account(s, Side::server, "app@% ")));
  home(joined({ok(), ok()}));
  home(ok());
  client(query("INSERT INTO t VALUES (NEXTVAL(s))"));
  home(ok());
  forget_said();
  client(query("SELECT LASTVAL(s)"));
  EXPECT_THAT(said(Side::server), ElementsAre("\3SELECT LASTVAL(s)"));
  home(result("8"));
  EXPECT_THAT(why_kept_by(s, Side::server), Optional(Pin::diagnostics));
}

/// What a statement is read under when it is prepared is what it was at first.
TEST_P(LendingTest, StatementsArePreparedBeforeWhatChangesTheirReading) {
  for (const bool fails : {false, true}) {
    s = SessionState{.id = 1, .service = "shop", .client_ip = "127.0.0.1"};
    open = {true, false, false};
    acquires.clear(), forget_said();
    log_in_pooled();
    client(command(Command::stmt_prepare, "DELETE FROM t"));
    home(prepared(1));
    borrow("\3USE other");
    home(ok());
    home(result(account(s, Side::server, "app@% ")));
    forget_said();
    home(joined({ok(), ok()}));
    EXPECT_THAT(said(Side::server), ElementsAre("\x16"
                                                "DELETE FROM t"));
    home(fails ? error(1146) : prepared(5));
    EXPECT_THAT(said(Side::server), ElementsAre("\3USE other"));
    home(ok(kPlain, '\1' + sized(sized("other"))));
    EXPECT_THAT(said(Side::client), ElementsAre(ok_payload()));
    client(execute(1));
    if (fails)
      EXPECT_THAT(said(Side::server), ElementsAre("\x16"));
    else
      EXPECT_EQ(raw(Side::server), execute(5));
  }
}

/// MariaDB's clients need not know its id: -1 is the one that was prepared last, by them.
TEST_P(LendingTest, ByMinusOneTheClientsLastStatementIsMeant) {
  constexpr uint32_t kLast = 0xFFFFFFFF;
  log_in_pooled();
  client(command(Command::stmt_prepare, "DELETE FROM t"));
  home(prepared(1));
  forget_said();
  client(execute(kLast));
  EXPECT_EQ(raw(Side::server), execute(1));
  home(ok());
  client(command(Command::stmt_prepare, "DELETE FROM u"));
  home(prepared(2));
  event([&](Actions& out) { split::prepare_to_lend(s, out); });
  home(result("0"));
  forget_said();
  borrow(std::string(1, '\x17') + number(kLast, 4) + '\0' + number(1, 4));
  home(ok());
  home(result(account(s, Side::server, "app@% ")));
  forget_said();
  home(joined({ok(), ok()}));
  EXPECT_THAT(said(Side::server), ElementsAre("\x16"
                                              "DELETE FROM u"));
  home(prepared(9));
  EXPECT_EQ(raw(Side::server), execute(9));
}

/// MariaDB's reset leaves the role, and no other connection has it.
TEST_P(LendingTest, ARoleThatOutlivesAResetKeepsItsConnection) {
  log_in_pooled();
  client(command(Command::reset_connection));
  home(ok());
  home(result(account(s, Side::server, "app@% ")));
  home(joined({ok(), ok(kPlain, variable("sql_mode", "STRICT"))}));
  EXPECT_FALSE(why_kept_by(s, Side::server));
  client(query("EXECUTE IMMEDIATE 'SET ROLE r'"));
  home(ok());
  client(command(Command::reset_connection));
  home(ok());
  home(result(account(s, Side::server, "app@% r")));
  home(joined({ok(), ok(kPlain, variable("sql_mode", "STRICT"))}));
  EXPECT_THAT(why_kept_by(s, Side::server), Optional(Pin::role));
}

/// What servers tell is not always what they take.
TEST_P(LendingTest, SettingsAreWrittenAsServersTakeThem) {
  log_in_pooled();
  client(query("SET system_versioning_asof = DEFAULT, enforce_storage_engine = NULL"));
  home(ok(kPlain,
          variable("system_versioning_asof", "DEFAULT") + variable("enforce_storage_engine", "")));
  prepare_to_lend();
  forget_said();
  borrow();
  EXPECT_THAT(said(Side::server), testing::Contains("\3SET @@session.sql_mode='STRICT', "
                                                    "@@session.system_versioning_asof=DEFAULT, "
                                                    "@@session.enforce_storage_engine=NULL"));
}

/// A client's proof is for the greeting that it saw: that of a connection which the session has no
/// more. The server is made to ask for another one.
TEST_P(LendingTest, AChangeOfTheUserAsksForANewProof) {
  const auto change = [](const std::string& plugin) {
    return "other" + std::string(1, '\0') + sized("proof") + "shop" + std::string(3, '\0') +
           plugin + std::string(1, '\0') + sized("attributes");
  };
  log_in_pooled(mysql::kPluginAuth);
  const auto greeted = *ipc::decode<SessionState>(ipc::encode(s));
  client(command(Command::change_user, change("mysql_native_password")));
  EXPECT_THAT(said(Side::server),
              ElementsAre(StartsWith('\x11' + change("mysql_native_password").substr(0, 6))));
  s = *ipc::decode<SessionState>(ipc::encode(greeted));
  borrow();
  home(ok());
  home(result(account(s, Side::server, "app@% ")));
  home(joined({ok(), ok()}));
  home(ok());
  forget_said();
  client(command(Command::change_user, change("mysql_native_password")));
  EXPECT_EQ(s.phase, Phase::proving);
  const auto asked = said(Side::server);
  ASSERT_EQ(asked.size(), 1u);
  EXPECT_THAT(asked[0], StartsWith("\x11other"));
  EXPECT_THAT(asked[0], HasSubstr("sluice_greeting_gone"));
  EXPECT_THAT(asked[0], testing::EndsWith(sized("attributes")));
  const auto request = "\xFEmysql_native_password" + std::string(1, '\0') + "a scramble";
  home(packet(1, request));
  EXPECT_THAT(said(Side::client), ElementsAre(request));
  client(packet(2, std::string(20, 'p')));
  EXPECT_THAT(said(Side::server), ElementsAre(std::string(20, 'p')));
  home(packet(3, ok_payload()));
  EXPECT_THAT(said(Side::client), ElementsAre(ok_payload()));
  EXPECT_EQ(s.user, "other");
}

TEST_P(LendingTest, WhoAsksForItsIdGetsAConnectionOfItsOwn) {
  log_in_pooled();
  borrow();
  home(ok());
  home(result(account(s, Side::server, "app@% ")));
  home(joined({ok(), ok()}));
  home(ok());
  acquires.clear(), forget_said();
  client(query("SELECT CONNECTION_ID()"));
  EXPECT_THAT(said(Side::server), ElementsAre("\3SELECT LAST_INSERT_ID()"));
  home(result("0"));
  EXPECT_FALSE(open[1]);
  if (acquires.empty()) late();
  EXPECT_THAT(acquires, ElementsAre(Side::server));
  granted(Side::server);
  home(greeting());
  home(packet(2, ok_payload()));
  home(result(account(s, Side::server, "app@% ")));
  home(joined({ok(), ok()}));
  EXPECT_EQ(said(Side::server).back(), "\3SELECT CONNECTION_ID()");
}

TEST_P(LendingTest, NobodyConnectsToSayGoodbye) {
  log_in_pooled();
  lend(Side::server);
  client(command(Command::quit));
  EXPECT_THAT(acquires, IsEmpty());
  EXPECT_EQ(s.phase, Phase::closing);
}

TEST_P(LendingTest, ReadsDoNotWait) {
  log_in_pooled();
  client(query("SELECT a FROM t"));
  EXPECT_THAT(acquires, ElementsAre(Side::reader));
  event([&](Actions& out) { split::on_none_lent(s, world.surroundings(), Side::reader, out); });
  EXPECT_THAT(said(Side::server), ElementsAre(kRead));
}

TEST_P(LendingTest, AReaderChangesHandsToo) {
  log_in_pooled();
  client(query("USE other"));
  home(ok(kPlain, '\1' + sized(sized("other"))));
  client(query("SELECT a FROM t"));
  lent(Side::reader, other_leg("db2"));
  const auto errands = said(Side::reader);
  ASSERT_EQ(errands.size(), 3u);
  EXPECT_EQ(errands[0], "\x1F");
  EXPECT_THAT(errands[2], HasSubstr("READ ONLY"));
  reader(ok());
  reader(result(account(s, Side::reader, "app@% ")));
  reader(ok());
  EXPECT_THAT(said(Side::reader),
              ElementsAre("\2other", "\3SET @@session.sql_mode='STRICT'", kRead));
  reader(joined({ok(), ok()}));
  forget_said();
  reader(result("1"));
  EXPECT_EQ(raw(Side::client), result("1"));
  EXPECT_TRUE(may_lend(s, Side::reader));
}

TEST_P(LendingTest, WhoWaitsInVainIsToldWhy) {
  log_in_pooled();
  lend(Side::server);
  client(joined({query("INSERT INTO t VALUES (1)"), packet(0, "\x0E")}));
  world.now_ns = deadline_of(s);
  event([&](Actions& out) {
    auto w = world.surroundings();
    w.pool_use = "2 kept_by_transaction";
    on_deadline(s, w, out);
  });
  EXPECT_THAT(last_error(), testing::AllOf(StartsWith("1040"), HasSubstr("2 kept_by_transaction")));
  EXPECT_THAT(acquires, ElementsAre(Side::server, Side::server));  // for the next command
}

TEST_P(LendingTest, APrimaryThatIsNoneIsNotWaitedFor) {
  log_in_pooled();
  lend(Side::server);
  client(query("INSERT INTO t VALUES (1)"));
  primary_moves();
  view();
  EXPECT_THAT(acquires, ElementsAre(Side::server, Side::server));
  EXPECT_EQ(s.home.server, "db2");
  EXPECT_EQ(s.phase, Phase::relaying);
}

TEST_P(LendingTest, OnAPrimaryThatDrainsItGoesOn) {
  log_in_pooled();
  lend(Side::server);
  auto& primary = world.server(0);
  primary.role = cluster::Role::none;
  primary.admin = cluster::Admin::draining;
  client(query("INSERT INTO t VALUES (1)"));
  EXPECT_THAT(acquires, ElementsAre(Side::server));
  EXPECT_EQ(s.home.server, "db1");
}

TEST_P(LendingTest, WhoIsNotLetInAnyMoreIsToldSo) {
  log_in_pooled();
  lend(Side::server);
  client(query("INSERT INTO t VALUES (1)"));
  granted(Side::server);
  home(greeting());
  home(error(mysql::kAccessDenied, 2));
  EXPECT_THAT(last_error(), StartsWith("1045"));
  EXPECT_EQ(s.phase, Phase::closing);
}

/// A session that is like `s` at first.
TEST_P(LendingTest, OnlyTheSameFits) {
  if (GetParam().piece == 1) return;
  log_in_pooled();
  auto w = world.surroundings();
  const auto like = [&] { return *ipc::decode<SessionState>(ipc::encode(s)); };
  const auto fits = [&](const auto& change) {
    auto borrower = like();
    change(borrower);
    return split::fits(s, borrower, Side::server, w);
  };
  EXPECT_TRUE(fits([](SessionState&) {}));
  EXPECT_TRUE(fits([](SessionState& b) { b.split->settings.database = "other"; }));
  EXPECT_FALSE(fits([](SessionState& b) { b.home.server = "db2"; }));
  EXPECT_FALSE(fits([](SessionState& b) { b.user = "other"; }));
  EXPECT_FALSE(fits([](SessionState& b) { b.split->credentials.secret.sha1 = Secret("x"); }));
  EXPECT_FALSE(fits([](SessionState& b) { b.split->credentials.known = false; }));
  EXPECT_FALSE(fits([](SessionState& b) { b.split->credentials.answer[0] ^= std::byte{1}; }));
  EXPECT_FALSE(fits([](SessionState& b) { b.split->credentials.answer[8] ^= std::byte{1}; }));
  EXPECT_FALSE(fits([](SessionState& b) { b.conversation.capabilities ^= mysql::kDeprecateEof; }));
  EXPECT_FALSE(fits([](SessionState& b) { b.outgoing_ip = "10.0.0.9"; }));
  EXPECT_FALSE(fits([](SessionState& b) { b.split->credentials.announced = true; }));
  EXPECT_FALSE(fits([](SessionState& b) { b.split->lending.account = "app@10.% "; }));
  EXPECT_FALSE(fits([](SessionState& b) { b.split->lending.account.clear(); }));
  EXPECT_FALSE(fits([](SessionState& b) { b.split->lending.own = true; }));
  s.split->settings.database = "other";
  EXPECT_FALSE(fits([](SessionState& b) { b.split->settings.database.clear(); }));
  EXPECT_TRUE(fits([](SessionState&) {}));
  s.split->credentials.announced = true;
  EXPECT_TRUE(fits([](SessionState&) {}));
  EXPECT_FALSE(fits([](SessionState& b) { b.client_ip = "10.0.0.8"; }));
  s.split->lending.account = "app@%  init_connect";
  EXPECT_FALSE(fits([](SessionState&) {}));
}

TEST_P(LendingTest, EncryptedAsItWouldBeNow) {
  log_in_pooled();
  const auto back = *ipc::decode<SessionState>(ipc::encode(s));
  s.home.tls = std::make_unique<tls::Info>();
  EXPECT_FALSE(split::fits(s, back, Side::server, world.surroundings()));
  world.configured[0].tls.mode = config::TlsMode::preferred;
  EXPECT_TRUE(split::fits(s, back, Side::server, world.surroundings()));
}

TEST_P(LendingTest, WhatIsSaidOfTheNextTransactionStaysThoughACommitCameBefore) {
  log_in_pooled(mysql::kMultiStatements);
  client(query("COMMIT; SET TRANSACTION ISOLATION LEVEL SERIALIZABLE"));
  home(joined({packet(1, ok_payload(kPlain | mysql::kMoreResults)), packet(2, ok_payload())}));
  EXPECT_THAT(why_kept_by(s, Side::server), Optional(Pin::other));
}

TEST_P(LendingTest, AndThoughAPreparedStatementCameBehind) {
  log_in_pooled();
  client(command(Command::stmt_prepare, "SET @a = 1"));
  home(prepared(1));
  client(query("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE"));
  home(ok());
  client(execute(1));
  home(ok());
  EXPECT_TRUE(s.split->kept.next_at_home);
}

/// Nothing chooses no database, and the lender had none.
TEST_P(LendingTest, AReaderForASessionWithoutADatabaseIsAskedForNone) {
  log_in_pooled();
  s.split->settings.database.clear();
  s.database.clear();
  client(query("SELECT a FROM db.t"));
  lent(Side::reader, other_leg("db2"));
  reader(ok());
  reader(result(account(s, Side::reader, "app@% ")));
  forget_said();
  reader(ok());
  EXPECT_THAT(said(Side::reader), testing::Not(testing::Contains("\2")));
}

TEST_P(LendingTest, UnlockingTablesLeavesTheLocksOfBackups) {
  for (const std::string text : {"LOCK INSTANCE FOR BACKUP", "BACKUP STAGE START"}) {
    s = SessionState{.id = 1, .service = "shop", .client_ip = "127.0.0.1"};
    open = {true, false, false};
    log_in_pooled();
    client(query(text));
    home(ok());
    client(query("UNLOCK TABLES"));
    home(ok());
    EXPECT_THAT(why_kept_by(s, Side::server), Optional(Pin::locked_tables)) << text;
  }
}

/// MariaDB's THD::change_user() leaves them for SHOW PROFILES.
TEST_P(LendingTest, ProfilesOutliveAReset) {
  log_in_pooled();
  client(query("SET profiling = 1"));
  home(ok(kPlain, variable("profiling", "ON")));
  client(command(Command::reset_connection));
  home(ok());
  home(result(account(s, Side::server, "app@% ")));
  home(joined({ok(), ok(kPlain, variable("sql_mode", "STRICT"))}));
  EXPECT_THAT(why_kept_by(s, Side::server), Optional(Pin::other));
}

TEST_P(LendingTest, WhoChangesATableOfUsersDoesNot) {
  log_in_pooled();
  client(query("ALTER TABLE users ADD user_id INT"));
  home(ok());
  EXPECT_EQ(why_kept_by(s, Side::server), std::nullopt);
}

TEST_P(LendingTest, WhoChangesAnAccountKeepsItsConnection) {
  for (const std::string text : {"SET PASSWORD = PASSWORD('x')", "SET DEFAULT ROLE r",
                                 "ALTER USER CURRENT_USER() IDENTIFIED BY 'x'"}) {
    s = SessionState{.id = 1, .service = "shop", .client_ip = "127.0.0.1"};
    open = {true, false, false};
    log_in_pooled();
    client(query(text));
    home(ok());
    EXPECT_NE(why_kept_by(s, Side::server), std::nullopt) << text;
  }
}

}  // namespace
}  // namespace sluice::worker
