/// Accounts that change while clients log in: what is new works at the first try, what is revoked
/// ends, open sessions never notice, and no number of bad logins makes sluice load the tables more
/// than once a second.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <mysqld_error.h>

#include "tests/support/load.h"
#include "tests/support/sluice.h"

namespace sluice::test {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Matches;
using testing::Not;

/// "plain": the server judges. "central": sluice looks clients up first, as the server sees the
/// proxy's address. "lax": the same, and other accounts are allowed.
constexpr const char* kServices[] = {"plain", "central", "lax"};
constexpr const char* kClient = "127.0.0.2";

class Freshness : public testing::Test {
 protected:
  explicit Freshness(const std::string& cluster = "accounts_interval = \"1h\"",
                     const std::string& central = "")
      : sluice_(configured(server_, cluster, central)) {
    EXPECT_TRUE(eventually(10s, [&] {
      return sluice_.ctl({"reload", "accounts"}).exit_code == 0;
    }));
  }

  static SluiceConfig configured(MariadbServer& server, const std::string& cluster,
                                 const std::string& central) {
    SluiceConfig config;
    config.add_cluster("shop", "single", {&server}).extra = cluster;
    config.add_service("plain", "shop");
    config.add_service("central", "shop").extra = "identity = \"as-connected\"\n" + central;
    config.add_service("lax", "shop").extra =
        "identity = \"as-connected\"\naccount_mismatch = \"allow\"";
    return config;
  }
  ClientOptions endpoint(const std::string& service, const std::string& user,
                         const std::string& password) const {
    auto options = sluice_.endpoint(service, user, password);
    options.bind_address = kClient;
    return options;
  }
  /// 0, or the error.
  unsigned outcome(const std::string& service, const std::string& user,
                   const std::string& password) const {
    const auto client = Client::connect(endpoint(service, user, password));
    return client ? 0 : client.error().code;
  }

  MariadbServer server_;
  Sluice sluice_;
};

TEST_F(Freshness, AccountsComeAndGoWhileClientsLogIn) {
  Load load({.endpoint = sluice_.endpoint("central"), .connecting = 2, .holding = 2});
  load.wait_flowing();
  for (int round = 0; round < 2; ++round)
    for (const std::string service : kServices) {
      SCOPED_TRACE(service);
      const auto user = fmt::format("{}{}", service, round);
      server_.exec(fmt::format("CREATE USER {}@'127.%' IDENTIFIED BY 'first'", user));
      EXPECT_EQ(outcome(service, user, "first"), 0u) << "made a moment ago";
      server_.exec(fmt::format("ALTER USER {}@'127.%' IDENTIFIED BY 'second'", user));
      EXPECT_EQ(outcome(service, user, "second"), 0u) << "the password is new";
      EXPECT_EQ(outcome(service, user, "first"), unsigned{ER_ACCESS_DENIED_ERROR});
      server_.exec(fmt::format("ALTER USER {}@'127.%' ACCOUNT LOCK", user));
      EXPECT_EQ(outcome(service, user, "second"), unsigned{ER_ACCOUNT_HAS_BEEN_LOCKED});
      server_.exec(fmt::format("DROP USER {}@'127.%'", user));
      EXPECT_EQ(outcome(service, user, "second"), unsigned{ER_ACCESS_DENIED_ERROR});
    }
  ASSERT_TRUE(load.advance(20));
  const auto report = load.stop();
  EXPECT_TRUE(report.clean()) << report.text();
}

/// The account that the client had is gone, and one that the server takes the proxy for is there.
/// The answer is of the last load then, and says so.
TEST_F(Freshness, ExplainLoginAnswersWhenTheTablesCantBeLoaded) {
  server_.exec("CREATE USER known@'127.%'");
  const auto explained = [&] {
    const auto result = sluice_.ctl({"explain", "login", "known", kClient});
    EXPECT_EQ(result.exit_code, 0) << result.err;
    EXPECT_THAT(result.out, HasSubstr("the first that covers this client"));
    return result.out;
  };
  const auto of_the_last_load = HasSubstr("by the accounts of the last load");
  EXPECT_THAT(explained(), Not(of_the_last_load));
  server_.suspend();
  EXPECT_THAT(explained(), of_the_last_load);
  server_.resume();
  EXPECT_TRUE(eventually(10s, [&] { return !Matches(of_the_last_load)(explained()); }));
  server_.exec("RENAME TABLE mysql.global_priv TO mysql.elsewhere");
  EXPECT_THAT(explained(), AllOf(of_the_last_load, HasSubstr("can't read mysql.global_priv")));
  server_.exec("RENAME TABLE mysql.elsewhere TO mysql.global_priv");
}

TEST_F(Freshness, WhatIsRevokedEndsWithTheNextLoad) {
  server_.exec("CREATE USER shop@'127.%' IDENTIFIED BY 'x'");
  ASSERT_EQ(outcome("central", "shop", "x"), 0u);
  server_.exec("DROP USER shop@'127.%'; CREATE USER shop@'127.0.0.1' IDENTIFIED BY 'x'");
  ASSERT_EQ(sluice_.ctl({"reload", "accounts"}).exit_code, 0);
  EXPECT_EQ(outcome("central", "shop", "x"), unsigned{ER_ACCESS_DENIED_ERROR});
  EXPECT_EQ(outcome("plain", "shop", "x"), 0u) << "the server judges by the proxy's address";
}

TEST_F(Freshness, ANewPasswordHarmsNoOpenSession) {
  server_.exec("CREATE USER web@'127.%' IDENTIFIED BY 'old'; GRANT ALL ON test.* TO web@'127.%'");
  std::vector<Client> sessions;
  for (const std::string service : kServices) {
    auto& client = sessions.emplace_back(endpoint(service, "web", "old"));
    client.exec(
        "CREATE TEMPORARY TABLE test.mine (n INT); BEGIN; INSERT INTO test.mine VALUES (7)");
  }
  server_.exec("ALTER USER web@'127.%' IDENTIFIED BY 'new'");
  ASSERT_EQ(sluice_.ctl({"reload", "accounts"}).exit_code, 0);
  for (auto& client : sessions) {
    EXPECT_EQ(client.value("SELECT n FROM test.mine"), "7");
    client.exec("COMMIT");
  }
  for (const std::string service : kServices) {
    EXPECT_EQ(outcome(service, "web", "old"), unsigned{ER_ACCESS_DENIED_ERROR}) << service;
    EXPECT_EQ(outcome(service, "web", "new"), 0u) << service;
  }
  server_.exec("DROP USER web@'127.%'");
  ASSERT_EQ(sluice_.ctl({"reload", "accounts"}).exit_code, 0);
  for (auto& client : sessions) EXPECT_EQ(client.value("SELECT n FROM test.mine"), "7");
}

class FreshnessByInterval : public Freshness {
 protected:
  FreshnessByInterval() : Freshness("accounts_interval = \"1s\"") {}
};

TEST_F(FreshnessByInterval, WhatIsRevokedEndsWithoutACommand) {
  server_.exec("CREATE USER shop@'127.%' IDENTIFIED BY 'x'");
  ASSERT_EQ(outcome("central", "shop", "x"), 0u);
  server_.exec("DROP USER shop@'127.%'; CREATE USER shop@'127.0.0.1' IDENTIFIED BY 'x'");
  EXPECT_TRUE(eventually(
      10s, [&] { return outcome("central", "shop", "x") == unsigned{ER_ACCESS_DENIED_ERROR}; }));
}

/// The tables are there still, but grow old: nobody should have to find that in the log.
TEST_F(FreshnessByInterval, LoadsThatFailAreAProblemUntilOneWorks) {
  const auto problem = [&] {
    return sluice_.ctl_json({"status"}).at("problems").get<std::string>();
  };
  EXPECT_EQ(problem(), "");
  const std::string accounts = "sluice@'%', sluice@localhost";
  server_.exec("REVOKE SELECT ON *.* FROM " + accounts);
  server_.exec("KILL CONNECTION USER sluice");  // who is connected keeps what he had
  EXPECT_TRUE(eventually(10s, [&] {
    return problem().starts_with("shop: its accounts are those of an earlier load: ");
  })) << problem();
  EXPECT_NE(
      sluice_.ctl_json({"list", "clusters"})[0].at("problem").get<std::string>().find("denied"),
      std::string::npos);
  server_.exec("GRANT SELECT ON *.* TO " + accounts);
  server_.exec("KILL CONNECTION USER sluice");
  EXPECT_TRUE(eventually(10s, [&] { return problem().empty(); })) << problem();
}

/// Nobody is slowed, so that all that limits the loads is their own limit.
class FreshnessUnderFire : public Freshness {
 protected:
  FreshnessUnderFire() : Freshness("accounts_interval = \"1h\"", "max_failed_logins = 0") {
    server_.exec("CREATE USER steady@'127.%' IDENTIFIED BY 'x'");
    server_.exec("SET GLOBAL log_output = 'TABLE'; SET GLOBAL general_log = 1");
  }
  /// What the server has seen of them.
  int loads() {
    return std::stoi(
        server_.value("SELECT COUNT(*) FROM mysql.general_log WHERE user_host LIKE 'sluice[%' "
                      "AND argument LIKE '%FROM mysql.global_priv%'"));
  }
};

TEST_F(FreshnessUnderFire, BadLoginsLoadTheTablesOnceASecond) {
  constexpr auto kTime = 4s;
  const int before = loads();
  const auto start = Clock::now();
  std::atomic<int> refused = 0;
  std::atomic<bool> over = false;
  std::vector<std::jthread> threads;
  for (int i = 0; i < 8; ++i)
    threads.emplace_back([&, i] {
      for (int n = 0; !over; ++n) {
        const bool known = n % 2 == 0;
        refused += outcome("central", known ? "steady" : fmt::format("nobody{}-{}", i, n),
                           "wrong") == ER_ACCESS_DENIED_ERROR;
      }
    });
  Milliseconds slowest{0};
  for (int n = 0; Clock::now() - start < kTime; ++n) {
    const auto user = fmt::format("fresh{}", n);
    server_.exec(fmt::format("CREATE USER {}@'127.%' IDENTIFIED BY 'x'", user));
    for (const auto& [name, password] :
         {std::pair<std::string, std::string>("steady", "x"), {user, "x"}}) {
      const auto begun = Clock::now();
      EXPECT_EQ(outcome("central", name, password), 0u) << name;
      slowest = std::max(slowest, std::chrono::duration_cast<Milliseconds>(Clock::now() - begun));
    }
  }
  over = true;
  threads.clear();  // joins
  const auto seconds =
      std::chrono::duration_cast<std::chrono::seconds>(Clock::now() - start).count();
  const int made = loads() - before;
  fmt::print("{} bad logins, {} loads in {} s, the slowest good login {} ms\n", refused.load(),
             made, seconds, slowest.count());
  EXPECT_GT(refused, 16) << "no flood";
  EXPECT_GE(made, 2) << "not counted?";
  EXPECT_LE(made, seconds + 2);
  EXPECT_LT(slowest, 3s);
}

}  // namespace
}  // namespace sluice::test
