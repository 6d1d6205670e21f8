#include "tests/support/rogue_workers.h"

#include <signal.h>

namespace sluice::test {

SluiceConfig in_front_of(MariadbServer& server, unsigned workers) {
  SluiceConfig config;
  config.workers = workers;
  config.add_cluster("shop", "single", {&server});
  config.add_service("shop", "shop");
  return config;
}

std::size_t count(const std::string& text, std::string_view what) {
  std::size_t n = 0;
  for (auto at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) ++n;
  return n;
}

CapturedChildren::CapturedChildren(const std::string& captor, unsigned workers)
    : sluice_(in_front_of(*server_, workers), Sluice::Start::Stopped) {
  namespace fs = std::filesystem;
  const auto directory = fs::path(programs_.path());
  fs::copy_file(program("sluiced"), directory / "sluiced");
  for (const char* child : {kWorkerProgram, kMonitorProgram})
    fs::copy_file(program("e2e/" + captor), directory / child);
  fs::create_symlink(program(kWorkerProgram), directory / "good-worker");
  fs::create_symlink(program(kMonitorProgram), directory / "good-monitor");
  sluice_.daemon = programs_ / "sluiced";
  sluice_.start();
  EXPECT_EQ(sluice_.connect("shop").value("SELECT 1"), "1");
}

void CapturedChildren::expect_service(pid_t master) {
  EXPECT_EQ(sluice_.ctl({"status"}).exit_code, 0);
  // A worker that is about to be killed may have taken the first ones.
  EXPECT_TRUE(eventually(30s, [&] {
    auto client = Client::connect(sluice_.endpoint("shop"));
    return client && client->query("SELECT 1");
  })) << sluice_.log();
  EXPECT_EQ(sluice_.pid(), master);
  EXPECT_TRUE(sluice_.process().running());
}

void RogueWorker::break_rules(const std::string& mode) {
  misbehave(mode);
  const auto workers = sluice_.worker_pids();
  ASSERT_EQ(workers.size(), 1u);
  ASSERT_EQ(::kill(workers[0], SIGKILL), 0);
}

void RogueWorker::break_rules_as_monitor(const std::string& mode) {
  misbehave(mode, kMonitorProgram);
  const auto monitor = sluice_.monitor_pid();
  ASSERT_TRUE(monitor);
  ASSERT_EQ(::kill(*monitor, SIGKILL), 0);
}

void RogueWorker::keep_rules() {
  for (const std::string child : {kWorkerProgram, kMonitorProgram})
    std::filesystem::remove(programs_ / (child + ".mode"));
}

std::size_t RogueWorker::killed(const std::string& child) const {
  return count(sluice_.log(), "child: killed process=" + child);
}

void RogueWorker::expect_recovery(pid_t master) {
  EXPECT_EQ(sluice_.ctl({"status"}).exit_code, 0);
  keep_rules();
  expect_service(master);
}

}  // namespace sluice::test
