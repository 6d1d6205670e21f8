/// Three hosts: the client's, the proxy's and the database's, each in a network namespace. Whose
/// account a client gets through a central proxy and through a proxy on its own host: the one that
/// it would get by connecting directly, or none (DESIGN 7).
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <map>
#include <optional>

#include "tests/support/free_port.h"
#include "tests/support/lan.h"
#include "tests/support/routing.h"
#include "tests/support/sluice.h"

namespace sluice::test {
namespace {

constexpr const char *kClient = "10.77.0.1", *kClientsOther = "10.77.0.11", *kProxy = "10.77.0.2",
                     *kDatabase = "10.77.0.3";
constexpr unsigned kAccessDenied = 1045;

/// User names tell for whose address their accounts are; all have the password 'x'.
constexpr const char* kAccounts =
    "CREATE USER clients@'10.77.0.1' IDENTIFIED BY 'x';"
    "CREATE USER proxys@'10.77.0.2' IDENTIFIED BY 'x';"
    "CREATE USER twin@'10.77.0.1' IDENTIFIED BY 'x'; CREATE USER twin@'10.77.0.2' IDENTIFIED BY "
    "'x';"
    "CREATE USER wide@'10.77.%' IDENTIFIED BY 'x';"
    "CREATE USER mask@'10.77.0.0/255.255.255.0' IDENTIFIED BY 'x';"
    "CREATE USER narrow@'10.77.0.0/255.255.255.254' IDENTIFIED BY 'x';"
    "CREATE USER broad@'10.77.0.1' IDENTIFIED BY 'x'; CREATE USER broad@'10.77.%' IDENTIFIED BY "
    "'x';"
    "CREATE USER six@'fd77::%' IDENTIFIED BY 'x';"
    "CREATE USER other@'10.77.0.11' IDENTIFIED BY 'x';"
    "CREATE USER local@'127.0.0.1' IDENTIFIED BY 'x'; CREATE USER local@localhost IDENTIFIED BY "
    "'x'";
constexpr auto kUsers = {"clients", "proxys", "twin",  "wide",  "mask", "narrow",
                         "broad",   "six",    "other", "local", "app",  "nobody"};

class Network : public testing::Test {
 protected:
  void SetUp() override {
    if (const auto obstacle = Lan::obstacle(); !obstacle.empty())
      GTEST_SKIP() << "no hosts of our own: " << obstacle;
    lan.emplace();
    client = lan->add_host(
        {fmt::format("{}/24", kClient), fmt::format("{}/24", kClientsOther), "fd77::1/64"});
    proxy = lan->add_host({fmt::format("{}/24", kProxy), "fd77::2/64"});
    database = lan->add_host({fmt::format("{}/24", kDatabase)});
    const At there(*database);
    server.emplace(MariadbOptions{
        .host = kDatabase, .bind_address = "0.0.0.0", .extra_args = {"--skip-name-resolve"}});
    server->exec(kAccounts);
  }

  /// Starts it at that host, and waits until it knows the accounts.
  void start_sluice(const Host& host, const std::vector<std::string>& listen,
                    const std::string& settings = "") {
    SluiceConfig config;
    config.add_cluster("shop", "single", {&*server});
    auto& service = config.add_service("shop", "shop");
    service.listen = listen;
    service.extra = settings;
    const At there(host);
    sluice.emplace(config);
    ASSERT_TRUE(eventually(10s, [&] {
      return sluice->ctl({"reload", "accounts"}).exit_code == 0;
    }));
  }

  /// "as ACCOUNT", or the error that a client at `from` gets at `host`.
  std::string login(const Host& from, const std::string& user, const std::string& host,
                    uint16_t port, const std::string& bind_address = "") {
    ClientOptions options;
    options.host = host;
    options.port = port;
    options.user = user;
    options.password = user == "app" ? "app-secret" : "x";
    options.bind_address = bind_address;
    return login(from, options);
  }
  static std::string login(const Host& from, const ClientOptions& options) {
    const At there(from);
    auto client = Client::connect(options);
    if (client) return "as " + client->value("SELECT CURRENT_USER()");
    return fmt::format("{} {}", client.error().code, client.error().text);
  }
  std::string directly(const std::string& user, const std::string& bind_address = "") {
    return login(*client, user, kDatabase, server->port(), bind_address);
  }
  static bool denied(const std::string& outcome) {
    return outcome.starts_with(std::to_string(kAccessDenied));
  }

  std::optional<Lan> lan;
  std::unique_ptr<Host> client, proxy, database;
  std::optional<MariadbServer> server;
  std::optional<Sluice> sluice;
};

TEST_F(Network, ACentralProxyGivesAClientItsOwnAccountOrNone) {
  const auto port = free_port();
  start_sluice(*proxy, {fmt::format("0.0.0.0:{}", port), fmt::format("[::]:{}", port)});
  std::map<std::string, std::string> through;
  for (const std::string user : kUsers) {
    through[user] = login(*client, user, kProxy, port);
    EXPECT_TRUE(denied(through[user]) || through[user] == directly(user))
        << user << ": " << through[user] << " instead of " << directly(user);
  }
  EXPECT_EQ(through["wide"], "as wide@10.77.%");
  EXPECT_EQ(through["mask"], "as mask@10.77.0.0/255.255.255.0");
  EXPECT_EQ(through["app"], "as app@%");
  const std::map<std::string, std::string> reasons{
      {"clients",
       "the account of this client is 'clients'@'10.77.0.1', but the server sees the proxy's "
       "address 10.77.0.2 and would take none"},
      {"twin",
       "the account of this client is 'twin'@'10.77.0.1', but the server sees the proxy's address "
       "10.77.0.2 and would take 'twin'@'10.77.0.2'"},
      {"broad",
       "the account of this client is 'broad'@'10.77.0.1', but the server sees the proxy's address "
       "10.77.0.2 and would take 'broad'@'10.77.%'"},
      {"narrow", "and would take none"},
      {"proxys", "no account covers 'proxys'@'10.77.0.1'"},
      {"other", "no account covers 'other'@'10.77.0.1'"},
      {"six", "no account covers 'six'@'10.77.0.1'"},
      {"nobody", "no account covers 'nobody'@'10.77.0.1'"}};
  // Only who has proved the password of an account is told about it; the log knows in any case.
  for (const auto& [user, reason] : reasons) {
    EXPECT_EQ(contains(through[user], reason), !contains(reason, "no account"))
        << user << ": " << through[user];
    const auto start = fmt::format("1045 Access denied for user '{}'@'{}'", user, kClient);
    EXPECT_TRUE(through[user].starts_with(start)) << through[user];
    EXPECT_TRUE(eventually(5s, [&] { return contains(sluice->log(), reason); })) << reason;
  }

  // From another address another account is the client's own.
  EXPECT_EQ(directly("other", kClientsOther), "as other@10.77.0.11");
  EXPECT_TRUE(contains(login(*client, "other", kProxy, port, kClientsOther),
                       "the account of this client is 'other'@'10.77.0.11'"));
  EXPECT_EQ(login(*client, "broad", kProxy, port, kClientsOther), "as broad@10.77.%");
  // An address of the other family.
  EXPECT_EQ(login(*client, "app", "fd77::2", port), "as app@%");
  const auto six = login(*client, "six", "fd77::2", port);
  EXPECT_TRUE(contains(six, "the account of this client is 'six'@'fd77::%'")) << six;
  // Who sits at the proxy itself is judged by the proxy's address.
  for (const std::string user : kUsers)
    EXPECT_EQ(login(*proxy, user, "127.0.0.1", port),
              login(*proxy, user, kDatabase, server->port()))
        << user;
  EXPECT_EQ(login(*proxy, "proxys", "127.0.0.1", port), "as proxys@10.77.0.2");
}

TEST_F(Network, ACentralProxyMayBeToldToAllowAnotherAccount) {
  const auto port = free_port();
  start_sluice(*proxy, {fmt::format("{}:{}", kProxy, port)}, "account_mismatch = \"allow\"");
  EXPECT_EQ(login(*client, "twin", kProxy, port), "as twin@10.77.0.2");
  EXPECT_EQ(login(*client, "broad", kProxy, port), "as broad@10.77.%");
  EXPECT_EQ(login(*client, "wide", kProxy, port), "as wide@10.77.%");
  EXPECT_TRUE(eventually(5s, [&] {
    return contains(sluice->log(),
                    "login allowed though the account of this client is "
                    "'twin'@'10.77.0.1'");
  }));
  // The server has the last word, and the log has it as it was: for it the client is the proxy.
  EXPECT_EQ(login(*client, "clients", kProxy, port),
            "1045 Access denied for user 'clients'@'10.77.0.1' (using password: YES)");
  EXPECT_TRUE(eventually(
      5s, [&] { return contains(sluice->log(), "denied for user 'clients'@'10.77.0.2'"); }));
  // Whom no account covers at its own address, no setting helps.
  EXPECT_EQ(login(*client, "proxys", kProxy, port),
            "1045 Access denied for user 'proxys'@'10.77.0.1' (using password: YES)");
}

TEST_F(Network, AProxyOnTheClientsHostIsAsGoodAsNone) {
  const auto port = free_port();
  const TempDir directory;
  const auto socket = directory / "shop.sock";
  start_sluice(*client, {fmt::format("127.0.0.1:{}", port), fmt::format("[::1]:{}", port), socket});
  const auto expect_the_same = [&] {
    for (const std::string user : kUsers) {
      const auto direct = directly(user);
      EXPECT_EQ(login(*client, user, "127.0.0.1", port), direct) << user;
      EXPECT_EQ(login(*client, user, "::1", port), direct) << user;
      ClientOptions by_socket;
      by_socket.socket = socket;
      by_socket.user = user;
      by_socket.password = user == "app" ? "app-secret" : "x";
      EXPECT_EQ(login(*client, by_socket), direct) << user;
    }
  };
  expect_the_same();
  EXPECT_EQ(directly("clients"), "as clients@10.77.0.1");
  EXPECT_EQ(directly("twin"), "as twin@10.77.0.1");
  EXPECT_TRUE(denied(directly("other")));

  // The host's way to the database decides, and that may change under our feet.
  Lan::ip(*client, {"route", "change", "10.77.0.0/24", "dev", "eth0", "src", kClientsOther});
  expect_the_same();
  EXPECT_EQ(login(*client, "other", "127.0.0.1", port), "as other@10.77.0.11");
  EXPECT_TRUE(denied(login(*client, "clients", "127.0.0.1", port)));
}

TEST_F(Network, AsConnectedTakesALocalClientByItsLoopbackAddress) {
  const auto port = free_port();
  start_sluice(*client, {fmt::format("127.0.0.1:{}", port)}, "identity = \"as-connected\"");
  EXPECT_EQ(login(*client, "app", "127.0.0.1", port), "as app@%");
  for (const std::string user : {"clients", "wide"}) {
    EXPECT_TRUE(denied(login(*client, user, "127.0.0.1", port)));
    EXPECT_TRUE(eventually(5s, [&] {
      return contains(sluice->log(), fmt::format("no account covers '{}'@'127.0.0.1'", user));
    }));
  }
  const auto local = login(*client, "local", "127.0.0.1", port);
  EXPECT_TRUE(contains(local, "the account of this client is 'local'@'")) << local;
}

}  // namespace
}  // namespace sluice::test
