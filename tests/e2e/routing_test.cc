/// Which server a connection gets, what happens when that server can't serve it (any more), and
/// what an administrator can see and do about it.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>

#include "tests/support/free_port.h"
#include "tests/support/load.h"
#include "tests/support/routing.h"
#include "tests/support/topologies.h"

namespace sluice::test {
namespace {

std::string session_of(const Sluice& sluice, const Client& client) {
  for (const auto& session : sluice.ctl_json({"list", "sessions"}))
    if (session.at("server_connection_id") == client.thread_id()) return session.at("session");
  return "";
}

// The choice.

TEST(Routing, TargetDecidesWhoServes) {
  ReplicationPair pair;
  Sluice sluice(three_services("replication", pair.servers()));
  ASSERT_TRUE(has_role(sluice, pair.replica, "replica"));
  std::vector<Client> anywhere;
  int on_primary = 0;
  for (int i = 0; i < 4; ++i) {
    auto writer = sluice.connect("primary"), reader = sluice.connect("replica");
    EXPECT_EQ(asked(writer), id_of(pair.primary));
    EXPECT_EQ(asked(reader), id_of(pair.replica));
    anywhere.push_back(sluice.connect("any"));
    on_primary += asked(anywhere.back()) == id_of(pair.primary);
  }
  EXPECT_GE(on_primary, 1);
  EXPECT_LE(on_primary, 3);
}

TEST(Routing, FewestConnectionsForItsWeight) {
  MariadbServer db1({.name = "db1"}, MariadbServer::Start::Launched);
  MariadbServer db2({.name = "db2", .extra_args = {"--read-only=1"}},
                    MariadbServer::Start::Launched);
  MariadbServer db3({.name = "db3", .extra_args = {"--read-only=1"}},
                    MariadbServer::Start::Launched);
  for (auto* server : {&db1, &db2, &db3}) server->wait_ready();
  db2.replicate_from(db1);
  db3.replicate_from(db1);
  SluiceConfig config;
  config.add_service("read", "shop", "replica");
  // By hand: the short form of a server has no weight.
  config.extra = fmt::format(
      "[cluster.shop]\ntopology = \"replication\"\ninterval = \"200ms\"\n"
      "account = {{ user = \"{}\", password = \"{}\" }}\n"
      "[cluster.shop.servers]\ndb1 = \"{}\"\ndb2 = {{ address = \"{}\", weight = 300 }}\n"
      "db3 = {{ address = \"{}\", weight = 100 }}\n",
      kWatchUser, kWatchPassword, db1.address(), db2.address(), db3.address());
  Sluice sluice(config);
  ASSERT_TRUE(has_role(sluice, db2, "replica") && has_role(sluice, db3, "replica"));
  std::vector<Client> clients;
  std::map<std::string, int> served;
  for (int i = 0; i < 40; ++i) {  // over two workers: the counts are shared
    clients.push_back(sluice.connect("read"));
    ++served[asked(clients.back())];
  }
  EXPECT_EQ(served[id_of(db2)], 30);
  EXPECT_EQ(served[id_of(db3)], 10);
  EXPECT_EQ(sluice.ctl_json({"show", "server", "shop/db2"}).at("connections"), 30);
}

TEST(Routing, FallbackServesWhileNoTargetCan) {
  ReplicationPair pair;
  auto config = three_services("replication", pair.servers());
  config.add_service("strict", "shop", "replica").extra = "fallback = \"none\"";
  Sluice sluice(config);
  ASSERT_TRUE(has_role(sluice, pair.replica, "replica"));
  ASSERT_EQ(sluice.ctl({"set", "server", "shop/db2", "maintenance"}).exit_code, 0);
  ASSERT_TRUE(has_role(sluice, pair.replica, "none"));

  auto reader = sluice.connect("replica");
  EXPECT_EQ(asked(reader), id_of(pair.primary));
  EXPECT_EQ(sluice.ctl_json({"show", "service", "replica"}).at("on_fallback"), true);
  const auto error = refused(sluice.endpoint("strict"));
  EXPECT_EQ(error.code, kCantConnect) << error.text;
  EXPECT_TRUE(contains(error.text, "no replica of cluster shop") &&
              contains(error.text, "db2: in maintenance"))
      << error.text;

  ASSERT_EQ(sluice.ctl({"set", "server", "shop/db2", "clear"}).exit_code, 0);
  ASSERT_TRUE(has_role(sluice, pair.replica, "replica"));
  auto again = sluice.connect("strict");
  EXPECT_EQ(asked(again), id_of(pair.replica));
}

TEST(Routing, NextServerWhenOneRefusesTheConnection) {
  ReplicationPair pair;
  auto config = three_services("replication", pair.servers());
  config.clusters.at("shop").interval = "10s";  // so the workers have to find out themselves
  Sluice sluice(config);
  ASSERT_TRUE(has_role(sluice, pair.replica, "replica"));
  Load load({.endpoint = sluice.endpoint("any")});
  load.wait_flowing();
  pair.replica.kill9();
  for (int i = 0; i < 20; ++i) {
    auto client = sluice.connect("replica");
    EXPECT_EQ(asked(client), id_of(pair.primary));
  }
  ASSERT_TRUE(load.advance(100));
  const auto report = load.stop();
  // Logins that were under way on the dying server and sessions held on it: no more than threads.
  EXPECT_LE(report.connect_failures + report.query_failures, 12u) << report.text();
  EXPECT_EQ(report.connect_errors.count(kCantConnect), 0u) << report.text();
}

TEST(Routing, RefusalSaysWhyNoneCanServe) {
  ReplicationPair pair;
  Sluice sluice(three_services("replication", pair.servers()));
  ASSERT_TRUE(has_role(sluice, pair.replica, "replica"));
  pair.primary.set_read_only(true);
  ASSERT_TRUE(eventually(10s, [&] { return role_of(sluice, pair.primary) != "primary"; }));
  const auto error = refused(sluice.endpoint("primary"));
  EXPECT_EQ(error.code, kCantConnect);
  EXPECT_TRUE(contains(error.text, "no primary of cluster shop can serve") &&
              contains(error.text, "db1: ") && contains(error.text, "db2: "))
      << error.text;
  EXPECT_TRUE(eventually(
      5s, [&] { return contains(sluice.log(), "no primary of cluster shop can serve"); }));
  EXPECT_FALSE(
      sluice.ctl_json({"list", "clusters"}).at(0).at("problem").get<std::string>().empty());
}

// Listeners and limits.

TEST(Routing, ListensOnUnixSocketIpv4AndIpv6) {
  MariadbServer server;
  Sluice sluice(one_service(server), Sluice::Start::Stopped);
  auto& service = sluice.config.services.at("shop");
  const auto socket = sluice.path("shop.sock");
  const auto port6 = free_port();
  service.listen.push_back(socket);
  service.listen.push_back(fmt::format("[::1]:{}", port6));
  sluice.start();

  EXPECT_EQ(sluice.connect("shop").value("SELECT 1"), "1");
  auto endpoint = sluice.endpoint("shop");
  endpoint.host = "::1";
  endpoint.port = port6;
  EXPECT_EQ(Client(endpoint).value("SELECT 1"), "1");
  endpoint.socket = socket;
  EXPECT_EQ(Client(endpoint).value("SELECT 1"), "1");
  EXPECT_EQ(sluice.ctl_json({"list", "listeners"}).size(), 3u);
  EXPECT_EQ(sluice.stop(), 0);
  EXPECT_FALSE(std::filesystem::exists(socket)) << "the socket file is left behind";
}

TEST(Routing, LimitIsAnErrorWithAReason) {
  MariadbServer server;
  auto config = one_service(server);
  config.services.at("shop").extra = "max_connections = 3";
  Sluice sluice(config);
  std::vector<Client> clients;
  for (int i = 0; i < 3; ++i) clients.push_back(sluice.connect("shop"));
  const auto error = refused(sluice.endpoint("shop"));
  EXPECT_EQ(error.code, kTooManyConnections) << error.text;
  EXPECT_TRUE(contains(error.text, "service shop allows 3")) << error.text;
  clients.pop_back();
  EXPECT_TRUE(eventually(5s, [&] { return Client::connect(sluice.endpoint("shop")).has_value(); }));
}

// What an administrator does.

TEST(Routing, MaintenanceEndsSessionsAndDrainingDoesNot) {
  ReplicationPair pair;
  Sluice sluice(three_services("replication", pair.servers()));
  ASSERT_TRUE(has_role(sluice, pair.replica, "replica"));
  auto session = sluice.connect("replica");
  ASSERT_EQ(asked(session), id_of(pair.replica));

  ASSERT_EQ(sluice.ctl({"set", "server", "shop/db2", "draining"}).exit_code, 0);
  ASSERT_TRUE(has_role(sluice, pair.replica, "none"));
  auto next = sluice.connect("replica");
  EXPECT_EQ(asked(next), id_of(pair.primary));
  EXPECT_EQ(asked(session), id_of(pair.replica));
  EXPECT_TRUE(contains(reason_of(sluice, pair.replica), "draining"));

  ASSERT_EQ(sluice.ctl({"set", "server", "shop/db2", "maintenance"}).exit_code, 0);
  const auto end = end_of(session);
  EXPECT_EQ(end.code, kServerShutdown);
  EXPECT_TRUE(contains(end.text, "db2") && contains(end.text, "maintenance")) << end.text;
  EXPECT_EQ(sluice.ctl({"set", "server", "shop/nobody", "maintenance"}).exit_code, 1);
}

TEST(Routing, AdministratorSeesAndKillsSessions) {
  MariadbServer server;
  Sluice sluice(one_service(server));
  auto client = sluice.connect("shop"), other = sluice.connect("shop");
  client.exec("SELECT 1");
  const auto name = session_of(sluice, client);
  ASSERT_FALSE(name.empty());
  const auto shown = sluice.ctl_json({"show", "session", name});
  EXPECT_EQ(shown.at("user"), "app");
  EXPECT_EQ(shown.at("service"), "shop");
  EXPECT_EQ(shown.at("server"), "db1");
  EXPECT_EQ(shown.at("state"), "idle");
  EXPECT_TRUE(contains(shown.at("client").get<std::string>(), "127.0.0.1:"));

  EXPECT_EQ(sluice.ctl({"kill", "session", name}).exit_code, 0);
  const auto end = client.error("SELECT 1");
  EXPECT_EQ(end.code, kConnectionKilled) << end.text;
  EXPECT_EQ(other.value("SELECT 1"), "1");
  EXPECT_TRUE(eventually(5s, [&] { return session_of(sluice, client).empty(); }));
  const auto unknown = sluice.ctl({"kill", "session", "99-1"});
  EXPECT_EQ(unknown.exit_code, 1);
  EXPECT_TRUE(contains(unknown.err, "no session 99-1")) << unknown.err;
}

// The primary changes.

TEST(Routing, ApplicationFollowsReadOnlyInAPairOfMasters) {
  MultiPrimaryPair pair;
  Sluice sluice(three_services("multi-primary", pair.servers()));
  ASSERT_TRUE(has_role(sluice, pair.first, "primary") && has_role(sluice, pair.second, "replica"));
  auto bound = sluice.connect("primary");
  ASSERT_EQ(asked(bound), id_of(pair.first));
  Load load({.endpoint = sluice.endpoint("primary")});
  load.wait_flowing();

  pair.make_writable(pair.second);
  ASSERT_TRUE(has_role(sluice, pair.second, "primary", 5s));
  const auto end = end_of(bound);
  EXPECT_EQ(end.code, kServerShutdown);
  EXPECT_TRUE(contains(end.text, "db1 is no longer the primary")) << end.text;
  auto next = sluice.connect("primary");
  EXPECT_EQ(asked(next), id_of(pair.second));
  ASSERT_TRUE(load.advance(100));
  auto report = load.stop();
  EXPECT_EQ(report.servers.size(), 2u) << report.text();
  EXPECT_EQ(report.wrong_answers, 0u) << report.text();
  for (const auto& [code, number] : report.query_errors)
    EXPECT_EQ(code, kServerShutdown) << report.text();

  pair.make_writable(pair.first);  // and back
  ASSERT_TRUE(has_role(sluice, pair.first, "primary", 5s));
  auto back = sluice.connect("primary");
  EXPECT_EQ(asked(back), id_of(pair.first));
}

TEST(Routing, ReadersPreferTheStandbyAndSurviveItsLoss) {
  MultiPrimaryPair pair;
  Sluice sluice(three_services("multi-primary", pair.servers()));
  ASSERT_TRUE(has_role(sluice, pair.second, "replica"));
  auto writer = sluice.connect("primary");
  Load load({.endpoint = sluice.endpoint("replica")});
  load.wait_flowing();
  ASSERT_TRUE(load.advance(50));
  pair.second.kill9();
  ASSERT_TRUE(load.advance(100));
  const auto report = load.stop();
  EXPECT_EQ(report.wrong_answers, 0u) << report.text();
  EXPECT_GT(report.servers.at(id_of(pair.second)), 0u);
  EXPECT_GT(report.servers.at(id_of(pair.first)), 0u) << report.text();
  // Each thread can lose what it had there; a new connection goes elsewhere at once.
  EXPECT_LE(report.connect_failures + report.query_failures, 12u) << report.text();
  EXPECT_EQ(asked(writer), id_of(pair.first));

  pair.second.start();
  ASSERT_TRUE(has_role(sluice, pair.second, "replica", 20s)) << reason_of(sluice, pair.second);
  auto reader = sluice.connect("replica");
  EXPECT_EQ(asked(reader), id_of(pair.second));
}

TEST(Routing, BothWritableMeansNoWritesUnlessOneHasBeenThePrimary) {
  MultiPrimaryPair pair;
  pair.second.set_read_only(false);
  Sluice sluice(three_services("multi-primary", pair.servers()));
  ASSERT_TRUE(has_role(sluice, pair.second, "replica")) << reason_of(sluice, pair.second);
  EXPECT_EQ(role_of(sluice, pair.first), "replica");
  const auto error = refused(sluice.endpoint("primary"));
  EXPECT_EQ(error.code, kCantConnect);
  EXPECT_TRUE(contains(sluice.ctl_json({"show", "cluster", "shop"}).at("problem"), "writable"));

  pair.second.set_read_only(true);  // resolved
  ASSERT_TRUE(has_role(sluice, pair.first, "primary", 5s));
  auto writer = sluice.connect("primary");
  EXPECT_EQ(asked(writer), id_of(pair.first));

  pair.second.set_read_only(false);  // again, but one has been the primary until now: it stays
  EXPECT_TRUE(eventually(5s, [&] {
    return contains(sluice.ctl_json({"show", "cluster", "shop"}).at("problem"), "stays it");
  }));
  EXPECT_EQ(role_of(sluice, pair.first), "primary");
  EXPECT_EQ(asked(writer), id_of(pair.first));
  auto another = sluice.connect("primary");
  EXPECT_EQ(asked(another), id_of(pair.first));
}

// Hanging.

TEST(Routing, HangingServerIsNoticedWithinThreeIntervalsAndDelaysNoOther) {
  ReplicationPair pair;
  MariadbServer third({.name = "db3", .extra_args = {"--read-only=1"}});
  third.replicate_from(pair.primary);
  auto servers = pair.servers();
  servers.push_back(&third);
  auto config = three_services("replication", servers);
  config.clusters.at("shop").interval = "1s";
  Sluice sluice(config);
  ASSERT_TRUE(has_role(sluice, pair.replica, "replica") && has_role(sluice, third, "replica"));

  pair.replica.suspend();
  const auto start = Clock::now();
  EXPECT_TRUE(has_role(sluice, pair.replica, "none", 5s));
  EXPECT_LE(Clock::now() - start, 3000ms);
  EXPECT_TRUE(contains(reason_of(sluice, pair.replica), "no answer"));
  // The view of the others goes on.
  third.exec("STOP SLAVE");
  const auto stopped = Clock::now();
  EXPECT_TRUE(has_role(sluice, third, "none", 5s));
  EXPECT_LE(Clock::now() - stopped, 3000ms);
  third.exec("START SLAVE");
  EXPECT_TRUE(has_role(sluice, third, "replica", 5s));
  auto reader = sluice.connect("replica");
  EXPECT_EQ(asked(reader), id_of(third));
  pair.replica.resume();
  EXPECT_TRUE(has_role(sluice, pair.replica, "replica", 10s));
}

}  // namespace
}  // namespace sluice::test
