/// Many sessions under steady load, half of them encrypted and a third within a transaction, while
/// the configuration changes and the programs are exchanged: no error, no wrong answer, and nobody
/// waits long. tests/bench/run --what roll runs the same with more of everything, by
/// SLUICE_ROLL_SESSIONS, SLUICE_ROLL_RELOADS and SLUICE_ROLL_UPGRADES, and prints the figures.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <thread>

#include "tests/support/certificates.h"
#include "tests/support/eventually.h"
#include "tests/support/sluice.h"
#include "tests/support/topologies.h"

namespace sluice::test {
namespace {

using namespace std::chrono_literals;
using Seconds = std::chrono::duration<double>;

int setting(const char* name, int otherwise) {
  const char* value = ::getenv(name);
  return value == nullptr ? otherwise : std::atoi(value);
}

double percentile(std::vector<double> values, double share) {
  if (values.empty()) return 0;
  const auto at = static_cast<std::size_t>(share * static_cast<double>(values.size() - 1));
  std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(at), values.end());
  return values[at];
}

/// Proportional share of the memory of a process, in MiB.
double memory_of(pid_t pid) {
  double kib = 0;  // of a process that has gone meanwhile
  if (std::FILE* file = std::fopen(fmt::format("/proc/{}/smaps_rollup", pid).c_str(), "re")) {
    for (char line[256]; std::fgets(line, sizeof line, file) != nullptr;)
      if (std::sscanf(line, "Pss: %lf", &kib) == 1) break;
    std::fclose(file);
  }
  return kib / 1024;
}

/// Sessions that each know something of their own, asked in turn by a few threads.
class Crowd {
 public:
  Crowd(const ClientOptions& plain, const ClientOptions& encrypted, int sessions)
      : clients_(static_cast<std::size_t>(sessions)) {
    each([&](std::size_t i) {
      clients_[i] = std::make_unique<Client>(i % 2 == 0 ? plain : encrypted);
      clients_[i]->exec(fmt::format("SET @me = {}", i));
      if (i % 3 == 0) clients_[i]->exec(fmt::format("BEGIN; INSERT INTO test.t VALUES ({})", i));
    });
    for (std::size_t t = 0; t < kThreads; ++t)
      threads_.emplace_back([this, t] {
        for (auto i = t; !stop_; i = i + kThreads < clients_.size() ? i + kThreads : t) {
          ask(t, i);
          std::this_thread::sleep_for(kPace);
        }
      });
  }
  ~Crowd() { stop(); }
  void stop() {
    stop_ = true;
    for (auto& thread : threads_)
      if (thread.joinable()) thread.join();
  }

  /// Milliseconds that statements took since the last call.
  std::vector<double> take_times() {
    std::vector<double> out;
    for (auto& mine : mine_) {
      const std::lock_guard lock(mine.mutex);
      out.insert(out.end(), mine.times.begin(), mine.times.end());
      mine.times.clear();
    }
    return out;
  }
  /// Every session has what it had, its transaction too.
  void expect_whole() {
    each([&](std::size_t i) {
      EXPECT_EQ(clients_[i]->value("SELECT @me"), std::to_string(i));
      if (i % 3 != 0) return;
      EXPECT_EQ(clients_[i]->value(fmt::format("SELECT COUNT(*) FROM test.t WHERE n = {}", i)),
                "1");
      clients_[i]->exec("COMMIT");
    });
  }

  std::atomic<uint64_t> asked{0}, failed{0}, wrong{0};
  std::string first_failure;  ///< once stopped

 private:
  static constexpr std::size_t kThreads = 16;
  static constexpr auto kPace = 4ms;
  struct Mine {
    std::mutex mutex;
    std::vector<double> times;
  };

  template <class Call>
  void each(Call call) {
    std::vector<std::thread> threads;
    for (std::size_t t = 0; t < kThreads; ++t)
      threads.emplace_back([&, t] {
        for (auto i = t; i < clients_.size(); i += kThreads) call(i);
      });
    for (auto& thread : threads) thread.join();
  }
  void ask(std::size_t thread, std::size_t i) {
    const auto start = Clock::now();
    const auto answer = clients_[i]->query("SELECT @me, n FROM test.one");
    const auto took = Seconds(Clock::now() - start).count() * 1000;
    ++asked;
    auto& mine = mine_[thread];
    const std::lock_guard lock(mine.mutex);
    mine.times.push_back(took);
    if (!answer) {
      if (failed++ == 0) first_failure = answer.error().text;
    } else if (answer->size() != 1 || answer->at(0).at(0) != std::to_string(i)) {
      ++wrong;
    }
  }

  std::vector<std::unique_ptr<Client>> clients_;
  std::array<Mine, kThreads> mine_;
  std::atomic<bool> stop_{false};
  std::vector<std::thread> threads_;
};

class Roll : public testing::TestWithParam<const char*> {
 protected:
  static inline const int kSessions = setting("SLUICE_ROLL_SESSIONS", 240);
  static inline const int kReloads = setting("SLUICE_ROLL_RELOADS", 4);
  static inline const int kUpgrades = setting("SLUICE_ROLL_UPGRADES", 2);

  Roll()
      : papers_(write_files(files_, "server",
                            shop_.issue({.common_name = "db", .addresses = {"127.0.0.1"}}))),
        pair_({"--ssl-cert=" + papers_.certificate, "--ssl-key=" + papers_.key,
               fmt::format("--max-connections={}", 2 * kSessions + 200)}),
        sluice_(config()) {
    write_file(files_ / "ca.pem", shop_.pem());
    pair_.primary.exec(
        "CREATE TABLE test.one (n INT); INSERT INTO test.one VALUES (1);"
        "CREATE TABLE test.t (n INT PRIMARY KEY)");
    pair_.replica.catch_up_with(pair_.primary);
    EXPECT_TRUE(eventually(20s, [&] {
      for (const auto& server : sluice_.ctl_json({"list", "servers"}))
        if (server.at("role") == "replica") return true;
      return false;
    }));
  }
  SluiceConfig config() {
    SluiceConfig config;
    auto& cluster = config.add_cluster("shop", "replication", pair_.servers());
    cluster.extra = "tls = { mode = \"preferred\", verify = \"none\" }\n";
    cluster.interval = "2s";  // two thousand logins at once make a server slow to answer
    config.add_service("shop", "shop").router = GetParam();
    change(config);
    return config;
  }
  void change(SluiceConfig& config) {
    config.services.at("shop").extra = fmt::format(
        "tls = {{ mode = \"preferred\", certificate = \"{}\", key = \"{}\" }}\nmax_connections = "
        "{}\n",
        papers_.certificate, papers_.key, 100'000 + ++changes_);
  }
  ClientOptions endpoint(bool tls) const {
    auto options = sluice_.endpoint("shop");
    options.tls = tls;
    options.tls_ca = files_ / "ca.pem";
    return options;
  }
  double memory() const {
    double sum = memory_of(sluice_.pid());
    for (const auto pid : sluice_.worker_pids()) sum += memory_of(pid);
    if (const auto monitor = sluice_.monitor_pid()) sum += memory_of(*monitor);
    return sum;
  }

  TempDir files_;
  const CertificateAuthority shop_{"Shop CA"};
  CertificateFiles papers_;
  ReplicationPair pair_;
  int changes_ = 0;
  Sluice sluice_;
};

TEST_P(Roll, NobodyNotices) {
  Crowd crowd(endpoint(false), endpoint(true), kSessions);
  crowd.take_times();
  const auto quiet_for = kSessions > 1000 ? 10s : 1s;
  const auto began = Clock::now();
  EXPECT_TRUE(eventually(60s, [&] { return Clock::now() - began > quiet_for; }));
  const auto quiet = crowd.take_times();
  const auto memory_before = memory();

  std::atomic<bool> rolling{true};
  double peak = 0;
  std::thread watching([&] {
    for (; rolling; std::this_thread::sleep_for(20ms)) peak = std::max(peak, memory());
  });
  double longest = 0;
  for (int i = 0; i < kReloads + kUpgrades; ++i) {
    const bool upgrade = i % 5 == 4 ? i / 5 < kUpgrades : i >= kReloads;
    const auto start = Clock::now();
    if (!upgrade) change(sluice_.config);
    const auto done = upgrade ? sluice_.ctl({"upgrade"}, 60s) : sluice_.reload();
    EXPECT_EQ(done.exit_code, 0) << done.err;
    EXPECT_TRUE(
        eventually(20s, [&] { return sluice_.ctl_json({"status"}).at("old_workers") == 0; }));
    longest = std::max(longest, Seconds(Clock::now() - start).count());
  }
  rolling = false;
  watching.join();
  const auto rolled = crowd.take_times();
  crowd.stop();
  EXPECT_EQ(crowd.failed, 0u) << crowd.first_failure;
  EXPECT_EQ(crowd.wrong, 0u);
  crowd.expect_whole();
  std::cout << fmt::format(
      "roll {}: sessions {} reloads {} upgrades {} statements {} errors {} wrong {} p50_quiet_ms "
      "{:.2f} "
      "p99_quiet_ms {:.2f} p50_roll_ms {:.2f} p99_roll_ms {:.2f} max_roll_ms {:.2f} longest_roll_s "
      "{:.2f} "
      "memory_mib {:.1f} peak_mib {:.1f}\n",
      GetParam(), kSessions, kReloads, kUpgrades, crowd.asked.load(), crowd.failed.load(),
      crowd.wrong.load(), percentile(quiet, .5), percentile(quiet, .99), percentile(rolled, .5),
      percentile(rolled, .99), percentile(rolled, 1), longest, memory_before, peak);
}

INSTANTIATE_TEST_SUITE_P(Of, Roll, testing::Values("connection", "read-write-split"),
                         [](const auto& info) {
                           return std::string(info.param) == "connection" ? "Connection" : "Split";
                         });

}  // namespace
}  // namespace sluice::test
