// In the steady state a statement costs no allocation.
#include <gtest/gtest.h>

#include "tests/worker/split/allocations.h"
#include "tests/worker/split/steady.h"

namespace sluice::worker {
namespace {

using namespace split_tests;

class Steady : public testing::TestWithParam<config::RouterKind> {
 protected:
  SteadySession session{GetParam()};

  void expect_none(const Turn& turn) {
    SCOPED_TRACE(turn.name);
    constexpr int kTimes = 100;
    for (int i = 0; i < kTimes; ++i) ASSERT_TRUE(session.run(turn));  // until buffers are grown
    const auto before = test::allocations();
    bool good = true;
    for (int i = 0; i < kTimes; ++i) good &= session.run(turn);
    EXPECT_EQ(test::allocations() - before, 0u);
    EXPECT_TRUE(good);
  }
};

INSTANTIATE_TEST_SUITE_P(Routers, Steady,
                         testing::Values(config::RouterKind::connection,
                                         config::RouterKind::read_write_split),
                         [](const auto& info) {
                           return std::string(info.index == 0 ? "Connection" : "ReadWriteSplit");
                         });

TEST(Allocations, AreCounted) {
  const auto before = test::allocations();
  const auto number = std::make_unique<int>(1);
  EXPECT_EQ(test::allocations() - before, static_cast<unsigned>(*number));
}

TEST_P(Steady, PointSelects) {
  for (const auto& turn : session.point_selects()) expect_none(turn);
}

TEST_P(Steady, Updates) {
  expect_none(session.update());
}

TEST_P(Steady, InATransaction) {
  ASSERT_TRUE(session.run(session.begin()));
  for (const auto& turn : session.in_transaction()) expect_none(turn);
  for (const auto& turn : session.transaction()) expect_none(turn);
}

}  // namespace
}  // namespace sluice::worker
