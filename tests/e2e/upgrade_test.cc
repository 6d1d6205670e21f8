/// The programs on disk replace those that run, in place and under load: nobody is refused, nobody
/// is cut, and a program that is no good changes nothing.
#include <fcntl.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <signal.h>
#include <sys/stat.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <future>
#include <thread>

#include "common/base/version.h"
#include "tests/support/load.h"
#include "tests/support/sluice.h"
#include "tests/support/test_error.h"

namespace sluice::test {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using testing::StartsWith;

constexpr const char* kPrograms[] = {"sluiced", "sluice-worker", "sluice-monitor"};

/// A sluice that runs from a directory of the test's own, whose programs can be exchanged.
class Upgrade : public testing::Test {
 protected:
  static void SetUpTestSuite() { server_ = std::make_unique<MariadbServer>(); }
  static void TearDownTestSuite() { server_.reset(); }

  Upgrade() : sluice_(in_front(), Sluice::Start::Stopped) {
    install();
    sluice_.daemon = programs_ / "sluiced";
  }

  static SluiceConfig in_front() {
    SluiceConfig config;
    config.add_cluster("shop", "single", {server_.get()});
    config.add_service("shop", "shop");
    return config;
  }

  /// As a package does it: beside the old file, then over it.
  void put(const std::string& name, const fs::path& from) {
    const auto fresh = programs_ / (name + ".new");
    fs::copy_file(from, fresh, fs::copy_options::overwrite_existing);
    fs::permissions(fresh, fs::perms(0755));
    fs::rename(fresh, programs_ / name);
  }
  void install() {
    for (const std::string name : kPrograms) put(name, program(name));
  }
  void put_impostor(const std::string& mode) {
    write_file(programs_ / "impostor.mode", mode);
    put("sluiced", build_directory() + "/e2e/impostor");
  }

  CommandResult upgrade() const { return sluice_.ctl({"upgrade"}, 60s); }
  nlohmann::json status() const { return sluice_.ctl_json({"status"}); }

  /// Whether the process runs the file that is there now.
  static bool runs(pid_t pid, const std::string& path) {
    struct stat own {};
    struct stat there {};
    return ::stat(fmt::format("/proc/{}/exe", pid).c_str(), &own) == 0 &&
           ::stat(path.c_str(), &there) == 0 && own.st_ino == there.st_ino &&
           own.st_dev == there.st_dev;
  }
  std::size_t open_fds() const {
    const fs::directory_iterator fds(fmt::format("/proc/{}/fd", sluice_.pid()));
    return static_cast<std::size_t>(std::distance(begin(fds), end(fds)));
  }
  /// Workers that accept; those that drain have had their time.
  std::vector<pid_t> serving() const {
    std::vector<pid_t> out;
    for (const auto& worker : sluice_.ctl_json({"list", "workers"}))
      if (worker.at("state") == "serving") out.push_back(worker.at("pid"));
    std::ranges::sort(out);
    return out;
  }
  uint64_t count_of(const char* what) const {
    return sluice_.ctl_json({"show", "service", "shop"}).at(what);
  }
  uint64_t highest_worker() const {
    uint64_t highest = 0;
    for (const auto& worker : sluice_.ctl_json({"list", "workers"}))
      highest = std::max(highest, worker.at("worker").get<uint64_t>());
    return highest;
  }

  static inline std::unique_ptr<MariadbServer> server_;
  TempDir programs_;
  Sluice sluice_;
};

TEST_F(Upgrade, TenTimesUnderLoad) {
  auto& service = sluice_.config.services.at("shop");
  service.listen.push_back(sluice_.path("shop.sock"));
  sluice_.start();
  Load load({.endpoint = sluice_.endpoint("shop")});
  auto by_socket = sluice_.endpoint("shop");
  by_socket.socket = service.listen.back();
  Load socket_load({.endpoint = by_socket, .connecting = 2, .holding = 2});
  load.wait_flowing();
  socket_load.wait_flowing();
  auto held = sluice_.connect("shop");
  held.exec("SET @kept = 42");
  const auto master = sluice_.pid();
  std::size_t fds = 0;
  std::atomic<bool> asking{true};
  auto unanswered = std::async(std::launch::async, [&] {
    for (; asking; std::this_thread::sleep_for(20ms))
      if (const auto listed = sluice_.ctl({"list", "sessions"}); listed.exit_code != 0)
        return listed.err;
    return std::string();
  });

  for (uint64_t i = 1; i <= 10 && !HasFailure(); ++i) {
    const auto workers = serving();
    const auto monitor = sluice_.monitor_pid();
    const auto number = highest_worker();
    const auto commands = count_of("commands"), accepted = count_of("accepted");
    install();
    const auto upgraded = upgrade();
    ASSERT_EQ(upgraded.exit_code, 0) << upgraded.err;
    EXPECT_THAT(upgraded.out, HasSubstr(fmt::format("upgraded from {0} to {0}", kRelease)));

    EXPECT_EQ(sluice_.pid(), master);
    EXPECT_TRUE(sluice_.process().running());
    EXPECT_TRUE(runs(master, programs_ / "sluiced"));
    for (const auto worker : serving()) {
      EXPECT_TRUE(runs(worker, programs_ / "sluice-worker"));
      EXPECT_EQ(std::ranges::count(workers, worker), 0);
    }
    EXPECT_NE(sluice_.monitor_pid(), monitor);
    EXPECT_EQ(status().at("generation"), i + 1);
    EXPECT_EQ(highest_worker(), number + 2) << "sessions' ids would not be unique";
    EXPECT_GE(count_of("commands"), commands);
    EXPECT_GE(count_of("accepted"), accepted);
    EXPECT_TRUE(load.advance(50));
    EXPECT_TRUE(socket_load.advance(10));
    EXPECT_EQ(held.value("SELECT @kept"), "42");
    EXPECT_TRUE(eventually(5s, [&] { return status().at("old_workers") == 0; }));
    if (i == 2) fds = open_fds();
    if (i > 2) {
      EXPECT_TRUE(eventually(5s, [&] { return open_fds() <= fds; })) << open_fds();
    }
  }
  asking = false;
  EXPECT_EQ(unanswered.get(), "") << "the control socket was closed for a moment";
  for (Load* one : {&load, &socket_load}) {
    const auto report = one->stop();
    EXPECT_TRUE(report.clean()) << report.text();
  }
  EXPECT_THAT(read_file(fmt::format("/proc/{}/comm", master)), StartsWith("sluiced"));
}

TEST_F(Upgrade, ByASignal) {
  sluice_.start();
  const auto workers = serving();
  install();
  sluice_.process().signal(SIGUSR2);
  EXPECT_TRUE(eventually(
      20s, [&] { return status().at("last_upgrade").get<std::string>().starts_with("upgraded"); }));
  EXPECT_TRUE(runs(sluice_.pid(), programs_ / "sluiced"));
  EXPECT_NE(serving(), workers);
}

/// A master of another release, as far as it says so itself.
TEST_F(Upgrade, NamesTheReleases) {
  sluice_.start();
  const std::string before(kRelease), after = before.substr(0, before.size() - 1) + "9";
  const auto changed = programs_ / "changed";
  fs::copy_file(program("sluiced"), changed);
  ASSERT_EQ(run_command({"sed", "-i", fmt::format("s/{}/{}/g", before, after), changed}).exit_code,
            0);
  put("sluiced", changed);
  const auto upgraded = upgrade();
  EXPECT_EQ(upgraded.exit_code, 0) << upgraded.err;
  EXPECT_THAT(upgraded.out, HasSubstr(fmt::format("upgraded from {} to {}", before, after)));
  const auto version = sluice_.ctl_json({"version"});
  EXPECT_EQ(version.at("release"), after);
  EXPECT_EQ(version.at("other_releases"), before) << "of workers and monitor";
  EXPECT_EQ(status().at("release"), after);
  for (const auto& worker : sluice_.ctl_json({"list", "workers"}))
    EXPECT_EQ(worker.at("release"), before) << worker;
}

TEST_F(Upgrade, KeepsWhatTheOperatorDecided) {
  sluice_.start();
  const auto server = "shop/" + server_->name();
  EXPECT_EQ(sluice_.ctl({"log", "level", "info"}).exit_code, 0);
  EXPECT_EQ(sluice_.ctl({"set", "server", server, "draining"}).exit_code, 0);
  const auto role = [&] { return sluice_.ctl_json({"show", "server", server}).at("role"); };
  EXPECT_TRUE(eventually(5s, [&] { return role() == "none"; }));
  const auto generation = status().at("generation").get<int>();
  const auto uptime = status().at("uptime_s").get<int>();

  sluice_.write_config("half a sen");  // an upgrade does not read it
  install();
  const auto upgraded = upgrade();
  ASSERT_EQ(upgraded.exit_code, 0) << upgraded.err;
  EXPECT_EQ(role(), "none");
  EXPECT_EQ(status().at("generation"), generation + 1);
  EXPECT_GE(status().at("uptime_s"), uptime);
  EXPECT_EQ(sluice_.ctl({"set", "server", server, "clear"}).exit_code, 0);
  EXPECT_TRUE(eventually(5s, [&] { return role() == "primary"; }));
  const auto lines = sluice_.log().size();
  EXPECT_EQ(sluice_.connect("shop").value("SELECT 1"), "1");
  EXPECT_TRUE(eventually(5s, [&] {
    return sluice_.log().find(" info ", lines) != std::string::npos;
  })) << "the new worker logs as little as the configuration says";
}

/// Requests meet: each is carried out, one after the other.
TEST_F(Upgrade, DuringAReload) {
  sluice_.start();
  Load load({.endpoint = sluice_.endpoint("shop")});
  load.wait_flowing();
  for (int i = 0; i < 5 && !HasFailure(); ++i) {
    install();
    auto& extra = sluice_.config.services.at("shop").extra;
    extra = fmt::format("max_connections = {}\n", 1000 + i);
    sluice_.write_config(sluice_.config.text());
    const auto run = [&](const char* command) {
      return std::async(std::launch::async,
                        [this, command] { return sluice_.ctl({command}, 60s); });
    };
    auto one = run("reload"), other = run("upgrade"), third = run("reload");
    for (auto* result : {&one, &other, &third}) {
      const auto done = result->get();
      EXPECT_EQ(done.exit_code, 0) << done.err;
    }
    EXPECT_TRUE(runs(sluice_.pid(), programs_ / "sluiced"));
  }
  const auto report = load.stop();
  EXPECT_TRUE(report.clean()) << report.text();
}

/// A child that has just been started, or has just died, is the next master's as well.
TEST_F(Upgrade, WhileWorkersDie) {
  sluice_.start();
  for (int i = 0; i < 5; ++i) {
    install();
    auto upgraded = std::async(std::launch::async, [this] { return upgrade(); });
    for (const auto worker : sluice_.worker_pids()) ::kill(worker, SIGKILL);
    const auto result = upgraded.get();
    EXPECT_EQ(result.exit_code, 0) << result.err;
    EXPECT_TRUE(eventually(10s, [&] { return serving().size() == 2; }));
    EXPECT_EQ(sluice_.connect("shop").value("SELECT 1"), "1");
  }
  EXPECT_EQ(children_named(sluice_.pid(), "sluice-monitor").size(), 1u);
}

TEST_F(Upgrade, OfADaemonInTheBackground) {
  sluice_.arguments = {};
  sluice_.write_config(sluice_.config.text());
  sluice_.launch();
  ASSERT_EQ(sluice_.process().wait(30s), 0) << "it returns once it serves";
  const auto pid = status().at("pid").get<pid_t>();
  install();
  const auto upgraded = upgrade();
  EXPECT_EQ(upgraded.exit_code, 0) << upgraded.err;
  EXPECT_EQ(status().at("pid"), pid);
  EXPECT_TRUE(runs(pid, programs_ / "sluiced"));
  EXPECT_EQ(sluice_.connect("shop").value("SELECT 1"), "1");
  ::kill(pid, SIGTERM);
  EXPECT_TRUE(eventually(10s, [pid] { return !is_alive(pid); }));
}

TEST_F(Upgrade, NothingIsLeftWhenTheMasterIsKilledAfterwards) {
  sluice_.start();
  install();
  ASSERT_EQ(upgrade().exit_code, 0);
  auto children = sluice_.worker_pids();
  children.push_back(sluice_.monitor_pid().value());
  sluice_.kill9();
  EXPECT_TRUE(eventually(8s, [&] { return std::ranges::none_of(children, is_alive); }));
  sluice_.start();
  EXPECT_EQ(sluice_.connect("shop").value("SELECT 1"), "1");
}

TEST_F(Upgrade, AnOrdinaryUsersToo) {
  const auto nobody = find_account("nobody");
  if (::geteuid() != 0 || !nobody) GTEST_SKIP() << "needs a second user";
  sluice_.account = nobody;
  sluice_.start();
  install();
  const auto upgraded = upgrade();
  EXPECT_EQ(upgraded.exit_code, 0) << upgraded.err;
  EXPECT_TRUE(runs(sluice_.pid(), programs_ / "sluiced"));
  EXPECT_EQ(sluice_.connect("shop").value("SELECT 1"), "1");
}

/// What is refused changes nothing.
class RefusedUpgrade : public Upgrade {
 protected:
  RefusedUpgrade() {
    sluice_.start();
    EXPECT_TRUE(eventually(5s, [&] { return (workers_ = sluice_.worker_pids()).size() == 2; }));
    EXPECT_TRUE(eventually(5s, [&] { return (monitor_ = sluice_.monitor_pid()).has_value(); }));
  }

  void expect_refusal(const std::string& reason) {
    Load load({.endpoint = sluice_.endpoint("shop"), .connecting = 2, .holding = 1});
    load.wait_flowing();
    const auto refused = upgrade();
    EXPECT_EQ(refused.exit_code, 1) << refused.out;
    EXPECT_THAT(refused.err, HasSubstr(reason));
    EXPECT_THAT(sluice_.log(), HasSubstr("upgrade: failed: everything stays as it was"));
    EXPECT_THAT(status().at("problems"), HasSubstr(reason));
    EXPECT_EQ(status().at("generation"), 1);
    EXPECT_EQ(sluice_.worker_pids(), workers_);
    EXPECT_EQ(sluice_.monitor_pid(), monitor_);
    EXPECT_TRUE(load.advance(20));
    const auto report = load.stop();
    EXPECT_TRUE(report.clean()) << report.text();
    expect_recovery();
  }

  /// A good one does it, and nothing is said of the bad one any more.
  void expect_recovery() {
    install();
    const auto upgraded = upgrade();
    EXPECT_EQ(upgraded.exit_code, 0) << upgraded.err;
    EXPECT_EQ(status().at("problems"), "");
    EXPECT_TRUE(runs(sluice_.pid(), programs_ / "sluiced"));
    EXPECT_EQ(sluice_.connect("shop").value("SELECT 1"), "1");
  }

  std::vector<pid_t> workers_;
  std::optional<pid_t> monitor_;
};

TEST_F(RefusedUpgrade, AProgramThatIsMissing) {
  fs::remove(programs_ / "sluiced");
  expect_refusal("No such file or directory");
}

TEST_F(RefusedUpgrade, AWorkerThatIsMissing) {
  fs::remove(programs_ / "sluice-worker");
  expect_refusal("is sluice installed completely?");
}

TEST_F(RefusedUpgrade, WhatIsNoProgram) {
  const auto text = programs_ / "text";
  write_file(text, "sluice 9.0\n");
  put("sluiced", text);
  expect_refusal("it can't be started");
}

TEST_F(RefusedUpgrade, AProgramThatEndsAtOnce) {
  put_impostor("ends");
  expect_refusal("it ended with exit code 1");
}

TEST_F(RefusedUpgrade, AProgramThatCrashes) {
  put_impostor("crashes");
  expect_refusal("it died of signal 6");
}

TEST_F(RefusedUpgrade, AProgramThatHangs) {
  put_impostor("hangs");
  expect_refusal("no answer within 10 s");
}

TEST_F(RefusedUpgrade, AProgramThatCannotReadTheState) {
  put_impostor("refuses");
  expect_refusal("this is the state of another proxy");
}

/// It took over and failed then: the old program is back, by the way that the new one came.
TEST_F(RefusedUpgrade, AProgramThatGivesWayAgain) {
  put_impostor("gives way");
  expect_refusal("it was an impostor");
}

/// The new master is there then; what its predecessor has started serves on.
TEST_F(RefusedUpgrade, AWorkerThatDiesAtItsStart) {
  put("sluice-worker", "/bin/false");
  const auto refused = upgrade();
  EXPECT_EQ(refused.exit_code, 1) << refused.out;
  EXPECT_THAT(refused.err, HasSubstr("the first worker did not get ready"));
  EXPECT_THAT(refused.err, HasSubstr("the workers stay those of"));
  EXPECT_THAT(status().at("problems"), HasSubstr("the first worker did not get ready"));
  EXPECT_EQ(serving(), workers_);
  EXPECT_EQ(sluice_.monitor_pid(), monitor_);
  // Those that are started from now on are still the good ones.
  for (const auto worker : workers_) ::kill(worker, SIGKILL);
  EXPECT_TRUE(eventually(10s, [&] {
    const auto now = serving();
    return now.size() == workers_.size() && now != workers_;
  }));
  EXPECT_EQ(sluice_.connect("shop").value("SELECT 1"), "1");
  expect_recovery();
}

TEST_F(RefusedUpgrade, AMonitorThatDiesAtItsStart) {
  put("sluice-monitor", "/bin/false");
  const auto refused = upgrade();
  EXPECT_EQ(refused.exit_code, 1) << refused.out;
  EXPECT_THAT(refused.err, HasSubstr("the monitor is still that of"));
  EXPECT_EQ(sluice_.monitor_pid(), monitor_);
  EXPECT_NE(serving(), workers_);
  ::kill(monitor_.value(), SIGKILL);
  EXPECT_TRUE(eventually(10s, [&] { return status().at("monitor") == "running"; }));
  expect_recovery();
}

}  // namespace
}  // namespace sluice::test
