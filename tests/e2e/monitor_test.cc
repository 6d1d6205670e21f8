/// sluice-monitor alone: the test is its master, the servers are real. What it says of roles, how
/// fast it notices, that a server which hangs delays the view of no other, and how it leaves.
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>

#include <deque>
#include <optional>

#include "common/accounts/match.h"
#include "common/ipc/channel.h"
#include "tests/support/raw_client.h"
#include "tests/support/sluice.h"
#include "tests/support/test_error.h"
#include "tests/support/topologies.h"

namespace sluice::test {
namespace {

using cluster::Health;
using cluster::Role;

/// Sooner than any time-out of the client library; the thread sanitizer alone waits a second at
/// exit.
constexpr Milliseconds kAtOnce = 2500ms;

config::Cluster watched(config::Topology topology, const std::vector<MariadbServer*>& servers,
                        uint32_t interval_ms) {
  config::Cluster cluster;
  cluster.name = "shop";
  cluster.topology = topology;
  cluster.user = kWatchUser;
  cluster.password = Secret(kWatchPassword);
  cluster.interval_ms = interval_ms;
  for (const auto* server : servers) {
    auto& s = cluster.servers.emplace_back();
    s.name = server->name();
    s.address = {"127.0.0.1", server->port(), ""};
  }
  return cluster;
}

/// A monitor and the master's end of its channel.
class Monitored {
 public:
  explicit Monitored(config::Cluster cluster) : cluster_(std::move(cluster)) {
    auto ends = ipc::Channel::pair();
    if (!ends) throw TestError(ends.error().message);
    channel_.emplace(std::move(ends->first));
    // The shell moves the channel to where the monitor looks for it.
    process_ =
        Process({.argv = {"sh", "-c", "exec \"$0\" 3<&0 0</dev/null", program("sluice-monitor")},
                 .output = output(),
                 .stdin_fd = ends->second.get()});
    send(ipc::Hello{.role = ipc::Role::master});
    send(ipc::MonitorConfig{.log_level = log::Level::info, .clusters = {cluster_}});
    send(ipc::Start{});
    started_ = Clock::now();
  }
  ~Monitored() {
    if (process_.pid() != 0) process_.kill9();
    const auto printed = read_file(output());
    EXPECT_EQ(printed.find("Sanitizer"), std::string::npos) << printed;
    if (testing::Test::HasFailure())
      std::fprintf(stderr, "log of the monitor:\n%s%s", log_.c_str(), printed.c_str());
  }

  template <class Message>
  void send(const Message& message) {
    if (auto sent = channel_->send(message); !sent) throw TestError(sent.error().message);
  }

  /// Takes what the monitor sends until `predicate` holds; false after the deadline.
  template <class Predicate>
  [[nodiscard]] bool until(Milliseconds deadline, Predicate predicate) {
    const auto start = Clock::now();
    while (!predicate()) {
      const auto left = time_left(start, deadline);
      pollfd ready{channel_->fd(), POLLIN, 0};
      if (left == Milliseconds(0) || ::poll(&ready, 1, static_cast<int>(left.count())) <= 0)
        return predicate();
      if (!receive()) return predicate();
    }
    return true;
  }
  bool until_roles(Milliseconds deadline, const std::string& roles) {
    return until(deadline, [&] { return this->roles() == roles; });
  }
  bool until_health(Milliseconds deadline, const std::string& server, Health health) {
    return until(deadline, [&] {
      const auto* s = state.server(server);
      return s && s->health == health;
    });
  }

  /// "PR-": a letter for each server.
  std::string roles() const {
    std::string text;
    for (const auto& s : state.servers) text += "-PR"[static_cast<int>(s.role)];
    return text;
  }
  ipc::Answer ask(std::string command, std::vector<std::string> arguments) {
    answer.reset();
    send(ipc::Ask{++asked_, std::move(command), std::move(arguments)});
    if (!until(10s, [&] { return answer && answer->id == asked_; }))
      throw TestError("no answer from the monitor");
    return *answer;
  }
  Milliseconds since_start() const {
    return std::chrono::duration_cast<Milliseconds>(Clock::now() - started_);
  }
  Process& process() { return process_; }
  config::Cluster& cluster() { return cluster_; }
  void hang_up() { channel_.reset(); }
  const std::string& log() const { return log_; }

  cluster::ClusterState state;
  int updates = 0;
  bool two_primaries = false;  ///< in any state so far
  Bytes accounts;
  uint64_t accounts_version = 0;
  std::optional<ipc::AccountsChecked> checked;
  std::optional<ipc::Answer> answer;
  bool ready = false, leaving = false;

 private:
  std::string output() const { return dir_ / "printed"; }

  bool receive() {
    auto frame = channel_->receive();
    if (!frame) return false;
    if (!*frame) return true;
    take(std::move(**frame));
    return true;
  }
  template <class Message>
  static std::optional<Message> as(const ipc::Frame& frame) {
    if (frame.id != ipc::Declared<Message>::kId) return std::nullopt;
    auto message = ipc::decode<Message>(frame.body);
    EXPECT_TRUE(message) << "malformed message " << frame.id;
    return std::move(*message);
  }
  void take(ipc::Frame frame) {
    if (auto record = as<ipc::LogRecord>(frame)) {
      log_ += fmt::format("{} {}: {}\n", log::name(record->level), record->component, record->text);
    } else if (auto update = as<ipc::ClusterUpdate>(frame)) {
      EXPECT_GT(update->state.version, state.version);
      state = std::move(update->state);
      ++updates;
      two_primaries = two_primaries || std::ranges::count(state.servers, Role::primary,
                                                          &cluster::ServerState::role) > 1;
    } else if (auto loaded = as<ipc::AccountsUpdate>(frame)) {
      EXPECT_GT(loaded->version, accounts_version);
      accounts_version = loaded->version;
      const auto map = ipc::SealedMap::map(frame.fds.at(0).get(), 1 << 20);
      ASSERT_TRUE(map);
      accounts.assign(map->bytes().begin(), map->bytes().end());
    } else if (auto done = as<ipc::AccountsChecked>(frame)) {
      checked = std::move(done);
    } else if (auto replied = as<ipc::Answer>(frame)) {
      answer = std::move(replied);
    } else if (as<ipc::Ready>(frame)) {
      ready = true;
    } else if (as<ipc::Leaving>(frame)) {
      leaving = true;
    }
  }

  TempDir dir_;
  config::Cluster cluster_;
  std::optional<ipc::Channel> channel_;
  Process process_;
  Clock::time_point started_;
  std::string log_;
  uint64_t asked_ = 0;
};

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
  for (int i = 0; i < 5; ++i) monitor.send(ipc::RefreshAccounts{"shop"});
  ASSERT_TRUE(monitor.until(10s, [&] { return monitor.checked.has_value(); }));
  EXPECT_EQ(monitor.checked->error, "");
  EXPECT_GT(monitor.checked->version, before);
  EXPECT_EQ(monitor.checked->version, monitor.accounts_version);
  const auto table = accounts::Table::open(monitor.accounts);
  ASSERT_TRUE(table);
  EXPECT_TRUE(accounts::find(*table, "fresh", {"10.1.2.3", ""}));

  const auto listed = monitor.ask("list accounts", {});
  EXPECT_EQ(listed.error, "");
  EXPECT_GE(listed.table.rows.size(), 4u);
  const auto explained = monitor.ask("explain login", {"fresh", "10.1.2.3", "shop"});
  ASSERT_EQ(explained.table.rows.size(), 1u) << explained.error;
  EXPECT_EQ(explained.table.rows[0].cells[3], "true");
  const auto shown = monitor.ask("show server", {"shop/db1"});
  EXPECT_TRUE(shown.table.record) << shown.error;
  EXPECT_NE(monitor.ask("show server", {"shop/db9"}).error, "");
  EXPECT_EQ(monitor.log().find(kWatchPassword), std::string::npos);
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

TEST(Monitor, ARequestForAccountsIsAnsweredThoughNobodyCanBeAsked) {
  MariadbServer server;
  Monitored monitor(watched(config::Topology::single, {&server}, 200));
  ASSERT_TRUE(monitor.until(10s, [&] { return monitor.accounts_version > 0; }));
  server.kill9();
  ASSERT_TRUE(monitor.until_health(5s, "db1", Health::down));
  monitor.send(ipc::RefreshAccounts{"shop"});
  ASSERT_TRUE(monitor.until(5s, [&] { return monitor.checked.has_value(); }));
  EXPECT_NE(monitor.checked->error, "");
  EXPECT_EQ(monitor.checked->version, monitor.accounts_version) << "the old table stays";
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
