/// Everything changes by a reload, under load, and nobody who should be served notices: ports,
/// names, clusters, servers, workers, the control socket, the log. What a reload refuses is in
/// reload_failure_test.cc.
#include <gmock/gmock.h>

#include "tests/support/free_port.h"
#include "tests/support/load.h"
#include "tests/support/move_load.h"
#include "tests/support/reload_fixture.h"

namespace sluice::test {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

constexpr int kRepeats = 100;

class Reload : public ReloadTest {};

TEST_F(Reload, MovesAServiceToAnotherPort) {
  Sluice sluice(two_services());
  Load stays({.endpoint = sluice.endpoint("right")});
  auto from = sluice.endpoint("left");
  sluice.config.services["left"].listen = {free_address()};
  MoveLoad moves(from, sluice.endpoint("left"));
  stays.wait_flowing();
  moves.wait_flowing();

  EXPECT_EQ(sluice.reload().exit_code, 0);
  EXPECT_TRUE(moves.wait_moved());
  EXPECT_TRUE(is_refused(from));
  EXPECT_EQ(answering(sluice, "left"), id(left()));
  EXPECT_TRUE(stays.advance(100));

  const auto moved = moves.stop();
  EXPECT_TRUE(moved.clean()) << moved.text();
  const auto stayed = stays.stop();
  EXPECT_TRUE(stayed.clean()) << stayed.text();
}

/// The report of MaxScale's users: the daemon died when it was asked right after such a reload.
TEST_F(Reload, SwapsThePortsOfTwoServicesAHundredTimes) {
  Sluice sluice(two_services());
  Load on_one({.endpoint = sluice.endpoint("left")});
  Load on_other({.endpoint = sluice.endpoint("right")});
  on_one.wait_flowing();
  on_other.wait_flowing();
  auto old_left = sluice.connect("left");
  auto old_right = sluice.connect("right");

  auto& services = sluice.config.services;
  for (int i = 0; i < kRepeats && !HasFailure(); ++i) {
    std::swap(services["left"].listen, services["right"].listen);
    const auto reloaded = sluice.reload();
    ASSERT_EQ(reloaded.exit_code, 0) << reloaded.err;
    for (const auto& row : sluice.ctl_json({"list", "services"}))
      EXPECT_EQ(row.at("listen"), services[row.at("service")].listen[0]) << row;
    for (const std::string name : {"left", "right"})
      EXPECT_EQ(sluice.ctl_json({"show", "service", name}).at("listen"), services[name].listen[0]);
    EXPECT_EQ(answering(sluice, "left"), id(left())) << "swap " << i;
    EXPECT_EQ(answering(sluice, "right"), id(right())) << "swap " << i;
  }
  EXPECT_EQ(old_left.value("SELECT @@server_id"), id(left()));
  EXPECT_EQ(old_right.value("SELECT @@server_id"), id(right()));
  for (Load* load : {&on_one, &on_other}) {
    EXPECT_TRUE(load->advance(50));
    const auto report = load->stop();
    EXPECT_TRUE(report.clean()) << report.text();
    EXPECT_EQ(report.servers.size(), 2u) << report.text();
  }
}

TEST_F(Reload, RenamesAService) {
  Sluice sluice(two_services());
  Load load({.endpoint = sluice.endpoint("left")});
  load.wait_flowing();
  auto service = sluice.config.services.extract("left");
  service.key() = "renamed";
  sluice.config.services.insert(std::move(service));

  EXPECT_EQ(sluice.reload().exit_code, 0);
  const auto listed = sluice.ctl({"list", "services"}).out;
  EXPECT_THAT(listed, HasSubstr("renamed"));
  EXPECT_THAT(listed, Not(HasSubstr("\nleft")));
  EXPECT_EQ(sluice.ctl({"show", "service", "left"}).exit_code, 1);
  EXPECT_TRUE(load.advance(100));
  EXPECT_GT(sluice.ctl_json({"show", "service", "renamed"}).at("accepted"), 50);
  const auto report = load.stop();
  EXPECT_TRUE(report.clean()) << report.text();
}

TEST_F(Reload, AddsAClusterAndRemovesIt) {
  SluiceConfig config = two_services();
  const auto cluster = config.clusters.extract("right");
  const auto service = config.services.extract("right");
  Sluice sluice(config);
  Load load({.endpoint = sluice.endpoint("left")});
  load.wait_flowing();

  for (int i = 0; i < 3; ++i) {
    sluice.config.clusters["right"] = cluster.mapped();
    sluice.config.services["right"] = service.mapped();
    ASSERT_EQ(sluice.reload().exit_code, 0);
    EXPECT_THAT(sluice.ctl({"list", "servers"}).out, HasSubstr(right().address()));
    EXPECT_THAT(sluice.ctl({"list", "clusters"}).out, HasSubstr("right"));
    // No wait: the first client of a new cluster is served once its servers are known.
    EXPECT_EQ(answering(sluice, "right"), id(right()));

    sluice.config.clusters.erase("right");
    sluice.config.services.erase("right");
    ASSERT_EQ(sluice.reload().exit_code, 0);
    EXPECT_THAT(sluice.ctl({"list", "servers"}).out, Not(HasSubstr(right().address())));
    EXPECT_EQ(sluice.ctl({"show", "cluster", "right"}).exit_code, 1);
  }
  EXPECT_TRUE(load.advance(50));
  const auto report = load.stop();
  EXPECT_TRUE(report.clean()) << report.text();
}

TEST_F(Reload, AddsAServerThatTakesTrafficAndRemovesIt) {
  SluiceConfig config;
  config.add_cluster("shop", "replication", {&primary()});
  config.add_service("any", "shop", "any");
  Sluice sluice(config);
  Load load({.endpoint = sluice.endpoint("any")});
  load.wait_flowing();
  const auto master = sluice.pid();

  sluice.config.clusters["shop"].servers.push_back(&replica());
  ASSERT_EQ(sluice.reload().exit_code, 0);
  EXPECT_THAT(sluice.ctl({"list", "servers"}).out, HasSubstr(replica().address()));
  EXPECT_TRUE(eventually(5s, [&] { return answering(sluice, "any") == id(replica()); }));
  EXPECT_TRUE(load.advance(200));
  auto on_replica = session_on(sluice, "any", id(replica()));

  sluice.config.clusters["shop"].servers.pop_back();
  ASSERT_EQ(sluice.reload().exit_code, 0);
  EXPECT_THAT(sluice.ctl({"list", "servers"}).out, Not(HasSubstr(replica().address())));
  for (int i = 0; i < 50; ++i) ASSERT_EQ(answering(sluice, "any"), id(primary())) << i;
  // What is gone from the configuration is gone for new sessions; old ones end by themselves.
  EXPECT_EQ(on_replica.value("SELECT @@server_id"), id(replica()));

  EXPECT_EQ(sluice.pid(), master);
  const auto report = load.stop();
  EXPECT_TRUE(report.clean()) << report.text();
  EXPECT_EQ(report.servers.size(), 2u) << report.text();
}

/// A name that now stands for another machine must not be served by what was known of the old one.
TEST_F(Reload, GivesAServerAnotherAddress) {
  SluiceConfig config;
  config.add_cluster("shop", "single", {&left()});
  config.add_service("shop", "shop");
  config.services["shop"].listen = {free_address()};
  Sluice sluice(config);
  Load load({.endpoint = sluice.endpoint("shop")});
  load.wait_flowing();

  const MariadbServer* servers[] = {&right(), &left()};
  for (int i = 0; i < 10 && !HasFailure(); ++i) {
    const auto* to = servers[i % 2];
    auto text = sluice.config.text();
    const auto at = text.find(left().address());
    ASSERT_NE(at, std::string::npos);
    ASSERT_EQ(sluice.reload(text.replace(at, left().address().size(), to->address())).exit_code, 0);
    for (int n = 0; n < 10; ++n) ASSERT_EQ(answering(sluice, "shop"), id(*to)) << "reload " << i;
  }
  const auto report = load.stop();
  EXPECT_TRUE(report.clean()) << report.text();
}

TEST_F(Reload, ChangesTheNumberOfWorkersUpAndDown) {
  Sluice sluice(two_services());
  Load load({.endpoint = sluice.endpoint("left")});
  load.wait_flowing();
  for (const unsigned workers : {4u, 1u, 3u, 2u, 5u, 1u, 2u}) {
    sluice.config.workers = workers;
    ASSERT_EQ(sluice.reload().exit_code, 0);
    std::size_t serving = 0;
    for (const auto& row : sluice.ctl_json({"list", "workers"}))
      serving += row.at("state") == "serving";
    EXPECT_EQ(serving, workers);
    EXPECT_TRUE(load.advance(100));
  }
  const auto report = load.stop();
  EXPECT_TRUE(report.clean()) << report.text();
}

TEST_F(Reload, WidensAnAddressToAllAndBack) {
  Sluice sluice(two_services());
  Load load({.endpoint = sluice.endpoint("left")});
  load.wait_flowing();
  const auto port = sluice.port("left");
  for (const std::string host : {"0.0.0.0", "127.0.0.1", "0.0.0.0", "127.0.0.1"}) {
    sluice.config.services["left"].listen = {host + ":" + std::to_string(port)};
    const auto reloaded = sluice.reload();
    ASSERT_EQ(reloaded.exit_code, 0) << reloaded.err;
    EXPECT_EQ(answering(sluice, "left"), id(left()));
    EXPECT_TRUE(load.advance(100));
  }
  const auto report = load.stop();
  EXPECT_TRUE(report.clean()) << report.text();
}

TEST_F(Reload, MovesTheControlSocket) {
  Sluice sluice(two_services());
  Load load({.endpoint = sluice.endpoint("left")});
  load.wait_flowing();
  const auto old_socket = sluice.control_socket();
  const auto new_socket = sluice.path("other.sock");
  auto text = sluice.config.text();
  text.replace(text.find(old_socket), old_socket.size(), new_socket);

  // Asked over the old socket, answered over it: the caller is not left alone.
  const auto reloaded = sluice.reload(text);
  EXPECT_EQ(reloaded.exit_code, 0) << reloaded.err;
  EXPECT_FALSE(std::filesystem::exists(old_socket));
  EXPECT_EQ(sluice.ctl({"status"}).exit_code, 1);
  sluice.config.control_socket = new_socket;
  EXPECT_EQ(sluice.ctl({"status"}).exit_code, 0);
  const auto report = load.stop();
  EXPECT_TRUE(report.clean()) << report.text();
}

TEST_F(Reload, MovesTheLog) {
  Sluice sluice(two_services());
  const auto old_log = sluice.config.log_file;
  sluice.config.log_file = sluice.path("other.log");
  Load load({.endpoint = sluice.endpoint("left")});
  load.wait_flowing();

  ASSERT_EQ(sluice.reload().exit_code, 0);
  const auto before = read_file(old_log);
  EXPECT_EQ(sluice.ctl({"reload"}).exit_code, 0);
  EXPECT_EQ(read_file(old_log), before);
  EXPECT_THAT(sluice.log(), HasSubstr("reading the configuration"));
  const auto report = load.stop();
  EXPECT_TRUE(report.clean()) << report.text();
}

TEST_F(Reload, ManyHangupsCollapse) {
  Sluice sluice(two_services());
  Load load({.endpoint = sluice.endpoint("left")});
  load.wait_flowing();
  constexpr int kHangups = 200;
  for (int i = 0; i < kHangups; ++i) {
    sluice.config.workers = 1 + static_cast<unsigned>(i) % 3;
    sluice.write_config(sluice.config.text());
    sluice.process().signal(SIGHUP);
  }
  // Whatever they collapsed into: the last word is what counts.
  EXPECT_TRUE(eventually(20s, [&] {
    return sluice.ctl_json({"status"}).at("workers") == sluice.config.workers &&
           sluice.ctl({"reload", "--dry-run"}).out.find("nothing would change") !=
               std::string::npos;
  })) << sluice.ctl({"reload", "--dry-run"}).out;
  const auto generations = sluice.ctl_json({"status"}).at("generation").get<int>();
  EXPECT_LT(generations, kHangups / 2);
  const auto report = load.stop();
  EXPECT_TRUE(report.clean()) << report.text();
}

TEST_F(Reload, ThatChangesNothingReplacesNobody) {
  Sluice sluice(two_services());
  Load load({.endpoint = sluice.endpoint("left")});
  load.wait_flowing();
  const auto workers = sluice.worker_pids();
  for (int i = 0; i < 5; ++i) {
    const auto result = sluice.reload();
    EXPECT_EQ(result.exit_code, 0) << result.err;
    EXPECT_THAT(result.out, HasSubstr("nothing has changed"));
  }
  EXPECT_EQ(sluice.worker_pids(), workers);
  EXPECT_EQ(sluice.ctl_json({"status"}).at("generation"), 1);
  const auto report = load.stop();
  EXPECT_TRUE(report.clean()) << report.text();
}

TEST_F(Reload, AnOrdinaryOneLogsNothingThatLooksLikeTrouble) {
  Sluice sluice(two_services());
  for (unsigned workers = 1; workers <= 3; ++workers) {
    sluice.config.workers = workers;
    EXPECT_EQ(sluice.reload().exit_code, 0);
  }
  EXPECT_TRUE(eventually(10s, [&] { return sluice.ctl_json({"status"}).at("old_workers") == 0; }));
  for (const char* trouble : {" error ", "signal", "killed"})
    EXPECT_THAT(sluice.log(), Not(HasSubstr(trouble)));
}

/// A warning is for whoever stands before the reload, whether or not it changes anything.
TEST_F(Reload, WarningsAreInTheReply) {
  Sluice sluice(two_services());
  sluice.config.services["right"].extra = "proxy_protocol_from = [\"0.0.0.0/0\"]\n";
  const auto told = HasSubstr("warning: service.right.proxy_protocol_from[0]: whoever can connect");
  sluice.write_config(sluice.config.text());
  EXPECT_THAT(sluice.ctl({"reload", "--dry-run"}).out, told);
  EXPECT_THAT(sluice.ctl({"reload"}).out, AllOf(HasSubstr("generation 2 is in force"), told));
  EXPECT_THAT(sluice.ctl({"reload"}).out, AllOf(HasSubstr("nothing has changed"), told));
  EXPECT_THAT(sluice.ctl({"reload", "--dry-run"}).out,
              AllOf(HasSubstr("nothing would change"), told));
}

TEST_F(Reload, DryRunTellsAndChangesNothing) {
  Sluice sluice(two_services());
  const auto port = sluice.port("left");
  ASSERT_TRUE(eventually(5s, [&] { return sluice.worker_pids().size() == 2; }));
  const auto workers = sluice.worker_pids();
  sluice.config.services["left"].listen = {free_address()};
  sluice.config.add_service("third", "left");
  sluice.write_config(sluice.config.text());

  const auto told = sluice.ctl({"reload", "--dry-run"});
  EXPECT_EQ(told.exit_code, 0) << told.err;
  EXPECT_THAT(told.out, HasSubstr("third"));
  EXPECT_THAT(told.out, HasSubstr(sluice.config.services["left"].listen[0]));
  EXPECT_EQ(sluice.worker_pids(), workers);
  EXPECT_EQ(sluice.ctl({"show", "service", "third"}).exit_code, 1);
  auto endpoint = sluice.endpoint("left");
  EXPECT_TRUE(is_refused(endpoint));
  endpoint.port = port;
  EXPECT_EQ(Client(endpoint).value("SELECT @@server_id"), id(left()));
}

/// Those that can't move: nobody serves what they came for any more.
TEST_F(Reload, OldSessionsLiveUntilTheDrainTimeoutAndAreToldWhyTheyEnd) {
  SluiceConfig config = two_services();
  config.settings = "drain_timeout = \"2s\"\n";
  Sluice sluice(config);
  auto idle = sluice.connect("left");
  auto in_transaction = sluice.connect("left");
  in_transaction.exec(
      "CREATE TEMPORARY TABLE test.t (a INT); BEGIN; INSERT INTO test.t VALUES (7)");
  const auto old_workers = sluice.worker_pids();
  const auto start = Clock::now();

  sluice.config.services.erase("left");
  ASSERT_EQ(sluice.reload().exit_code, 0);
  EXPECT_EQ(in_transaction.value("SELECT a FROM test.t"), "7") << "right after the reload";
  EXPECT_GT(sluice.ctl_json({"status"}).at("old_workers"), 0);

  std::optional<SqlError> end;
  EXPECT_TRUE(eventually(10s, [&] {
    if (auto alive = in_transaction.query("SELECT 1"); !alive) end = alive.error();
    return end.has_value();
  }));
  EXPECT_GE(Clock::now() - start, 2s);
  EXPECT_THAT(end->text, HasSubstr("drain timeout"));
  EXPECT_THAT(idle.error("SELECT 1").text, HasSubstr("drain timeout"));
  EXPECT_TRUE(eventually(10s, [&] { return sluice.ctl_json({"status"}).at("old_workers") == 0; }));
  for (const auto pid : old_workers) EXPECT_FALSE(is_alive(pid));
}

}  // namespace
}  // namespace sluice::test
