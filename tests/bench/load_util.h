#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace sluice::bench {

/// Says why on stderr and exits 1: a benchmark that met an error has no result.
[[noreturn]] [[gnu::format(printf, 1, 2)]] void die(const char* format, ...);

/// CLOCK_MONOTONIC in nanoseconds.
int64_t now_ns();

/// CPU time that one process (all its threads) has used so far.
struct CpuTime {
  int64_t total_ns = 0;
  int64_t user_ns = 0;
  int64_t kernel_ns = 0;
};

/// CPU time between two looks at a set of processes. The total comes from the process's CPU clock
/// (exact); user and kernel share it in the proportion of utime to stime in /proc/PID/stat, which
/// the kernel samples by timer ticks: right on average, so the measured time should hold hundreds.
class CpuMeter {
 public:
  explicit CpuMeter(std::vector<int> pids);
  void start();
  void stop();
  const std::vector<int>& pids() const { return pids_; }
  /// What pids()[i] used between start() and stop().
  CpuTime used(std::size_t i) const;

 private:
  struct Reading {
    int64_t total_ns = 0;
    int64_t user_ticks = 0;
    int64_t kernel_ticks = 0;
  };
  static Reading read(int pid);

  std::vector<int> pids_;
  std::vector<Reading> before_, after_;
};

}  // namespace sluice::bench
