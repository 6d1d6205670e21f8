/// The names of addresses: the monitor's answers against a real server that resolves names itself,
/// with a name service of the test's own, and with one that does not answer.
#include <arpa/inet.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "common/accounts/match.h"
#include "common/base/clock.h"
#include "tests/support/monitored.h"
#include "tests/support/own_namespace.h"
#include "tests/support/test_error.h"

namespace sluice::test {
namespace {

constexpr const char* kFilesOnly = "hosts: files\npasswd: files\ngroup: files\n";

/// 127.0.0.7 has a name that looks like an address, 127.0.0.8 has none.
constexpr const char* kHosts =
    "127.0.0.1 localhost\n"
    "127.0.0.5 five.test five\n"
    "127.0.0.6 SIX.Test\n"
    "127.0.0.7 7.seven.test\n"
    "127.0.0.9 9nine.test\n"
    "192.0.2.5 far.test\n";

class Names : public testing::Test {
 protected:
  void SetUp() override {
    if (const auto why = no_namespaces(); !why.empty()) GTEST_SKIP() << why;
  }
};

std::string name_of(Monitored& monitor, const std::string& ip) {
  monitor.names.clear();
  monitor.send(ipc::ResolveName{ip});
  if (!monitor.until(10s, [&] { return !monitor.names.empty(); }))
    throw TestError("no answer for " + ip);
  EXPECT_EQ(monitor.names[0].ip, ip);
  return monitor.names[0].name;
}

/// The account that the server gives to `user` who comes from `ip`.
std::string account_at(MariadbServer& server, const std::string& user, const std::string& ip) {
  auto options = server.endpoint(user, "");
  options.bind_address = ip;
  auto client = Client::connect(options);
  return client ? client->value("SELECT CURRENT_USER()") : "none";
}

TEST_F(Names, AreThoseThatAServerFinds) {
  const OwnFiles files({{"/etc/hosts", kHosts}, {"/etc/nsswitch.conf", kFilesOnly}});
  MariadbServer server;
  for (const char* host : {"five.test", "%.test", "127.0.0.%", "7.seven.test", "127.0.0.6", "9%"})
    server.exec(fmt::format("CREATE USER named@'{}'", host));
  for (const char* host : {"six.TEST", "%"})
    server.exec(fmt::format("CREATE USER other@'{}'", host));
  Monitored monitor(watched(config::Topology::single, {&server}, 200));
  ASSERT_TRUE(monitor.until(10s, [&] { return monitor.accounts_version > 0; }));
  const auto table = accounts::Table::open(monitor.accounts).value();
  EXPECT_TRUE(accounts::names_matter(table, "named"));

  EXPECT_EQ(name_of(monitor, "127.0.0.1"), "localhost");
  EXPECT_EQ(name_of(monitor, "127.0.0.5"), "five.test");
  EXPECT_EQ(name_of(monitor, "::ffff:127.0.0.5"), "five.test");
  EXPECT_EQ(name_of(monitor, "127.0.0.7"), "") << "it looks like an address";
  EXPECT_EQ(name_of(monitor, "127.0.0.8"), "");
  for (const char* user : {"named", "other"}) {
    for (const char* ip :
         {"127.0.0.1", "127.0.0.5", "127.0.0.6", "127.0.0.7", "127.0.0.8", "127.0.0.9"}) {
      const auto account = accounts::find(table, user, {ip, name_of(monitor, ip)});
      const auto ours = account ? fmt::format("{}@{}", account->user, account->host) : "none";
      EXPECT_EQ(ours, account_at(server, user, ip)) << user << " from " << ip;
    }
  }
}

TEST_F(Names, AreLookedUpForAnExplanation) {
  const OwnFiles files({{"/etc/hosts", kHosts}, {"/etc/nsswitch.conf", kFilesOnly}});
  MariadbServer server;
  server.exec("CREATE USER named@'five.test'; CREATE USER named@'far.test'; CREATE USER named@'%'");
  Monitored monitor(watched(config::Topology::single, {&server}, 200));
  ASSERT_TRUE(monitor.until(10s, [&] { return monitor.accounts_version > 0; }));
  const auto chosen = [&](const std::string& ip) {
    const auto answer = monitor.ask("explain login", {"named", ip});
    EXPECT_EQ(answer.error, "");
    for (const auto& row : answer.table.rows)
      if (row.cells[6] == "true") return row.cells[2];
    return std::string("none");
  };
  EXPECT_EQ(chosen("192.0.2.5"), "far.test");
  EXPECT_EQ(chosen("192.0.2.6"), "%");
  EXPECT_EQ(chosen("127.0.0.5"), "%")
      << "on this host: judged by the address that it connects from";
  EXPECT_EQ(chosen("five.test"), "five.test");
}

/// A name service that takes questions and never answers. Dies with the object.
UniqueFd silent_name_service() {
  UniqueFd fd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(53);  // of a network that is the test's own
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    throw TestError("bind port 53");
  return fd;
}

TEST_F(Names, ANameServiceThatIsSilentHoldsUpNobody) {
  const OwnFiles files({{"/etc/hosts", kHosts},
                        {"/etc/nsswitch.conf", "hosts: files dns\n"},
                        {"/etc/resolv.conf", "nameserver 127.0.0.1\n"}});
  const OwnNetwork network;
  const auto silence = silent_name_service();
  Monitored monitor(std::vector<config::Cluster>{});
  ASSERT_TRUE(monitor.until(10s, [&] { return monitor.ready; }));

  const auto start = monotonic_ns();
  for (int i = 1; i <= 20; ++i) monitor.send(ipc::ResolveName{fmt::format("10.9.9.{}", i)});
  EXPECT_NE(monitor.ask("show server", {"shop/db1"}).error, "");
  EXPECT_LT(monotonic_ns() - start, kSecondNs) << "all its threads hang, and it answers";
  ASSERT_TRUE(monitor.until(10s, [&] { return monitor.names.size() == 20; }));
  const auto took = monotonic_ns() - start;
  EXPECT_GE(took, 2 * kSecondNs);
  EXPECT_LT(took, 4 * kSecondNs);
  for (const auto& answer : monitor.names) {
    EXPECT_EQ(answer.name, "");
    EXPECT_LE(answer.until_ns, monotonic_ns() + 5 * kSecondNs);
  }
  monitor.send(ipc::Finish{});
  EXPECT_TRUE(monitor.until(1s, [&] { return monitor.leaving; }));
}

}  // namespace
}  // namespace sluice::test
