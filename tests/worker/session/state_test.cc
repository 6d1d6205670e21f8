// The state of a session travels whole between processes.
#include <gtest/gtest.h>

#include "tests/common/ipc/fill.h"
#include "worker/session/state.h"

namespace sluice::worker {
namespace {

TEST(SessionState, EveryMemberOfASessionTravels) {
  const auto state = ipc::test::filled<SessionState>();
  const auto whole = ipc::encode(state);
  const auto back = ipc::decode<SessionState>(whole);
  ASSERT_TRUE(back);
  EXPECT_EQ(ipc::encode(*back), whole);
  EXPECT_EQ(back->home.unsent, state.home.unsent);
  for (std::size_t n = 0; n < whole.size(); ++n) {
    const auto cut = ipc::decode<SessionState>(ByteSpan(whole).first(n));
    EXPECT_TRUE(!cut || ipc::encode(*cut) != whole) << "cut at " << n;
  }
}

}  // namespace
}  // namespace sluice::worker
