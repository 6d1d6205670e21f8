/// Workers die, hang, or go mad while sessions move between them: every session either goes on,
/// where it was or where it went, or ends; none hangs, and none gets what is another's.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <signal.h>
#include <sys/resource.h>

#include <algorithm>
#include <random>
#include <thread>

#include "tests/support/eventually.h"
#include "tests/support/rogue_workers.h"

namespace sluice::test {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

class HandoffFault : public RogueWorker {
 protected:
  /// Sessions with something of their own.
  void connect(int count) {
    for (int i = 0; i < count; ++i) {
      clients_.push_back(sluice_.connect("shop"));
      clients_.back().exec(fmt::format("SET @me = {}", i));
    }
  }
  void reload() {
    sluice_.config.services.at("shop").extra =
        fmt::format("max_connections = {}\n", 900 + ++rolls_);
    const auto reloaded = sluice_.reload();
    ASSERT_EQ(reloaded.exit_code, 0) << reloaded.err;
  }
  void expect_all_well() {
    for (std::size_t i = 0; i < clients_.size(); ++i)
      ASSERT_EQ(clients_[i].value("SELECT @me"), std::to_string(i));
  }
  /// The workers that are rogues make room for good ones, and all sessions go there.
  void recover() {
    keep_rules();
    for (const auto& worker : sluice_.ctl_json({"list", "workers"}))
      if (worker.at("generation") == sluice_.ctl_json({"status"}).at("generation"))
        ::kill(worker.at("pid").get<pid_t>(), SIGKILL);
    EXPECT_TRUE(eventually(10s,
                           [&] {
                             return sluice_.ctl_json({"list", "workers"}).size() == 1;
                           }))
        << sluice_.ctl({"list", "workers"}).out << sluice_.ctl({"list", "sessions"}).out;
    expect_all_well();
  }

  pid_t serving() const {
    const auto generation = sluice_.ctl_json({"status"}).at("generation");
    for (const auto& worker : sluice_.ctl_json({"list", "workers"}))
      if (worker.at("generation") == generation) return worker.at("pid");
    return 0;
  }

  std::vector<Client> clients_;
  int rolls_ = 0;
};

class RogueTaker : public HandoffFault, public testing::WithParamInterface<const char*> {};

TEST_P(RogueTaker, CostsNoSession) {
  connect(60);
  misbehave(GetParam());
  reload();
  EXPECT_TRUE(eventually(5s, [&] { return sluice_.log().find("hands off") != std::string::npos; }));
  expect_all_well();
  recover();
}

INSTANTIATE_TEST_SUITE_P(That, RogueTaker,
                         testing::Values("TakerDies", "TakerDiesAfterOffers", "TakerSaysNothing",
                                         "TakerRefuses", "TakerAnswersNobody", "TakerSendsGarbage",
                                         "TakerSpeaksAsGiver"),
                         [](const auto& info) { return std::string(info.param); });

TEST_F(HandoffFault, WhyASessionWasRefusedIsShown) {
  connect(3);
  misbehave("TakerRefuses");
  reload();
  EXPECT_TRUE(eventually(5s, [&] {
    for (const auto& session : sluice_.ctl_json({"list", "sessions"}))
      if (session.at("not_movable") != "it is not in the mood") return false;
    return true;
  }));
}

class RogueGiver : public HandoffFault, public testing::WithParamInterface<const char*> {};

TEST_P(RogueGiver, HarmsNoOtherSession) {
  break_rules(GetParam());
  EXPECT_TRUE(
      eventually(5s, [&] { return sluice_.log().find("nothing at all") != std::string::npos; }));
  keep_rules();
  const auto before = count(sluice_.log(), "a worker is gone");
  reload();
  connect(5);
  EXPECT_TRUE(eventually(5s, [&] { return sluice_.log().find("hands off") != std::string::npos; }));
  expect_all_well();
  EXPECT_EQ(sluice_.ctl_json({"list", "sessions"}).size(), 5u);
  EXPECT_EQ(count(sluice_.log(), "a worker is gone"), before) << "the good one lives";
}

INSTANTIATE_TEST_SUITE_P(That, RogueGiver,
                         testing::Values("GiverOffersNonsense", "GiverCountsWrong",
                                         "GiverSendsGarbage", "GiverSpeaksAsMaster"),
                         [](const auto& info) { return std::string(info.param); });

/// Two workers' sessions are too many for one: what it can't take stays, and goes on.
TEST_F(HandoffFault, WithoutRoomForAllTheOthersStay) {
  const rlimit few{140, 140};
  ASSERT_EQ(::prlimit(sluice_.pid(), RLIMIT_NOFILE, &few, nullptr), 0);  // its children get it
  sluice_.config.workers = 2;
  sluice_.config.settings = "drain_timeout = \"60s\"\n";
  reload();
  connect(72);
  sluice_.config.workers = 1;
  reload();
  expect_all_well();
  EXPECT_TRUE(eventually(5s, [&] {
    return sluice_.ctl({"list", "sessions"}).out.find("no file descriptor left") !=
           std::string::npos;
  })) << sluice_.ctl({"list", "workers"}).out;
  EXPECT_EQ(sluice_.ctl_json({"list", "sessions"}).size(), 72u);
  expect_all_well();
}

/// Somebody is killed, or stopped, at any moment of the move.
class Interrupted : public HandoffFault, public testing::WithParamInterface<int> {};

TEST_P(Interrupted, EverySessionGoesOnOrEnds) {
  std::mt19937 random(4711);
  for (int round = 0; round < 4; ++round) {
    clients_.clear();
    connect(150);
    const auto old = serving();
    sluice_.config.services.at("shop").extra =
        fmt::format("max_connections = {}\n", 900 + ++rolls_);
    std::thread reloading([&] { (void)sluice_.reload(); });
    // When the new one is there the sessions begin to move; they need some ten milliseconds.
    EXPECT_TRUE(eventually(5s, [&] {
      return std::ranges::any_of(sluice_.worker_pids(), [&](pid_t pid) { return pid != old; });
    }));
    std::this_thread::sleep_for(std::chrono::milliseconds(5 + random() % 60));
    auto victim = old;
    for (const auto pid : sluice_.worker_pids())
      if (GetParam() % 2 == 1 && pid != old) victim = pid;
    ::kill(victim, GetParam() < 2 ? SIGKILL : SIGSTOP);
    if (GetParam() >= 2) {
      std::this_thread::sleep_for(300ms);
      ::kill(victim, SIGCONT);
    }
    reloading.join();
    int alive = 0;
    for (std::size_t i = 0; i < clients_.size(); ++i) {
      const auto answer = clients_[i].query("SELECT @me");
      if (answer) {
        ++alive;
        EXPECT_EQ(answer->at(0).at(0), std::to_string(i));
      } else {
        EXPECT_TRUE(answer.error().code == 2013 || answer.error().code == 2006)
            << answer.error().text;
      }
    }
    if (GetParam() >= 2) {
      EXPECT_EQ(alive, 150) << "nobody died";
    }
    EXPECT_TRUE(eventually(20s,
                           [&] {
                             return sluice_.ctl_json({"list", "workers"}).size() == 1;
                           }))
        << sluice_.ctl({"list", "workers"}).out << sluice_.ctl({"list", "sessions"}).out;
    EXPECT_TRUE(eventually(10s, [&] { return sluice_.ctl({"list", "sessions"}).exit_code == 0; }));
    EXPECT_EQ(sluice_.ctl_json({"list", "sessions"}).size(), static_cast<std::size_t>(alive));
  }
}

/// Nobody is left to say who serves: every session is told that it ends, or loses its connection,
/// and no worker stays behind.
TEST_F(HandoffFault, TheDeathOfTheMasterEndsAll) {
  std::mt19937 random(4712);
  for (int round = 0; round < 4; ++round) {
    clients_.clear();
    connect(150);
    const auto old = serving();
    std::thread reloading([&] { (void)sluice_.ctl({"replace", "workers"}); });
    EXPECT_TRUE(eventually(5s, [&] {
      return std::ranges::any_of(sluice_.worker_pids(), [&](pid_t pid) { return pid != old; });
    }));
    std::this_thread::sleep_for(std::chrono::milliseconds(random() % 50));
    auto workers = sluice_.worker_pids();
    sluice_.kill9();
    reloading.join();
    const auto ended = [](Client& client) {  // what it says may be heard before the end is noticed
      const auto answer = client.query("SELECT @me");
      if (answer) return false;
      const auto code = answer.error().code;
      EXPECT_TRUE(code == 1053 || code == 2013 || code == 2006) << answer.error().text;
      return true;
    };
    for (auto& client : clients_) EXPECT_TRUE(eventually(5s, [&] { return ended(client); }));
    EXPECT_TRUE(eventually(10s, [&] {
      std::erase_if(workers, [](pid_t pid) { return ::kill(pid, 0) != 0; });
      return workers.empty();
    })) << "a worker stays behind";
    sluice_.start();
  }
}

/// Workers move sessions without it.
TEST_F(HandoffFault, AStopOfTheMasterHarmsNone) {
  connect(150);
  const auto old = serving();
  std::thread replacing([&] { (void)sluice_.ctl({"replace", "workers"}, 30s); });
  EXPECT_TRUE(eventually(5s, [&] {
    return std::ranges::any_of(sluice_.worker_pids(), [&](pid_t pid) { return pid != old; });
  }));
  ::kill(sluice_.pid(), SIGSTOP);
  expect_all_well();
  ::kill(sluice_.pid(), SIGCONT);
  replacing.join();
  expect_all_well();
  EXPECT_TRUE(eventually(10s, [&] { return sluice_.worker_pids().size() == 1; }));
}

std::string name_of(const testing::TestParamInfo<int>& info) {
  constexpr const char* kNames[] = {"TheDeathOfTheGiver", "TheDeathOfTheTaker", "AStopOfTheGiver",
                                    "AStopOfTheTaker"};
  return kNames[info.param];
}
INSTANTIATE_TEST_SUITE_P(By, Interrupted, testing::Range(0, 4), name_of);

}  // namespace
}  // namespace sluice::test
