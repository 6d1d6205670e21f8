#include "master/log_throttle.h"

#include <gtest/gtest.h>

namespace sluice::master {
namespace {

TEST(LogThrottle, LetsABurstPassAndCountsTheRest) {
  LogThrottle throttle;
  const int64_t now = 5 * kSecondNs;
  for (int64_t i = 0; i < LogThrottle::kBurst; ++i) EXPECT_TRUE(throttle.allow(now));
  for (int i = 0; i < 70; ++i) EXPECT_FALSE(throttle.allow(now));
  EXPECT_EQ(throttle.take_left_out(), 0u) << "said when records may pass again";
  EXPECT_TRUE(throttle.allow(now + kSecondNs));
  EXPECT_EQ(throttle.take_left_out(), 70u);
  EXPECT_EQ(throttle.take_left_out(), 0u) << "said once";
}

TEST(LogThrottle, RefillsAtASteadyRate) {
  LogThrottle throttle;
  int64_t now = kSecondNs;
  while (throttle.allow(now)) {
  }
  int passed = 0;
  for (int i = 0; i < 10'000; ++i) passed += throttle.allow(now += kMillisecondNs);  // ten seconds
  EXPECT_NEAR(passed, 10 * LogThrottle::kPerSecond, 2);
}

TEST(LogThrottle, KeepsNoMoreThanABurst) {
  LogThrottle throttle;
  EXPECT_TRUE(throttle.allow(kSecondNs));
  const int64_t later = 1'000'000 * kSecondNs;
  int64_t passed = 0;
  while (throttle.allow(later)) ++passed;
  EXPECT_EQ(passed, LogThrottle::kBurst);
}

TEST(LogThrottle, OthersMayBeGivenMore) {
  LogThrottle throttle(2000, 500);
  int64_t passed = 0;
  while (throttle.allow(kSecondNs)) ++passed;
  EXPECT_EQ(passed, 2000);
  while (throttle.allow(2 * kSecondNs)) ++passed;
  EXPECT_EQ(passed, 2500);
}

TEST(LogThrottle, OrdinaryLoggingIsNeverHeldUp) {
  LogThrottle throttle;
  for (int64_t now = kSecondNs; now < 100 * kSecondNs; now += kSecondNs / 40)
    EXPECT_TRUE(throttle.allow(now));
}

}  // namespace
}  // namespace sluice::master
