/// For tests of workers and monitors that were taken over.
#pragma once

#include <gtest/gtest.h>

#include <memory>

#include "tests/support/mariadb_server.h"
#include "tests/support/sluice.h"
#include "tests/support/temp_dir.h"

namespace sluice::test {

/// Service "shop" on one server.
SluiceConfig in_front_of(MariadbServer& server, unsigned workers = 2);

/// How often a text is in another.
std::size_t count(const std::string& text, std::string_view what);

inline constexpr const char* kWorkerProgram = "sluice-worker";
inline constexpr const char* kMonitorProgram = "sluice-monitor";

/// Sluice with another program in the place of its children. It works, for that program becomes the
/// good one while no file tells it otherwise.
class CapturedChildren : public testing::Test {
 protected:
  static void SetUpTestSuite() { server_ = std::make_unique<MariadbServer>(); }
  static void TearDownTestSuite() { server_.reset(); }

  CapturedChildren(const std::string& captor, unsigned workers);

  /// The master answers, and clients are served.
  void expect_service(pid_t master);

  static inline std::unique_ptr<MariadbServer> server_;
  TempDir programs_;
  Sluice sluice_;
};

/// With a rogue program (rogue_worker_main.cc). It works until break_rules().
class RogueWorker : public CapturedChildren {
 protected:
  explicit RogueWorker(unsigned workers = 1) : CapturedChildren("rogue_worker", workers) {}

  /// Children of that name that start from now on misbehave.
  void misbehave(const std::string& mode, const std::string& child = kWorkerProgram) {
    write_file(programs_ / (child + ".mode"), mode);
  }
  /// The same, and the present one makes room.
  void break_rules(const std::string& mode);
  void break_rules_as_monitor(const std::string& mode);
  void keep_rules();

  /// How many were killed for what they did.
  std::size_t killed(const std::string& child = kWorkerProgram) const;
  /// The master answers, and once children are good again clients are served again.
  void expect_recovery(pid_t master);
};

}  // namespace sluice::test
