// libbench_user_cycles.so, to be named in LD_PRELOAD: what a program computes between its system
// calls. It stands before libc's functions for the calls that a proxy makes while it relays, and
// reads the processor's time-stamp counter at the end of each call and at the start of the next.
// What it does itself falls into the call and not into the gap, but for reading the counter, some
// 40 cycles in each gap of every program. A call that is not here would be counted as part of a
// gap: gaps and what strace counts have to agree.
//
// The sums are in the file that SLUICE_BENCH_CYCLES names, which others may read at any time.
// For programs with one thread.

// With it libc's headers define some of these functions themselves.
#undef _FORTIFY_SOURCE

#include <dlfcn.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>

namespace sluice::bench {
namespace {

/// Longer ones held an interrupt or another process: ten times HAProxy's usual gap, and about what
/// the kernel's shortest interrupt takes.
constexpr uint64_t kLongestGap = 12'000;

/// The file. Source: harness/cycles.py reads it.
struct Counters {
  uint64_t per_second;  ///< the rate of the time-stamp counter
  uint64_t cycles;      ///< in all gaps that count
  uint64_t gaps;        ///< that count
  uint64_t left_out;    ///< gaps that were longer than kLongestGap
};

constinit Counters before_main{};  // what libraries do while they are loaded goes nowhere
constinit Counters* counters = &before_main;
constinit uint64_t last_return = 0;

/// All that stands before it in the program has been computed.
uint64_t now() {
  _mm_lfence();
  return __rdtsc();
}

template <class... Arguments>
long call(long number, Arguments... arguments) {
  const uint64_t gap = now() - last_return;
  if (gap <= kLongestGap) {
    counters->cycles += gap;
    ++counters->gaps;
  } else {
    ++counters->left_out;
  }
  const long result = ::syscall(number, arguments...);
  last_return = __rdtsc();
  return result;
}

uint64_t monotonic_ns() {
  timespec time{};
  clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<uint64_t>(time.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(time.tv_nsec);
}

/// Takes 50 ms.
uint64_t measured_rate() {
  const uint64_t cycles = now();
  const uint64_t start_ns = monotonic_ns();
  const timespec pause{.tv_nsec = 50'000'000};
  nanosleep(&pause, nullptr);
  const auto elapsed_ns = static_cast<double>(monotonic_ns() - start_ns);
  return static_cast<uint64_t>(static_cast<double>(now() - cycles) * 1e9 / elapsed_ns);
}

/// Before main: the program may lock itself in later, where it can open no file.
__attribute__((constructor)) void open_counters() {
  const char* path = std::getenv("SLUICE_BENCH_CYCLES");
  const int fd = path == nullptr ? -1 : open(path, O_RDWR | O_CLOEXEC);
  void* mapped = mmap(nullptr, sizeof(Counters), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (mapped == MAP_FAILED) {
    std::perror("SLUICE_BENCH_CYCLES");
    _exit(1);
  }
  close(fd);
  counters = static_cast<Counters*>(mapped);
  counters->per_second = measured_rate();
}

}  // namespace
}  // namespace sluice::bench

using sluice::bench::call;

extern "C" {

ssize_t read(int fd, void* to, size_t size) {
  return call(SYS_read, fd, to, size);
}
ssize_t write(int fd, const void* from, size_t size) {
  return call(SYS_write, fd, from, size);
}
ssize_t readv(int fd, const iovec* to, int count) {
  return call(SYS_readv, fd, to, count);
}
ssize_t writev(int fd, const iovec* from, int count) {
  return call(SYS_writev, fd, from, count);
}

ssize_t recv(int fd, void* to, size_t size, int flags) {
  return call(SYS_recvfrom, fd, to, size, flags, nullptr, nullptr);
}
ssize_t recvfrom(int fd, void* to, size_t size, int flags, sockaddr* sender, socklen_t* length) {
  return call(SYS_recvfrom, fd, to, size, flags, sender, length);
}
ssize_t recvmsg(int fd, msghdr* message, int flags) {
  return call(SYS_recvmsg, fd, message, flags);
}
ssize_t send(int fd, const void* from, size_t size, int flags) {
  return call(SYS_sendto, fd, from, size, flags, nullptr, 0);
}
ssize_t sendto(int fd, const void* from, size_t size, int flags, const sockaddr* receiver,
               socklen_t length) {
  return call(SYS_sendto, fd, from, size, flags, receiver, length);
}
ssize_t sendmsg(int fd, const msghdr* message, int flags) {
  return call(SYS_sendmsg, fd, message, flags);
}
ssize_t splice(int from, off64_t* from_offset, int to, off64_t* to_offset, size_t size,
               unsigned flags) {
  return call(SYS_splice, from, from_offset, to, to_offset, size, flags);
}

int epoll_wait(int epoll, epoll_event* events, int size, int timeout_ms) {
  return static_cast<int>(call(SYS_epoll_wait, epoll, events, size, timeout_ms));
}
int epoll_pwait(int epoll, epoll_event* events, int size, int timeout_ms, const sigset_t* mask) {
  constexpr size_t kKernelMaskSize = 8;
  return static_cast<int>(
      call(SYS_epoll_pwait, epoll, events, size, timeout_ms, mask, kKernelMaskSize));
}
int epoll_ctl(int epoll, int operation, int fd, epoll_event* event) noexcept {
  return static_cast<int>(call(SYS_epoll_ctl, epoll, operation, fd, event));
}

/// The time of day is read without the kernel, and so belongs to the gap; CPU time is asked of it.
int clock_gettime(clockid_t clock, timespec* time) noexcept {
  if (clock < 0 || clock == CLOCK_PROCESS_CPUTIME_ID || clock == CLOCK_THREAD_CPUTIME_ID)
    return static_cast<int>(call(SYS_clock_gettime, clock, time));
  static const auto of_libc =
      reinterpret_cast<decltype(&clock_gettime)>(dlsym(RTLD_NEXT, "clock_gettime"));
  return of_libc(clock, time);
}

int close(int fd) {
  return static_cast<int>(call(SYS_close, fd));
}
}
