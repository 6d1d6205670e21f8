// Time. CLOCK_MONOTONIC is the same in every process of the machine, so deadlines can travel.
#pragma once

#include <time.h>

#include <cstdint>

namespace sluice {

inline int64_t monotonic_ns() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

/// The same clock as of the kernel's last tick: at most some milliseconds old, and much cheaper.
/// For what is asked at every byte and compared with deadlines of seconds.
inline int64_t coarse_monotonic_ns() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
  return int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

/// Seconds since the epoch, for people.
inline int64_t wall_clock_s() {
  return ::time(nullptr);
}

inline constexpr int64_t kMillisecondNs = 1'000'000;
inline constexpr int64_t kSecondNs = 1'000'000'000;

}  // namespace sluice
