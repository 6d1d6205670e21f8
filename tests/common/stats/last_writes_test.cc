#include "common/stats/last_writes.h"

#include <gtest/gtest.h>

#include <memory>
#include <thread>
#include <vector>

namespace sluice::stats {
namespace {

TEST(LastWrites, TheLastOfEachDomain) {
  EXPECT_EQ(last_of("", "0-1-5"), "0-1-5");
  EXPECT_EQ(last_of("0-1-5", "0-2-6,1-1-1"), "0-2-6,1-1-1");
  EXPECT_EQ(last_of("0-1-10", "0-1-9"), "0-1-10");
  EXPECT_EQ(last_of("", "a-b:7"), "a-b:1-7");
  EXPECT_EQ(last_of("a-b:1-7", "a-b:3-9,\nc-d:1-4:6-8"), "a-b:1-9,c-d:1-8");
  for (const auto* odd : {"x", "0-1-", "a:tag:5", "0-1-99999999999999999999999", ":5", "0"})
    EXPECT_EQ(last_of("0-1-5", odd), "") << odd;
}

class LastWritesTest : public testing::Test {
 protected:
  static constexpr std::size_t kStride = 3;
  std::vector<WritesSlot> slots{4 * kStride};
  std::atomic<uint64_t> used{4};
  LastWrites of(uint32_t worker) { return {slots.data(), kStride, used, worker}; }
};

TEST_F(LastWritesTest, AllSeeWhatAnyHasWritten) {
  const auto a = of(1), b = of(2);
  EXPECT_EQ(a.read().gtids, "");
  const auto before = b.version();
  a.publish("0-1-5");
  EXPECT_GT(b.version(), before);
  EXPECT_EQ(b.read().gtids, "0-1-5");
  const auto between = a.version();
  b.publish("0-1-4");  // told late
  EXPECT_GT(a.version(), between);
  EXPECT_EQ(a.read().gtids, "0-1-5");
  const auto after = a.version();
  a.publish("0-1-5");
  EXPECT_EQ(a.version(), after) << "nothing new";
}

TEST_F(LastWritesTest, WhatCannotBeToldIsADoubt) {
  const auto a = of(1);
  a.publish("0-1-5");
  a.publish("nonsense");
  EXPECT_EQ(a.doubts(), 1u);
  std::string many;
  for (int i = 0; i < 40; ++i) many += (many.empty() ? "" : ",") + std::to_string(i) + "-1-7";
  a.publish(many);
  EXPECT_EQ(a.doubts(), 2u);
  EXPECT_EQ(a.read().gtids, "0-1-5");
}

TEST_F(LastWritesTest, AWriterThatDiedInTheMiddleLeavesADoubt) {
  const auto a = of(1);
  a.publish("0-1-5");
  slots[kStride].sequence.fetch_add(1);
  EXPECT_TRUE(a.read().torn);
  a.publish("0-1-6");
  EXPECT_FALSE(a.read().torn);
  EXPECT_EQ(a.read().gtids, "0-1-6");
  EXPECT_EQ(a.doubts(), 1u) << "what was there before is not known any more";
}

TEST_F(LastWritesTest, NobodyReadsHalfAText) {
  const auto a = of(1), b = of(2);
  std::atomic<bool> stop = false;
  std::thread writer([&] {
    for (int i = 1; !stop; ++i) a.publish("0-1-" + std::to_string(i) + ",1-1-" + std::to_string(i));
  });
  for (int i = 0; i < 20'000; ++i) {
    const auto known = b.read();
    if (known.torn || known.gtids.empty()) continue;
    const auto comma = known.gtids.find(',');
    ASSERT_NE(comma, std::string::npos);
    EXPECT_EQ(known.gtids.substr(4, comma - 4), known.gtids.substr(comma + 5));
  }
  stop = true;
  writer.join();
}

TEST(LastWrites, WhatWasToldBeforeCanBeForgotten) {
  std::vector<WritesSlot> slots(3);
  std::atomic<uint64_t> used{3};
  const LastWrites a(slots.data(), 1, used, 0), b(slots.data(), 1, used, 1);
  a.publish("0-1-9,1-1-4");
  b.publish("0-1-8");
  const auto version = b.version();
  b.begin_anew("0-1-3");
  EXPECT_EQ(a.read().gtids, "0-1-3");
  EXPECT_EQ(a.doubts(), 1u);
  EXPECT_GT(a.version(), version);
  a.publish("0-1-4");
  EXPECT_EQ(b.read().gtids, "0-1-4");
  b.publish("0-1-5");
  EXPECT_EQ(a.read().gtids, "0-1-5");
  a.begin_anew("");
  EXPECT_EQ(b.read().gtids, "");
  EXPECT_FALSE(b.read().torn);
}

TEST(LastWrites, OneListHasAllOfAnother) {
  EXPECT_TRUE(has_all("0-1-5,1-1-1", "0-2-4"));
  EXPECT_TRUE(has_all("0-1-5", ""));
  EXPECT_FALSE(has_all("0-1-5", "0-1-6"));
  EXPECT_FALSE(has_all("0-1-5", "1-1-1"));
  EXPECT_FALSE(has_all("", "1-1-1"));
  EXPECT_TRUE(has_all("3e11fa47-71ca-11e1-9e33-c80aa9429562:1-5:7",
                      "3e11fa47-71ca-11e1-9e33-c80aa9429562:7"));
}

}  // namespace
}  // namespace sluice::stats
