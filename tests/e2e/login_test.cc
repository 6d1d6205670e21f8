/// Who may log in through sluice, and what a client that may not is told: what the server itself
/// would have said, or less (DESIGN 7), never more.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <future>

#include "tests/support/load.h"
#include "tests/support/raw_client.h"
#include "tests/support/sluice.h"
#include "tests/support/topologies.h"

namespace sluice::test {
namespace {

constexpr unsigned kTooManyConnections = 1040;
constexpr unsigned kAccessDenied = 1045;
constexpr unsigned kQueryInterrupted = 1317;

constexpr const char* kAsConnected = "identity = \"as-connected\"";

/// Two services in front of one server: "plain", and "central", whose clients on loopback are
/// judged by the addresses that they really have, as those of a central proxy are.
SluiceConfig plain_and_central(MariadbServer& server) {
  SluiceConfig config;
  config.add_cluster("shop", "single", {&server});
  config.add_service("plain", "shop");
  config.add_service("central", "shop").extra = kAsConnected;
  return config;
}

bool contains(const std::string& text, std::string_view what) {
  return text.find(what) != std::string::npos;
}

std::string text_of(const SqlError& error) {
  return fmt::format("{} ({}): {}", error.code, error.state, error.text);
}

std::string outcome(const ClientOptions& endpoint) {
  auto client = Client::connect(endpoint);
  return client ? "as " + client->value("SELECT CURRENT_USER()") : text_of(client.error());
}

ClientOptions from(ClientOptions endpoint, const std::string& address) {
  endpoint.bind_address = address;
  return endpoint;
}

/// Works once the monitor has asked the servers.
void load_accounts(const Sluice& sluice) {
  CommandResult done;
  ASSERT_TRUE(eventually(10s, [&] {
    done = sluice.ctl({"reload", "accounts"});
    return done.exit_code == 0;
  })) << done.err;
}

[[nodiscard]] bool logs(const Sluice& sluice, std::string_view what) {
  return eventually(5s, [&] { return contains(sluice.log(), what); });
}

// Accounts.

TEST(Login, BadAccountsAreListedAndHarmNothing) {
  MariadbServer server;
  server.exec(
      "CREATE USER 'web'@'10.1.%' IDENTIFIED BY 'a';"
      "CREATE USER 'web'@'10.1.0.0/255.255.0.0' IDENTIFIED BY 'b';"
      "CREATE USER 'web'@'no-such-host.invalid' IDENTIFIED BY 'c';"
      "CREATE USER 'web'@'' IDENTIFIED BY 'd';"
      "CREATE USER 'web'@'127.0.0.0/255.255.255.0' IDENTIFIED BY 'good';"
      "CREATE USER 'api'@'no-such-host.invalid' IDENTIFIED BY 'e';"
      "CREATE USER 'api'@'127.0.%' IDENTIFIED BY 'good'");
  Sluice sluice(plain_and_central(server));
  load_accounts(sluice);
  for (const char* service : {"plain", "central"}) {
    EXPECT_EQ(outcome(sluice.endpoint(service, "web", "good")), "as web@127.0.0.0/255.255.255.0");
    EXPECT_EQ(outcome(sluice.endpoint(service, "api", "good")), "as api@127.0.%");
    EXPECT_EQ(outcome(sluice.endpoint(service)), outcome(server.endpoint()));
  }

  std::map<std::string, nlohmann::json> listed;  // of user web, by host
  for (const auto& account : sluice.ctl_json({"list", "accounts"}))
    if (account.at("user") == "web") listed[account.at("host")] = account;
  EXPECT_EQ(listed.size(), 5u);
  for (const char* good : {"10.1.%", "10.1.0.0/255.255.0.0", "127.0.0.0/255.255.255.0"})
    EXPECT_EQ(listed.at(good).at("state"), "usable") << listed.at(good);
  EXPECT_EQ(listed.at("no-such-host.invalid").at("state"), "usable") << "for who has that name";
}

TEST(Login, ClustersAndServicesKeepTheirAccountsApart) {
  MariadbServer red({.name = "red1"}), blue({.name = "blue1"});
  for (auto* server : {&red, &blue}) {
    const bool is_red = server == &red;
    server->exec(
        fmt::format("CREATE USER 'shop'@'%' IDENTIFIED BY '{0}-secret';"
                    "CREATE USER 'only_{0}'@'%' IDENTIFIED BY 'x';"
                    "GRANT SELECT ON test.* TO 'shop'@'%'",
                    is_red ? "red" : "blue"));
  }
  SluiceConfig config;
  config.workers = 1;  // all four services in one process
  config.add_cluster("red", "single", {&red});
  config.add_cluster("blue", "single", {&blue});
  for (const std::string cluster : {"red", "blue"}) {
    config.add_service(cluster + "-plain", cluster);
    config.add_service(cluster + "-central", cluster).extra = kAsConnected;
  }
  Sluice sluice(config);
  load_accounts(sluice);
  for (const std::string cluster : {"red", "blue"})
    for (const auto& account : sluice.ctl_json({"list", "accounts", cluster}))
      EXPECT_EQ(account.at("cluster"), cluster);
  EXPECT_EQ(sluice.ctl({"list", "accounts", "green"}).exit_code, 1);

  const Load red_load({.endpoint = sluice.endpoint("red-plain", "shop", "red-secret")});
  Load blue_load({.endpoint = sluice.endpoint("blue-central", "shop", "blue-secret")});
  red_load.wait_flowing();
  blue_load.wait_flowing();
  for (int round = 0; round < 2; ++round) {
    for (const std::string cluster : {"red", "blue"}) {
      const std::string other = cluster == "red" ? "blue" : "red";
      for (const std::string kind : {"-plain", "-central"}) {
        const auto service = cluster + kind;
        Client client(sluice.endpoint(service, "shop", cluster + "-secret"));
        EXPECT_EQ(client.value("SELECT @@server_id"),
                  std::to_string((cluster == "red" ? red : blue).server_id()));
        for (const auto& [user, password] :
             {std::pair<std::string, std::string>("shop", other + "-secret"),
              {"only_" + other, "x"}}) {
          auto stranger = Client::connect(sluice.endpoint(service, user, password));
          ASSERT_FALSE(stranger) << user << " got into " << service;
          EXPECT_EQ(stranger.error().code, kAccessDenied) << stranger.error().text;
        }
      }
    }
  }
  ASSERT_TRUE(blue_load.advance(50));
  const auto report = blue_load.stop();
  EXPECT_TRUE(report.clean()) << report.text();
  EXPECT_EQ(report.servers.size(), 1u) << report.text();
}

TEST(Login, AccountMadeAMomentAgoIsKnown) {
  MariadbServer server;
  Sluice sluice(plain_and_central(server));
  load_accounts(sluice);
  for (int i = 0; i < 3; ++i) {
    const auto user = fmt::format("fresh{}", i);
    server.exec(fmt::format("CREATE USER {}@'%' IDENTIFIED BY 'x'", user));
    for (const char* service : {"plain", "central"})
      EXPECT_EQ(outcome(sluice.endpoint(service, user, "x")), fmt::format("as {}@%", user));
  }
}

// Refusals.

TEST(Login, ErrorsAreTheServersOwn) {
  MariadbServer server;
  Sluice sluice(plain_and_central(server));
  load_accounts(sluice);
  server.exec(
      "CREATE USER locked@'%' IDENTIFIED BY 'x' ACCOUNT LOCK; CREATE DATABASE hidden;"
      "CREATE USER few@'%' IDENTIFIED BY 'x'");
  struct Case {
    std::string user, password, database;
  };
  for (const auto& [user, password, database] : {Case{"app", "wrong", ""},
                                                 {"app", "", ""},
                                                 {"nobody", "x", ""},
                                                 {"", "", ""},
                                                 {"app", "app-secret", "no_such_database"},
                                                 {"few", "x", "hidden"},
                                                 {"locked", "x", ""},
                                                 {"app", "app-secret", "test"}}) {
    auto direct = server.endpoint(user, password),
         through = sluice.endpoint("plain", user, password);
    direct.database = through.database = database;
    EXPECT_EQ(outcome(through), outcome(direct)) << user << "/" << database;
  }
}

TEST(Login, OkOnlyAfterTheServersOk) {
  MariadbServer server({.extra_args = {"--max-connections=12"}});
  Sluice sluice(plain_and_central(server));
  load_accounts(sluice);  // the monitor is connected
  std::vector<Client> taken;
  std::optional<SqlError> full;
  for (int i = 0; i < 20 && !full; ++i) {
    auto client = Client::connect(server.endpoint());
    if (client)
      taken.push_back(std::move(*client));
    else
      full = client.error();
  }
  ASSERT_TRUE(full);
  auto client = Client::connect(sluice.endpoint("plain"));
  ASSERT_FALSE(client);
  EXPECT_EQ(client.error().code, kTooManyConnections);
  EXPECT_EQ(text_of(client.error()), text_of(*full));
  taken.pop_back();
  EXPECT_TRUE(
      eventually(5s, [&] { return Client::connect(sluice.endpoint("plain")).has_value(); }));
}

/// What comes with it in one piece is not part of a login.
TEST(Login, ACommandInFrontOfAChangeOfTheUserArrivesAsItIs) {
  MariadbServer server;
  server.exec("CREATE USER nobody@'%'");
  auto config = plain_and_central(server);
  config.add_service("split", "shop").router = "read-write-split";
  Sluice sluice(config);
  load_accounts(sluice);
  using namespace std::string_literals;
  const auto packet = [](char sequence, const std::string& payload) {
    return std::string{static_cast<char>(payload.size()), 0, 0, sequence} + payload;
  };
  for (const char* service : {"plain", "split"}) {
    SCOPED_TRACE(service);
    RawClient client(sluice.endpoint(service).port);
    ASSERT_TRUE(client.read_packet());
    ASSERT_TRUE(
        client.send(packet(1, "\0\x82\0\0\0\0\0\1\x2D"s + std::string(23, '\0') + "nobody\0\0"s)));
    const auto welcome = client.read_packet();
    ASSERT_TRUE(welcome && !welcome->is_error());
    ASSERT_TRUE(client.send(packet(0, "\x0E") + packet(0, "\x11nobody\0\0\0"s)));
    const auto pinged = client.read_packet();
    ASSERT_TRUE(pinged);
    EXPECT_EQ(pinged->payload.substr(0, 5), "\0\0\0\2\0"s);
    auto changed = client.read_packet();
    if (changed && changed->payload.starts_with('\xFE')) {  // a proof is asked for: there is none
      ASSERT_TRUE(client.send_packet(static_cast<uint8_t>(changed->sequence + 1), ""));
      changed = client.read_packet();
    }
    ASSERT_TRUE(changed);
    EXPECT_EQ(changed->payload.substr(0, 5), "\0\0\0\2\0"s) << changed->error_text();
  }
}

TEST(Login, ChangeUserBehavesAsOnADirectConnection) {
  MariadbServer server;
  server.exec("CREATE USER second@'%' IDENTIFIED BY 'two'; GRANT ALL ON test.* TO second@'%'");
  Sluice sluice(plain_and_central(server));
  load_accounts(sluice);

  const auto story = [](const ClientOptions& endpoint) {
    std::string told;
    Client client(endpoint);
    const auto try_as = [&](const char* user, const char* password, const char* database) {
      const auto changed = client.change_user(user, password, database);
      told += changed ? "changed; " : text_of(changed.error()) + "; ";
      const auto rows = client.query("SELECT CURRENT_USER(), DATABASE()");
      if (rows)
        told += *rows->at(0).at(0) + " in " + rows->at(0).at(1).value_or("none") + "\n";
      else
        told += fmt::format("then {}\n", rows.error().code);
    };
    try_as("second", "two", "test");
    try_as("app", "app-secret", "");
    try_as("second", "two", "no_such_database");
    Client again(endpoint);
    client = std::move(again);
    try_as("second", "wrong", "");
    return told;
  };
  const auto direct = story(server.endpoint());
  EXPECT_TRUE(contains(direct, "second@% in test")) << direct;
  EXPECT_EQ(story(sluice.endpoint("plain")), direct);
  EXPECT_EQ(story(sluice.endpoint("central")), direct);
}

// A central proxy.
// The client comes.
// from 127.0.0.2; the server sees the proxy's 127.0.0.1.

TEST(Login, AnotherAccountThanTheClientsOwnIsRefused) {
  MariadbServer server;
  server.exec(
      "CREATE USER shop@'127.0.0.1' IDENTIFIED BY 'x'; CREATE USER shop@'127.0.0.2' IDENTIFIED BY "
      "'x';"
      "CREATE USER wide@'127.%' IDENTIFIED BY 'x'; CREATE USER proxys@'127.0.0.1' IDENTIFIED BY "
      "'x';"
      "CREATE USER clients@'127.0.0.2' IDENTIFIED BY 'x'");
  auto config = plain_and_central(server);
  config.add_service("lax", "shop").extra =
      std::string(kAsConnected) + "\naccount_mismatch = \"allow\"";
  Sluice sluice(config);
  load_accounts(sluice);
  const auto at = [&](const char* service, const char* user, const char* address) {
    return outcome(from(sluice.endpoint(service, user, "x"), address));
  };

  EXPECT_EQ(at("central", "shop", "127.0.0.1"), "as shop@127.0.0.1");
  EXPECT_EQ(at("central", "wide", "127.0.0.2"), "as wide@127.%");
  const auto other = at("central", "shop", "127.0.0.2");
  EXPECT_TRUE(other.starts_with("1045 (28000)") && contains(other, "'shop'@'127.0.0.2'") &&
              contains(other, "would take 'shop'@'127.0.0.1'"))
      << other;
  EXPECT_TRUE(logs(sluice, "would take 'shop'@'127.0.0.1'"));
  // The server would let these in (or not): the client's own address decides first.
  EXPECT_TRUE(at("central", "proxys", "127.0.0.2").starts_with("1045"));
  EXPECT_TRUE(at("central", "clients", "127.0.0.2").starts_with("1045"));

  EXPECT_EQ(at("lax", "shop", "127.0.0.2"), "as shop@127.0.0.1");
  EXPECT_TRUE(logs(sluice, "login allowed though"));
  // Nobody's account covers this client, so nothing is relaxed for it.
  EXPECT_TRUE(at("lax", "proxys", "127.0.0.2").starts_with("1045"));
}

TEST(Login, ChangeUserIsJudgedToo) {
  MariadbServer server;
  server.exec(
      "CREATE USER wide@'127.%' IDENTIFIED BY 'x'; CREATE USER proxys@'127.0.0.1' IDENTIFIED BY "
      "'x'");
  Sluice sluice(plain_and_central(server));
  load_accounts(sluice);
  Client client(from(sluice.endpoint("central", "wide", "x"), "127.0.0.2"));
  const auto changed = client.change_user("proxys", "x");
  ASSERT_FALSE(changed) << "became " << client.value("SELECT CURRENT_USER()");
  EXPECT_EQ(changed.error().code, kAccessDenied) << changed.error().text;
}

// The connection id is the server's.

TEST(Login, KillQueryByTheIdThatTheClientKnows) {
  constexpr const char* kEndless =
      "SELECT COUNT(*) FROM information_schema.collations a, information_schema.collations b, "
      "information_schema.collations c, information_schema.collations d";
  MariadbServer server;
  Sluice sluice(plain_and_central(server));
  auto victim = sluice.connect("plain"), killer = sluice.connect("plain");
  EXPECT_EQ(victim.value("SELECT CONNECTION_ID()"), std::to_string(victim.thread_id()));
  auto answer = std::async(std::launch::async, [&] { return victim.query(kEndless); });
  ASSERT_TRUE(eventually(5s, [&] {
    return server.value(
               "SELECT COUNT(*) FROM information_schema.processlist "
               "WHERE info LIKE 'SELECT COUNT(*) FROM information_schema.collations%'") == "1";
  }));
  killer.exec(fmt::format("KILL QUERY {}", victim.thread_id()));
  const auto result = answer.get();
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, kQueryInterrupted) << result.error().text;
  EXPECT_EQ(victim.value("SELECT 1"), "1");
}

}  // namespace
}  // namespace sluice::test
