/// A listener goes, by a reload or with the whole of sluice, while connections come: who got in is
/// answered, who comes later is refused, and nobody is reset or left to wait.
#include <gtest/gtest.h>
#include <signal.h>

#include <atomic>
#include <future>
#include <thread>

#include "tests/support/free_port.h"
#include "tests/support/raw_client.h"
#include "tests/support/sluice.h"
#include "tests/support/test_error.h"

namespace sluice::test {
namespace {

/// Clients that connect one after the other, each until the server has spoken, and stop when they
/// are refused.
class Callers {
 public:
  template <class Address>
  void add(const Address& address, int threads) {
    for (int i = 0; i < threads; ++i)
      threads_.emplace_back([this, address] {
        while (call(address)) {
        }
      });
  }
  ~Callers() { join(); }

  [[nodiscard]] bool flow() const {
    return eventually(20s, [this] { return greeted_ >= 20 * static_cast<int>(threads_.size()); });
  }
  void join() {
    for (auto& thread : threads_)
      if (thread.joinable()) thread.join();
  }
  int told() const { return told_; }
  int lost() const { return lost_; }

 private:
  template <class Address>
  bool call(const Address& address) {
    try {
      RawClient client(address);
      const auto packet = client.read_packet();
      if (!packet)
        ++lost_;
      else if (!packet->is_error())
        ++greeted_;
      else if (packet->error_text().find("no longer an address") != std::string::npos)
        ++told_;
      else
        ++lost_;
      return true;
    } catch (const ConnectionRefused&) {
      return false;
    }
  }

  std::vector<std::thread> threads_;
  std::atomic<int> greeted_{0}, told_{0}, lost_{0};
};

SluiceConfig in_front_of(MariadbServer& server) {
  SluiceConfig config;
  config.add_cluster("shop", "single", {&server});
  config.add_service("shop", "shop");
  return config;
}

bool is_refused(uint16_t port) {
  try {
    RawClient client(port);
    return false;
  } catch (const ConnectionRefused&) {
    return true;
  }
}

TEST(ListenerRemoval, EveryConnectionThatTheKernelTookIsAnswered) {
  MariadbServer server;
  Sluice sluice(in_front_of(server));
  const auto stays = sluice.config;
  auto goes = stays;
  const auto port = free_port();
  const auto path = sluice.path("goes.sock");
  goes.add_service("goes", "shop").listen = {"127.0.0.1:" + std::to_string(port), path};

  int told = 0;
  for (int round = 0; round < 6 && !HasFailure(); ++round) {
    ASSERT_EQ(sluice.reload(goes.text()).exit_code, 0);
    Callers callers;
    callers.add(port, 12);
    callers.add(path, 4);
    ASSERT_TRUE(callers.flow());
    const auto reloaded = sluice.reload(stays.text());
    EXPECT_EQ(reloaded.exit_code, 0) << reloaded.err;
    EXPECT_TRUE(is_refused(port)) << "closed when the reload is done, not some time later";
    EXPECT_FALSE(std::filesystem::exists(path));
    callers.join();
    EXPECT_EQ(callers.lost(), 0) << "in round " << round;
    told += callers.told();
  }
  EXPECT_GT(told, 0) << "nobody got in between the old workers and the end";
  EXPECT_EQ(sluice.connect("shop").value("SELECT 1"), "1");
}

/// The worker that answers at the addresses that are gone may die over it: another one goes on.
TEST(ListenerRemoval, EndsThoughTheWorkerThatAnswersDies) {
  MariadbServer server;
  Sluice sluice(in_front_of(server));
  const auto stays = sluice.config;
  auto goes = stays;
  const auto port = free_port();
  goes.add_service("goes", "shop").listen = {"127.0.0.1:" + std::to_string(port)};
  ASSERT_EQ(sluice.reload(goes.text()).exit_code, 0);
  const auto old_workers = sluice.worker_pids();

  sluice.write_config(stays.text());
  auto reloaded = std::async(std::launch::async, [&] { return sluice.ctl({"reload"}); });
  ASSERT_TRUE(eventually(10s, [&] {
    const auto now = sluice.worker_pids();
    return now.size() == 2 && now.front() != old_workers.front() && now != old_workers;
  }));
  for (const auto pid : sluice.worker_pids()) ::kill(pid, SIGKILL);
  const auto result = reloaded.get();
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_TRUE(eventually(5s, [&] { return is_refused(port); }));
  EXPECT_EQ(sluice.connect("shop").value("SELECT 1"), "1");
}

TEST(ListenerRemoval, AtTheEndNobodyWaitsForTheStatementsOfOthers) {
  MariadbServer server;
  Sluice sluice(in_front_of(server));
  ASSERT_EQ(server.value("SELECT GET_LOCK('end', 0)"), "1");
  auto busy = sluice.connect("shop");
  auto answer =
      std::async(std::launch::async, [&] { return busy.query("SELECT GET_LOCK('end', 60)"); });
  ASSERT_TRUE(eventually(5s, [&] {
    return server.value(
               "SELECT COUNT(*) FROM information_schema.processlist WHERE state = 'User lock'") ==
           "1";
  }));
  Callers callers;
  callers.add(sluice.port("shop"), 8);
  ASSERT_TRUE(callers.flow());
  sluice.process().signal(SIGTERM);
  callers.join();  // ends when all have been refused
  EXPECT_TRUE(sluice.process().running());
  server.exec("DO RELEASE_LOCK('end')");
  const auto rows = answer.get();
  ASSERT_TRUE(rows) << rows.error().text;
  EXPECT_EQ(sluice.process().wait(10s), 0);
}

}  // namespace
}  // namespace sluice::test
