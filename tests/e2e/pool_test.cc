/// A service of router read-write-split with a pool: many sessions over few server connections, and
/// that none of them can tell.
#include <fmt/format.h>
#include <gmock/gmock.h>

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

TEST_F(Pool, TlsTowardsServersMayBeTurnedOn) {
  start(1);
  std::vector<Client> all;
  for (int i = 0; i < 3; ++i) {
    all.push_back(connect());
    all.back().exec("INSERT INTO test.t (a) VALUES (1)");
  }
  sluice_->config.clusters.at("shop").extra = "tls = { mode = \"preferred\" }";
  const auto reloaded = sluice_->reload();
  ASSERT_EQ(reloaded.exit_code, 0) << reloaded.err;
  for (auto& client : all) client.exec("INSERT INTO test.t (a) VALUES (2)");
  EXPECT_EQ(shown("pool_refused"), 0);
}

TEST_F(Pool, ADrainingPrimaryKeepsItsSessions) {
  start(1);
  std::vector<Client> all;
  for (int i = 0; i < 3; ++i) all.push_back(connect());
  ASSERT_EQ(sluice_->ctl({"set", "server", "shop/db1", "draining"}).exit_code, 0);
  for (auto& client : all) client.exec("INSERT INTO test.t (a) VALUES (1)");
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

/// What a statement warned of may be asked for at any time, and keeps no connection until then.
TEST_F(Pool, FailedStatementsKeepNoConnection) {
  start(2, "3s");
  std::vector<Client> all;
  for (int i = 0; i < 4; ++i) {
    all.push_back(connect());
    EXPECT_EQ(all.back().error(fmt::format("SELECT * FROM test.none{}", i)).code, 1146U);
  }
  auto fifth = connect();
  const auto begin = std::chrono::steady_clock::now();
  fifth.exec("INSERT INTO test.t (a) VALUES (1)");
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 1s);
  EXPECT_EQ(shown("kept_by_diagnostics"), 0);
  for (std::size_t i = 0; i < all.size(); ++i) {
    const auto warnings = all[i].rows(i % 2 == 0 ? "SHOW WARNINGS" : "show warnings;");
    ASSERT_EQ(warnings.size(), 1U) << i;
    EXPECT_EQ(warnings[0][1], "1146");
    EXPECT_EQ(warnings[0][2], fmt::format("Table 'test.none{}' doesn't exist", i));
  }
  all[0].exec("INSERT INTO test.t (a) VALUES (2)");
  EXPECT_TRUE(all[0].rows("SHOW WARNINGS").empty());
  EXPECT_EQ(shown("pool_refused"), 0);
}

/// The id in the greeting is the session's, whoever has that connection by now.
TEST_F(Pool, KillGoesByTheIdOfTheGreeting) {
  constexpr unsigned kInterrupted = 1317, kNoSuchThread = 1094, kNotOwner = 1095;
  for (const unsigned workers : {1U, 2U}) {
    if (workers == 1) start(3);
    if (workers == 2) {
      sluice_->config.workers = 2;
      sluice_->config.services.at("shop").extra = extra(6, "10s");
      ASSERT_EQ(sluice_->reload().exit_code, 0);
    }
    std::vector<Client> clients;
    for (int i = 0; i < 10; ++i) clients.push_back(connect());
    const auto take_turns = [&] {
      for (auto& client : clients) client.exec("INSERT INTO test.t (a) VALUES (1)");
    };
    take_turns();
    auto &victim = clients[0], &bystander = clients[1], &killer = clients[5];
    const auto id = victim.thread_id();
    const auto runs = [&](const std::string& what) {
      return eventually(5s, [&] {
        return !pair_.primary
                    .query("SELECT id FROM information_schema.processlist WHERE info = '" + what +
                           "'")
                    .empty();
      });
    };
    for (const bool by_command : {false, true}) {
      auto slow = std::async(std::launch::async, [&] {
        return victim.query("INSERT INTO test.t (a) SELECT SLEEP(30)");
      });
      auto other = std::async(std::launch::async, [&] { return bystander.query("DO SLEEP(2)"); });
      ASSERT_TRUE(runs("INSERT INTO test.t (a) SELECT SLEEP(30)") && runs("DO SLEEP(2)"));
      if (by_command)
        EXPECT_EQ(::mysql_kill(killer.handle(), id), 0);
      else
        killer.exec(fmt::format("/* now */ KILL QUERY {} -- please", id));
      const auto killed = slow.get();
      ASSERT_FALSE(killed);
      EXPECT_NE(killed.error().code, 0U);
      if (!by_command) {
        EXPECT_EQ(killed.error().code, kInterrupted);
      }
      EXPECT_TRUE(other.get()) << "somebody else was killed";
      if (by_command) break;
      take_turns();
    }
    EXPECT_TRUE(eventually(5s, [&] { return !victim.query("SELECT 1"); }));
    // Idle ones, with a connection and without.
    for (std::size_t i = 2; i < 5; ++i) {
      killer.exec(fmt::format("KILL QUERY {}", clients[i].thread_id()));
      EXPECT_TRUE(clients[i].query("INSERT INTO test.t (a) VALUES (2)"));
    }
    for (std::size_t i = 2; i < 5; ++i) {
      killer.exec(fmt::format("KILL {}", clients[i].thread_id()));
      EXPECT_TRUE(eventually(5s, [&] { return !clients[i].query("SELECT 1"); })) << i;
    }
    for (std::size_t i = 6; i < 10; ++i) EXPECT_TRUE(clients[i].query("SELECT 1")) << i;
    auto stranger = connect("app2");
    const auto denied = stranger.error(fmt::format("KILL QUERY {}", clients[6].thread_id()));
    EXPECT_EQ(denied.code, kNotOwner);
    EXPECT_THAT(denied.text, testing::HasSubstr(std::to_string(clients[6].thread_id())));
    EXPECT_EQ(killer.error("KILL QUERY 99999999").code, kNoSuchThread);
  }
}

}  // namespace
}  // namespace sluice::test
