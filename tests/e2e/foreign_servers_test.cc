/// Other servers than Debian 12's MariaDB: MySQL 8.0 to 9, an older and a newer MariaDB. Sluice
/// watches them, takes the right one for the primary, and a login through it ends as it would
/// without it.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "tests/support/sluice.h"
#include "tests/support/topologies.h"

namespace sluice::test {
namespace {

/// Services "primary" and "replica" in front of one cluster, "shop".
SluiceConfig two_services(auto& pair) {
  SluiceConfig config;
  config.add_cluster("shop", "replication", pair.servers());
  for (const char* target : {"primary", "replica"}) config.add_service(target, "shop", target);
  return config;
}

std::string shown(const Sluice& sluice, const DatabaseServer& server, const char* column) {
  const auto record = sluice.ctl_json({"show", "server", "shop/" + server.name()});
  const auto& value = record.at(column);
  return value.is_string() ? value.get<std::string>() : value.dump();
}

[[nodiscard]] bool shows(const Sluice& sluice, const DatabaseServer& server, const char* column,
                         std::string_view text) {
  return eventually(15s,
                    [&] { return shown(sluice, server, column).find(text) != std::string::npos; });
}

std::string id_of(const DatabaseServer& server) {
  return std::to_string(server.server_id());
}

std::string served_by(const Sluice& sluice, const char* service) {
  auto client = Client::connect(sluice.endpoint(service));
  return client ? client->value("SELECT @@server_id") : client.error().text;
}

// Watching. The statements that differ stand with the pairs.

template <MariadbRelease release>
struct Mariadb : ReplicationPair {
  Mariadb() : ReplicationPair({}, release) {}
  static Available available() { return MariadbServer::available(release); }
  static constexpr const char* kVersion = release == MariadbRelease::Newer ? "11." : "10.5.";
  static constexpr const char* kDelay =
      "STOP SLAVE; CHANGE MASTER TO MASTER_DELAY = {}; START SLAVE";
  static constexpr const char* kForget = "STOP SLAVE; RESET SLAVE ALL";
};

template <MysqlRelease release>
struct Mysql : MysqlReplicationPair {
  Mysql() : MysqlReplicationPair({}, release) {}
  static Available available() { return MysqlServer::available(release); }
  static constexpr const char* kVersion = release == MysqlRelease::V9 ? "9." : "8.0.";
  static constexpr const char* kDelay =
      "STOP REPLICA; CHANGE REPLICATION SOURCE TO SOURCE_DELAY = {}; START REPLICA";
  static constexpr const char* kForget = "STOP REPLICA; RESET REPLICA ALL";
};

/// The tests share a pair, and leave it as it was or take it away.
template <class Pair>
class ForeignPair : public testing::Test {
 protected:
  static void TearDownTestSuite() { pair_.reset(); }
  void SetUp() override {
    if (const auto can = Pair::available(); !can) GTEST_SKIP() << can.error();
    if (!pair_) pair_ = std::make_unique<Pair>();
  }

  static inline std::unique_ptr<Pair> pair_;
};
/// The oldest and the newest of each kind.
using Pairs = testing::Types<Mariadb<MariadbRelease::Newer>, Mariadb<MariadbRelease::Older>,
                             Mysql<MysqlRelease::V9>, Mysql<MysqlRelease::V8_0>>;
TYPED_TEST_SUITE(ForeignPair, Pairs);

TYPED_TEST(ForeignPair, RolesAndReasonsAreSeen) {
  auto& pair = *this->pair_;
  Sluice sluice(two_services(pair));
  ASSERT_TRUE(shows(sluice, pair.primary, "role", "primary"));
  ASSERT_TRUE(shows(sluice, pair.replica, "role", "replica"));
  EXPECT_EQ(shown(sluice, pair.replica, "reason"), "replica of db1, 0 s behind");
  EXPECT_TRUE(shown(sluice, pair.primary, "version").starts_with(TypeParam::kVersion))
      << shown(sluice, pair.primary, "version");
  EXPECT_EQ(served_by(sluice, "primary"), id_of(pair.primary));
  EXPECT_EQ(served_by(sluice, "replica"), id_of(pair.replica));

  pair.replica.exec("STOP REPLICA SQL_THREAD");
  EXPECT_TRUE(shows(sluice, pair.replica, "reason", "replication SQL thread stopped"));
  EXPECT_EQ(shown(sluice, pair.replica, "role"), "none");
  pair.replica.exec("START REPLICA SQL_THREAD; STOP REPLICA IO_THREAD");
  EXPECT_TRUE(shows(sluice, pair.replica, "reason", "replication IO thread stopped"));
  pair.replica.exec("START REPLICA IO_THREAD");
  EXPECT_TRUE(shows(sluice, pair.replica, "role", "replica"));

  pair.primary.exec("CREATE TABLE test.t (a INT PRIMARY KEY)");
  pair.replica.catch_up_with(pair.primary);
  pair.replica.exec("SET sql_log_bin = 0; INSERT INTO test.t VALUES (1)");
  pair.primary.exec("INSERT INTO test.t VALUES (1)");
  EXPECT_TRUE(shows(sluice, pair.replica, "reason", "SQL thread stopped: error 1062"))
      << shown(sluice, pair.replica, "reason");
  pair.replica.exec("DELETE FROM test.t; START REPLICA SQL_THREAD");
  EXPECT_TRUE(shows(sluice, pair.replica, "role", "replica"));
}

TYPED_TEST(ForeignPair, LagIsSeenAndLimited) {
  auto& pair = *this->pair_;
  auto config = two_services(pair);
  config.clusters.at("shop").extra = "max_lag = \"2s\"";
  Sluice sluice(config);
  ASSERT_TRUE(shows(sluice, pair.replica, "role", "replica"));
  pair.replica.exec(fmt::format(fmt::runtime(TypeParam::kDelay), 600));
  pair.primary.exec("CREATE TABLE test.late (a INT)");
  EXPECT_TRUE(shows(sluice, pair.replica, "reason", "more than max_lag"))
      << shown(sluice, pair.replica, "reason");
  pair.replica.exec(fmt::format(fmt::runtime(TypeParam::kDelay), 0));
  EXPECT_TRUE(shows(sluice, pair.replica, "reason", "replica of db1, 0 s behind"));
}

TYPED_TEST(ForeignPair, ThePrimaryFollowsReadOnly) {
  auto& pair = *this->pair_;
  Sluice sluice(two_services(pair));
  ASSERT_TRUE(shows(sluice, pair.primary, "role", "primary"));
  pair.primary.set_read_only(true);
  ASSERT_TRUE(shows(sluice, pair.primary, "reason", "read_only=1"));
  pair.replica.catch_up_with(pair.primary);
  pair.replica.exec(TypeParam::kForget);
  pair.replica.set_read_only(false);
  ASSERT_TRUE(shows(sluice, pair.replica, "role", "primary"));
  pair.primary.replicate_from(pair.replica);
  ASSERT_TRUE(shows(sluice, pair.primary, "reason", "replica of db2"));
  EXPECT_EQ(served_by(sluice, "primary"), id_of(pair.replica));
  EXPECT_EQ(served_by(sluice, "replica"), id_of(pair.primary));
  Client(sluice.endpoint("primary")).exec("CREATE TABLE test.after (a INT)");
  pair.primary.catch_up_with(pair.replica);

  pair.replica.kill9();
  ASSERT_TRUE(shows(sluice, pair.replica, "health", "down"));
  EXPECT_EQ(shown(sluice, pair.primary, "role"), "replica") << "it is read-only";
  this->pair_.reset();
}

// Logins.

std::string text_of(const SqlError& error) {
  return fmt::format("{} ({}): {}", error.code, error.state, error.text);
}

/// How a login ends, and whether the session works.
std::string outcome(const ClientOptions& endpoint) {
  auto client = Client::connect(endpoint);
  if (!client) return text_of(client.error());
  const auto database = client->query("SELECT CURRENT_USER(), DATABASE()");
  if (!database) return text_of(database.error());
  return fmt::format("as {} in {}", *database->at(0).at(0), database->at(0).at(1).value_or("none"));
}

/// A server of one release and sluice in front of it; made once.
struct MysqlWorld {
  explicit MysqlWorld(MysqlRelease release) : server({}, DatabaseServer::Start::Ready, release) {
    SluiceConfig config;
    // The key that the server shows is believed: the password of a socket's client is encrypted.
    config.add_cluster("shop", "single", std::vector{&server}).extra =
        "public_key_retrieval = true";
    config.add_service("shop", "shop");
    config.add_service("central", "shop").extra = "identity = \"as-connected\"";
    sluice.emplace(std::move(config), Sluice::Start::Stopped);
    socket = sluice->path("shop.sock");
    sluice->config.services.at("shop").listen.push_back(socket);
    sluice->start();
    EXPECT_TRUE(eventually(10s, [&] {
      return Client::connect(sluice->endpoint("shop")).has_value();
    })) << sluice->log();
  }

  MysqlServer server;
  std::optional<Sluice> sluice;
  std::string socket;
};

class MysqlLogin : public testing::TestWithParam<MysqlRelease> {
 protected:
  static void TearDownTestSuite() { worlds_.clear(); }
  void SetUp() override {
    if (const auto can = MysqlServer::available(GetParam()); !can) GTEST_SKIP() << can.error();
    auto& world = worlds_.try_emplace(GetParam(), GetParam()).first->second;
    server_ = &world.server;
    sluice_ = &*world.sluice;
    socket_ = world.socket;
  }

  static inline std::map<MysqlRelease, MysqlWorld> worlds_;
  MysqlServer* server_ = nullptr;
  Sluice* sluice_ = nullptr;
  std::string socket_;
};
INSTANTIATE_TEST_SUITE_P(Releases, MysqlLogin,
                         testing::Values(MysqlRelease::V9, MysqlRelease::V8_4, MysqlRelease::V8_0));

/// The server has no password of a fresh account in its cache, so the first login needs the whole
/// password, encrypted with the server's RSA key; the second one does not. FLUSH PRIVILEGES empties
/// the cache.
TEST_P(MysqlLogin, CachingSha2ByRsaAndThenByTheFastPath) {
  server_->exec("CREATE USER fresh@'%' IDENTIFIED WITH caching_sha2_password BY 'x'");
  for (int round = 0; round < 3; ++round) {
    EXPECT_EQ(outcome(sluice_->endpoint("shop", "fresh", "x")), "as fresh@% in none");
    EXPECT_EQ(outcome(sluice_->endpoint("shop", "fresh", "x")), "as fresh@% in none");
    EXPECT_EQ(outcome(server_->endpoint("fresh", "x")), "as fresh@% in none");
    EXPECT_EQ(outcome(sluice_->endpoint("shop", "fresh", "wrong")),
              outcome(server_->endpoint("fresh", "wrong")));
    server_->exec("FLUSH PRIVILEGES");
  }
}

TEST_P(MysqlLogin, OtherPluginsAsWithoutSluice) {
  server_->exec(
      "CREATE USER sha@'%' IDENTIFIED WITH sha256_password BY 'x';"
      "CREATE USER blank@'%' IDENTIFIED BY ''");
  for (int round = 0; round < 2; ++round)
    EXPECT_EQ(outcome(sluice_->endpoint("shop", "sha", "x")), "as sha@% in none");
  EXPECT_EQ(outcome(sluice_->endpoint("shop", "blank", "")), "as blank@% in none");
  EXPECT_EQ(outcome(sluice_->endpoint("shop", "sha", "wrong")),
            outcome(server_->endpoint("sha", "wrong")));
}

/// MySQL 8 has the plugin; MySQL 9 only has it for its clients.
TEST_P(MysqlLogin, NativePasswordWhereTheServerHasIt) {
  const auto made =
      server_->root().query("CREATE USER native@'%' IDENTIFIED WITH mysql_native_password BY 'x'");
  if (made)
    EXPECT_EQ(outcome(sluice_->endpoint("shop", "native", "x")), "as native@% in none");
  else
    EXPECT_EQ(made.error().code, 1524u) << made.error().text;
}

TEST_P(MysqlLogin, RefusalsAreTheServersOwn) {
  server_->exec(
      "CREATE USER locked@'%' IDENTIFIED BY 'x' ACCOUNT LOCK; CREATE DATABASE hidden;"
      "CREATE USER expired@'%' IDENTIFIED BY 'x' PASSWORD EXPIRE;"
      "CREATE USER tls@'%' IDENTIFIED BY 'x' REQUIRE SSL;"
      "CREATE USER full@'%' IDENTIFIED BY 'x' WITH MAX_USER_CONNECTIONS 1");
  const Client only(server_->endpoint("full", "x"));
  struct Case {
    std::string user, password, database;
  };
  for (const auto& [user, password, database] : {Case{"app", "wrong", ""},
                                                 {"app", "", ""},
                                                 {"nobody", "x", ""},
                                                 {"", "", ""},
                                                 {"app", "app-secret", "no_such_database"},
                                                 {"app", "app-secret", "hidden"},
                                                 {"app", "app-secret", "test"},
                                                 {"locked", "x", ""},
                                                 {"expired", "x", ""},
                                                 {"tls", "x", ""},
                                                 {"full", "x", ""}}) {
    auto direct = server_->endpoint(user, password),
         through = sluice_->endpoint("shop", user, password);
    direct.database = through.database = database;
    EXPECT_EQ(outcome(through), outcome(direct)) << user << "/" << database;
  }
}

TEST_P(MysqlLogin, ChangeUserAsWithoutSluice) {
  server_->exec("CREATE USER second@'%' IDENTIFIED BY 'two'; GRANT ALL ON test.* TO second@'%'");
  const auto story = [](const ClientOptions& endpoint) {
    Client client(endpoint);
    std::string told;
    for (const auto& [user, password] :
         {std::pair("second", "two"), {"app", "app-secret"}, {"second", "wrong"}}) {
      const auto changed = client.change_user(user, password, "test");
      told += changed ? "as " + client.value("SELECT CURRENT_USER()") : text_of(changed.error());
      told += "; ";
    }
    return told;
  };
  EXPECT_EQ(story(sluice_->endpoint("shop")), story(server_->endpoint()));
  EXPECT_TRUE(story(server_->endpoint()).starts_with("as second@%; as app@%; 1045"));
}

/// MySQL's own client sends what libmariadb does not: query attributes, and it asks for the key.
TEST_P(MysqlLogin, MysqlsOwnClientWorks) {
  server_->exec("CREATE USER own@'%' IDENTIFIED BY 'x'");
  const auto ask = [](std::vector<std::string> where, const std::string& password) {
    for (const char* argument : {"-uown", "--get-server-public-key", "--ssl-mode=DISABLED", "-NBe",
                                 "SELECT CURRENT_USER(), 6 * 7"})
      where.emplace_back(argument);
    where.push_back("-p" + password);
    return MysqlServer::run_client(where);
  };
  const auto through = [&](const std::string& password) {
    return ask({"-h127.0.0.1", fmt::format("-P{}", sluice_->port("shop"))}, password);
  };
  for (int round = 0; round < 2; ++round) {
    const auto result = through("x");
    EXPECT_EQ(result.out, "own@%\t42\n") << result.err;
  }
  const auto refused = through("wrong");
  EXPECT_EQ(refused.err, ask({"-h127.0.0.1", fmt::format("-P{}", server_->port())}, "wrong").err);
  EXPECT_NE(refused.err.find("ERROR 1045"), std::string::npos) << refused.err;
  const auto by_socket = ask({"-S" + socket_}, "x");
  EXPECT_EQ(by_socket.out, "own@%\t42\n") << by_socket.err;
}

/// Over a Unix socket the client holds the way to be safe and sends the password as it is, which
/// the server does not take over TCP: sluice encrypts it there, as a client would.
TEST_P(MysqlLogin, CachingSha2ForTheFirstTimeOverASocket) {
  server_->exec("CREATE USER local@'%' IDENTIFIED BY 'x'");
  auto endpoint = sluice_->endpoint("shop", "local", "x");
  endpoint.socket = socket_;
  EXPECT_EQ(outcome(endpoint), "as local@% in none");
}

/// With the privileges that README.md grants, and no more.
TEST_P(MysqlLogin, AccountsAreLoadedAndMatched) {
  server_->exec("CREATE USER net@'127.0.0.0/8' IDENTIFIED BY 'x'; CREATE ROLE readers");
  ASSERT_TRUE(eventually(10s, [&] {
    return sluice_->ctl({"reload", "accounts"}).exit_code == 0;
  })) << sluice_->ctl({"reload", "accounts"}).err;
  std::map<std::string, nlohmann::json> listed;
  for (const auto& account : sluice_->ctl_json({"list", "accounts"}))
    listed[account.at("user")] = account;
  EXPECT_EQ(listed.at("app").at("plugins"), "caching_sha2_password");
  EXPECT_EQ(listed.at("app").at("state"), "usable") << listed.at("app");
  EXPECT_EQ(listed.at("net").at("state"), "usable") << listed.at("net");
  for (const char* service : {"shop", "central"}) {
    EXPECT_EQ(outcome(sluice_->endpoint(service, "net", "x")), "as net@127.0.0.0/8 in none");
    EXPECT_EQ(outcome(sluice_->endpoint(service, "readers", "")),
              outcome(server_->endpoint("readers", "")));
  }
}

/// An account that may do nothing: sluice says what it lacks, in the server's own words for it.
TEST_P(MysqlLogin, WhatTheWatchingAccountLacksIsNamed) {
  server_->exec("CREATE USER blind@'127.%' IDENTIFIED BY 'x'");
  SluiceConfig config;
  config.add_service("shop", "shop");
  auto& cluster = config.add_cluster("shop", "replication", std::vector{server_});
  cluster.user = "blind";
  cluster.password = "x";
  const Sluice sluice(config);
  EXPECT_TRUE(shows(sluice, *server_, "reason", "grant it REPLICATION CLIENT"));
  EXPECT_EQ(shown(sluice, *server_, "role"), "none") << "it could be a replica";
  EXPECT_NE(
      sluice.ctl({"reload", "accounts"}).err.find("GRANT SELECT ON mysql.user TO 'blind'@'127.%'"),
      std::string::npos)
      << sluice.ctl({"reload", "accounts"}).err;
}

}  // namespace
}  // namespace sluice::test
