#include "master/inquiries.h"

#include <gtest/gtest.h>

namespace sluice::master {
namespace {

constexpr int64_t kNow = 1'000'000'000;
constexpr Inquiries::Key kKey{1, 42, 1};

TEST(Inquiries, EndWithWhoeverKnows) {
  Inquiries inquiries;
  inquiries.begin(kKey, {2, 3, 4}, kNow);
  EXPECT_FALSE(inquiries.answered(kKey, 2, false));
  EXPECT_TRUE(inquiries.answered(kKey, 4, true));
  EXPECT_FALSE(inquiries.answered(kKey, 3, true)) << "it is over";
  EXPECT_EQ(inquiries.size(), 0u);
}

TEST(Inquiries, EndWhenNobodyKnows) {
  Inquiries inquiries;
  inquiries.begin(kKey, {2, 3}, kNow);
  EXPECT_FALSE(inquiries.answered(kKey, 3, false));
  EXPECT_FALSE(inquiries.answered(kKey, 3, false)) << "not for another one";
  EXPECT_TRUE(inquiries.answered(kKey, 2, false));
}

TEST(Inquiries, AreAnsweredByThoseWhoWereAsked) {
  Inquiries inquiries;
  inquiries.begin(kKey, {2}, kNow);
  EXPECT_FALSE(inquiries.answered(kKey, 1, true));
  EXPECT_FALSE(inquiries.answered(kKey, 9, true));
  EXPECT_FALSE(inquiries.answered({1, 42, 2}, 2, true));
  EXPECT_FALSE(inquiries.answered({1, 43, 1}, 2, true));
  EXPECT_FALSE(inquiries.answered({2, 42, 1}, 2, true));
  EXPECT_TRUE(inquiries.answered(kKey, 2, true));
}

TEST(Inquiries, AreBounded) {
  Inquiries inquiries;
  for (uint32_t round = 0; round < 10'000; ++round) {
    inquiries.begin({1, 7, round}, {2}, kNow);
    inquiries.begin({1, 8, 1}, {2}, kNow);  // the same again
  }
  inquiries.begin({2, 7, 1}, {1}, kNow);
  EXPECT_LE(inquiries.size(), Inquiries::kMostOfOne + 1);
  EXPECT_TRUE(inquiries.answered({2, 7, 1}, 1, true)) << "one worker does not push out another's";
  inquiries.begin(kKey, {2}, kNow + Inquiries::kLastNs + 1);
  EXPECT_EQ(inquiries.size(), 1u) << "the others are too old";
}

}  // namespace
}  // namespace sluice::master
