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

RogueWorker::RogueWorker(unsigned workers)
    : sluice_(in_front_of(*server_, workers), Sluice::Start::Stopped) {
  namespace fs = std::filesystem;
  const auto directory = fs::path(programs_.path());
  fs::copy_file(program("sluiced"), directory / "sluiced");
  fs::copy_file(program("e2e/rogue_worker"), directory / "sluice-worker");
  fs::create_symlink(program("sluice-monitor"), directory / "sluice-monitor");
  fs::create_symlink(program("sluice-worker"), directory / "good-worker");
  sluice_.daemon = programs_ / "sluiced";
  sluice_.start();
  EXPECT_EQ(sluice_.connect("shop").value("SELECT 1"), "1");
}

void RogueWorker::break_rules(const std::string& mode) {
  misbehave(mode);
  const auto workers = sluice_.worker_pids();
  ASSERT_EQ(workers.size(), 1u);
  ASSERT_EQ(::kill(workers[0], SIGKILL), 0);
}

std::size_t RogueWorker::killed() const {
  return count(sluice_.log(), "child: killed process=sluice-worker");
}

void RogueWorker::expect_recovery(pid_t master) {
  EXPECT_EQ(sluice_.ctl({"status"}).exit_code, 0);
  keep_rules();
  EXPECT_EQ(sluice_.connect("shop").value("SELECT 1"), "1");
  EXPECT_EQ(sluice_.pid(), master);
  EXPECT_TRUE(sluice_.process().running());
}

}  // namespace sluice::test
