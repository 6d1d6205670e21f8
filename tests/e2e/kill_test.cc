/// KILL by the id that clients know, of sessions that have a read on the replica: from the victim's
/// own worker and from another one, from one of a newer generation, and without the right to.
#include <gtest/gtest.h>

#include <future>

#include "tests/support/eventually.h"
#include "tests/support/sluice.h"
#include "tests/support/test_error.h"
#include "tests/support/topologies.h"

namespace sluice::test {
namespace {

using namespace std::chrono_literals;

constexpr unsigned kQueryInterrupted = 1317, kNotOwner = 1095, kNoSuchThread = 1094;

/// Runs for hours if it is let.
constexpr const char* kEndless =
    "SELECT COUNT(*) FROM test.big a, test.big b, test.big c, test.big d";
constexpr const char* kHowMany =
    "SELECT COUNT(*) FROM information_schema.processlist WHERE info LIKE '%FROM test.big a%' AND "
    "info NOT LIKE '%processlist%'";

class Kill : public testing::Test {
 protected:
  Kill() : sluice_(shop()) {
    pair_.primary.exec(
        "CREATE TABLE test.big (n INT); INSERT INTO test.big SELECT seq FROM test.seq_1_to_3000;"
        "CREATE USER other@'%' IDENTIFIED BY 'app-secret'; GRANT SELECT ON test.* TO other@'%'");
    pair_.replica.catch_up_with(pair_.primary);
    EXPECT_TRUE(eventually(20s, [&] {
      auto client = sluice_.connect("shop");
      client.exec("SELECT COUNT(*) FROM test.big");
      return session_of(client).at("reader") == "db2";
    })) << "roles and accounts are known";
  }
  SluiceConfig shop() {
    SluiceConfig config;
    config.add_cluster("shop", "replication", pair_.servers());
    config.add_service("shop", "shop").router = "read-write-split";
    config.add_service("other", "shop").router = "read-write-split";
    config.workers = 2;
    return config;
  }
  nlohmann::json session_of(const Client& client) const {
    for (const auto& session : sluice_.ctl_json({"list", "sessions"}))
      if (session.at("server_connection_id") == client.thread_id()) return session;
    throw TestError("no such session");
  }
  /// The worker, by the number in its sessions' names.
  std::string worker_of(const Client& client) const {
    const auto name = session_of(client).at("session").get<std::string>();
    return name.substr(0, name.find('-'));
  }
  /// In the same worker as the other one, or not. The kernel chooses.
  Client connect(const Client& other, bool same, const std::string& service = "shop") const {
    std::vector<Client> others;
    for (int i = 0; i < 60; ++i) {
      auto client = sluice_.connect(service);
      if ((worker_of(client) == worker_of(other)) == same) return client;
      others.push_back(std::move(client));
    }
    throw TestError("all connections went to one worker");
  }
  std::string running(MariadbServer& server) const { return server.value(kHowMany); }
  bool replica_runs(const char* how_many) {
    return eventually(10s, [&] { return running(pair_.replica) == how_many; });
  }
  /// A read on the replica, and what comes of it.
  std::future<SqlResult<Rows>> start_reading(Client& victim) {
    auto answer = std::async(std::launch::async, [&] { return victim.query(kEndless); });
    EXPECT_TRUE(replica_runs("1"));
    EXPECT_EQ(running(pair_.primary), "0");
    return answer;
  }
  static unsigned code_of(std::future<SqlResult<Rows>>& answer) {
    if (answer.wait_for(10s) != std::future_status::ready) return 0;
    const auto result = answer.get();
    return result ? 0 : result.error().code;
  }
  /// Its statement goes on.
  void expect_running(std::future<SqlResult<Rows>>& answer) {
    EXPECT_EQ(answer.wait_for(500ms), std::future_status::timeout);
    EXPECT_EQ(running(pair_.replica), "1");
  }

  ReplicationPair pair_;
  Sluice sluice_;
};

TEST_F(Kill, QueryReachesTheReplicaFromAnyWorker) {
  auto victim = sluice_.connect("shop");
  for (const bool same : {true, false}) {
    for (const auto* service : {"shop", "other"}) {
      auto killer = connect(victim, same, service);
      auto answer = start_reading(victim);
      killer.exec(fmt::format("KILL QUERY {}", victim.thread_id()));
      killer.close();
      EXPECT_EQ(code_of(answer), kQueryInterrupted) << same << service;
      EXPECT_TRUE(replica_runs("0"));
      EXPECT_EQ(victim.value("SELECT COUNT(*) FROM test.big"), "3000");
    }
  }
  EXPECT_GE(session_of(victim).at("reads"), 8);
}

TEST_F(Kill, ConnectionStopsTheReadAndEndsTheSession) {
  for (const bool same : {true, false}) {
    for (const bool by_command : {false, true}) {
      auto victim = sluice_.connect("shop");
      auto killer = connect(victim, same);
      auto answer = start_reading(victim);
      if (by_command)
        EXPECT_EQ(::mysql_kill(killer.handle(), victim.thread_id()), 0);
      else
        killer.exec(fmt::format("KILL {}", victim.thread_id()));
      EXPECT_NE(code_of(answer), 0u);
      EXPECT_TRUE(replica_runs("0"));
      EXPECT_TRUE(eventually(5s, [&] { return !victim.query("SELECT COUNT(*) FROM test.big"); }))
          << "a session that was killed reads on";
      EXPECT_EQ(killer.value("SELECT COUNT(*) FROM test.big"), "3000");
    }
  }
}

TEST_F(Kill, ReachesASessionOfAnOlderGeneration) {
  auto victim = sluice_.connect("shop");
  auto answer = start_reading(victim);
  sluice_.config.workers = 1;  // what changes is served by new workers
  sluice_.write_config(sluice_.config.text());
  ASSERT_EQ(sluice_.ctl({"reload"}).exit_code, 0);
  auto killer = sluice_.connect("shop");
  ASSERT_NE(worker_of(killer), worker_of(victim));
  killer.exec(fmt::format("KILL QUERY {}", victim.thread_id()));
  EXPECT_EQ(code_of(answer), kQueryInterrupted);
}

TEST_F(Kill, WithoutTheRightNothingIsStopped) {
  auto victim = sluice_.connect("shop");
  auto answer = start_reading(victim);
  auto options = sluice_.endpoint("shop");
  options.user = "other";
  for (int i = 0; i < 4; ++i) {
    Client killer(options);
    EXPECT_EQ(killer.error(fmt::format("KILL QUERY {}", victim.thread_id())).code, kNotOwner);
    EXPECT_EQ(killer.error(fmt::format("KILL {}", victim.thread_id())).code, kNotOwner);
  }
  expect_running(answer);
  sluice_.connect("shop").exec(fmt::format("KILL QUERY {}", victim.thread_id()));
  EXPECT_EQ(code_of(answer), kQueryInterrupted);
}

/// Home would allow it, and the replica does not: the account has the right there alone.
TEST_F(Kill, TheReplicaJudgesTheKillerToo) {
  pair_.primary.exec("SET sql_log_bin = 0; GRANT CONNECTION ADMIN ON *.* TO other@'%'");
  auto victim = sluice_.connect("shop");
  auto answer = start_reading(victim);
  auto options = sluice_.endpoint("shop");
  options.user = "other";
  Client killer(options);
  killer.exec(fmt::format("KILL QUERY {}", victim.thread_id()));
  expect_running(answer);
  sluice_.connect("shop").exec(fmt::format("KILL QUERY {}", victim.thread_id()));
  EXPECT_EQ(code_of(answer), kQueryInterrupted);
}

TEST_F(Kill, NobodysIdOnesOwnAndThoseOfStrangers) {
  auto client = sluice_.connect("shop");
  EXPECT_EQ(client.error("KILL QUERY 99999999").code, kNoSuchThread);
  const Client stranger{pair_.primary.endpoint()};
  client.exec(fmt::format("KILL QUERY {}", stranger.thread_id()));
  EXPECT_EQ(client.value("SELECT COUNT(*) FROM test.big"), "3000");
  Client direct{pair_.primary.endpoint()};
  EXPECT_EQ(client.error("KILL QUERY CONNECTION_ID()").code,
            direct.error("KILL QUERY CONNECTION_ID()").code);
  EXPECT_EQ(client.error(fmt::format("KILL QUERY {}", client.thread_id())).code,
            direct.error(fmt::format("KILL QUERY {}", direct.thread_id())).code);
  EXPECT_EQ(client.value("SELECT COUNT(*) FROM test.big"), "3000");
  EXPECT_FALSE(client.query("KILL CONNECTION_ID()"));
  EXPECT_FALSE(client.query("SELECT COUNT(*) FROM test.big FOR UPDATE"));
}

/// Its read waits until the replica has what the session has written, and is stopped when it runs.
TEST_F(Kill, OfASessionThatWaitsForItsReplica) {
  auto victim = sluice_.connect("shop"), killer = sluice_.connect("shop");
  victim.exec("SELECT COUNT(*) FROM test.big");
  pair_.replica.exec("STOP SLAVE SQL_THREAD");
  victim.exec("INSERT INTO test.big VALUES (0)");
  auto answer = std::async(std::launch::async, [&] { return victim.query(kEndless); });
  EXPECT_TRUE(eventually(5s, [&] {
    return pair_.replica.value(
               "SELECT COUNT(*) FROM information_schema.processlist WHERE info "
               "LIKE 'SELECT MASTER_GTID_WAIT%'") == "1";
  }));
  auto killed = std::async(std::launch::async,
                           [&] { killer.exec(fmt::format("KILL QUERY {}", victim.thread_id())); });
  pair_.replica.exec("START SLAVE SQL_THREAD");
  EXPECT_EQ(code_of(answer), kQueryInterrupted);
  killed.get();
}

}  // namespace
}  // namespace sluice::test
