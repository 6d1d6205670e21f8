#pragma once

#include <algorithm>
#include <chrono>
#include <utility>

namespace sluice::test {

using namespace std::chrono_literals;

using Clock = std::chrono::steady_clock;
using Milliseconds = std::chrono::milliseconds;

/// Blocks the calling thread in poll(2) for `time`. Only for polling a condition (eventually()) and
/// for pacing a generated load (Load); a test never waits for a span of time.
void pause_for(Milliseconds time);

/// Polls `predicate` until it holds or `deadline` has passed; the result is its last answer.
/// Starts with 1 ms between two calls and slows down to 25 ms.
template <class Predicate>
[[nodiscard]] bool eventually(Milliseconds deadline, Predicate&& predicate) {
  const auto end = Clock::now() + deadline;
  for (Milliseconds pause = 1ms;; pause = std::min(pause * 2, Milliseconds(25))) {
    if (predicate()) return true;
    if (Clock::now() >= end) return false;
    pause_for(pause);
  }
}

/// What is left of `deadline` since `start`; never below zero.
inline Milliseconds time_left(Clock::time_point start, Milliseconds deadline) {
  const auto gone = std::chrono::duration_cast<Milliseconds>(Clock::now() - start);
  return std::max(deadline - gone, Milliseconds(0));
}

}  // namespace sluice::test
