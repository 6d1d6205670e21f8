/// Router read-write-split over MySQL: a primary and two replicas, accounts of
/// caching_sha2_password. The table test.who has another row on each server, so a read tells who
/// answered it.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <map>

#include "tests/support/prepared.h"
#include "tests/support/sluice.h"
#include "tests/support/test_error.h"
#include "tests/support/topologies.h"

namespace sluice::test {
namespace {

constexpr unsigned kDenied = 1045;

/// How a client comes to sluice, and sluice to the servers.
enum class Way { Plain, Tls, Socket };

/// The tests share the servers and leave them as they were. Each has a sluice of its own, which
/// knows no password yet.
class SplitMysql : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    if (!MysqlServer::available()) return;
    trio_ = std::make_unique<MysqlReplicationTrio>();
    trio_->primary.exec(
        "CREATE TABLE test.who (name VARCHAR(20)); INSERT INTO test.who VALUES ('db1');"
        "CREATE TABLE test.t (a INT)");
    trio_->keep_in_step();
    for (auto& replica : trio_->replicas)
      replica->exec(
          fmt::format("SET GLOBAL super_read_only = 0; SET sql_log_bin = 0; "
                      "UPDATE test.who SET name = '{}'; SET GLOBAL super_read_only = 1",
                      replica->name()));
  }
  static void TearDownTestSuite() { trio_.reset(); }
  void SetUp() override {
    if (const auto can = MysqlServer::available(); !can) GTEST_SKIP() << can.error();
    trio_->primary.exec("DELETE FROM test.t");
    start();
  }

  /// Services "plain", with RSA keys that are believed, and "tls", encrypted on both legs.
  void start() {
    SluiceConfig config;
    config.workers = 1;
    for (const char* name : {"plain", "tls"}) {
      const bool tls = std::string_view(name) == "tls";
      auto& cluster = config.add_cluster(name, "replication", trio_->servers());
      // On a busy machine these servers now and then answer a check late: that is not asked here.
      cluster.interval = "1s";
      cluster.extra = tls ? "tls.mode = \"required\"" : "public_key_retrieval = true";
      auto& service = config.add_service(name, name);
      service.router = "read-write-split";
      service.extra = "causal_reads = \"session\"\nmax_failed_logins = 0";
      if (tls) service.extra += "\ntls.mode = \"preferred\"";
    }
    sluice_ = std::make_unique<Sluice>(std::move(config), Sluice::Start::Stopped);
    socket_ = sluice_->path("plain.sock");
    sluice_->config.services.at("plain").listen.push_back(socket_);
    sluice_->start();
    ASSERT_TRUE(eventually(60s, [&] {
      int replicas = 0, primaries = 0;
      for (const auto& server : sluice_->ctl_json({"list", "servers"}))
        replicas += server.at("role") == "replica", primaries += server.at("role") == "primary";
      return replicas == 4 && primaries == 2;
    })) << sluice_->log();
  }
  void TearDown() override { sluice_.reset(); }

  ClientOptions endpoint(Way way, const std::string& user = "app",
                         const std::string& password = "app-secret") const {
    auto out = sluice_->endpoint(way == Way::Tls ? "tls" : "plain", user, password);
    out.tls = way == Way::Tls;
    if (way == Way::Socket) out.socket = socket_;
    return out;
  }
  /// An account that no server has in its cache.
  static void make_account(const std::string& user, const std::string& password,
                           const std::string& plugin = "caching_sha2_password") {
    trio_->primary.exec(
        fmt::format("CREATE USER {0}@'%' IDENTIFIED WITH {2} BY '{1}'; "
                    "GRANT ALL ON test.* TO {0}@'%'",
                    user, password, plugin));
    trio_->keep_in_step();
  }
  /// Every server has the password in its cache from here on: sluice is shown no more of it than
  /// it asks for.
  static void warm(const std::string& user, const std::string& password) {
    for (auto* server : trio_->servers()) Client(server->endpoint(user, password)).exec("SELECT 1");
  }
  static std::string who(Client& client) { return client.value("SELECT name FROM test.who"); }
  static bool is_replica(const std::string& name) { return name == "db2" || name == "db3"; }
  std::string why_kept() const {
    for (const auto& session : sluice_->ctl_json({"list", "sessions"}))
      if (const auto why = session.at("kept_because").get<std::string>(); !why.empty()) return why;
    return {};
  }

  static inline std::unique_ptr<MysqlReplicationTrio> trio_;
  std::unique_ptr<Sluice> sluice_;
  std::string socket_;
};

TEST_F(SplitMysql, SettingsAndPreparedStatementsReachTheReplicas) {
  Client client(endpoint(Way::Socket));
  client.exec("SET sql_mode = 'ANSI_QUOTES', time_zone = '+03:00', group_concat_max_len = 4");
  client.exec("SET NAMES latin1");
  client.exec("USE test");
  client.exec("INSERT INTO t VALUES (1), (2), (3)");
  EXPECT_TRUE(is_replica(client.value("SELECT name FROM who")));
  EXPECT_EQ(client
                .value("SELECT CONCAT(\"name\", @@time_zone, @@group_concat_max_len, "
                       "CHARSET('x')) FROM who")
                .substr(3),
            "+03:004latin1");
  Prepared read(client, "SELECT CONCAT(name, ?) FROM who");
  Prepared write(client, "INSERT INTO t VALUES (?)");
  Prepared sum(client, "SELECT CAST(SUM(a) + ? AS SIGNED) FROM t");
  for (int i = 10; i < 15; ++i) {
    EXPECT_TRUE(is_replica(read.value(i).substr(0, 3)));
    write.value(0);
    EXPECT_EQ(sum.value(i), std::to_string(6 + i));
  }
  EXPECT_EQ(why_kept(), "");
}

TEST_F(SplitMysql, TransactionsStayAndReadsSeeTheSessionsWrites) {
  Client client(endpoint(Way::Socket));
  client.exec("BEGIN");
  EXPECT_EQ(who(client), "db1");
  client.exec("COMMIT");
  EXPECT_TRUE(is_replica(who(client)));
  for (int i = 1; i <= 20; ++i) {
    client.exec("INSERT INTO test.t VALUES (1)");
    EXPECT_EQ(client.value("SELECT COUNT(*) FROM test.t"), std::to_string(i));
  }
  for (auto& replica : trio_->replicas) replica->exec("STOP REPLICA SQL_THREAD");
  client.exec("INSERT INTO test.t VALUES (1)");
  EXPECT_EQ(client.value("SELECT COUNT(*) FROM test.t"), "21") << "the primary is asked";
  for (auto& replica : trio_->replicas) replica->exec("START REPLICA SQL_THREAD");
  trio_->keep_in_step();
}

/// A stored function that writes is no read: the replica refuses it, and the primary runs it.
TEST_F(SplitMysql, WhatTheReplicaRefusesRunsOnThePrimary) {
  for (auto* server : trio_->servers())
    server->exec("SET GLOBAL log_bin_trust_function_creators = 1");
  trio_->primary.exec(
      "CREATE FUNCTION test.f() RETURNS INT MODIFIES SQL DATA "
      "BEGIN INSERT INTO test.t VALUES (7); RETURN 7; END");
  trio_->keep_in_step();
  Client client(endpoint(Way::Socket));
  EXPECT_TRUE(is_replica(who(client)));
  EXPECT_EQ(client.value("SELECT test.f() FROM test.who"), "7");
  EXPECT_EQ(client.value("SELECT COUNT(*) FROM test.t"), "1");
  EXPECT_EQ(trio_->primary.value("SELECT COUNT(*) FROM test.t"), "1");
  trio_->primary.exec("DROP FUNCTION test.f");
}

/// It speaks the servers' own plugin from the start, and would send attributes with its queries.
TEST_F(SplitMysql, MysqlsOwnClient) {
  warm("app", "app-secret");
  const auto read = [&](std::vector<std::string> way, const std::string& user,
                        const std::string& password) {
    way.insert(way.end(), {"-u" + user, "-p" + password, "-N", "-e", "SELECT name FROM test.who"});
    const auto result = MysqlServer::run_client(std::move(way));
    return is_replica(result.out.substr(0, 3)) ? "a replica" : result.out + result.err;
  };
  const auto port = [&](const char* service) {
    return fmt::format("-P{}", sluice_->config.services.at(service).port());
  };
  EXPECT_EQ(read({"-h127.0.0.1", port("tls"), "--ssl-mode=REQUIRED"}, "app", "app-secret"),
            "a replica");
  EXPECT_EQ(read({"-S" + socket_}, "app", "app-secret"), "a replica");
  make_account("own", "x");
  EXPECT_EQ(read({"-h127.0.0.1", port("plain"), "--ssl-mode=DISABLED", "--get-server-public-key"},
                 "own", "x"),
            "a replica");
}

/// The session goes on at home: what it proved itself with was for another user.
TEST_F(SplitMysql, ChangeUserStaysAtHome) {
  make_account("another", "x");
  Client client(endpoint(Way::Socket));
  EXPECT_TRUE(is_replica(who(client)));
  ASSERT_TRUE(client.change_user("another", "x", "test"));
  EXPECT_EQ(client.value("SELECT CONCAT(CURRENT_USER(), name) FROM who"), "another@%db1");
  EXPECT_FALSE(client.change_user("another", "wrong", "test"));
}

/// The last one: it takes the primary away.
TEST_F(SplitMysql, IdleSessionsSurviveTheirPrimary) {
  trio_->primary.exec("INSERT INTO test.t VALUES (1), (2)");
  make_account("unknown", "x");
  warm("unknown", "x");
  Client idle(endpoint(Way::Socket)), secured(endpoint(Way::Tls));
  Client plain(endpoint(Way::Plain)), unknown(endpoint(Way::Plain, "unknown", "x"));
  idle.exec("SET sql_mode = 'ANSI_QUOTES'");
  Prepared prepared(idle, "UPDATE test.t SET a = 10 WHERE a = ?");
  trio_->primary.kill9();
  auto& next = *trio_->replicas[0];
  next.exec(
      "STOP REPLICA; RESET REPLICA ALL; SET GLOBAL super_read_only = 0, "
      "GLOBAL read_only = 0");
  prepared.value(1);
  EXPECT_EQ(idle.value("SELECT \"a\" FROM test.t WHERE a > 2 FOR UPDATE"), "10");
  EXPECT_EQ(secured.value("SELECT COUNT(*) FROM test.t FOR UPDATE"), "2");
  EXPECT_EQ(plain.value("SELECT COUNT(*) FROM test.t FOR UPDATE"), "2");
  EXPECT_NE(unknown.error("SELECT 1").text.find("its password is not known to sluice"),
            std::string::npos);
}

class EveryWay : public SplitMysql, public testing::WithParamInterface<Way> {};
std::string name_of(const testing::TestParamInfo<Way>& way) {
  return way.param == Way::Plain ? "Plain" : way.param == Way::Tls ? "Tls" : "Socket";
}
INSTANTIATE_TEST_SUITE_P(Ways, EveryWay, testing::Values(Way::Plain, Way::Tls, Way::Socket),
                         name_of);

/// Nobody has shown the password to any server yet.
TEST_P(EveryWay, ReadsSpreadOverReplicasAndWritesStay) {
  const auto user = fmt::format("cold{}", static_cast<int>(GetParam()));
  make_account(user, "a password");
  std::map<std::string, int> answered;
  std::vector<std::unique_ptr<Client>> clients;
  for (int i = 0; i < 10; ++i) {
    auto& client =
        *clients.emplace_back(std::make_unique<Client>(endpoint(GetParam(), user, "a password")));
    for (int j = 0; j < 10; ++j) ++answered[who(client)];
    client.exec("INSERT INTO test.t VALUES (1)");
    EXPECT_EQ(client.value("SELECT COUNT(*) FROM test.t"), std::to_string(i + 1));
  }
  EXPECT_EQ(answered["db1"], 0) << sluice_->log();
  EXPECT_EQ(answered["db2"], 50);
  EXPECT_EQ(answered["db3"], 50);
  EXPECT_EQ(trio_->primary.value("SELECT COUNT(*) FROM test.t"), "10");
  EXPECT_EQ(why_kept(), "");
}

/// Every server lets the account in for its fast answer: sluice asks the client itself where that
/// can't harm. The next login does not need it.
TEST_P(EveryWay, APasswordThatTheServersKnowIsAskedFor) {
  warm("app", "app-secret");
  for (int i = 0; i < 3; ++i) {
    Client client(endpoint(GetParam()));
    if (GetParam() != Way::Plain) {
      EXPECT_TRUE(is_replica(who(client))) << sluice_->log();
      continue;
    }
    EXPECT_EQ(who(client), "db1");
    EXPECT_EQ(why_kept(), "its password is not known to sluice");
  }
  // What one session has shown, others can be known by.
  Client shown(endpoint(Way::Socket));
  Client client(endpoint(GetParam()));
  const bool knows = GetParam() != Way::Tls;  // the service "tls" is of another cluster
  if (knows) {
    EXPECT_TRUE(is_replica(who(client)));
  }
}

TEST_P(EveryWay, WrongAndChangedPasswords) {
  const auto user = fmt::format("changed{}", static_cast<int>(GetParam()));
  make_account(user, "first");
  Client before(endpoint(GetParam(), user, "first"));
  EXPECT_TRUE(is_replica(who(before)));
  for (int i = 0; i < 2; ++i) {
    const auto wrong = Client::connect(endpoint(GetParam(), user, "wrong"));
    ASSERT_FALSE(wrong.has_value());
    EXPECT_EQ(wrong.error().code, kDenied);
  }
  trio_->primary.exec(fmt::format("ALTER USER {}@'%' IDENTIFIED BY 'second'", user));
  trio_->keep_in_step();
  EXPECT_EQ(Client::connect(endpoint(GetParam(), user, "first")).error().code, kDenied);
  Client after(endpoint(GetParam(), user, "second"));
  EXPECT_TRUE(is_replica(who(after)));
  EXPECT_TRUE(is_replica(who(before))) << "it is logged in";
}

TEST_P(EveryWay, AnAccountWithoutAPassword) {
  const auto user = fmt::format("blank{}", static_cast<int>(GetParam()));
  make_account(user, "");
  Client client(endpoint(GetParam(), user, ""));
  EXPECT_TRUE(is_replica(who(client)));
}

TEST_P(EveryWay, Sha256Password) {
  const auto user = fmt::format("sha{}", static_cast<int>(GetParam()));
  make_account(user, "x", "sha256_password");
  Client client(endpoint(GetParam(), user, "x"));
  EXPECT_TRUE(is_replica(who(client))) << sluice_->log();
}

}  // namespace
}  // namespace sluice::test
