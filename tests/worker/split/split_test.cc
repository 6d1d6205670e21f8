// The splitting engine between peers that keep to the protocol, one that may be lost.
#include "tests/worker/split/split_fixture.h"

namespace sluice::worker {
namespace {

using namespace split_tests;
using mysql::Command;

INSTANTIATE_TEST_SUITE_P(All, SplitTest, kManners, name_of);

const std::string kRead("\3SELECT a FROM t"), kWrite("\3INSERT INTO t VALUES (1)");

// Where commands run.

TEST_P(SplitTest, ReadsGoToTheReplicaAndWritesHome) {
  log_in();
  client(query("INSERT INTO t VALUES (1)"));
  EXPECT_THAT(said(Side::server), ElementsAre(kWrite));
  home(ok());
  EXPECT_THAT(said(Side::client), ElementsAre(ok_payload()));
  client(query("SELECT a FROM t"));
  EXPECT_THAT(connects, ElementsAre("db2"));
  EXPECT_THAT(said(Side::server), IsEmpty());
  reader_logs_in();
  const auto to_reader = said(Side::reader);
  ASSERT_EQ(to_reader.size(), 4u);
  EXPECT_THAT(to_reader[1], HasSubstr("TRANSACTION READ ONLY"));
  EXPECT_EQ(to_reader[2], "\3SET @@session.sql_mode='STRICT'");
  EXPECT_EQ(to_reader[3], kRead);
  reader(joined({ok(), ok()}));
  EXPECT_THAT(raw(Side::client), IsEmpty());  // these were not the client's
  reader(result("7"));
  EXPECT_EQ(raw(Side::client), result("7"));
  client(query("SELECT a FROM t"));
  EXPECT_THAT(said(Side::reader), ElementsAre(kRead));
}

TEST_P(SplitTest, OneCommandAtATime) {
  log_in_with_reader();
  client(joined(
      {query("SELECT a FROM t"), query("INSERT INTO t VALUES (1)"), query("SELECT a FROM t")}));
  EXPECT_THAT(said(Side::reader), ElementsAre(kRead));
  EXPECT_THAT(said(Side::server), IsEmpty());
  reader(result("1"));
  EXPECT_THAT(said(Side::server), ElementsAre(kWrite));
  EXPECT_THAT(said(Side::reader), IsEmpty());
  home(ok());
  EXPECT_THAT(said(Side::reader), ElementsAre(kRead));
  reader(result("2"));
  EXPECT_EQ(raw(Side::client), joined({result("1"), ok(), result("2")}));
}

TEST_P(SplitTest, TransactionsStayHome) {
  log_in_with_reader();
  client(query("BEGIN"));
  home(ok(kOpen));
  forget_said();
  client(query("SELECT a FROM t"));
  EXPECT_THAT(said(Side::server), ElementsAre(kRead));
  EXPECT_THAT(said(Side::reader), IsEmpty());
}

/// No servers are looked at while one is open. So the one that ends it does not choose, either.
TEST_P(SplitTest, AReadRightBehindATransactionDoesNotKeepTheNextOneHome) {
  log_in();
  client(query("BEGIN"));
  EXPECT_FALSE(around().servers.empty());
  home(ok(kOpen));
  EXPECT_TRUE(around().servers.empty());
  client(joined({query("COMMIT"), query("SELECT a FROM t")}));
  home(ok());
  EXPECT_THAT(said(Side::server), ElementsAre("\3BEGIN", "\3COMMIT", kRead));
  home(result("1"));
  client(query("SELECT a FROM t"));
  EXPECT_THAT(connects, ElementsAre("db2"));
}

TEST_P(SplitTest, AnEmptyPacketIsForHomeToRefuse) {
  log_in_with_reader();
  client(joined({packet(0, ""), query("SELECT a FROM t")}));
  EXPECT_THAT(said(Side::server), ElementsAre(""));
  EXPECT_THAT(said(Side::reader), IsEmpty());
  home(error(1047));
  EXPECT_THAT(last_error(), StartsWith("1047"));
  EXPECT_THAT(said(Side::reader), ElementsAre(kRead));
}

/// A SELECT of one packet of 16 MiB and a short one.
Bytes long_query() {
  Bytes all;
  mysql::append_packet(all, 0, as_bytes("\3SELECT '" + std::string(mysql::kMaxPayload - 9, 'x')));
  return joined({all, packet(1, "xx'")});
}

TEST_P(SplitTest, WhatIsTooLongToBeLookedAtIsStreamedHome) {
  if (GetParam().piece == 1 || GetParam().moves) return;  // 16 MiB
  log_in_with_reader();
  auto all = long_query();
  const auto end = all.size();
  all = joined({all, query("SELECT a FROM t")});
  constexpr std::size_t kChunk = 60'000;
  std::size_t held = 0;
  for (std::size_t at = 0; at < all.size(); at += kChunk) {
    client({all.begin() + static_cast<std::ptrdiff_t>(at),
            all.begin() + static_cast<std::ptrdiff_t>(std::min(at + kChunk, all.size()))});
    held = std::max(held, s.held.size());
  }
  EXPECT_LE(held, 64u);
  all.resize(end);
  EXPECT_TRUE(raw(Side::server) == all);
  EXPECT_THAT(said(Side::reader), IsEmpty());
  home(result("x"));
  EXPECT_THAT(said(Side::server), ElementsAre(HasSubstr("TEMPORARY")));
  home(result("0 0"));
  EXPECT_THAT(said(Side::server), ElementsAre("\3SELECT @@session.last_gtid"));  // did it write?
  home(result(""));
  EXPECT_THAT(said(Side::reader), ElementsAre(kRead));
}

/// Compression brings 16 MiB at once.
TEST_P(SplitTest, WhatIsTooLongMayComeInFewPieces) {
  if (GetParam().piece == 1 || GetParam().moves) return;
  const auto all = long_query();
  const auto both = joined({all, query("SELECT a FROM t")});
  const auto first = mysql::kHeaderSize + mysql::kMaxPayload;
  for (const auto at : {both.size(), all.size(), all.size() - 2, first, first + 2, first - 200}) {
    s = SessionState{.id = 1, .service = "shop", .client_ip = "127.0.0.1"};
    open = {true, false, false};
    log_in();
    client({both.begin(), both.begin() + static_cast<std::ptrdiff_t>(at)});
    client({both.begin() + static_cast<std::ptrdiff_t>(at), both.end()});
    EXPECT_TRUE(raw(Side::server) == all) << at;
    EXPECT_EQ(s.held.size(), both.size() - all.size()) << at;
  }
}

TEST_P(SplitTest, FilesGoHome) {
  log_in_with_reader();
  client(query("LOAD DATA LOCAL INFILE 'f' INTO TABLE t"));
  home(packet(1,
              "\xFB"
              "f"));
  EXPECT_THAT(said(Side::client), ElementsAre("\xFB"
                                              "f"));
  forget_said();
  const auto file = joined({packet(2, "\3SELECT a FROM t"), packet(3, "")});
  client(joined({file, query("SELECT a FROM t")}));
  EXPECT_EQ(raw(Side::server), file);
  EXPECT_THAT(said(Side::reader), IsEmpty());
  home(packet(4, ok_payload()));
  EXPECT_EQ(raw(Side::client), packet(4, ok_payload()));
  EXPECT_THAT(said(Side::reader), ElementsAre(kRead));
}

// What the replica refuses, or does not live to answer.

TEST_P(SplitTest, AnErrorOfTheReplicaIsRunAgainAtHome) {
  log_in_with_reader();
  client(joined({query("SELECT a FROM t"), query("SELECT b FROM t")}));
  reader(error(1146));
  EXPECT_THAT(said(Side::server), ElementsAre(kRead));
  EXPECT_THAT(raw(Side::client), IsEmpty());
  home(result("1"));
  EXPECT_EQ(raw(Side::client), result("1"));
  EXPECT_THAT(said(Side::reader), ElementsAre(kRead, "\3SELECT b FROM t"));
}

TEST_P(SplitTest, AStatementThatWasStoppedIsNotRunAgain) {
  log_in_with_reader();
  client(query("SELECT a FROM t"));
  reader(error(1317));
  EXPECT_THAT(said(Side::server), IsEmpty());
  EXPECT_EQ(raw(Side::client), error(1317));
}

TEST_P(SplitTest, AReplicaLostBeforeItsAnswerIsMadeUpFor) {
  log_in_with_reader();
  client(query("SELECT a FROM t"));
  lost(Side::reader);
  EXPECT_THAT(said(Side::server), ElementsAre(kRead));
  home(result("1"));
  EXPECT_EQ(raw(Side::client), result("1"));
  client(query("SELECT a FROM t"));  // and left alone for a while
  EXPECT_THAT(said(Side::server), ElementsAre(kRead));
  home(result("2"));
  world.now_ns += 2 * kSecondNs;
  client(query("SELECT a FROM t"));
  EXPECT_THAT(connects, ElementsAre("db2"));
}

TEST_P(SplitTest, AReplicaLostWithinItsAnswerEndsTheSession) {
  log_in_with_reader();
  client(query("SELECT a FROM t"));
  reader(packet(1, "\1"));
  lost(Side::reader);
  EXPECT_THAT(last_error(), HasSubstr("the replica was lost while its answer came"));
  EXPECT_EQ(s.phase, Phase::closing);
  EXPECT_THAT(said(Side::server), IsEmpty());
}

TEST_P(SplitTest, AReplicaThatCannotBeHadIsDoneWithout) {
  log_in();
  client(query("SELECT a FROM t"));
  event([&](Actions& out) {
    on_connect_failed(s, world.surroundings(), Side::reader, "refused", out);
  });
  EXPECT_THAT(said(Side::server), ElementsAre(kRead));
  home(result("1"));
  EXPECT_EQ(raw(Side::client), result("1"));
}

/// The account has no password; what the server says is the same as if it had one.
TEST_P(SplitTest, AReplicaOfAnotherPluginIsLoggedInTo) {
  log_in();
  client(query("SELECT a FROM t"));
  reader(greeting());
  reader(packet(2,
                "\xFE"
                "caching_sha2_password" +
                    std::string(1, '\0') + "twenty bytes of salt" + std::string(1, '\0')));
  EXPECT_THAT(said(Side::reader), testing::SizeIs(2));
  reader(joined({packet(4, "\1\3"), packet(5, ok_payload())}));
  reader(joined({ok(), ok()}));
  reader(result("1"));
  EXPECT_EQ(raw(Side::client), result("1"));
}

TEST_P(SplitTest, AReplicaThatRefusesTheProofIsLeftAloneForAWhile) {
  log_in();
  client(query("SELECT a FROM t"));
  reader(greeting());
  reader(error(1045, 2));
  home(result("1"));
  EXPECT_THAT(s.split->reader_failure, HasSubstr("no"));
  connects.clear();
  world.now_ns += 9 * kSecondNs;
  client(query("SELECT a FROM t"));
  home(result("1"));
  EXPECT_THAT(connects, IsEmpty());
  world.now_ns += 2 * kSecondNs;
  client(query("SELECT a FROM t"));
  EXPECT_THAT(connects, ElementsAre("db2"));
}

TEST_P(SplitTest, AnOrderToEndNeedsNoSecondAnswer) {
  log_in_with_reader();
  client(query("SELECT a FROM t"));
  order();
  EXPECT_EQ(s.phase, Phase::ending);
  reader(error(1146));
  EXPECT_EQ(s.phase, Phase::closing);
  EXPECT_THAT(last_error(), StartsWith("1053"));
}

// The primary is lost.

TEST_P(SplitTest, AnIdleSessionGoesOnWithTheNextPrimary) {
  log_in_with_reader();
  lost(Side::server);
  EXPECT_THAT(raw(Side::client), IsEmpty());
  client(query("SELECT a FROM t"));  // reads need none
  reader(result("1"));
  EXPECT_EQ(raw(Side::client), result("1"));
  primary_moves();
  client(query("INSERT INTO t VALUES (1)"));
  EXPECT_THAT(connects, ElementsAre("db2"));
  home(greeting());
  home(packet(2, ok_payload()));
  const auto to_home = said(Side::server);
  ASSERT_EQ(to_home.size(), 3u);  // of the login; then what it had set; then its tracking
  EXPECT_EQ(to_home[1], "\3SET @@session.sql_mode='STRICT'");
  home(joined({ok(), ok()}));
  EXPECT_THAT(said(Side::server), ElementsAre(kWrite));
  home(ok());
  EXPECT_EQ(raw(Side::client), ok());
}

TEST_P(SplitTest, ATransactionEndsWithItsPrimary) {
  log_in_with_reader();
  client(query("BEGIN"));
  home(ok(kOpen));
  home_is_dead();
  EXPECT_THAT(last_error(), HasSubstr("it is in a transaction"));
  EXPECT_EQ(s.phase, Phase::closing);
}

TEST_P(SplitTest, WaitsForAPrimaryOnlySoLong) {
  log_in_with_reader();
  lost(Side::server);
  world.server(0).role = cluster::Role::none;
  const auto end_ns = world.now_ns + int64_t{world.service.login_timeout_ms} * kMillisecondNs;
  client(joined({query("INSERT INTO t VALUES (1)"), query("SELECT a FROM t")}));
  EXPECT_THAT(said(Side::reader), IsEmpty());  // in their order
  while (world.now_ns < end_ns) {
    EXPECT_THAT(raw(Side::client), IsEmpty());
    late();
  }
  EXPECT_THAT(last_error(), StartsWith("1429 sluice: "));
  EXPECT_THAT(said(Side::reader), ElementsAre(kRead));
  reader(result("1"));
  EXPECT_EQ(raw(Side::client), result("1"));
}

TEST_P(SplitTest, WhatIsNeverAnsweredIsNotRefused) {
  log_in_with_reader();
  lost(Side::server);
  world.server(0).role = cluster::Role::none;
  client(joined({command(Command::stmt_send_long_data, number(9, 4) + number(0, 2) + "data"),
                 query("SELECT a FROM t")}));
  for (int i = 0; i < 1000 && deadline_of(s) != 0; ++i) late();
  EXPECT_THAT(raw(Side::client), IsEmpty());
  EXPECT_THAT(said(Side::reader), ElementsAre(kRead));
}

TEST_P(SplitTest, AChangeOfTheUserWaitsForAPrimary) {
  log_in_with_reader();
  lost(Side::server);
  primary_moves();
  const std::string change = "other" + std::string(2, '\0') + "shop" + std::string(3, '\0');
  client(command(Command::change_user, change));
  EXPECT_EQ(s.phase, Phase::relaying);
  new_home_logs_in();
  EXPECT_EQ(s.phase, Phase::proving);
  EXPECT_THAT(said(Side::server).back(), StartsWith("\x11other"));
}

TEST_P(SplitTest, AReplicaThatWasNotAskedYetIsNotLeft) {
  log_in_with_reader();
  world.server(1).role = cluster::Role::none;
  world.server(1).health = cluster::Health::unknown;
  view();
  EXPECT_TRUE(open[2]);
  world.server(1).health = cluster::Health::up;
  view();
  EXPECT_FALSE(open[2]);
}

/// One that freezes, or loses its network, never says that it is gone.
TEST_P(SplitTest, AReplicaThatStallsInTheMiddleIsLeft) {
  log_in_with_reader();
  client(query("SELECT a FROM t"));
  const auto all = result("2");
  reader({all.begin(), all.begin() + 5});
  world.server(1).role = cluster::Role::none;
  world.server(1).health = cluster::Health::down;
  view();
  EXPECT_EQ(s.phase, Phase::relaying);
  reader({all.begin() + 5, all.begin() + 22});
  late();
  EXPECT_EQ(s.phase, Phase::relaying) << "something has come";
  while (s.phase == Phase::relaying) late();
  EXPECT_THAT(last_error(), HasSubstr("the replica was lost while its answer came"));
}

TEST_P(SplitTest, AClientThatQuitsWaitsForTheEnd) {
  log_in_with_reader();
  client(command(Command::quit));
  EXPECT_THAT(said(Side::server), ElementsAre("\1"));
  lost(Side::server);
  EXPECT_EQ(s.phase, Phase::closing);
  EXPECT_THAT(said(Side::reader), ElementsAre("\1"));  // else it would count an aborted client
  EXPECT_THAT(raw(Side::client), IsEmpty());
}

TEST_P(SplitTest, AClientThatQuitsNeedsNoOtherPrimary) {
  log_in();
  client(command(Command::quit));
  primary_moves();
  view();
  EXPECT_EQ(s.phase, Phase::closing);
  EXPECT_THAT(connects, IsEmpty());
}

TEST_P(SplitTest, AClientThatQuitsNeedsNoPrimary) {
  log_in();
  lost(Side::server);
  client(command(Command::quit));
  EXPECT_EQ(s.phase, Phase::closing);
}

// Settings.

TEST_P(SplitTest, SettingsAreBroughtInTheOrderOfTheirLastChange) {
  log_in_with_reader();
  const auto set = [&](std::string_view name, std::string_view value) {
    client(query("SET time_zone = 'x'"));
    home(ok(kPlain, variable(name, value)));
  };
  set("sort_buffer_size", "4096");
  set("time_zone", "UTC");
  set("sort_buffer_size", "8192");
  client(query("USE other"));
  home(ok(kPlain, '\1' + sized(sized("other"))));
  EXPECT_THAT(said(Side::reader), IsEmpty());
  client(query("SELECT a FROM t"));
  EXPECT_THAT(
      said(Side::reader),
      ElementsAre("\2other", "\3SET @@session.time_zone='UTC', @@session.sort_buffer_size=8192",
                  kRead));
  forget_said();
  reader(joined({ok(), ok(), result("1")}));
  EXPECT_EQ(raw(Side::client), result("1"));
}

TEST_P(SplitTest, AReplicaThatDoesNotTakeThemIsNotRead) {
  log_in_with_reader();
  client(query("SET time_zone = 'x'"));
  home(ok(kPlain, variable("time_zone", "Mars")));
  forget_said();
  client(query("SELECT a FROM t"));
  reader(error(1298));
  EXPECT_FALSE(open[2]);
  EXPECT_THAT(said(Side::server), ElementsAre(kRead));
}

/// MariaDB tells it, and that it is over only when it has something else to tell.
TEST_P(SplitTest, WhatIsSetForOneStatementIsNotTheSessions) {
  log_in_with_reader();
  client(query("SET STATEMENT time_zone='x', sql_mode='ansi_quotes' FOR SET sort_buffer_size=1"));
  home(ok(kPlain, variable("time_zone", "Mars") + variable("sql_mode", "ANSI_QUOTES") +
                      variable("sort_buffer_size", "8192")));
  EXPECT_FALSE(s.split->settings.mode.ansi_quotes);
  forget_said();
  client(query("SELECT a FROM t"));
  EXPECT_THAT(said(Side::reader), ElementsAre("\3SET @@session.sort_buffer_size=8192", kRead));
  reader(joined({ok(), result("1")}));
  client(query("SET time_zone='x'"));
  home(ok(kPlain, variable("time_zone", "Mars")));
  forget_said();
  client(query("SELECT a FROM t"));
  EXPECT_THAT(said(Side::reader), ElementsAre("\3SET @@session.time_zone='Mars'", kRead));
}

TEST_P(SplitTest, WhatIsSetForOneOfSeveralStatementsIsAskedFor) {
  log_in_with_reader(mysql::kMultiStatements);
  forget_said();
  client(query("DO 2; SET STATEMENT time_zone='x' FOR INSERT INTO t VALUES (1)"));
  home(joined({ok(kPlain | mysql::kMoreResults), ok(kPlain, variable("time_zone", "Mars"))}));
  EXPECT_THAT(said(Side::server),
              ElementsAre(testing::_, StartsWith("\3SET @@session.time_zone=")));
  home(ok(kPlain, variable("time_zone", "SYSTEM")));
  EXPECT_EQ(s.split->settings.list.back().value, "SYSTEM");
}

/// Metadata of columns has its number.
TEST_P(SplitTest, TheLoginsCollationIsThatOfResults) {
  event([&](Actions& out) { on_accepted(s, world.surroundings(), out); });
  home(greeting());
  client(answer(0));
  home(packet(2, ok_payload()));
  EXPECT_THAT(said(Side::server).back(), Not(HasSubstr("character_set_results")));
  home(joined({ok(), ok(kPlain, variable("character_set_client", "utf8mb4") +
                                    variable("collation_connection", "utf8mb4_unicode_ci"))}));
  client(query("SELECT a FROM t"));
  reader_logs_in();
  EXPECT_THAT(said(Side::reader),
              testing::Contains(StartsWith("\3SET NAMES utf8mb4 COLLATE utf8mb4_unicode_ci,")));
  EXPECT_THAT(said(Side::server), IsEmpty());
}

TEST_P(SplitTest, WhereCharacterSetsDifferThatOfResultsIsAskedFor) {
  event([&](Actions& out) { on_accepted(s, world.surroundings(), out); });
  home(greeting());
  client(answer(0));
  home(packet(2, ok_payload()));
  forget_said();
  home(joined({ok(), ok(kPlain, variable("character_set_client", "gbk") +
                                    variable("collation_connection", "utf8mb4_unicode_ci"))}));
  EXPECT_THAT(said(Side::server), ElementsAre("\3SET @@session.character_set_results="
                                              "@@session.character_set_results"));
}

TEST_P(SplitTest, ClientsGetTheNewsThatTheyAskedFor) {
  const auto news = variable("sort_buffer_size", "1") + variable("time_zone", "UTC");
  log_in(mysql::kSessionTrack);
  client(query("SET time_zone = 'x'"));
  home(ok(kPlain, news));
  EXPECT_THAT(said(Side::client), ElementsAre(ok_payload(kPlain, variable("time_zone", "UTC"))));
  client(query("SET time_zone = 'x'"));
  home(ok(kPlain, variable("sort_buffer_size", "1")));
  EXPECT_THAT(said(Side::client), ElementsAre(ok_payload()));
}

TEST_P(SplitTest, ClientsThatTrackNothingGetNoNews) {
  log_in();
  client(query("SET time_zone = 'x'"));
  home(ok(kOpen, variable("time_zone", "UTC")));
  EXPECT_THAT(said(Side::client), ElementsAre(ok_payload(kOpen)));
}

/// Pools of connections reset at each use: a login for each would be dear.
TEST_P(SplitTest, TheReaderIsResetAndKept) {
  log_in_with_reader();
  client(query("SET time_zone = 'x'"));
  home(ok(kPlain, variable("time_zone", "UTC")));
  client(command(Command::reset_connection));
  home(ok());
  home(joined({ok(), ok(kPlain, variable("sql_mode", "STRICT"))}));
  EXPECT_TRUE(open[2]);
  EXPECT_THAT(said(Side::reader), IsEmpty()) << "there may be no read";
  client(query("SELECT a FROM t"));
  EXPECT_THAT(said(Side::reader), ElementsAre("\x1F", "\3SET SESSION TRANSACTION READ ONLY",
                                              "\3SET @@session.sql_mode='STRICT'", kRead));
  reader(joined({ok(), ok(), ok(), result("1")}));
  forget_said();
  client(query("SELECT a FROM t"));
  EXPECT_THAT(said(Side::reader), ElementsAre(kRead));
}

TEST_P(SplitTest, AReaderThatCantBeResetIsLeft) {
  log_in_with_reader();
  client(command(Command::reset_connection));
  home(ok());
  home(joined({ok(), ok(kPlain, variable("sql_mode", "STRICT"))}));
  forget_said();
  client(query("SELECT a FROM t"));
  reader(error(1047));
  EXPECT_FALSE(open[2]);
  EXPECT_THAT(said(Side::server), ElementsAre(kRead));
}

TEST_P(SplitTest, AChangeOfTheUserWaitsForOpenErrands) {
  log_in();
  client(command(Command::reset_connection));
  home(ok());
  EXPECT_EQ(said(Side::server).size(), 3u);
  client(command(Command::change_user,
                 "other" + std::string(2, '\0') + "shop" + std::string(3, '\0')));
  EXPECT_EQ(s.phase, Phase::relaying);
  EXPECT_THAT(said(Side::server), IsEmpty());
  home(joined({ok(), ok()}));
  EXPECT_EQ(s.phase, Phase::proving);
  EXPECT_THAT(said(Side::server), ElementsAre(StartsWith("\x11other")));
  home(packet(1, ok_payload()));
  EXPECT_EQ(s.phase, Phase::relaying);
  EXPECT_EQ(raw(Side::client), joined({ok(), ok()}));
}

/// MariaDB leaves the session open, without what it was; MySQL closes it.
TEST_P(SplitTest, ARefusedChangeOfTheUserIsNotForgotten) {
  log_in();
  client(command(Command::change_user,
                 "other" + std::string(2, '\0') + "shop" + std::string(3, '\0')));
  home(error(mysql::kAccessDenied));
  ASSERT_EQ(s.phase, Phase::relaying);
  EXPECT_THAT(last_error(), StartsWith("1045"));
  primary_moves();
  home_is_dead();
  EXPECT_THAT(last_error(), HasSubstr("the change of its user was refused"));
}

// Prepared statements.

TEST_P(SplitTest, StatementsArePreparedWhereTheyRun) {
  log_in_with_reader();
  client(command(Command::stmt_prepare, "SELECT a FROM t WHERE b = ?"));
  home(prepared(5, 1));
  EXPECT_EQ(raw(Side::client), prepared(5, 1));
  forget_said();
  client(execute(5, with_type('a')));
  EXPECT_THAT(said(Side::reader), ElementsAre("\x16SELECT a FROM t WHERE b = ?"));
  reader(prepared(77, 1));
  EXPECT_EQ(raw(Side::reader), execute(77, with_type('a')));
  EXPECT_THAT(raw(Side::client), IsEmpty());
  reader(result("1"));
  EXPECT_EQ(raw(Side::client), result("1"));
  client(execute(5, without_type('b')));
  EXPECT_EQ(raw(Side::reader), execute(77, without_type('b')));
  reader(result("2"));
  lost(Side::reader);  // the next one was not told the types
  forget_said();
  world.now_ns += 2 * kSecondNs;
  client(execute(5, without_type('c')));
  reader_logs_in();
  reader(joined({ok(), ok(), prepared(1, 1)}));
  forget_said();
  reader({});
  EXPECT_TRUE(s.split->statements[0].reader_has_types);
  reader(result("3"));
  EXPECT_EQ(raw(Side::client), result("3"));
  client(command(Command::stmt_close, number(5, 4)));
  EXPECT_EQ(raw(Side::server), command(Command::stmt_close, number(5, 4)));
  EXPECT_EQ(raw(Side::reader), command(Command::stmt_close, number(1, 4)));
}

TEST_P(SplitTest, StatementsLiveOnWithTheNextPrimary) {
  log_in_with_reader();
  client(command(Command::stmt_prepare, "UPDATE t SET a = ?"));
  home(prepared(5, 1));
  client(execute(5, with_type('a')));
  home(ok());
  lost(Side::server);
  primary_moves();
  forget_said();
  client(execute(5, without_type('b')));
  new_home_logs_in();
  EXPECT_THAT(said(Side::server).back(), "\x16UPDATE t SET a = ?");
  home(prepared(1, 1));
  EXPECT_EQ(raw(Side::server), execute(1, with_type('b')));
  home(ok());
  client(command(Command::stmt_prepare, "UPDATE t SET b = 1"));
  home(prepared(5));  // taken
  EXPECT_EQ(raw(Side::client), joined({ok(), prepared(6)}));
  forget_said();
  client(execute(6));
  EXPECT_EQ(raw(Side::server), execute(5));
  home(ok());
  client(execute(5, without_type('c')));
  EXPECT_EQ(raw(Side::server), execute(1, without_type('c')));
}

TEST_P(SplitTest, WhatTheNextPrimaryCannotPrepareIsRefused) {
  log_in_with_reader();
  client(command(Command::stmt_prepare, "UPDATE t SET a = 1"));
  home(prepared(5));
  lost(Side::server);
  primary_moves();
  forget_said();
  client(joined({execute(5), query("SELECT a FROM t")}));
  new_home_logs_in();
  forget_said();
  home(error(1146));
  EXPECT_THAT(said(Side::server), IsEmpty());
  EXPECT_THAT(last_error(), StartsWith("1146 "));
  EXPECT_THAT(said(Side::reader), ElementsAre(kRead));
}

TEST_P(SplitTest, LongDataEndsWithItsPrimary) {
  log_in_with_reader();
  client(command(Command::stmt_prepare, "UPDATE t SET a = ?"));
  home(prepared(5, 1));
  client(command(Command::stmt_send_long_data, number(5, 4) + number(0, 2) + "data"));
  home_is_dead();
  EXPECT_EQ(s.phase, Phase::closing);
}

TEST_P(SplitTest, ARefusedPreparationIsNotRunLater) {
  log_in();
  lost(Side::server);
  world.server(0).role = cluster::Role::none;
  client(command(Command::stmt_prepare, "UPDATE t SET a = 1"));
  for (int i = 0; i < 1000 && deadline_of(s) != 0; ++i) late();
  EXPECT_THAT(last_error(), StartsWith("1429 "));
  primary_moves();
  client(query("SELECT a FROM t"));
  new_home_logs_in();
  EXPECT_EQ(said(Side::server).back(), kRead);
}

/// It is not lost, so it has ended the session: by KILL, mostly.
TEST_P(SplitTest, APrimaryThatClosesAndIsAliveHasEndedTheSession) {
  log_in();
  lost(Side::server);
  client(query("UPDATE t SET a = 1"));
  home(greeting(18));
  EXPECT_THAT(said(Side::client), IsEmpty());
  EXPECT_EQ(s.phase, Phase::closing);
}

/// A session that only reads is not idle: its primary must not end it for that.
TEST_P(SplitTest, APrimaryWithoutCommandsGetsASignOfLife) {
  log_in_with_reader();
  const auto read = [&] {
    client(query("SELECT a FROM t"));
    EXPECT_THAT(said(Side::reader), ElementsAre(kRead));
    reader(result("1"));
    EXPECT_EQ(raw(Side::client), result("1"));
  };
  read();
  EXPECT_THAT(said(Side::server), IsEmpty());
  world.now_ns += 5 * kSecondNs;
  read();
  EXPECT_THAT(said(Side::server), ElementsAre(std::string("\x0E")));
  home(ok());
  EXPECT_THAT(raw(Side::client), IsEmpty());
  read();
  EXPECT_THAT(said(Side::server), IsEmpty());
}

// What the client sets without being told (MariaDB: SET @@name without a scope).

class UntoldTest : public SplitTest {
 protected:
  void sets(std::string_view text, uint16_t fails_with = 0) {
    client(query(text));
    forget_said();
    home(fails_with == 0 ? ok() : error(fails_with));
    raw(Side::client);
  }
};
INSTANTIATE_TEST_SUITE_P(All, UntoldTest, kManners, name_of);

TEST_P(UntoldTest, IsAskedForAndCarried) {
  log_in_with_reader();
  sets("SET @@SQL_Mode = 'ANSI_QUOTES', @@time_zone = '+01:00', @@sql_mode = 'ANSI_QUOTES'");
  EXPECT_THAT(said(Side::server), ElementsAre("\3SET @@session.sql_mode=@@session.sql_mode, "
                                              "@@session.time_zone=@@session.time_zone"));
  client(query("SELECT a FROM t"));
  EXPECT_THAT(said(Side::reader), IsEmpty());  // how it is to be read is not known yet
  home(ok(kPlain, variable("sql_mode", "ANSI_QUOTES") + variable("time_zone", "+01:00")));
  EXPECT_THAT(said(Side::client), IsEmpty());
  EXPECT_TRUE(s.split->settings.mode.ansi_quotes);
  EXPECT_THAT(
      said(Side::reader),
      ElementsAre("\3SET @@session.sql_mode='ANSI_QUOTES', @@session.time_zone='+01:00'", kRead));
}

TEST_P(UntoldTest, MayBeSetBySomethingThatFails) {
  log_in_with_reader();
  sets("SET @@sql_mode = '', @@time_zone = 'nowhere'", 1298);
  EXPECT_THAT(said(Side::server), ElementsAre(HasSubstr("time_zone=@@session.time_zone")));
}

TEST_P(UntoldTest, TheCollationIsAskedForOnce) {
  log_in_with_reader();
  client(query("SET @@collation_connection = latin1_bin, @@character_set_connection = latin1"));
  forget_said();
  home(ok());
  EXPECT_THAT(said(Side::server),
              ElementsAre("\3SET @@session.collation_connection=@@session.collation_connection"));
}

/// What can't be set to what it is without becoming another.
TEST_P(UntoldTest, IsNotAskedForWhereThatWouldChangeIt) {
  const auto pinned_by = [&](std::string_view text) {
    s = SessionState{.id = 1, .service = "shop", .client_ip = "127.0.0.1"};
    open = {true, false, false};
    log_in_with_reader();
    sets(text);
    EXPECT_THAT(said(Side::server), IsEmpty()) << text;
    return s.split->kept.pinned;
  };
  EXPECT_EQ(pinned_by("SET @@timestamp = 1"), "it has set the time");
  EXPECT_EQ(pinned_by("SET @@rand_seed1 = 1"), "it has set the seed of RAND()");
  EXPECT_EQ(pinned_by("SET @@session_track_schema = 0"), "it has set what its server tells of it");
  EXPECT_THAT(pinned_by("PREPARE p FROM 'SET @@sql_mode = \'\''"), HasSubstr("does not tell"));
  EXPECT_THAT(pinned_by("BEGIN NOT ATOMIC SET @@sql_mode = ''; END"), HasSubstr("does not tell"));
  EXPECT_EQ(pinned_by("SET @@autocommit = 1"), "");
  EXPECT_EQ(pinned_by("PREPARE p FROM 'SELECT @@version'"), "");
}

TEST_P(UntoldTest, IsAskedForWhenItWasPrepared) {
  log_in_with_reader();
  client(command(Command::stmt_prepare, "SET @@sql_mode = ?"));
  home(prepared(4, 1));
  client(execute(4, with_type('\1')));
  forget_said();
  home(ok());
  EXPECT_THAT(said(Side::server), ElementsAre("\3SET @@session.sql_mode=@@session.sql_mode"));
}

/// SHOW PROFILES, OPTIMIZER_TRACE and SHOW STATUS tell of the statements of one connection.
TEST_P(UntoldTest, ASessionThatLooksAtItsStatementsStaysHome) {
  log_in_with_reader();
  const auto why = [&](std::string_view name, std::string_view value) {
    s.split->kept.pinned.clear();
    client(query("SET a = 1"));
    home(ok(kPlain, variable(name, value)));
    return s.split->kept.pinned;
  };
  EXPECT_EQ(why("profiling", "ON"), "it wants its statements profiled");
  EXPECT_EQ(why("profiling", "OFF"), "");
  EXPECT_EQ(why("optimizer_trace", "enabled=on,one_line=off"), "it wants its statements traced");
  EXPECT_EQ(why("optimizer_trace", "enabled=off,one_line=on"), "");
  EXPECT_EQ(why("system_versioning_asof", "2024-01-01 00:00:00.000000"),
            "it reads what was there at another time");
  EXPECT_EQ(why("system_versioning_asof", "DEFAULT"), "");
  client(query("FLUSH STATUS"));
  EXPECT_EQ(s.split->kept.pinned, "it looks at what its statements count");
}

/// What it has written itself it would not find on a replica.
TEST_P(UntoldTest, ASessionWhoseWritesAreNotReplicatedReadsAtHome) {
  log_in_with_reader();
  client(query("SET sql_log_bin = 0"));
  home(ok(kPlain, variable("sql_log_bin", "OFF")));
  EXPECT_EQ(s.split->kept.pinned, "what it writes does not reach replicas");
  s.split->kept.pinned.clear();
  sets("SET STATEMENT sql_log_bin = 0 FOR INSERT INTO t VALUES (1)");
  EXPECT_EQ(s.split->kept.pinned, "what it writes does not reach replicas");
}

// Reads that follow writes.

class CausalTest : public SplitTest {
 protected:
  /// A read that the replica is asked about first.
  void read_behind_a_write() {
    log_in_with_reader();
    client(query("INSERT INTO t VALUES (1)"));
    home(ok(kPlain, variable("last_gtid", "0-1-7")));
    forget_said();
    client(query("SELECT a FROM t"));
    EXPECT_THAT(said(Side::reader), ElementsAre("\3SELECT MASTER_GTID_WAIT('0-1-7', 1.000)"));
  }
};
INSTANTIATE_TEST_SUITE_P(All, CausalTest, kManners, name_of);

TEST_P(CausalTest, WaitsForTheReplica) {
  read_behind_a_write();
  reader(result("0"));
  EXPECT_THAT(said(Side::reader), ElementsAre(kRead));
  reader(result("1"));
  EXPECT_EQ(raw(Side::client), result("1"));
  client(query("SELECT a FROM t"));  // it is known by now
  EXPECT_THAT(said(Side::reader), ElementsAre(kRead));
}

TEST_P(CausalTest, ReadsAtHomeWhatTheReplicaHasNot) {
  read_behind_a_write();
  reader(result("-1"));
  EXPECT_THAT(said(Side::reader), IsEmpty());
  EXPECT_THAT(said(Side::server), ElementsAre(kRead));
  home(result("1"));
  EXPECT_EQ(raw(Side::client), result("1"));
  client(query("SELECT a FROM t"));  // asked anew
  EXPECT_THAT(said(Side::reader), ElementsAre(StartsWith("\3SELECT MASTER_GTID_WAIT")));
}

/// Each of a session's reads would take a second longer.
TEST_P(CausalTest, AReplicaThatHasNotCaughtUpIsNotWaitedForEachTime) {
  read_behind_a_write();
  reader(result("-1"));
  home(result("1"));
  forget_said();
  const auto asks = [&](std::string_view how, std::string_view answer) {
    client(query("SELECT a FROM t"));
    EXPECT_THAT(said(Side::reader), ElementsAre(HasSubstr(how)));
    reader(result(answer));
  };
  asks(", 0.001)", "-1");
  home(result("1"));
  world.now_ns += 10 * kSecondNs;
  asks(", 1.000)", "-1");
  home(result("1"));
  asks(", 0.001)", "0");
  reader(result("1"));
  client(query("INSERT INTO t VALUES (1)"));
  home(ok(kPlain, variable("last_gtid", "0-1-8")));
  forget_said();
  asks(", 1.000)", "-1");  // it had caught up since
  home(result("1"));
  world.now_ns += 10 * kSecondNs;
  world.server(1).lag_ms = 1001;
  asks(", 0.001)", "0");
  reader(result("1"));
}

/// Rows of a table without transactions stay, and what a procedure did before it failed.
TEST_P(CausalTest, AsksWhatACommandHasWrittenThatFailed) {
  for (const std::string text : {"INSERT INTO t VALUES (1), (1)", "CALL p()", "DROP TABLE a, b"}) {
    s = SessionState{.id = 1, .service = "shop", .client_ip = "127.0.0.1"};
    open = {true, false, false};
    log_in_with_reader();
    client(query(text));
    home(error(1062));
    forget_said();
    client(query("SELECT a FROM t"));
    if (text == "CALL p()") {
      EXPECT_THAT(said(Side::server), ElementsAre(HasSubstr("time_zone"), HasSubstr("TEMPORARY")));
      home(joined({ok(), result("0 0")}));
    }
    EXPECT_THAT(said(Side::server), ElementsAre("\3SELECT @@session.last_gtid")) << text;
    home(result("0-1-8"));
    EXPECT_THAT(said(Side::reader), ElementsAre("\3SELECT MASTER_GTID_WAIT('0-1-8', 1.000)"));
  }
}

TEST_P(CausalTest, AReadThatFailsHasWrittenNothing) {
  log_in_with_reader();
  client(query("BEGIN"));
  home(ok(kOpen));
  client(query("SELECT nothing FROM t"));
  home(error(1054));
  client(query("ROLLBACK"));
  home(ok());
  forget_said();
  client(query("SELECT a FROM t"));
  EXPECT_THAT(said(Side::reader), ElementsAre(kRead));
}

TEST_P(CausalTest, ReadsAtHomeWhenTheReplicaCannotTell) {
  read_behind_a_write();
  reader(error(1305));
  EXPECT_THAT(said(Side::server), ElementsAre(kRead));
  EXPECT_TRUE(open[2]);
}

TEST_P(CausalTest, AsksWhatAProgramHasWritten) {
  log_in_with_reader();
  client(query("INSERT INTO t VALUES (1) RETURNING a"));
  home(result("1"));
  forget_said();
  client(query("SELECT a FROM t"));
  EXPECT_THAT(said(Side::server), ElementsAre("\3SELECT @@session.last_gtid"));
  EXPECT_THAT(said(Side::reader), IsEmpty());
  home(result("0-1-8"));
  EXPECT_THAT(said(Side::reader), ElementsAre("\3SELECT MASTER_GTID_WAIT('0-1-8', 1.000)"));
  reader(result("0"));
  EXPECT_THAT(said(Side::reader), ElementsAre(kRead));
  EXPECT_THAT(raw(Side::client), IsEmpty());
}

TEST_P(CausalTest, WhatWasWrittenIsAskedForBeforeItIsForgotten) {
  log_in_with_reader();
  client(query("INSERT INTO t VALUES (1) RETURNING a"));
  home(result("1"));
  forget_said();
  client(command(Command::reset_connection));
  EXPECT_THAT(said(Side::server), ElementsAre("\3SELECT @@session.last_gtid", "\x1F"));
  home(joined({result("0-1-8"), ok()}));
  home(joined({ok(), ok(kPlain, variable("sql_mode", "STRICT"))}));
  forget_said();
  client(query("SELECT a FROM t"));
  EXPECT_THAT(said(Side::reader), ElementsAre("\x1F", "\3SET SESSION TRANSACTION READ ONLY",
                                              "\3SET @@session.sql_mode='STRICT'",
                                              "\3SELECT MASTER_GTID_WAIT('0-1-8', 1.000)"));
}

TEST_P(CausalTest, TheSameBeforeAnotherUserComes) {
  log_in_with_reader();
  client(query("INSERT INTO t VALUES (1) RETURNING a"));
  home(result("1"));
  forget_said();
  client(command(Command::change_user,
                 "other" + std::string(2, '\0') + "shop" + std::string(3, '\0')));
  EXPECT_THAT(said(Side::server), ElementsAre("\3SELECT @@session.last_gtid"));
  home(result("0-1-8"));
  EXPECT_EQ(s.split->writes.gtid, "0-1-8");
  EXPECT_EQ(s.phase, Phase::proving);
  EXPECT_THAT(said(Side::server), ElementsAre(StartsWith("\x11other")));
}

/// MySQL says with every answer that it has counted a statement.
TEST_P(CausalTest, AnAnswerOfOneValueMayEndWithNews) {
  log_in_with_reader();
  client(query("INSERT INTO t VALUES (1) RETURNING a"));
  home(result("1"));
  client(query("SELECT a FROM t"));
  forget_said();
  const auto news = variable("statement_id", "7");
  home(joined({packet(1, "\1"), packet(2, "\3def and more"), packet(3, sized("0-1-8")),
               packet(4, "\xFE" + ok_payload(kPlain, news).substr(1))}));
  EXPECT_THAT(said(Side::reader), ElementsAre("\3SELECT MASTER_GTID_WAIT('0-1-8', 1.000)"));
  EXPECT_THAT(s.split->settings.list, testing::SizeIs(1)) << "sql_mode alone";
}

}  // namespace
}  // namespace sluice::worker
