// A session within a transaction, whose primary is lost (setting transaction_replay).
#pragma once

#include "tests/worker/split/split_fixture.h"

namespace sluice::worker::split_tests {

inline constexpr auto kUpdate = "\3UPDATE t SET a = 1";
inline const std::string kBegin = "\3BEGIN", kCommit = "\3COMMIT";

class ReplayTest : public SplitTest {
 protected:
  ReplayTest() { world.service.transaction_replay = true; }

  void answered(const Bytes& command, const Bytes& answer) {
    client(command);
    home(answer);
  }
  /// BEGIN and an UPDATE; then the primary is lost, and there is another one.
  void open_and_lose() {
    log_in();
    answered(query("BEGIN"), ok(kOpen));
    answered(query("UPDATE t SET a = 1"), ok(kOpen));
    lose();
  }
  void lose() {
    lost(Side::server);
    ASSERT_EQ(s.phase, Phase::relaying) << last_error();
    connects.clear(), forget_said();
    primary_moves();
    view();
  }
  std::string how_it_ended() {
    EXPECT_EQ(s.phase, Phase::closing);
    return last_error();
  }
};

}  // namespace sluice::worker::split_tests
