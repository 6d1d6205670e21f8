/// For tests of workers that were taken over.
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

/// Sluice with a rogue program (rogue_worker_main.cc) in the place of sluice-worker. It works until
/// break_rules().
class RogueWorker : public testing::Test {
 protected:
  static void SetUpTestSuite() { server_ = std::make_unique<MariadbServer>(); }
  static void TearDownTestSuite() { server_.reset(); }

  explicit RogueWorker(unsigned workers = 1);

  /// Workers that start from now on misbehave.
  void misbehave(const std::string& mode) { write_file(programs_ / "rogue.mode", mode); }
  /// The same, and the present one makes room.
  void break_rules(const std::string& mode);
  void keep_rules() { std::filesystem::remove(programs_ / "rogue.mode"); }

  /// How many were killed for what they did.
  std::size_t killed() const;
  /// The master answers, and once workers are good again clients are served again.
  void expect_recovery(pid_t master);

  static inline std::unique_ptr<MariadbServer> server_;
  TempDir programs_;
  Sluice sluice_;
};

}  // namespace sluice::test
