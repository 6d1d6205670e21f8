/// Router read-write-split over a primary and a replica: which server answers what, and that the
/// application can't tell. The table test.who has another row on either server, so a read tells
/// who answered it.
#include <gtest/gtest.h>

#include "tests/support/eventually.h"
#include "tests/support/prepared.h"
#include "tests/support/sluice.h"
#include "tests/support/topologies.h"

namespace sluice::test {
namespace {

using namespace std::chrono_literals;

class Split : public testing::Test {
 protected:
  Split() : sluice_(shop()) {
    pair_.primary.exec(
        "CREATE TABLE test.who (name VARCHAR(20)); INSERT INTO test.who VALUES ('primary')");
    pair_.replica.catch_up_with(pair_.primary);
    pair_.replica.exec("SET sql_log_bin = 0; UPDATE test.who SET name = 'replica'");
    EXPECT_TRUE(eventually(10s, [&] {
      for (const auto& server : sluice_.ctl_json({"list", "servers"}))
        if (server.at("role") == "replica") return true;
      return false;
    }));
    // Its accounts have to be known as well.
    EXPECT_TRUE(eventually(10s, [&] {
      auto client = sluice_.connect("shop");
      return who(client) == "replica";
    }));
  }
  SluiceConfig shop() {
    SluiceConfig config;
    config.add_cluster("shop", "replication", pair_.servers());
    config.add_service("shop", "shop").router = "read-write-split";
    auto& replay = config.add_service("replay", "shop");
    replay.router = "read-write-split";
    replay.extra = "transaction_replay = true";
    config.workers = 1;
    return config;
  }
  static std::string who(Client& client) { return client.value("SELECT name FROM test.who"); }

  ReplicationPair pair_;
  Sluice sluice_;
};

TEST_F(Split, ReadsGoToTheReplicaAndWritesToThePrimary) {
  auto client = sluice_.connect("shop");
  EXPECT_EQ(who(client), "replica");
  client.exec("CREATE TABLE test.t (a INT)");
  client.exec("INSERT INTO test.t VALUES (1), (2)");
  EXPECT_EQ(pair_.primary.root().value("SELECT COUNT(*) FROM test.t"), "2");
  for (int i = 0; i < 10; ++i) EXPECT_EQ(who(client), "replica");
}

TEST_F(Split, TransactionsStayOnThePrimary) {
  auto client = sluice_.connect("shop");
  client.exec("BEGIN");
  EXPECT_EQ(who(client), "primary");
  client.exec("COMMIT");
  EXPECT_EQ(who(client), "replica");
  client.exec("SET autocommit = 0");
  EXPECT_EQ(who(client), "primary");
  client.exec("SET autocommit = 1");
  EXPECT_EQ(who(client), "replica");
}

TEST_F(Split, ReadsSeeTheSessionsWrites) {
  auto client = sluice_.connect("shop");
  EXPECT_EQ(who(client), "replica");
  client.exec("CREATE TABLE test.t (a INT)");
  for (int i = 1; i <= 50; ++i) {
    client.exec("INSERT INTO test.t VALUES (1)");
    EXPECT_EQ(client.value("SELECT COUNT(*) FROM test.t"), std::to_string(i));
  }
  EXPECT_EQ(who(client), "replica");
  pair_.replica.exec("STOP SLAVE");
  client.exec("INSERT INTO test.t VALUES (1)");
  EXPECT_EQ(client.value("SELECT COUNT(*) FROM test.t"), "51") << "the primary is asked";
}

TEST_F(Split, ReadsSeeWritesThatAnswerWithRows) {
  auto client = sluice_.connect("shop");
  client.exec("CREATE TABLE test.t (a INT)");
  EXPECT_EQ(client.value("SELECT COUNT(*) FROM test.t"), "0");
  for (int i = 1; i <= 20; ++i) {
    client.exec("INSERT INTO test.t VALUES (1) RETURNING a");
    EXPECT_EQ(client.value("SELECT COUNT(*) FROM test.t"), std::to_string(i));
  }
}

TEST_F(Split, WarningsBelongToTheStatementThatRaisedThem) {
  auto client = sluice_.connect("shop");
  EXPECT_EQ(client.value("SELECT COUNT(*), 1/0 FROM test.who"), "1");
  EXPECT_EQ(client.value("SELECT @@warning_count"), "1");
  client.exec("SET @a = 1");
  EXPECT_EQ(client.value("SELECT @@warning_count"), "1");
  EXPECT_EQ(client.value("SELECT name FROM test.who LIMIT 1"), "replica");
  EXPECT_EQ(client.value("SELECT FOUND_ROWS()"), "1");
  EXPECT_EQ(client.value("SELECT @@warning_count"), "0");
}

TEST_F(Split, SettingsReachTheReplica) {
  auto client = sluice_.connect("shop");
  EXPECT_EQ(who(client), "replica");
  client.exec("SET sql_mode = 'ANSI_QUOTES,PIPES_AS_CONCAT'");
  EXPECT_EQ(client.value("SELECT \"name\" || '!' FROM test.who"), "replica!");
  client.exec("SET time_zone = '+05:30', lc_time_names = 'de_DE', group_concat_max_len = 1024");
  EXPECT_EQ(client.value("SELECT DATE_FORMAT('2024-03-01', '%M') FROM test.who"), "M\xc3\xa4rz");
  pair_.primary.exec("CREATE DATABASE other; GRANT ALL ON other.* TO 'app'@'%'");
  pair_.replica.catch_up_with(pair_.primary);
  client.exec("USE other");
  EXPECT_EQ(client.value("SELECT CONCAT(DATABASE(), name) FROM test.who"), "otherreplica");
  client.exec("SET NAMES latin1");
  EXPECT_EQ(client.value("SELECT CONCAT('\xe4', name) FROM test.who"), "\xe4replica");
}

TEST_F(Split, TheReplicaRefusesAndThePrimaryIsAsked) {
  auto client = sluice_.connect("shop");
  EXPECT_EQ(who(client), "replica");
  for (auto* server : pair_.servers())
    server->exec("SET GLOBAL log_bin_trust_function_creators = 1");
  client.exec(
      "CREATE FUNCTION test.f() RETURNS INT MODIFIES SQL DATA BEGIN INSERT INTO test.who VALUES "
      "('f'); RETURN 7; END");
  pair_.replica.catch_up_with(pair_.primary);
  EXPECT_EQ(client.value("SELECT test.f()"), "7");
  EXPECT_EQ(client.error("SELECT nothing FROM test.who").code, 1054u);
  EXPECT_EQ(client.rows("SHOW WARNINGS").size(), 1u);
  EXPECT_EQ(who(client), "replica");
}

TEST_F(Split, SurvivesTheReplica) {
  auto client = sluice_.connect("shop");
  EXPECT_EQ(who(client), "replica");
  pair_.replica.kill9();
  for (int i = 0; i < 5; ++i) EXPECT_EQ(who(client), "primary");
}

TEST_F(Split, TemporaryTablesAreReadWhereTheyAre) {
  auto client = sluice_.connect("shop");
  EXPECT_EQ(who(client), "replica");
  client.exec("CREATE TEMPORARY TABLE test.who (name VARCHAR(20)) SELECT 'temporary' AS name");
  EXPECT_EQ(who(client), "temporary");
}

TEST_F(Split, PreparedStatementsRunOnEither) {
  auto client = sluice_.connect("shop");
  client.exec("CREATE TABLE test.t (a INT PRIMARY KEY, b VARCHAR(20))");
  client.exec("INSERT INTO test.t VALUES (1, 'one'), (2, 'two')");
  pair_.replica.catch_up_with(pair_.primary);
  pair_.replica.exec("SET sql_log_bin = 0; UPDATE test.t SET b = CONCAT('replica ', b)");
  Prepared one(client, "SELECT b FROM test.t WHERE a = ?");
  Prepared two(client, "UPDATE test.t SET b = 'changed' WHERE a = ?");
  EXPECT_EQ(one.value(1), "replica one");
  EXPECT_EQ(one.value(2), "replica two");
  two.value(1);
  client.exec("BEGIN");
  EXPECT_EQ(one.value(1), "changed");
  client.exec("COMMIT");
  EXPECT_EQ(one.value(2), "replica two");
}

/// The types of its parameters were told to the replica alone.
TEST_F(Split, PreparedReadsGoOnAtHome) {
  auto client = sluice_.connect("shop");
  client.exec("CREATE TABLE test.t (a INT PRIMARY KEY, b VARCHAR(20))");
  client.exec("INSERT INTO test.t VALUES (1, 'one'), (2, 'two')");
  Prepared one(client, "SELECT b FROM test.t WHERE a = ?");
  EXPECT_EQ(one.value(1), "one");
  client.exec("BEGIN");
  EXPECT_EQ(one.value(2), "two");
  client.exec("COMMIT");
  EXPECT_EQ(one.value(1), "one");
  pair_.replica.kill9();
  EXPECT_EQ(one.value(2), "two");
}

TEST_F(Split, WhoIsKilledIsGone) {
  auto client = sluice_.connect("shop");
  EXPECT_EQ(who(client), "replica");
  pair_.primary.exec("KILL " + client.value("SELECT CONNECTION_ID()"));
  EXPECT_FALSE(client.query("SELECT 1 FROM test.who FOR UPDATE"));
  EXPECT_FALSE(client.query("SELECT 1 FROM test.who FOR UPDATE"));
}

TEST_F(Split, SessionsSurviveTheirPrimary) {
  auto client = sluice_.connect("shop");
  client.exec("CREATE TABLE test.t (a INT PRIMARY KEY, b VARCHAR(20))");
  client.exec("INSERT INTO test.t VALUES (1, 'one'), (2, 'two')");
  client.exec("SET sql_mode = 'ANSI_QUOTES'");
  client.exec("SET lc_time_names = 'de_DE'");
  Prepared one(client, "SELECT b FROM test.t WHERE a = ?");
  Prepared two(client, "UPDATE test.t SET b = 'changed' WHERE a = ?");
  EXPECT_EQ(one.value(1), "one");
  auto inside = sluice_.connect("shop");
  inside.exec("BEGIN");
  inside.exec("UPDATE test.t SET b = 'never' WHERE a = 2");
  pair_.replica.catch_up_with(pair_.primary);
  pair_.primary.kill9();
  EXPECT_EQ(one.value(2), "two") << "the replica is there all the time";
  pair_.replica.exec("STOP SLAVE; RESET SLAVE ALL; SET GLOBAL read_only = 0");
  two.value(1);
  EXPECT_EQ(client.value("SELECT b FROM test.t WHERE a = 1 FOR UPDATE"), "changed");
  EXPECT_EQ(client.value("SELECT \"b\" FROM test.t WHERE a = 1 FOR UPDATE"), "changed");
  EXPECT_EQ(client.value("SELECT @@lc_time_names"), "de_DE");
  Prepared three(client, "SELECT CONCAT(b, '!') FROM test.t WHERE a = ?");
  EXPECT_EQ(three.value(1), "changed!");
  EXPECT_EQ(one.value(1), "changed");
  EXPECT_NE(inside.error("SELECT 1").text.find("transaction"), std::string::npos);
}

TEST_F(Split, SessionsSurviveThatTheirPrimaryIsStartedAnew) {
  auto client = sluice_.connect("shop");
  client.exec("CREATE TABLE test.t (a INT PRIMARY KEY)");
  client.exec("SET sql_mode = 'ANSI_QUOTES'");
  int a = 0;
  for (const bool crash : {true, false}) {
    auto unused = sluice_.connect("shop");
    if (crash)
      pair_.primary.kill9(), pair_.primary.start();
    else
      pair_.primary.restart();
    client.exec(fmt::format("INSERT INTO test.t VALUES ({})", ++a));
    EXPECT_EQ(client.value("SELECT MAX(\"a\") FROM test.t FOR UPDATE"), std::to_string(a));
    EXPECT_EQ(unused.value("SELECT COUNT(*) FROM test.t FOR UPDATE"), std::to_string(a));
  }
}

TEST_F(Split, TransactionsGoOnWithTheNextPrimary) {
  auto client = sluice_.connect("replay");
  client.exec("CREATE TABLE test.t (a INT PRIMARY KEY AUTO_INCREMENT, b INT)");
  client.exec("INSERT INTO test.t (b) VALUES (1), (2), (3)");
  Prepared add(client, "UPDATE test.t SET b = b + 1 WHERE a = ?");
  client.exec("BEGIN");
  EXPECT_EQ(client.value("SELECT b FROM test.t WHERE a = 1"), "1");
  add.value(1);
  Prepared(client, "UPDATE test.t SET b = b * 5 WHERE a = ?").value(1);  // and is closed
  client.exec("INSERT INTO test.t (b) VALUES (10)");
  EXPECT_EQ(client.error("INSERT INTO test.t VALUES (1, 1)").code, 1062u);
  auto manual = sluice_.connect("replay");
  manual.exec("SET autocommit = 0");
  manual.exec("UPDATE test.t SET b = 20 WHERE a = 2");
  auto changed = sluice_.connect("replay");
  changed.exec("BEGIN");
  EXPECT_EQ(changed.value("SELECT b FROM test.t WHERE a = 3"), "3");

  pair_.replica.catch_up_with(pair_.primary);
  pair_.primary.kill9();
  pair_.replica.exec("STOP SLAVE; RESET SLAVE ALL; SET GLOBAL read_only = 0");
  pair_.replica.exec("UPDATE test.t SET b = 30 WHERE a = 3");
  EXPECT_EQ(client.value("SELECT b FROM test.t WHERE a = 1"), "10");
  client.exec("COMMIT");
  manual.exec("COMMIT");
  EXPECT_EQ(manual.value("SELECT @@autocommit"), "0");
  EXPECT_EQ(pair_.replica.root().value("SELECT GROUP_CONCAT(b ORDER BY a) FROM test.t"),
            "10,20,30,10");
  EXPECT_NE(changed.error("SELECT 1").text.find("another answer"), std::string::npos)
      << "what it has read is not so any more";
}

}  // namespace
}  // namespace sluice::test
