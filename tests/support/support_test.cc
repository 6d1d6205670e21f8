/// The test fixtures themselves: real servers start, replicate, stop answering and come back, and
/// the load generator notices what it is there to notice.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "tests/support/free_port.h"
#include "tests/support/load.h"
#include "tests/support/private_system.h"
#include "tests/support/raw_client.h"
#include "tests/support/test_error.h"
#include "tests/support/topologies.h"

namespace sluice::test {
namespace {

TEST(Process, TellsHowAProgramEnded) {
  EXPECT_EQ(run_command({"true"}).exit_code, 0);
  EXPECT_EQ(run_command({"sh", "-c", "exit 78"}).exit_code, 78);
  EXPECT_EQ(run_command({"sh", "-c", "kill -9 $$"}).exit_code, 128 + SIGKILL);
  EXPECT_EQ(run_command({"/nonexistent/program"}).exit_code, 127);

  const auto echo = run_command({"sh", "-c", "cat; echo problem >&2"}, 5s, "input");
  EXPECT_EQ(echo.out, "input");
  EXPECT_EQ(echo.err, "problem\n");

  const auto endless = run_command({"cat", "/dev/zero"}, 50ms);
  EXPECT_TRUE(endless.timed_out);
}

TEST(Process, EndsASuspendedProgram) {
  Process process({.argv = {"cat", "/dev/zero"}, .output = {}, .account = std::nullopt});
  process.suspend();
  EXPECT_TRUE(process.running());
  const pid_t pid = process.pid();
  EXPECT_TRUE(is_alive(pid));
  EXPECT_EQ(process.terminate(5s), 128 + SIGTERM);
  EXPECT_FALSE(process.running());
  EXPECT_FALSE(is_alive(pid));
}

TEST(Process, SeesMountsThatNobodyElseSees) {
  if (!PrivateSystem::available()) GTEST_SKIP() << "only root can mount";
  const PrivateSystem system;
  system.write_etc("hosts", "private\n");
  const TempDir dir;
  Process process({.argv = {"cat", "/etc/hosts"},
                   .output = dir / "out",
                   .account = std::nullopt,
                   .mounts = system.mounts()});
  EXPECT_EQ(process.wait(5s), 0);
  EXPECT_EQ(read_file(dir / "out"), "private\n");
  EXPECT_NE(read_file("/etc/hosts"), "private\n");
}

TEST(TempDir, IsOpenToServersAndLeavesNothing) {
  std::string path;
  {
    const TempDir dir;
    path = dir.path();
    struct stat info {};
    ASSERT_EQ(::stat(path.c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 0777, 0755u);
    write_file(dir / "file", "one\ntwo\nthree\n");
    EXPECT_EQ(tail(read_file(dir / "file"), 2), "two\nthree\n");
  }
  EXPECT_FALSE(std::filesystem::exists(path));
}

TEST(FreePort, IsNeverGivenTwice) {
  std::vector<uint16_t> ports;
  for (int i = 0; i < 200; ++i) ports.push_back(free_port());
  std::ranges::sort(ports);
  EXPECT_EQ(std::ranges::adjacent_find(ports), ports.end());
}

TEST(MariadbServer, StartsWithTheAccountsOfTheFixtures) {
  MariadbServer db;
  EXPECT_EQ(db.value("SELECT COUNT(*) FROM mysql.global_priv WHERE User = ''"), "0");

  Client app(db.endpoint());
  app.exec("CREATE TABLE test.t (a INT); INSERT INTO test.t VALUES (42)");
  EXPECT_EQ(app.value("SELECT a FROM test.t"), "42");
  EXPECT_EQ(app.value("SELECT NULL"), "NULL");
  EXPECT_EQ(app.error("SELECT * FROM mysql.global_priv").code, 1142u);

  Client watch(db.endpoint(kWatchUser, kWatchPassword));
  watch.exec("SHOW SLAVE STATUS; SHOW MASTER STATUS; SELECT * FROM mysql.global_priv");
  EXPECT_TRUE(app.change_user(kWatchUser, kWatchPassword));

  const auto refused = Client::connect(db.endpoint("app", "wrong"));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, 1045u);
}

TEST(MariadbServer, KeepsItsDataOverKillAndRestart) {
  MariadbServer db;
  db.exec("CREATE TABLE test.t (a INT); INSERT INTO test.t VALUES (1)");
  db.kill9();
  EXPECT_FALSE(db.running());
  db.start();
  EXPECT_EQ(db.value("SELECT a FROM test.t"), "1");
  EXPECT_EQ(db.stop(), 0);
}

TEST(MysqlServer, KeepsItsDataOverKillAndRestart) {
  if (const auto can = MysqlServer::available(); !can) GTEST_SKIP() << can.error();
  MysqlServer db;
  db.exec("CREATE TABLE test.t (a INT); INSERT INTO test.t VALUES (1)");
  db.kill9();
  EXPECT_FALSE(db.running());
  db.start();
  EXPECT_EQ(Client(db.endpoint()).value("SELECT a FROM test.t"), "1");
  EXPECT_EQ(db.stop(), 0);
}

TEST(MariadbServer, SuspendedItAcceptsAndSaysNothing) {
  MariadbServer db;
  db.suspend();
  auto endpoint = db.endpoint();
  endpoint.connect_timeout_seconds = 1;
  EXPECT_FALSE(Client::connect(endpoint));
  db.resume();
  EXPECT_EQ(Client(db.endpoint()).value("SELECT 1"), "1");
}

TEST(MariadbServer, ReportsWhyItDidNotStart) {
  try {
    MariadbServer db({.extra_args = {"--no-such-option"}});
    FAIL() << "it started";
  } catch (const TestError& error) {
    EXPECT_NE(std::string(error.what()).find("no-such-option"), std::string::npos) << error.what();
  }
}

TEST(Topologies, ReplicationPairReplicates) {
  ReplicationPair pair;
  pair.primary.exec("CREATE TABLE test.t (a INT); INSERT INTO test.t VALUES (7)");
  pair.replica.catch_up_with(pair.primary);
  EXPECT_EQ(pair.replica.value("SELECT a FROM test.t"), "7");
  EXPECT_EQ(Client(pair.replica.endpoint()).error("DELETE FROM test.t").code, 1290u);
}

TEST(Topologies, MultiPrimaryPairReplicatesBothWays) {
  MultiPrimaryPair pair;
  pair.first.exec("CREATE TABLE test.t (a INT PRIMARY KEY); INSERT INTO test.t VALUES (1)");
  pair.second.catch_up_with(pair.first);
  pair.make_writable(pair.second);
  EXPECT_EQ(pair.first.value("SELECT @@read_only"), "1");
  Client(pair.second.endpoint()).exec("INSERT INTO test.t VALUES (2)");
  pair.first.catch_up_with(pair.second);
  EXPECT_EQ(pair.first.value("SELECT SUM(a) FROM test.t"), "3");
}

TEST(Topologies, GaleraNodesLeaveAndRejoin) {
  GaleraCluster cluster;
  auto& first = cluster.node(0);
  EXPECT_EQ(first.query("SHOW STATUS LIKE 'wsrep_cluster_size'")[0][1], "3");
  cluster.node(2).kill9();
  first.exec("CREATE TABLE test.t (a INT PRIMARY KEY); INSERT INTO test.t VALUES (5)");
  cluster.rejoin(cluster.node(2));
  EXPECT_EQ(cluster.node(2).value("SET SESSION wsrep_sync_wait = 1; SELECT a FROM test.t"), "5");
}

TEST(Load, IsCleanOnAHealthyServer) {
  MariadbServer db;
  Load load({.endpoint = db.endpoint()});
  load.wait_flowing();
  EXPECT_TRUE(load.advance(100));
  const auto report = load.stop();
  EXPECT_TRUE(report.clean()) << report.text();
  EXPECT_EQ(report.servers.at(std::to_string(db.server_id())), report.queries);
}

TEST(Load, CountsWhatAKilledServerCosts) {
  MariadbServer db;
  Load load({.endpoint = db.endpoint()});
  load.wait_flowing();
  db.kill9();
  db.start();
  EXPECT_TRUE(load.advance(100));
  const auto report = load.stop();
  EXPECT_GT(report.connect_errors.at(2002), 0u) << report.text();
  EXPECT_GE(report.query_failures, 4u) << "each holding thread lost its session: " << report.text();
  EXPECT_GT(report.longest_gap, 10ms);
  EXPECT_FALSE(report.texts.empty());
}

TEST(RawClient, SeesTheGreetingAndTheAnswerToGarbage) {
  MariadbServer db;
  RawClient raw(db.port());
  const auto greeting = raw.read_packet();
  ASSERT_TRUE(greeting);
  EXPECT_EQ(greeting->sequence, 0);
  EXPECT_EQ(greeting->payload[0], 10);
  EXPECT_TRUE(raw.send_packet(1, "garbage"));
  const auto answer = raw.read_packet();
  ASSERT_TRUE(answer);
  EXPECT_TRUE(answer->error_text().starts_with("1043 ")) << answer->error_text();
  EXPECT_TRUE(raw.closed_by_peer());
}

}  // namespace
}  // namespace sluice::test
