/// sluice-monitor alone: the test is its master, the servers are real. What it says of roles, how
/// fast it notices, that a server which hangs delays the view of no other, and how it leaves.
#include <gtest/gtest.h>

#include <algorithm>

#include "common/accounts/match.h"
#include "common/base/clock.h"
#include "tests/support/monitored.h"
#include "tests/support/raw_client.h"
#include "tests/support/test_error.h"
#include "tests/support/topologies.h"

namespace sluice::test {
namespace {

using cluster::Health;
using cluster::Role;

/// Sooner than any time-out of the client library; the thread sanitizer alone waits a second at
/// exit.
constexpr Milliseconds kAtOnce = 2500ms;

/// Capabilities and collation as the server's greeting has them.
std::pair<uint64_t, uint8_t> raw_greeting(uint16_t port) {
  RawClient client(port);
  const auto packet = client.read_packet();
  if (!packet || packet->payload.size() < 60) throw TestError("no greeting");
  const auto& p = packet->payload;
  const auto at = p.find('\0', 1) + 1 + 4 + 8 + 1;  // version, thread id, scramble, filler
  const auto number = [&](std::size_t offset, int width) {
    uint64_t value = 0;
    for (int i = width - 1; i >= 0; --i)
      value = value << 8 | static_cast<uint8_t>(p[at + offset + static_cast<std::size_t>(i)]);
    return value;
  };
  return {number(0, 2) | number(5, 2) << 16 | number(14, 4) << 32,
          static_cast<uint8_t>(number(2, 1))};
}

TEST(Monitor, TheFirstStateIsWholeAndComesAtOnce) {
  ReplicationPair pair;
  Monitored monitor(watched(config::Topology::replication, pair.servers(), 10'000));
  ASSERT_TRUE(monitor.until(5s, [&] { return monitor.updates == 1; }));
  EXPECT_LT(monitor.since_start(), 2s) << "not an interval later";
  EXPECT_TRUE(monitor.ready);
  EXPECT_EQ(monitor.roles(), "PR") << monitor.state.servers[1].reason;
  const auto& primary = monitor.state.servers[0];
  const auto [capabilities, collation] = raw_greeting(pair.primary.port());
  EXPECT_EQ(primary.capabilities, capabilities);
  EXPECT_EQ(primary.collation, collation);
  EXPECT_EQ(primary.version, pair.primary.value("SELECT @@version"));
  EXPECT_EQ(primary.addresses,
            (std::vector<cluster::Address>{{"127.0.0.1", pair.primary.port(), ""}}));
  EXPECT_EQ(monitor.state.servers[1].lag_ms, 0u);
}

TEST(Monitor, AServerThatHangsIsNoticedWithinThreeIntervalsAndDelaysNoOther) {
  constexpr auto kInterval = 1000ms;
  ReplicationPair pair;
  Monitored monitor(watched(config::Topology::replication, pair.servers(), kInterval.count()));
  ASSERT_TRUE(monitor.until_roles(5s, "PR"));

  auto since = Clock::now();
  pair.replica.suspend();
  ASSERT_TRUE(monitor.until_health(10s, "db2", Health::down));
  EXPECT_LT(Clock::now() - since, 3 * kInterval);
  EXPECT_NE(monitor.state.server("db2")->reason.find("no answer for"), std::string::npos);

  since = Clock::now();
  pair.primary.set_read_only(true);
  ASSERT_TRUE(monitor.until_roles(10s, "--"));
  EXPECT_LT(Clock::now() - since, 2 * kInterval) << "the other's view is as fresh as ever";

  pair.replica.resume();
  ASSERT_TRUE(monitor.until_roles(15s, "-R")) << "readable again";
  EXPECT_NE(monitor.log().find("server is back cluster=shop server=db2"), std::string::npos);
}

TEST(Monitor, ThePrimaryFollowsReadOnlyAndIsNeverTwo) {
  MultiPrimaryPair pair;
  Monitored monitor(watched(config::Topology::multi_primary, pair.servers(), 200));
  ASSERT_TRUE(monitor.until_roles(5s, "PR"));
  pair.make_writable(pair.second);
  ASSERT_TRUE(monitor.until_roles(5s, "RP")) << monitor.roles();
  pair.first.set_read_only(false);
  ASSERT_TRUE(monitor.until(5s, [&] { return !monitor.state.problem.empty(); }));
  EXPECT_EQ(monitor.roles(), "RP") << "the one that was stays";
  pair.first.set_read_only(true);
  ASSERT_TRUE(monitor.until(5s, [&] { return monitor.state.problem.empty(); }));

  const auto since = Clock::now();
  pair.second.kill9();
  ASSERT_TRUE(monitor.until_health(5s, "db2", Health::down));
  EXPECT_LT(Clock::now() - since, 1s) << "the closed connection says so at once";
  EXPECT_EQ(monitor.roles(), "R-") << monitor.state.servers[0].reason;
  pair.first.set_read_only(false);
  ASSERT_TRUE(monitor.until_roles(5s, "P-"));
  EXPECT_FALSE(monitor.two_primaries);
}

TEST(Monitor, OneSyncedGaleraNodeWritesAndStays) {
  GaleraCluster galera;
  Monitored monitor(watched(config::Topology::galera, galera.servers(), 200));
  ASSERT_TRUE(monitor.until_roles(5s, "PRR")) << monitor.roles();
  galera.node(0).exec("SET GLOBAL wsrep_desync = ON");
  ASSERT_TRUE(monitor.until_roles(5s, "-PR")) << monitor.roles();
  EXPECT_EQ(monitor.state.servers[0].reason, "desynced");
  galera.node(0).exec("SET GLOBAL wsrep_desync = OFF");
  ASSERT_TRUE(monitor.until_roles(5s, "RPR")) << "the writer does not move back";
  galera.node(1).kill9();
  galera.node(2).kill9();
  ASSERT_TRUE(monitor.until(20s, [&] {
    return monitor.state.servers[0].reason.find("primary component") != std::string::npos;
  })) << monitor.state.servers[0].reason;
  EXPECT_EQ(monitor.roles(), "---");
  EXPECT_FALSE(monitor.two_primaries);
}

TEST(Monitor, AccountsAreLoadedRefreshedAndExplained) {
  MariadbServer server;
  Monitored monitor(watched(config::Topology::single, {&server}, 200));
  ASSERT_TRUE(monitor.until(10s, [&] { return monitor.accounts_version > 0; }));
  const auto before = monitor.accounts_version;

  server.exec("CREATE USER fresh@'10.1.%' IDENTIFIED BY 'x'");
  const auto asked_ns = monotonic_ns();
  for (int i = 0; i < 5; ++i) monitor.send(ipc::RefreshAccounts{"shop"});
  ASSERT_TRUE(monitor.until(10s, [&] { return !monitor.checked.empty(); }));
  EXPECT_EQ(monitor.checked[0].error, "");
  EXPECT_GT(monitor.checked[0].version, before);
  EXPECT_EQ(monitor.checked[0].version, monitor.accounts_version);
  EXPECT_GT(monitor.checked[0].began_ns, asked_ns);
  const auto table = accounts::Table::open(monitor.accounts);
  ASSERT_TRUE(table);
  EXPECT_TRUE(accounts::find(*table, "fresh", {"10.1.2.3", ""}));

  const auto listed = monitor.ask("list accounts", {});
  EXPECT_EQ(listed.error, "");
  EXPECT_GE(listed.table.rows.size(), 4u);
  const auto explained = monitor.ask("explain login", {"fresh", "10.1.2.3", "shop"});
  ASSERT_EQ(explained.table.rows.size(), 2u) << explained.error;
  EXPECT_EQ(explained.table.rows[0].cells[6], "true");
  EXPECT_EQ(explained.table.rows[1].cells[5], "other account");
  EXPECT_NE(explained.table.rows[1].cells[8].find("db1 sees sluice as 127.0.0.1 (localhost)"),
            std::string::npos)
      << explained.table.rows[1].cells[8];

  server.exec("DROP USER fresh@'10.1.%'; CREATE USER fresher@'10.1.%' IDENTIFIED BY 'x'");
  const auto later = monitor.ask("explain login", {"fresher", "10.1.2.3", "shop"});
  ASSERT_EQ(later.table.rows.size(), 2u) << "made since the last load; " << later.error;
  EXPECT_EQ(later.table.rows[0].cells[6], "true");
  const auto gone = monitor.ask("explain login", {"fresh", "10.1.2.3", "shop"});
  ASSERT_EQ(gone.table.rows.size(), 1u);
  EXPECT_EQ(gone.table.rows[0].cells[5], "no account");

  const auto shown = monitor.ask("show server", {"shop/db1"});
  EXPECT_TRUE(shown.table.record) << shown.error;
  const auto outgoing = std::ranges::find(shown.table.columns, "outgoing", &ipc::Column::name);
  ASSERT_NE(outgoing, shown.table.columns.end());
  EXPECT_EQ(shown.table.rows[0].cells[outgoing - shown.table.columns.begin()], "127.0.0.1");
  EXPECT_NE(monitor.ask("show server", {"shop/db9"}).error, "");
  EXPECT_EQ(monitor.log().find(kWatchPassword), std::string::npos);
}

/// However often somebody asks, a server's grant tables are read once a second at most; and whoever
/// asked last gets what was read after that.
TEST(Monitor, AFloodOfRequestsMakesALoadASecond) {
  MariadbServer server;
  Monitored monitor(watched(config::Topology::single, {&server}, 200));
  ASSERT_TRUE(monitor.until(10s, [&] { return monitor.accounts_version > 0; }));
  server.exec("SET GLOBAL log_output = 'TABLE', general_log = ON");

  const auto start = monotonic_ns();
  int64_t asked_ns = 0;
  while (monotonic_ns() - start < 3 * kSecondNs) {
    for (int i = 0; i < 20; ++i) monitor.send(ipc::RefreshAccounts{"shop"});
    asked_ns = monotonic_ns();
    (void)monitor.until(20ms, [] { return false; });
  }
  ASSERT_TRUE(monitor.until(
      5s, [&] { return !monitor.checked.empty() && monitor.checked.back().began_ns > asked_ns; }));
  for (std::size_t i = 1; i < monitor.checked.size(); ++i)
    EXPECT_GE(monitor.checked[i].began_ns - monitor.checked[i - 1].began_ns, kSecondNs);
  const auto seconds = (monotonic_ns() - start) / kSecondNs + 1;
  const auto loads = server.value(
      "SELECT COUNT(*) FROM mysql.general_log WHERE argument LIKE 'SELECT %mysql.global_priv'");
  EXPECT_GE(std::stoll(loads), 3);
  EXPECT_LE(std::stoll(loads), seconds + 1);
  // The last requests may have been read after that load began, but then nobody asks any more.
  const auto answers = monitor.checked.size();
  EXPECT_FALSE(monitor.until(2500ms, [&] { return monitor.checked.size() > answers + 1; }));
}

TEST(Monitor, ConfigurationAndTheOperatorsWordChangeWhileItRuns) {
  ReplicationPair pair;
  auto cluster = watched(config::Topology::replication, pair.servers(), 200);
  cluster.servers[0].address = {"localhost", pair.primary.port(), ""};
  cluster.servers[1].address = {"", 0, pair.replica.socket_path()};
  Monitored monitor(cluster);
  ASSERT_TRUE(monitor.until_roles(10s, "PR"));
  EXPECT_FALSE(monitor.state.servers[0].addresses.empty()) << "a host name is resolved";
  EXPECT_EQ(monitor.state.servers[1].addresses[0].path, pair.replica.socket_path());

  monitor.send(ipc::ServerAdmin{"shop", "db2", cluster::Admin::maintenance});
  ASSERT_TRUE(monitor.until_roles(5s, "P-"));
  EXPECT_EQ(monitor.state.servers[1].reason, "in maintenance");
  monitor.send(ipc::ServerAdmin{"shop", "db2", cluster::Admin::none});
  ASSERT_TRUE(monitor.until_roles(5s, "PR"));

  auto bad = cluster.servers[0];
  bad.name = "db3";
  bad.address.host = "nowhere.invalid";
  cluster.servers.push_back(bad);
  cluster.interval_ms = 300;
  monitor.send(ipc::MonitorConfig{.log_level = log::Level::info, .clusters = {cluster}});
  ASSERT_TRUE(monitor.until_health(30s, "db3", Health::down));
  EXPECT_NE(monitor.state.server("db3")->reason.find("can't be resolved"), std::string::npos);
  EXPECT_EQ(monitor.roles(), "PR-");
  cluster.servers.pop_back();
  cluster.servers.erase(cluster.servers.begin());
  monitor.send(ipc::MonitorConfig{.log_level = log::Level::info, .clusters = {cluster}});
  ASSERT_TRUE(monitor.until(5s, [&] { return monitor.state.servers.size() == 1; }));
}

TEST(Monitor, AWrongPasswordIsSaidAndDoesNoHarm) {
  MariadbServer server;
  auto cluster = watched(config::Topology::single, {&server}, 200);
  cluster.password = Secret("wrong-secret");
  Monitored monitor(cluster);
  ASSERT_TRUE(monitor.until_health(5s, "db1", Health::access_denied));
  EXPECT_NE(monitor.state.servers[0].reason.find("Access denied"), std::string::npos);
  EXPECT_EQ(monitor.log().find("wrong-secret"), std::string::npos);
}

TEST(Monitor, AServerThatTakesNoProxyHeaderIsToldFromOneThatIsDown) {
  MariadbServer server;
  auto cluster = watched(config::Topology::single, {&server}, 200);
  cluster.servers[0].proxy_protocol = true;
  Monitored monitor(cluster);
  ASSERT_TRUE(monitor.until(10s, [&] {
    return !monitor.state.servers.empty() &&
           monitor.state.servers[0].reason.find("proxy_protocol_networks") != std::string::npos;
  })) << monitor.log();
}

TEST(Monitor, WhyThereIsNoConnectionIsSaidInWords) {
  MariadbServer server;
  auto cluster = watched(config::Topology::single, {&server}, 200);
  cluster.servers[0].address.port = 1;
  Monitored monitor(cluster);
  ASSERT_TRUE(monitor.until_health(5s, "db1", Health::down));
  EXPECT_EQ(monitor.state.servers[0].reason, "can't connect to 127.0.0.1:1: Connection refused");
}

TEST(Monitor, ARequestForAccountsIsAnsweredThoughNobodyCanBeAsked) {
  MariadbServer server;
  Monitored monitor(watched(config::Topology::single, {&server}, 200));
  ASSERT_TRUE(monitor.until(10s, [&] { return monitor.accounts_version > 0; }));
  server.kill9();
  ASSERT_TRUE(monitor.until_health(5s, "db1", Health::down));
  monitor.send(ipc::RefreshAccounts{"shop"});
  ASSERT_TRUE(monitor.until(5s, [&] { return !monitor.checked.empty(); }));
  EXPECT_NE(monitor.checked[0].error, "");
  EXPECT_EQ(monitor.checked[0].version, monitor.accounts_version) << "the old table stays";
}

TEST(Monitor, LeavesAtOnceWhenToldSoThoughAServerHangs) {
  MariadbServer server;
  Monitored monitor(watched(config::Topology::single, {&server}, 200));
  ASSERT_TRUE(monitor.until_roles(5s, "P"));
  server.suspend();
  ASSERT_TRUE(monitor.until_health(5s, "db1", Health::down));
  monitor.send(ipc::Finish{});
  EXPECT_TRUE(monitor.until(1s, [&] { return monitor.leaving; }));
  EXPECT_EQ(monitor.process().wait(kAtOnce), 0);
  server.resume();
}

TEST(Monitor, LeavesWithItsMaster) {
  MariadbServer server;
  Monitored monitor(watched(config::Topology::single, {&server}, 200));
  ASSERT_TRUE(monitor.until_roles(5s, "P"));
  monitor.hang_up();
  EXPECT_EQ(monitor.process().wait(kAtOnce), 0);
}

/// A question is in flight when the monitor itself is stopped for longer than any answer may take.
TEST(Monitor, ItsOwnPauseIsNotTheServersFault) {
  MariadbServer server;
  Monitored monitor(watched(config::Topology::single, {&server}, 500));
  ASSERT_TRUE(monitor.until_roles(5s, "P"));
  server.suspend();
  EXPECT_FALSE(monitor.until_health(550ms, "db1", Health::down))
      << "a question is out, and not late";
  monitor.process().suspend();
  (void)monitor.until(1500ms, [] { return false; });
  monitor.process().resume();
  EXPECT_FALSE(monitor.until_health(200ms, "db1", Health::down)) << monitor.log();
  server.resume();
  EXPECT_FALSE(monitor.until_health(1s, "db1", Health::down)) << monitor.log();
}

}  // namespace
}  // namespace sluice::test
