/// Our choice of the account against that of each MySQL, as accounts_match_test does it for
/// MariaDB. MySQL knows no PROXY header, so the program has a network of its own where every
/// address is local.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <mysqld_error.h>
#include <sched.h>

#include "common/accounts/match.h"
#include "monitor/accounts_loader.h"
#include "tests/common/accounts/cases.h"
#include "tests/support/mysql_server.h"
#include "tests/support/random_accounts.h"
#include "tests/support/test_error.h"

namespace sluice::test {
namespace {

using accounts::Peer;
using accounts::Table;

constexpr const char* kNobody = "none";

/// Moves this thread, and what it starts from now on, into a network where one can connect from any
/// address.
Available enter_network() {
  if (::geteuid() != 0) return tl::unexpected(std::string("only root can have another network"));
  if (::unshare(CLONE_NEWNET) != 0)
    return tl::unexpected(fmt::format("unshare: {}", ::strerror(errno)));
  const auto made = run_command({"sh", "-ec",
                                 "ip link set lo up;"
                                 "ip route add local 0.0.0.0/0 dev lo;"
                                 "ip -6 route add local ::/0 dev lo;"
                                 "echo 1 >/proc/sys/net/ipv6/ip_nonlocal_bind"});
  if (made.exit_code != 0) return tl::unexpected("a network of its own: " + made.err);
  return {};
}

class MysqlAccounts : public testing::TestWithParam<std::tuple<MysqlRelease, bool>> {
 protected:
  void SetUp() override {
    std::tie(release_, skip_name_resolve_) = GetParam();
    if (const auto can = MysqlServer::available(release_); !can) GTEST_SKIP() << can.error();
    static const Available network = enter_network();
    if (!network) GTEST_SKIP() << network.error();
    ServerOptions options{.bind_address = "*"};
    if (skip_name_resolve_) options.extra_args = {"--skip-name-resolve"};
    server_ =
        std::make_unique<MysqlServer>(std::move(options), DatabaseServer::Start::Ready, release_);
  }

  /// Replaces all accounts but the server's own; nobody needs a password. `door` is there because
  /// MySQL 9.7 turns an address away (1130) that only a row with a mask of 32 ones covers, before
  /// it looks for an account, and takes that same row once any other account covers the address.
  void set_accounts(std::vector<std::string> accounts) {
    accounts.push_back("door@%");
    std::string sql = "DELETE FROM mysql.user WHERE User NOT LIKE 'mysql.%' AND User <> 'root';";
    for (const auto& account : accounts) {
      const auto [user, host] = accounts::split_account(account);
      sql += fmt::format(
          "INSERT INTO mysql.user (User, Host, ssl_cipher, x509_issuer, x509_subject) "
          "VALUES ({}, {}, '', '', '');",
          sql_text(user), sql_text(host));
    }
    server_->exec(sql + "FLUSH PRIVILEGES");
  }

  /// The account that the server gives, or "none".
  std::string ask_server(const std::string& user, const Peer& client) {
    auto endpoint = server_->endpoint(user.empty() ? "''" : user, "");
    endpoint.bind_address = client.ip;
    if (client.ip.find(':') != std::string::npos) endpoint.host = "::1";
    if (client.ip.empty()) endpoint.socket = server_->socket_path();
    auto session = Client::connect(endpoint);
    if (session) return session->value("SELECT CURRENT_USER()");
    if (session.error().code != ER_ACCESS_DENIED_ERROR) throw TestError(session.error().text);
    return kNobody;
  }
  /// The same from our table.
  std::string ask_us(const Table& table, const std::string& user, const Peer& client) {
    const auto account = accounts::find(table, user, client);
    return account ? accounts::name_of(account->user, account->host) : kNobody;
  }

  MysqlRelease release_{};
  bool skip_name_resolve_ = false;
  std::unique_ptr<MysqlServer> server_;
};
INSTANTIATE_TEST_SUITE_P(Releases, MysqlAccounts,
                         testing::Combine(testing::Values(MysqlRelease::V9, MysqlRelease::V8_4,
                                                          MysqlRelease::V8_0),
                                          testing::Bool()));

TEST_P(MysqlAccounts, CasesHoldOnARealServer) {
  int tried = 0;
  for (const auto& test : accounts::read_match_cases(SLUICE_TEST_DATA "/accounts.cases")) {
    if (test.flavour != accounts::Flavour::mysql || test.skip_name_resolve != skip_name_resolve_)
      continue;
    const bool local =
        test.client.ip.empty() || test.client.ip == "127.0.0.1" || test.client.ip == "::1";
    if (!test.client.name.empty() || (!skip_name_resolve_ && !local)) continue;  // would ask a DNS
    set_accounts(test.accounts);
    EXPECT_EQ(ask_server(test.user, test.client), test.expected)
        << "MySQL disagrees with accounts.cases:" << test.line;
    ++tried;
  }
  EXPECT_GT(tried, 0);
}

/// Each host against each other: who wins, from a few addresses.
TEST_P(MysqlAccounts, EveryPairOfHosts) {
  const std::vector<std::string> hosts = {"127.0.0.1",
                                          "127.0.0.5",
                                          "127.0.0.0/24",
                                          "127.0.0.0/8",
                                          "127.0.0.4/31",
                                          "127.0.0.5/32",
                                          "127.0.0.0/255.255.255.0",
                                          "127.0.0.0/255.0.0.0",
                                          "127.0.0.5/255.255.255.255",
                                          "127.0.0.%",
                                          "127.%",
                                          "127.0.0._",
                                          "%",
                                          "",
                                          "localhost",
                                          "%host",
                                          "10.1.0.0/16",
                                          "10.1.2.3",
                                          "0.0.0.0/0",
                                          "::1",
                                          "fd00::/8",
                                          "::1/128"};
  const std::vector<std::string> addresses =
      skip_name_resolve_
          ? std::vector<std::string>{"127.0.0.1", "127.0.0.5", "10.1.2.3", "::1", "fd00::7", ""}
          : std::vector<std::string>{"127.0.0.1", "::1", ""};
  for (std::size_t i = 0; i < hosts.size(); ++i)
    for (std::size_t j = i + 1; j < hosts.size(); ++j) {
      set_accounts({"app@" + hosts[i], "app@" + hosts[j], "@" + hosts[j]});
      const auto contents = monitor::load_accounts(server_->root().handle(), "db1");
      ASSERT_TRUE(contents) << contents.error().message;
      const auto encoded = accounts::encode(*contents);
      const auto table = Table::open(encoded);
      ASSERT_TRUE(table);
      for (const auto& address : addresses) {
        Peer client{address, ""};
        if (!skip_name_resolve_ && !address.empty()) client.name = "localhost";
        EXPECT_EQ(ask_us(*table, "app", client), ask_server("app", {address, ""}))
            << "app@" << hosts[i] << " app@" << hosts[j] << " @" << hosts[j] << " from '" << address
            << "'";
      }
    }
}

}  // namespace
}  // namespace sluice::test
