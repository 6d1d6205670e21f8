/// Router read-write-split over a primary and two replicas: hints, user variables, the spread of
/// reads, and reads that see what other sessions have written. The table test.who has another row
/// on each server, so a read tells who answered it.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <map>

#include "tests/support/eventually.h"
#include "tests/support/sluice.h"
#include "tests/support/topologies.h"

namespace sluice::test {
namespace {

using namespace std::chrono_literals;

class SplitRouting : public testing::Test {
 protected:
  SplitRouting() : third_({.name = "db3", .extra_args = {"--read-only=1"}}), sluice_(shop()) {
    third_.replicate_from(pair_.primary);
    pair_.primary.exec(
        "CREATE TABLE test.who (name VARCHAR(20)); INSERT INTO test.who VALUES ('db1');"
        "CREATE TABLE test.t (a INT PRIMARY KEY AUTO_INCREMENT)");
    for (auto* replica : {&pair_.replica, &third_}) {
      replica->catch_up_with(pair_.primary);
      replica->exec(fmt::format("SET sql_log_bin = 0; UPDATE test.who SET name = '{}'",
                                replica == &third_ ? "db3" : "db2"));
    }
    EXPECT_TRUE(eventually(20s, [&] {
      int replicas = 0;
      for (const auto& server : sluice_.ctl_json({"list", "servers"}))
        replicas += server.at("role") == "replica";
      auto client = sluice_.connect("shop");
      return replicas == 2 && who(client) != "db1";
    })) << "roles and accounts are known";
  }
  SluiceConfig shop() {
    SluiceConfig config;
    config.add_cluster("shop", "replication",
                       std::vector<MariadbServer*>{&pair_.primary, &pair_.replica, &third_});
    for (const auto* name : {"shop", "all", "pooled"})
      config.add_service(name, "shop").router = "read-write-split";
    config.services["all"].extra = "causal_reads = \"service\"";
    config.services["pooled"].extra = "pool = 2";
    config.workers = 2;
    return config;
  }
  static std::string who(Client& client, const std::string& hint = "") {
    return client.value("SELECT name FROM test.who " + hint);
  }
  uint64_t counter(const char* name) const {
    return sluice_.ctl_json({"show", "service", "shop"}).at(name).get<uint64_t>();
  }

  ReplicationPair pair_;
  MariadbServer third_;
  Sluice sluice_;
};

TEST_F(SplitRouting, HintsAreHeeded) {
  auto client = sluice_.connect("shop");
  const auto by_hint = counter("on_primary_hint");
  EXPECT_EQ(who(client, "-- sluice route to primary"), "db1");
  EXPECT_EQ(who(client, "/* sluice route to server db1 */"), "db1");
  for (int i = 0; i < 3; ++i)
    for (const std::string name : {"db2", "db3"}) {
      EXPECT_EQ(who(client, "-- sluice route to server " + name), name);
      EXPECT_EQ(who(client), name) << "it stays there";
      EXPECT_EQ(client.value("SELECT @@server_id /* sluice route to replica */"),
                (name == "db2" ? pair_.replica : third_).root().value("SELECT @@server_id"));
    }
  EXPECT_EQ(client.value("SELECT @@server_id"), pair_.primary.root().value("SELECT @@server_id"));
  EXPECT_NE(who(client, "-- sluice route to server db9"), "db1");
  EXPECT_EQ(counter("on_primary_hint") - by_hint, 2u);
  EXPECT_EQ(counter("hints_unheeded"), 1u);
  client.exec("BEGIN");
  EXPECT_EQ(who(client, "-- sluice route to replica"), "db1");
  client.exec("COMMIT");
  client.exec("INSERT INTO test.t VALUES (NULL) -- sluice route to replica");
  EXPECT_EQ(client.value("SELECT LAST_INSERT_ID() -- sluice route to replica"), "1");
}

TEST_F(SplitRouting, ReadsAreSpreadOverTheReplicas) {
  constexpr int kSessions = 16, kReads = 50;
  std::vector<Client> clients;
  std::map<std::string, int> reads;
  for (int i = 0; i < kSessions; ++i) clients.push_back(sluice_.connect("shop"));
  for (int i = 0; i < kReads; ++i)
    for (auto& client : clients) ++reads[who(client)];
  constexpr int kHalf = kSessions * kReads / 2;
  EXPECT_EQ(reads["db1"], 0);
  for (const auto* name : {"db2", "db3"}) EXPECT_NEAR(reads[name], kHalf, kHalf / 10) << name;
}

TEST_F(SplitRouting, ConstantUserVariablesAreTheSameEverywhere) {
  auto client = sluice_.connect("shop");
  client.exec("SET NAMES utf8mb4 COLLATE utf8mb4_bin");
  client.exec("SET @a = -5, @b = 'x Y', @c = NULL, @d := 1.50, @e = TRUE, @f = 0x41, @g = 1e3");
  client.exec("SET NAMES latin1");
  std::string all = "SELECT CONCAT_WS('|', name <> 'db1'";
  for (const char name : std::string("abcdefg"))
    all +=
        fmt::format(", IFNULL(HEX(@{0}), 'NULL'), COLLATION(@{0}), COERCIBILITY(@{0}), @{0}", name);
  all += ") FROM test.who ";
  const auto there = client.value(all), here = client.value(all + "-- sluice route to primary");
  EXPECT_EQ(there.substr(0, 2), "1|");
  EXPECT_EQ(here.substr(0, 2), "0|");
  EXPECT_EQ(there.substr(2), here.substr(2));
  EXPECT_NE(there.find("utf8mb4_bin"), std::string::npos) << there;

  pair_.primary.exec(
      "CREATE TRIGGER test.sets BEFORE INSERT ON test.t FOR EACH ROW "
      "SELECT 7 INTO @a");
  EXPECT_EQ(client.value("SELECT CONCAT(@a, name) FROM test.who").substr(0, 4), "-5db");
  client.exec("INSERT INTO test.t VALUES (NULL)");
  EXPECT_EQ(client.value("SELECT CONCAT(@a, name) FROM test.who"), "7db1");
}

TEST_F(SplitRouting, PooledSessionsKeepTheirVariables) {
  std::vector<Client> clients;
  for (int i = 0; i < 6; ++i) {
    clients.push_back(sluice_.connect("pooled"));
    clients.back().exec(fmt::format("SET @a = {}", i));
  }
  for (int round = 0; round < 5; ++round)
    for (int i = 0; i < 6; ++i) {
      auto& client = clients[static_cast<std::size_t>(i)];
      client.exec("INSERT INTO test.t VALUES (NULL)");
      EXPECT_EQ(client.value("SELECT @a FROM test.who FOR UPDATE"), std::to_string(i));
      EXPECT_EQ(client.value("SELECT @a FROM test.who"), std::to_string(i));
    }
}

TEST_F(SplitRouting, ReadsSeeWhatAnySessionOfTheServiceHasWritten) {
  std::vector<Client> clients;
  for (int i = 0; i < 8; ++i) clients.push_back(sluice_.connect("all"));
  for (std::size_t i = 0; i < 200; ++i) {
    auto& writer = clients[i % 8];
    auto& reader = clients[(i * 3 + 1) % 8];
    if (i % 5 == 4)
      EXPECT_TRUE(writer.query("INSERT INTO test.t VALUES (NULL) RETURNING a"));
    else
      writer.exec("INSERT INTO test.t VALUES (NULL)");
    EXPECT_EQ(reader.value("SELECT COUNT(*) FROM test.t"), std::to_string(i + 1));
  }
  EXPECT_NE(who(clients[0]), "db1");
  const auto service = sluice_.ctl_json({"show", "service", "all"});
  EXPECT_EQ(service.at("causal_reads"), "service");
  EXPECT_GT(service.at("on_replica").get<uint64_t>(), 150u);
}

}  // namespace
}  // namespace sluice::test
