/// Sluice's own processes die, hang, or turn against their master, while clients are at work: what
/// that costs, and what it must not cost.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <filesystem>
#include <future>
#include <map>

#include "tests/support/free_port.h"
#include "tests/support/load.h"
#include "tests/support/raw_client.h"
#include "tests/support/rogue_workers.h"
#include "tests/support/sluice.h"
#include "tests/support/test_error.h"
#include "tests/support/topologies.h"

namespace sluice::test {
namespace {

constexpr unsigned kServerShutdown = 1053;
constexpr unsigned kServerGone = 2006, kServerLost = 2013;  // what the client library says

/// Errors of sessions that lost their worker. Anything else, a refused connection above all (2002,
/// 2003), must not happen.
bool only_lost(const std::map<unsigned, uint64_t>& errors) {
  return std::ranges::all_of(errors, [](const auto& entry) {
    return entry.first == kServerGone || entry.first == kServerLost;
  });
}

/// Worker (by the number in its sessions' names) of a session that the server knows as `thread_id`.
std::string worker_of(const Sluice& sluice, unsigned long thread_id) {
  for (const auto& session : sluice.ctl_json({"list", "sessions"}))
    if (session.at("server_connection_id") == thread_id) {
      const auto name = session.at("session").get<std::string>();
      return name.substr(0, name.find('-'));
    }
  throw TestError(fmt::format("no session with the server's connection {}", thread_id));
}

pid_t pid_of_worker(const Sluice& sluice, const std::string& number) {
  for (const auto& worker : sluice.ctl_json({"list", "workers"}))
    if (std::to_string(worker.at("worker").get<int>()) == number) return worker.at("pid");
  throw TestError("no worker " + number);
}

uint64_t connections(const Sluice& sluice, const std::string& service) {
  return sluice.ctl_json({"show", "service", service}).at("connections");
}

std::string role_of(const Sluice& sluice, const std::string& server) {
  return sluice.ctl_json({"show", "server", server}).at("role");
}

/// An answer of a worker that is too large for one datagram, from behind its filter of system
/// calls.
TEST(Fault, ListOfManySessionsHarmsNone) {
  MariadbServer server;
  server.exec("SET GLOBAL max_connections = 1000");
  Sluice sluice(in_front_of(server, 1));
  std::vector<Client> held;
  for (int i = 0; i < 400; ++i) held.push_back(sluice.connect("shop"));
  EXPECT_EQ(sluice.ctl_json({"list", "sessions"}).size(), held.size());
  for (auto& client : held) ASSERT_EQ(client.value("SELECT 1"), "1");
}

// Kill -9.

TEST(Fault, KilledWorkerTakesOnlyItsOwnSessions) {
  MariadbServer server;
  Sluice sluice(in_front_of(server));
  Load load({.endpoint = sluice.endpoint("shop")});
  load.wait_flowing();

  std::map<std::string, std::vector<Client>> held;  // by worker
  for (int i = 0; i < 24; ++i) {
    auto client = sluice.connect("shop");
    held[worker_of(sluice, client.thread_id())].push_back(std::move(client));
  }
  ASSERT_EQ(held.size(), 2u) << "the kernel spreads connections over both workers";
  const auto victim = pid_of_worker(sluice, held.begin()->first);
  ASSERT_EQ(::kill(victim, SIGKILL), 0);

  ASSERT_TRUE(load.advance(100));
  for (auto& client : held.begin()->second) {
    const auto code = client.error("SELECT 1").code;
    EXPECT_TRUE(code == kServerLost || code == kServerGone) << code;
  }
  for (auto& client : held.rbegin()->second) EXPECT_EQ(client.value("SELECT 1"), "1");
  EXPECT_EQ(sluice.worker_pids().size(), 2u);

  const auto report = load.stop();
  EXPECT_EQ(report.wrong_answers, 0u) << report.text();
  EXPECT_TRUE(only_lost(report.connect_errors)) << report.text();
  EXPECT_TRUE(only_lost(report.query_errors)) << report.text();
  // A thread has one session, so it can lose one.
  EXPECT_LE(report.connect_failures + report.query_failures, 12u) << report.text();

  // What the dead worker had open is no longer counted; the servers' connections neither.
  const auto left = held.rbegin()->second.size();
  EXPECT_TRUE(eventually(5s, [&] { return connections(sluice, "shop") == left; }))
      << connections(sluice, "shop") << " instead of " << left;
  EXPECT_EQ(sluice.ctl_json({"show", "server", "shop/db1"}).at("connections"), left);
  held.clear();
  EXPECT_TRUE(eventually(5s, [&] { return connections(sluice, "shop") == 0; }));
}

TEST(Fault, NewWorkerServesWithinASecondOfAKill) {
  MariadbServer server;
  Sluice sluice(in_front_of(server, /*workers=*/1));
  Load load({.endpoint = sluice.endpoint("shop")});
  load.wait_flowing();
  ASSERT_EQ(::kill(sluice.worker_pids().at(0), SIGKILL), 0);
  ASSERT_TRUE(load.advance(200));
  const auto report = load.stop();
  EXPECT_LT(report.longest_gap, 1000ms) << report.text();
  EXPECT_EQ(report.wrong_answers, 0u) << report.text();
  EXPECT_TRUE(only_lost(report.connect_errors)) << report.text();
  EXPECT_TRUE(only_lost(report.query_errors)) << report.text();
}

TEST(Fault, NoClientNoticesTheDeathOfTheMonitor) {
  ReplicationPair pair;
  SluiceConfig config;
  config.add_cluster("shop", "replication", pair.servers());
  config.add_service("write", "shop", "primary");
  config.add_service("read", "shop", "replica");
  Sluice sluice(config);
  ASSERT_TRUE(eventually(10s, [&] { return role_of(sluice, "shop/db2") == "replica"; }));
  Load writes({.endpoint = sluice.endpoint("write"), .connecting = 8, .holding = 4});
  Load reads({.endpoint = sluice.endpoint("read"), .connecting = 2, .holding = 2});
  writes.wait_flowing();
  reads.wait_flowing();

  const auto before = sluice.monitor_pid();
  ASSERT_TRUE(before);
  ASSERT_EQ(::kill(*before, SIGKILL), 0);
  EXPECT_TRUE(eventually(5s, [&] {
    const auto now = sluice.monitor_pid();
    return now && now != before;
  }));
  EXPECT_TRUE(writes.advance(100));
  EXPECT_TRUE(reads.advance(50));
  const auto written = writes.stop(), read = reads.stop();
  EXPECT_TRUE(written.clean()) << written.text();
  EXPECT_TRUE(read.clean()) << read.text();

  // Fresh again: what changes now is seen.
  pair.replica.kill9();
  EXPECT_TRUE(eventually(5s, [&] { return role_of(sluice, "shop/db2") == "none"; }));
  EXPECT_EQ(role_of(sluice, "shop/db1"), "primary");
}

TEST(Fault, NothingIsLeftOfAKilledMaster) {
  MariadbServer server;
  auto config = in_front_of(server);
  Sluice sluice(config, Sluice::Start::Stopped);
  auto& service = sluice.config.services.at("shop");
  service.listen.push_back(sluice.path("shop.sock"));
  sluice.start();
  Load load({.endpoint = sluice.endpoint("shop")});
  load.wait_flowing();
  auto idle = sluice.connect("shop");
  auto children = sluice.worker_pids();
  children.push_back(sluice.monitor_pid().value());

  sluice.kill9();
  EXPECT_TRUE(eventually(8s, [&] { return std::ranges::none_of(children, is_alive); }))
      << "a child lingers without its master";
  const auto end = idle.error("SELECT 1");
  EXPECT_EQ(end.code, kServerShutdown) << end.text;
  const auto report = load.stop();
  EXPECT_EQ(report.wrong_answers, 0u) << report.text();

  // The same ports, the same socket files, the same control socket.
  sluice.start();
  EXPECT_EQ(sluice.connect("shop").value("SELECT 1"), "1");
  auto by_socket = sluice.endpoint("shop");
  by_socket.socket = service.listen.back();
  EXPECT_EQ(Client(by_socket).value("SELECT 1"), "1");
}

TEST(Fault, NewMasterStartsWhileOldWorkersStillFinish) {
  MariadbServer server;
  Sluice sluice(in_front_of(server));
  auto busy = sluice.connect("shop");
  auto answer =
      std::async(std::launch::async, [&] { return busy.query("SELECT SLEEP(2), 'done'"); });
  ASSERT_TRUE(eventually(5s, [&] {
    return server.value(
               "SELECT COUNT(*) FROM information_schema.processlist "
               "WHERE info LIKE 'SELECT SLEEP%'") == "1";
  }));
  sluice.kill9();
  sluice.start();  // at once: the statement still runs
  EXPECT_EQ(sluice.connect("shop").value("SELECT 1"), "1");
  const auto rows = answer.get();
  ASSERT_TRUE(rows) << rows.error().text;
  EXPECT_EQ(rows->at(0).at(1), "done");
}

// SIGTERM.

TEST(Fault, OrderlyEndAnswersStatementsUnderWayAndTellsIdleClients) {
  MariadbServer server;
  Sluice sluice(in_front_of(server));
  Load load({.endpoint = sluice.endpoint("shop")});
  load.wait_flowing();
  auto idle = sluice.connect("shop");
  std::vector<Client> busy;
  for (int i = 0; i < 4; ++i) busy.push_back(sluice.connect("shop"));
  std::vector<std::future<SqlResult<Rows>>> answers;
  for (auto& client : busy)
    answers.push_back(std::async(std::launch::async,
                                 [&client] { return client.query("SELECT SLEEP(2), 'done'"); }));
  ASSERT_TRUE(eventually(5s, [&] {
    return server.value(
               "SELECT COUNT(*) FROM information_schema.processlist "
               "WHERE info LIKE 'SELECT SLEEP%'") == "4";
  }));

  EXPECT_EQ(sluice.stop(), 0);
  for (auto& answer : answers) {
    const auto rows = answer.get();
    ASSERT_TRUE(rows) << rows.error().code << " " << rows.error().text;
    EXPECT_EQ(rows->at(0).at(1), "done");
  }
  for (auto* client : {&idle, &busy[0]}) {
    const auto end = client->error("SELECT 1");
    EXPECT_EQ(end.code, kServerShutdown) << end.text;
    EXPECT_EQ(end.state, "08S01");
    EXPECT_NE(end.text.find("sluice"), std::string::npos) << end.text;
  }
  const auto report = load.stop();
  EXPECT_EQ(report.wrong_answers, 0u) << report.text();
  // No statement of the load was cut either: each lost session was told why.
  for (const auto& [code, number] : report.query_errors)
    EXPECT_EQ(code, kServerShutdown) << report.text();
}

TEST(Fault, QuitSignalEndsAtOnce) {
  MariadbServer server;
  Sluice sluice(in_front_of(server));
  auto busy = sluice.connect("shop");
  auto answer = std::async(std::launch::async, [&] { return busy.query("SELECT SLEEP(30)"); });
  ASSERT_TRUE(eventually(5s, [&] { return connections(sluice, "shop") == 1; }));
  const auto children = sluice.worker_pids();
  sluice.process().signal(SIGQUIT);
  EXPECT_TRUE(sluice.process().wait(5s));
  EXPECT_TRUE(eventually(5s, [&] { return std::ranges::none_of(children, is_alive); }));
  EXPECT_FALSE(answer.get());
}

// Hanging.

TEST(Fault, HangingWorkerIsNoticedByItsSilence) {
  MariadbServer server;
  Sluice sluice(in_front_of(server, /*workers=*/1));
  const auto victim = sluice.worker_pids().at(0);
  ASSERT_EQ(::kill(victim, SIGSTOP), 0);
  // This client waits in the kernel's queue, and is served by the successor.
  auto patient = sluice.endpoint("shop");
  patient.connect_timeout_seconds = 30;
  EXPECT_EQ(Client(patient).value("SELECT 1"), "1");
  EXPECT_FALSE(is_alive(victim));
  EXPECT_NE(sluice.log().find("it does not answer"), std::string::npos);
}

// A worker that was taken over.

class RogueWorkerThat : public RogueWorker, public testing::WithParamInterface<const char*> {};

TEST_P(RogueWorkerThat, IsKilledAndLogged) {
  const auto master = sluice_.pid();
  break_rules(GetParam());
  EXPECT_TRUE(eventually(10s, [&] { return killed() >= 1; }));
  EXPECT_NE(sluice_.log().find("it broke the rules of the channel"), std::string::npos);
  expect_recovery(master);
}

const auto kOffences =
    testing::Values("GarbageForAGreeting", "AnotherRole", "AnotherProtocol", "GreetingWithFd",
                    "TornDatagram", "UnknownMessage", "MalformedBody", "OutOfPhase", "ReadyTwice",
                    "MessageOfTheOther", "MessageOfTheMaster", "UnwantedFd", "ManyFds",
                    "AnswerToNoPing", "NameOfNoAddress", "UnsealedFile", "OversizedDatagram");
const auto kName = [](const auto& info) { return std::string(info.param); };

INSTANTIATE_TEST_SUITE_P(Sends, RogueWorkerThat, kOffences, kName);

class RogueMonitorThat : public RogueWorkerThat {};

TEST_P(RogueMonitorThat, IsKilledAndLoggedAndNoSessionNotices) {
  const auto master = sluice_.pid();
  auto session = sluice_.connect("shop");
  break_rules_as_monitor(GetParam());
  EXPECT_TRUE(eventually(10s, [&] {
    EXPECT_EQ(session.value("SELECT 17"), "17");
    return killed(kMonitorProgram) >= 1;
  }));
  EXPECT_NE(sluice_.log().find("it broke the rules of the channel"), std::string::npos);
  expect_recovery(master);
  EXPECT_TRUE(
      eventually(10s, [&] { return sluice_.ctl_json({"status"}).at("monitor") == "running"; }));
  EXPECT_EQ(session.value("SELECT 18"), "18");
}

INSTANTIATE_TEST_SUITE_P(Sends, RogueMonitorThat, kOffences, kName);

class EightRogueWorkers : public RogueWorker {
 protected:
  EightRogueWorkers() : RogueWorker(8) {}
};

/// Those of others, those of another phase, and a worker's own with too many fds. Each worker sends
/// one of them, and says so if it is still heard afterwards.
TEST_F(EightRogueWorkers, SendEveryMessageThatThereIsWhereItIsNotAllowed) {
  const auto master = sluice_.pid();
  misbehave("AnyMessage");
  for (const auto pid : sluice_.worker_pids()) ::kill(pid, SIGKILL);
  EXPECT_TRUE(
      eventually(30s, [&] { return sluice_.log().find("no more of them") != std::string::npos; }));
  EXPECT_GE(killed(), std::size_t{38});
  EXPECT_EQ(count(sluice_.log(), "survived message"), 0u) << sluice_.log();
  keep_rules();
  for (const auto pid : sluice_.worker_pids()) ::kill(pid, SIGKILL);
  expect_recovery(master);
}

TEST_F(RogueWorker, RestartsComeLessAndLessOften) {
  const auto master = sluice_.pid();
  break_rules("OutOfPhase");
  // 0, 100, 200, 400, 800 ms: without delays there were hundreds by then.
  const auto start = Clock::now();
  ASSERT_TRUE(eventually(20s, [&] { return killed() >= 6; }));
  EXPECT_GT(Clock::now() - start, 1400ms);
  EXPECT_LE(killed(), 7u);
  expect_recovery(master);
}

TEST_F(RogueWorker, FloodDoesNotStarveTheMaster) {
  const auto master = sluice_.pid();
  break_rules("Flood");
  ASSERT_TRUE(eventually(5s, [&] { return count(sluice_.log(), "rogue") >= 100; }));
  for (int i = 0; i < 20; ++i) {
    const auto start = Clock::now();
    ASSERT_EQ(sluice_.ctl({"list", "servers"}).exit_code, 0);
    EXPECT_LT(Clock::now() - start, 1000ms);
  }
  // 200,000 records were on their way; a burst and a few a second are written, the rest is counted.
  EXPECT_LT(count(sluice_.log(), "xxxxxxxxxx "), 2000u);
  EXPECT_LT(sluice_.log().size(), std::size_t{4} * 1024 * 1024);
  EXPECT_EQ(count(sluice_.log(), "child: killed process=sluice-monitor"), 0u);
  for (const auto pid : sluice_.worker_pids()) ::kill(pid, SIGKILL);
  expect_recovery(master);
}

TEST_F(RogueWorker, MayAskForANameLikeAnyOther) {
  const auto master = sluice_.pid();
  break_rules("NameOfAnAddress");
  EXPECT_TRUE(eventually(10s, [&] {
    return sluice_.log().find("127.0.0.1 is localhost") != std::string::npos;
  })) << "the question goes to the monitor, the answer to the workers";
  for (const auto pid : sluice_.worker_pids()) ::kill(pid, SIGKILL);
  expect_recovery(master);
}

class TwoRogueWorkers : public RogueWorker {
 protected:
  TwoRogueWorkers() : RogueWorker(2) {}
};

/// A reload whose first worker gets ready, and whose second does not: what was changed is in force,
/// nobody waits in vain where a listener went or came, and the next reload finishes it.
TEST_F(TwoRogueWorkers, LeaveAReloadIncompleteAndTheNextOneCompletesIt) {
  auto& service = sluice_.config.services.at("shop");
  const auto old_port = service.port();
  misbehave("FirstIsGood");
  service.listen = {free_address()};
  const auto incomplete = sluice_.reload();
  EXPECT_EQ(incomplete.exit_code, 1) << incomplete.out;
  EXPECT_NE(incomplete.err.find("slot 1 still runs the old configuration"), std::string::npos)
      << incomplete.err;
  for (int i = 0; i < 20; ++i) {
    RawClient client(old_port), newcomer(service.port());
    EXPECT_TRUE(client.read_packet()) << "left without an answer";
    EXPECT_TRUE(newcomer.read_packet()) << "nobody serves its part of the new address";
  }

  keep_rules();
  const auto completed = sluice_.ctl({"reload"});
  EXPECT_EQ(completed.exit_code, 0) << completed.err;
  EXPECT_THROW(RawClient{old_port}, ConnectionRefused);
  for (const auto& worker : sluice_.ctl_json({"list", "workers"}))
    EXPECT_EQ(worker.at("generation"), sluice_.ctl_json({"status"}).at("generation")) << worker;
  EXPECT_EQ(sluice_.connect("shop").value("SELECT 1"), "1");
}

/// What it says of the victim of a KILL, and of KILLs that there were not.
TEST_F(TwoRogueWorkers, LieAboutSessionsAndHarmNone) {
  sluice_.config.services.at("shop").router = "read-write-split";
  ASSERT_EQ(sluice_.reload().exit_code, 0);
  const auto master = sluice_.pid();
  auto killer = sluice_.connect("shop");
  const auto good = pid_of_worker(sluice_, worker_of(sluice_, killer.thread_id()));
  misbehave("OnlyLies");
  for (const auto pid : sluice_.worker_pids())
    if (pid != good) ::kill(pid, SIGKILL);
  ASSERT_TRUE(
      eventually(10s, [&] { return sluice_.log().find("nothing at all") != std::string::npos; }));
  Client stranger(server_->endpoint());
  const auto start = Clock::now();
  for (int i = 0; i < 5; ++i) {
    killer.exec(fmt::format("KILL QUERY {}", stranger.thread_id()));
    EXPECT_EQ(killer.value("SELECT 1"), "1");
  }
  EXPECT_LT(Clock::now() - start, 10s) << "nobody waits for what it does not say";
  EXPECT_TRUE(eventually(5s, [&] { return count(sluice_.log(), "lied") >= 5; }));
  EXPECT_EQ(stranger.value("SELECT 1"), "1");
  EXPECT_EQ(killed(), 0u) << "these are no offences";
  for (const auto pid : sluice_.worker_pids())
    if (pid != good) ::kill(pid, SIGKILL);
  keep_rules();
  EXPECT_EQ(killer.value("SELECT 1"), "1");
  EXPECT_EQ(sluice_.pid(), master);
}

TEST_F(RogueWorker, ThatNeverGetsReadyIsKilled) {
  const auto master = sluice_.pid();
  break_rules("Silence");
  EXPECT_TRUE(eventually(10s, [&] {
    const auto workers = sluice_.ctl_json({"list", "workers"});
    return workers.size() == 1 && workers[0].at("state") == "starting" &&
           workers[0].at("age_s") >= 1;
  }));
  keep_rules();  // its successor comes at once
  EXPECT_TRUE(eventually(30s, [&] { return killed() >= 1; }));
  expect_recovery(master);
}

}  // namespace
}  // namespace sluice::test
