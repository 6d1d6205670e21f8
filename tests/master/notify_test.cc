#include "master/notify.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <string>

namespace sluice::master {
namespace {

class Notify : public testing::Test {
 protected:
  void TearDown() override {
    for (const char* name : {"WATCHDOG_USEC", "WATCHDOG_PID"}) ::unsetenv(name);
  }
};

TEST_F(Notify, IsWatchedOnlyIfTheWatchdogWaitsForThisProcess) {
  EXPECT_FALSE(is_watched());
  ::setenv("WATCHDOG_USEC", "30000000", 1);
  EXPECT_TRUE(is_watched());
  ::setenv("WATCHDOG_PID", std::to_string(::getpid()).c_str(), 1);
  EXPECT_TRUE(is_watched());
  ::setenv("WATCHDOG_PID", std::to_string(::getppid()).c_str(), 1);
  EXPECT_FALSE(is_watched()) << "the environment was inherited from the one whom it is for";
}

}  // namespace
}  // namespace sluice::master
