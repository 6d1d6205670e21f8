/// A service of router read-write-split with a pool: many sessions over few server connections, and
/// that none of them can tell.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <array>
#include <future>
#include <map>
#include <random>

#include "tests/support/eventually.h"
#include "tests/support/prepared.h"
#include "tests/support/random.h"
#include "tests/support/sluice.h"
#include "tests/support/test_error.h"
#include "tests/support/topologies.h"

namespace sluice::test {
namespace {

using namespace std::chrono_literals;

class Pool : public testing::Test {
 protected:
  static constexpr std::array kUsers = {"app", "app2", "app3"};

  void start(uint32_t pool, std::string timeout = "10s") {
    for (const auto* user : {"app2", "app3"})
      pair_.primary.exec(fmt::format(
          "CREATE USER '{}'@'%' IDENTIFIED VIA mysql_native_password USING PASSWORD('app-secret'); "
          "GRANT ALL ON test.* TO '{}'@'%'; GRANT ALL ON other.* TO '{}'@'%'",
          user, user, user));
    pair_.primary.exec(
        "CREATE DATABASE other; GRANT ALL ON other.* TO 'app'@'%'; GRANT ALL ON test.* TO "
        "'app'@'%'; "
        "CREATE TABLE test.t (id INT AUTO_INCREMENT PRIMARY KEY, a INT)");
    pair_.replica.catch_up_with(pair_.primary);
    SluiceConfig config;
    config.add_cluster("shop", "replication", pair_.servers());
    auto& service = config.add_service("shop", "shop");
    service.router = "read-write-split";
    service.extra = extra(pool, timeout);
    config.workers = 1;
    sluice_.emplace(config);
    EXPECT_TRUE(eventually(10s, [&] {
      for (const auto& server : sluice_->ctl_json({"list", "servers"}))
        if (server.at("role") == "replica") return true;
      return false;
    }));
    EXPECT_TRUE(eventually(10s, [&] {
      for (const auto* user : kUsers) {
        auto client = connect(user);
        if (client.value("SELECT COUNT(*) FROM test.t") != "0" || shown("on_replica") == 0)
          return false;
      }
      return true;
    }));
  }
  static std::string extra(uint32_t pool, const std::string& timeout) {
    return fmt::format("pool = {}\npool_timeout = \"{}\"", pool, timeout);
  }
  Client connect(const std::string& user = "app") {
    return Client(sluice_->endpoint("shop", user));
  }
  int64_t shown(const std::string& what) {
    return sluice_->ctl_json({"show", "service", "shop"}).at(what).get<int64_t>();
  }
  /// Connections to a server of the applications' accounts.
  static int connections(MariadbServer& server) {
    return std::stoi(server.root().value(
        "SELECT COUNT(*) FROM information_schema.processlist WHERE user LIKE 'app%'"));
  }

  ReplicationPair pair_;
  std::optional<Sluice> sluice_;
};

/// What a session has set, and what it must see again.
struct Application {
  Client client;
  std::string user;
  int number;
  std::string zone, database = "NULL";
  std::optional<Prepared> prepared;
  std::string insert_id = "0";
  bool has_variable = false;
};

TEST_F(Pool, NobodyCanTell) {
  constexpr int kSessions = 300, kSteps = 4000;
  constexpr uint32_t kPool = 10;
  start(kPool);
  std::mt19937 random(static_cast<uint32_t>(from_environment("SLUICE_SEED", 4711)));
  std::vector<Application> all;
  for (int i = 0; i < kSessions; ++i) {
    const std::string user = kUsers[static_cast<std::size_t>(i) % kUsers.size()];
    Application one{.client = connect(user), .user = user, .number = i};
    // Whole hours: MariaDB takes +08:10 for +05:54, if that was used before.
    one.zone = fmt::format("+{:02}:00", i % 13);
    one.client.exec(
        fmt::format("SET time_zone = '{}', group_concat_max_len = {}", one.zone, 1000 + i));
    if (i % 4 != 1) {  // the others have none
      one.database = i % 4 == 3 ? "test" : "other";
      one.client.exec("USE " + one.database);
    }
    if (i % 3 == 0) one.prepared.emplace(one.client, fmt::format("SELECT ? + {}", i));
    if (i == 50 || i == 100) {
      one.client.exec(fmt::format("SET @mine = {}", i));
      one.has_variable = true;
    }
    all.push_back(std::move(one));
  }
  for (int step = 0; step < kSteps; ++step) {
    auto& one = all[random() % all.size()];
    auto& client = one.client;
    switch (random() % 8) {
      case 0:
        EXPECT_EQ(client.value("SELECT @@time_zone"), one.zone);
        EXPECT_EQ(client.value("SELECT @@group_concat_max_len"), std::to_string(1000 + one.number));
        break;
      case 1:
        EXPECT_EQ(client.value("SELECT DATABASE()"), one.database);
        break;
      case 2:
        EXPECT_EQ(client.value("SELECT SUBSTRING_INDEX(CURRENT_USER(), '@', 1)"), one.user);
        EXPECT_EQ(client.value("SELECT SUBSTRING_INDEX(USER(), '@', 1)"), one.user);
        break;
      case 3:
        if (one.prepared) {
          EXPECT_EQ(one.prepared->value(1), std::to_string(one.number + 1));
        }
        break;
      case 4:
        client.exec(fmt::format("INSERT INTO test.t (a) VALUES ({})", one.number));
        one.insert_id = std::to_string(::mysql_insert_id(client.handle()));
        break;
      case 5:
        EXPECT_EQ(client.value("SELECT LAST_INSERT_ID()"), one.insert_id);
        break;
      case 6:
        EXPECT_EQ(client.value("SELECT @mine"),
                  one.has_variable ? std::to_string(one.number) : "NULL");
        break;
      default:
        client.exec("BEGIN");
        client.exec("UPDATE test.t SET a = a WHERE id = 1");
        client.exec("COMMIT");
    }
    if (step % 50 == 0) {  // one that was closed is still there for a moment
      for (auto* server : pair_.servers())
        EXPECT_TRUE(
            eventually(5s, [&] { return connections(*server) <= static_cast<int>(kPool); }));
    }
    if (HasFailure()) FAIL() << "step " << step << ", session " << one.number;
  }
  EXPECT_GT(shown("pool_lent"), kSteps / 10);
  EXPECT_EQ(shown("pool_refused"), 0);
  EXPECT_EQ(shown("pool_waiting"), 0);
  fmt::print("lent {}, waited {}\n", shown("pool_lent"), shown("pool_waited"));
}

TEST_F(Pool, TransactionsKeepTheirConnection) {
  start(2, "300ms");
  auto one = connect(), two = connect(), three = connect();
  one.exec("BEGIN");
  one.exec("INSERT INTO test.t (a) VALUES (1)");
  two.exec("BEGIN");
  two.exec("INSERT INTO test.t (a) VALUES (2)");
  const auto before = shown("pool_waited");  // a login's connection may still have been in the way
  const auto error = three.error("INSERT INTO test.t (a) VALUES (3)");
  EXPECT_EQ(error.code, 1040u);
  EXPECT_NE(error.text.find("2 kept_by_transaction"), std::string::npos) << error.text;
  EXPECT_EQ(three.value("SELECT COUNT(*) FROM test.t"), "0") << "reads go on at the replica";
  EXPECT_TRUE(eventually(5s, [&] { return shown("kept_by_transaction") == 2; }));
  EXPECT_EQ(shown("pool_refused"), 1);
  auto waits =
      std::async(std::launch::async, [&] { three.exec("INSERT INTO test.t (a) VALUES (3)"); });
  EXPECT_TRUE(eventually(5s, [&] { return shown("pool_waiting") == 1; }));
  one.exec("COMMIT");
  waits.get();
  EXPECT_EQ(shown("pool_waited"), before + 2);
  two.exec("ROLLBACK");
  EXPECT_EQ(three.value("SELECT COUNT(*) FROM test.t FOR UPDATE"), "2");
}

TEST_F(Pool, LoginsAreOnTopForAMoment) {
  start(1);
  auto one = connect();
  one.exec("BEGIN");
  auto two = connect("app2");  // is judged by the server, though there is no room
  one.exec("COMMIT");
  EXPECT_TRUE(eventually(5s, [&] { return connections(pair_.primary) == 1; }));
  EXPECT_EQ(one.value("SELECT CONCAT(SUBSTRING_INDEX(CURRENT_USER(), '@', 1), COUNT(*)) FROM "
                      "test.t FOR UPDATE"),
            "app0");
  EXPECT_EQ(two.value("SELECT CONCAT(SUBSTRING_INDEX(CURRENT_USER(), '@', 1), COUNT(*)) FROM "
                      "test.t FOR UPDATE"),
            "app20");
}

TEST_F(Pool, SessionsEndWhileTheirConnectionIsLent) {
  start(1);
  auto one = connect(), three = connect();
  {
    auto two = connect();
    one.exec("INSERT INTO test.t (a) VALUES (1)");
    two.exec("INSERT INTO test.t (a) VALUES (2)");
    one.exec("INSERT INTO test.t (a) VALUES (3)");
  }
  three.exec("INSERT INTO test.t (a) VALUES (4)");
  EXPECT_EQ(one.value("SELECT COUNT(*) FROM test.t FOR UPDATE"), "4");
  EXPECT_EQ(connections(pair_.primary), 1);
}

TEST_F(Pool, SessionsSurviveThePrimaryWhileTheyHaveNoConnection) {
  start(2);
  std::vector<Client> all;
  for (int i = 0; i < 20; ++i) {
    all.push_back(connect());
    all.back().exec(fmt::format("SET group_concat_max_len = {}", 1000 + i));
  }
  pair_.replica.catch_up_with(pair_.primary);
  pair_.primary.kill9();
  pair_.replica.exec("STOP SLAVE; RESET SLAVE ALL; SET GLOBAL read_only = 0");
  for (int i = 0; i < 20; ++i) {
    all[static_cast<std::size_t>(i)].exec("INSERT INTO test.t (a) VALUES (1)");
    EXPECT_EQ(all[static_cast<std::size_t>(i)].value("SELECT @@group_concat_max_len"),
              std::to_string(1000 + i));
  }
  EXPECT_LE(connections(pair_.replica), 2);
}

TEST_F(Pool, AReloadChangesIt) {
  start(1);
  auto old = connect();
  sluice_->config.services.at("shop").extra = extra(3, "300ms");
  const auto reloaded = sluice_->reload();
  ASSERT_EQ(reloaded.exit_code, 0) << reloaded.err;
  std::vector<Client> all;
  for (int i = 0; i < 3; ++i) {
    all.push_back(connect());
    all.back().exec("BEGIN");
    all.back().exec("INSERT INTO test.t (a) VALUES (1)");
  }
  EXPECT_EQ(shown("pool"), 3);
  EXPECT_TRUE(eventually(5s, [&] { return shown("pool_connections") == 3; }))
      << "the session of before the reload has come over, and has lent its connection";
  EXPECT_EQ(old.error("INSERT INTO test.t (a) VALUES (2)").code, 1040u);
  all[1].exec("COMMIT");
  old.exec("INSERT INTO test.t (a) VALUES (2)");
}

TEST_F(Pool, IdsAreNotShared) {
  start(1);
  auto one = connect(), two = connect();
  for (int i = 0; i < 3; ++i) {
    one.exec("INSERT INTO test.t (a) VALUES (1)");
    two.exec("INSERT INTO test.t (a) VALUES (1)");
  }
  const auto id = one.value("SELECT CONNECTION_ID()");
  EXPECT_NE(id, std::to_string(two.thread_id()));
  EXPECT_EQ(one.value("SELECT CONNECTION_ID()"), id);
  EXPECT_TRUE(eventually(5s, [&] { return shown("kept_by_connection_id") == 1; }));
}

TEST_F(Pool, WhatOneLeftIsNotThereForTheNext) {
  start(1);
  auto one = connect(), two = connect();
  one.exec("SET sql_mode = 'ANSI_QUOTES'");
  one.exec("USE test");
  two.exec("SET SESSION TRANSACTION ISOLATION LEVEL SERIALIZABLE");
  EXPECT_EQ(one.value("SELECT @@tx_isolation"), "REPEATABLE-READ");
  EXPECT_EQ(two.value("SELECT @@sql_mode LIKE '%ANSI_QUOTES%'"), "0");
  EXPECT_EQ(two.value("SELECT @@tx_isolation"), "SERIALIZABLE");
  EXPECT_EQ(one.value("SELECT @@sql_mode"), "ANSI_QUOTES");
  EXPECT_EQ(two.value("SELECT DATABASE()"), "NULL");
}

}  // namespace
}  // namespace sluice::test
