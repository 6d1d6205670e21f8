#include "monitor/accounts_watch.h"

#include <gtest/gtest.h>

namespace sluice::monitor {
namespace {

constexpr int64_t kSecond = LoadSchedule::kPauseNs;
constexpr int64_t kInterval = 60 * kSecond;

TEST(LoadSchedule, LoadsAtOnceThenOnTheInterval) {
  LoadSchedule schedule;
  EXPECT_LE(schedule.due_ns(kInterval), 0);
  EXPECT_FALSE(schedule.begin(5 * kSecond));
  EXPECT_EQ(schedule.due_ns(kInterval), 5 * kSecond + kInterval);
}

TEST(LoadSchedule, RequestsCollapseIntoOneLoadASecond) {
  LoadSchedule schedule;
  schedule.begin(0);
  schedule.request();
  schedule.request();
  EXPECT_EQ(schedule.due_ns(kInterval), kSecond);
  EXPECT_TRUE(schedule.begin(kSecond)) << "somebody waits for this one";
  EXPECT_FALSE(schedule.begin(kSecond + kInterval)) << "and for no other";
}

TEST(LoadSchedule, ARequestDuringALoadWaitsForTheNext) {
  LoadSchedule schedule;
  EXPECT_FALSE(schedule.begin(0));
  schedule.request();  // what the running load has read may be older
  EXPECT_EQ(schedule.due_ns(kInterval), kSecond);
}

TEST(LoadSchedule, NoIntervalIsShorterThanASecond) {
  LoadSchedule schedule;
  schedule.begin(0);
  EXPECT_EQ(schedule.due_ns(1), kSecond);
}

TEST(LoadSchedule, ANewSourceHurriesButNobodyWaits) {
  LoadSchedule schedule;
  schedule.begin(0);
  schedule.expedite();
  EXPECT_EQ(schedule.due_ns(kInterval), kSecond);
  EXPECT_FALSE(schedule.begin(kSecond));
}

}  // namespace
}  // namespace sluice::monitor
