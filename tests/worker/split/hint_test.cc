// Where the client wants its statements to run, and when that is heeded.
#include "tests/worker/split/split_fixture.h"

namespace sluice::worker {
namespace {

using namespace split_tests;
using mysql::Command;
using stats::Route;

class SplitHintTest : public SplitTest {
 protected:
  SplitHintTest() { world.service.causal_reads = config::CausalReads::off; }
  /// Whether the text went to the replica, which answers; else home does.
  bool is_read_by_replica(std::string_view text, uint16_t status = kPlain) {
    forget_said();
    client(query(text));
    if (s.split->waiting) {  // for what a function may have done
      home(result("0 " + std::to_string(s.split->variables.list.size())));
      raw(Side::server);
    }
    const bool read = !said(Side::reader).empty();
    EXPECT_EQ(said(Side::server).empty(), read) << text;
    if (read)
      reader(result("1"));
    else
      home(result("1", status));
    return read;
  }
  Route why() const { return s.split->now.why_home; }
};
INSTANTIATE_TEST_SUITE_P(All, SplitHintTest, kManners, name_of);

TEST_P(SplitHintTest, ReadsForThePrimaryStayHome) {
  log_in_with_reader();
  EXPECT_FALSE(is_read_by_replica("SELECT a FROM t -- sluice route to primary"));
  EXPECT_EQ(why(), Route::hint);
  EXPECT_FALSE(is_read_by_replica("/* sluice route to primary */ SELECT a FROM t"));
  EXPECT_FALSE(is_read_by_replica("SELECT a FROM t -- sluice route to server db1"));
  EXPECT_EQ(why(), Route::hint);
  EXPECT_TRUE(is_read_by_replica("SELECT a FROM t"));
}

TEST_P(SplitHintTest, WhatBelongsToAServerIsReadOnAReplicaIfWanted) {
  log_in_with_reader();
  for (const std::string text : {"SELECT @@hostname", "SELECT f(1)", "SHOW SLAVE STATUS",
                                 "SELECT a FROM t FOR UPDATE", "SHOW PROCESSLIST"}) {
    EXPECT_FALSE(is_read_by_replica(text));
    EXPECT_TRUE(is_read_by_replica(text + " -- sluice route to replica"));
    EXPECT_TRUE(is_read_by_replica(text + " /* sluice route to server db2 */"));
  }
}

TEST_P(SplitHintTest, WhatTheSessionKeepsIsNeverSentAway) {
  log_in_with_reader();
  for (const std::string text :
       {"INSERT INTO t VALUES (1)", "SET @a = 1", "SELECT @nothing", "SELECT @@last_insert_id",
        "SELECT @@hostname, LAST_INSERT_ID()", "SELECT CONNECTION_ID()", "SELECT GET_LOCK('a', 1)",
        "BEGIN", "USE d", "SELECT @@hostname; SELECT 1"}) {
    EXPECT_FALSE(is_read_by_replica(text + " -- sluice route to replica")) << text;
    EXPECT_NE(why(), Route::hint);
  }
}

TEST_P(SplitHintTest, ATransactionIsStrongerThanAHint) {
  log_in_with_reader();
  client(query("BEGIN"));
  home(ok(kOpen));
  EXPECT_FALSE(is_read_by_replica("SELECT a FROM t -- sluice route to replica", kOpen));
  EXPECT_EQ(why(), Route::in_transaction);
  EXPECT_FALSE(is_read_by_replica("SELECT @@hostname -- sluice route to server db2", kOpen));
  EXPECT_EQ(why(), Route::in_transaction);
}

TEST_P(SplitHintTest, WhatIsPinnedIsStrongerThanAHint) {
  log_in_with_reader();
  client(query("LOCK TABLES t READ"));
  home(ok());
  EXPECT_FALSE(is_read_by_replica("SELECT a FROM t -- sluice route to replica"));
  EXPECT_EQ(why(), Route::kept);
}

TEST_P(SplitHintTest, FunctionsStayWithWhatTheyMayLookAt) {
  log_in_with_reader();
  EXPECT_TRUE(is_read_by_replica("SELECT f(1) -- sluice route to replica"));
  client(query("SET @a = @b"));
  home(ok());
  EXPECT_FALSE(is_read_by_replica("SELECT f(1) -- sluice route to replica"));
  EXPECT_EQ(why(), Route::kept);
  EXPECT_TRUE(is_read_by_replica("SHOW STATUS -- sluice route to replica"));
}

TEST_P(SplitHintTest, AWriteInAFunctionIsRefusedAndRunsHome) {
  log_in_with_reader();
  client(query("SELECT f(1) -- sluice route to replica"));
  forget_said();
  reader(error(1792));
  EXPECT_THAT(said(Side::server), ElementsAre(HasSubstr("SELECT f(1)")));
  EXPECT_EQ(why(), Route::refused);
  home(result("1"));
  EXPECT_EQ(raw(Side::client), result("1"));
}

TEST_P(SplitHintTest, AServerThatCannotBeUsedIsAsIfNotNamed) {
  log_in_with_reader();
  EXPECT_TRUE(is_read_by_replica("SELECT a FROM t -- sluice route to server nobody"));
  EXPECT_TRUE(s.split->hint_logged);
  EXPECT_FALSE(is_read_by_replica("SELECT @@hostname -- sluice route to server nobody"));
  world.add_replica("db3");
  world.server(2).role = cluster::Role::none;
  EXPECT_TRUE(is_read_by_replica("SELECT a FROM t -- sluice route to server db3"));
}

TEST_P(SplitHintTest, TheReaderMovesToTheServerThatIsNamed) {
  log_in_with_reader();
  world.add_replica("db3");
  client(query("SELECT a FROM t -- sluice route to server db3"));
  EXPECT_THAT(connects, ElementsAre("db3"));
  EXPECT_THAT(said(Side::server), IsEmpty());
  reader_logs_in();
  EXPECT_THAT(said(Side::reader).back(), HasSubstr("db3"));
  reader(joined({ok(), ok()}));
  reader(result("1"));
  EXPECT_EQ(raw(Side::client), result("1"));
  EXPECT_EQ(s.split->reader.server, "db3");
  EXPECT_TRUE(is_read_by_replica("SELECT a FROM t"));
}

TEST_P(SplitHintTest, ANamedServerThatIsLostIsLeftAloneForAWhile) {
  log_in_with_reader();
  world.add_replica("db3");
  client(query("SELECT a FROM t -- sluice route to server db3"));
  lost(Side::reader);
  EXPECT_THAT(said(Side::server), ElementsAre(HasSubstr("SELECT a FROM t")));
  EXPECT_EQ(why(), Route::refused);
  home(result("1"));
  EXPECT_FALSE(is_read_by_replica("SELECT a FROM t -- sluice route to server db3"));
  EXPECT_EQ(why(), Route::no_replica);
  EXPECT_THAT(connects, ElementsAre("db3"));
}

TEST_P(SplitHintTest, PreparedStatementsHaveTheirHints) {
  log_in_with_reader();
  client(command(Command::stmt_prepare, "SELECT a FROM t -- sluice route to primary"));
  home(prepared(5));
  client(command(Command::stmt_prepare, "SELECT @@hostname -- sluice route to replica"));
  home(prepared(6));
  forget_said();
  client(execute(5));
  EXPECT_THAT(said(Side::server), testing::SizeIs(1));
  EXPECT_EQ(why(), Route::hint);
  home(result("1"));
  client(execute(6));
  EXPECT_THAT(said(Side::reader), ElementsAre(HasSubstr("@@hostname")));
  reader(prepared(9));
  EXPECT_THAT(said(Side::reader), testing::SizeIs(1));
  EXPECT_THAT(said(Side::server), IsEmpty());
}

}  // namespace
}  // namespace sluice::worker
