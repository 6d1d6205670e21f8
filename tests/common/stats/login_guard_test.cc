#include "common/stats/login_guard.h"

#include <gtest/gtest.h>

#include <memory>

namespace sluice::stats {
namespace {

constexpr int64_t kSecond = 1'000'000'000;

class LoginGuardTest : public testing::Test {
 protected:
  std::unique_ptr<LoginGuardPage> page = std::make_unique<LoginGuardPage>();
  LoginGuard guard{*page};
  int64_t now = 1000 * kSecond;

  void fail(int times, std::string_view ip = "10.0.0.1") {
    for (int i = 0; i < times; ++i) guard.failed(ip, "app", now);
  }
  /// How long a login has to wait; -1: it is refused.
  int64_t wait(std::string_view ip = "10.0.0.1", std::string_view user = "app") {
    const auto at = guard.admit(ip, user, 20, now);
    return at ? *at - now : -1;
  }
};

TEST_F(LoginGuardTest, SomeFailuresAreNobodysBusiness) {
  fail(20);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(wait(), 0);
}

TEST_F(LoginGuardTest, AnAddressThatFailsOftenIsPaced) {
  fail(50);
  for (int i = 1; i <= 50; ++i) EXPECT_EQ(wait(), i * LoginGuard::kPaceNs);
  EXPECT_EQ(wait(), -1) << "no queue without end";
  EXPECT_EQ(wait("10.0.0.2"), 0) << "another address";
  now += kSecond;
  EXPECT_GT(wait(), 0) << "some of those who waited have gone on";
}

TEST_F(LoginGuardTest, FailuresAreForgotten) {
  fail(30);
  EXPECT_GT(wait(), 0);
  now += 10 * kSecond;
  EXPECT_EQ(wait(), 0);
  fail(100'000);
  now += 1000 * kSecond;
  EXPECT_EQ(wait(), 0);
}

TEST_F(LoginGuardTest, WhoLoggedInIsNotHeldUpByOthers) {
  guard.succeeded("10.0.0.1", "good", now);
  fail(100);
  EXPECT_EQ(wait("10.0.0.1", "good"), 0);
  EXPECT_GT(wait("10.0.0.1", "app"), 0);
  guard.failed("10.0.0.1", "good", now);
  EXPECT_GT(wait("10.0.0.1", "good"), 0);
}

}  // namespace
}  // namespace sluice::stats
