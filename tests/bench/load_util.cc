// Clocks, and the end of the program.

#include "load_util.h"

#include <unistd.h>

#include <cinttypes>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <utility>

namespace sluice::bench {
namespace {

int64_t read_clock(clockid_t clock) {
  timespec time{};
  if (clock_gettime(clock, &time) != 0) die("clock_gettime: %s", std::strerror(errno));
  return static_cast<int64_t>(time.tv_sec) * 1'000'000'000 + time.tv_nsec;
}

}  // namespace

void die(const char* format, ...) {
  std::fputs("bench_load: ", stderr);
  va_list arguments;
  va_start(arguments, format);
  std::vfprintf(stderr, format, arguments);
  va_end(arguments);
  std::fputc('\n', stderr);
  std::exit(1);
}

int64_t now_ns() {
  return read_clock(CLOCK_MONOTONIC);
}

CpuMeter::CpuMeter(std::vector<int> pids) : pids_(std::move(pids)) {}

void CpuMeter::start() {
  before_.clear();
  for (const int pid : pids_) before_.push_back(read(pid));
}

void CpuMeter::stop() {
  after_.clear();
  for (const int pid : pids_) after_.push_back(read(pid));
}

CpuTime CpuMeter::used(std::size_t i) const {
  const int64_t user = after_[i].user_ticks - before_[i].user_ticks;
  const int64_t kernel = after_[i].kernel_ticks - before_[i].kernel_ticks;
  CpuTime time;
  time.total_ns = after_[i].total_ns - before_[i].total_ns;
  if (user + kernel > 0) {
    time.user_ns =
        static_cast<int64_t>(static_cast<double>(time.total_ns) * static_cast<double>(user) /
                             static_cast<double>(user + kernel));
  }
  time.kernel_ns = time.total_ns - time.user_ns;
  return time;
}

CpuMeter::Reading CpuMeter::read(int pid) {
  Reading reading;
  clockid_t clock;
  if (clock_getcpuclockid(pid, &clock) != 0) die("process %d is gone", pid);
  reading.total_ns = read_clock(clock);

  const std::string path = "/proc/" + std::to_string(pid) + "/stat";
  std::FILE* file = std::fopen(path.c_str(), "re");
  if (file == nullptr) die("process %d is gone", pid);
  char text[1024];
  const std::size_t n = std::fread(text, 1, sizeof text - 1, file);
  std::fclose(file);
  text[n] = '\0';
  // proc(5): the command, field 2, may hold anything and ends at the last ')'; utime is field 14.
  const char* after_command = std::strrchr(text, ')');
  if (after_command == nullptr ||
      std::sscanf(after_command + 1,
                  " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %" SCNd64 " %" SCNd64,
                  &reading.user_ticks, &reading.kernel_ticks) != 2)
    die("cannot read %s", path.c_str());
  return reading;
}

}  // namespace sluice::bench
