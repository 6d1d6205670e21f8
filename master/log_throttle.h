// Keeps one child's flood of records from becoming the log, and one of requests from becoming
// somebody else's work. A bucket of tokens, filled at a steady rate; what is left out is counted
// and said.
#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>

#include "common/base/clock.h"

namespace sluice::master {

class LogThrottle {
 public:
  static constexpr int64_t kBurst = 200;
  static constexpr int64_t kPerSecond = 50;

  explicit LogThrottle(int64_t burst = kBurst, int64_t per_second = kPerSecond)
      : burst_(burst), per_second_(per_second), tokens_(burst) {}

  /// Whether a record may be written now; else it is counted.
  bool allow(int64_t now_ns) {
    if (refilled_ns_ == 0) refilled_ns_ = now_ns;
    const int64_t earned = (now_ns - refilled_ns_) * per_second_ / kSecondNs;
    if (earned > 0) {
      tokens_ = std::min(burst_, tokens_ + earned);
      refilled_ns_ = now_ns;
    }
    if (tokens_ > 0) {
      --tokens_;
      return true;
    }
    ++left_out_;
    return false;
  }
  /// How many were left out since the last call that returned any, once records may pass again.
  uint64_t take_left_out() { return tokens_ > 0 ? std::exchange(left_out_, 0) : 0; }

 private:
  int64_t burst_, per_second_;
  int64_t tokens_;
  int64_t refilled_ns_ = 0;
  uint64_t left_out_ = 0;
};

}  // namespace sluice::master
