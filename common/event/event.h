// The event loop: readiness of an fd, timers, signals, over epoll(7). Callbacks are member
// functions known at compile time, never closures: what they work on lives in `self`, where it can
// be found, printed and handed over. Nothing is allocated for an event, and nothing but the call
// stands between the kernel's word and its handler (man/decisions/0003).
#pragma once

#include <sys/epoll.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <utility>
#include <vector>

#include "common/base/result.h"
#include "common/base/unique_fd.h"

namespace sluice::event {

/// What is waited for, or has come: bits of these.
using Bits = uint32_t;
inline constexpr Bits kRead = EPOLLIN;
inline constexpr Bits kWrite = EPOLLOUT;

class IoWatch;
class Timer;
class SignalWatch;

/// One event loop, for one thread. Everything registered with it must die before it.
class Loop {
 public:
  static Result<Loop> create();
  Loop(Loop&&) = default;

  /// Runs until stop(), which is for the end of a process: news that have come in the same turn are
  /// told to nobody any more.
  void run();
  void stop() { stopped_ = true; }
  /// How often it has waited for events: what is read once for all that came together depends on
  /// it.
  uint64_t turns() const { return turns_; }

 private:
  friend class IoWatch;
  friend class Timer;
  friend class SignalWatch;
  static constexpr int kBatch =
      64;  ///< events taken at a time; who comes next has not long to wait

  /// What an event is about, if it is not one of a watch, whose address it has then.
  enum Own : uint64_t { kGone, kClock, kSignals };

  Loop(UniqueFd epoll, UniqueFd clock) : epoll_(std::move(epoll)), clock_(std::move(clock)) {}
  bool add_own(int fd, Own what);
  bool control(int operation, int fd, Bits interest, IoWatch* watch);
  void forget(const IoWatch& watch);
  void call_again();
  void set_clock();
  void run_timers();
  void read_signals();

  UniqueFd epoll_, clock_;
  std::array<epoll_event, kBatch> batch_{};
  int at_ = 0, size_ = 0;        ///< of the batch: the event in hand, and how many there are
  std::vector<IoWatch*> again_;  ///< to be called in the next turn: they have left bytes unread
  std::vector<IoWatch*> due_;    ///< those of them that this turn has not called yet
  uint64_t turns_ = 0;
  bool stopped_ = false;
  std::vector<Timer*> timers_;  ///< a handful: looked through
  int64_t next_timer_ns_ = INT64_MAX;
  int64_t set_ns_ = INT64_MAX;  ///< when the clock runs out
  UniqueFd signal_fd_;
  std::vector<SignalWatch*> signals_;
};

/// How readiness is told.
enum class Trigger : uint8_t {
  level,  ///< as long as it lasts
  /// Once for what has come, which saves the kernel a look at each socket for each event: only for
  /// a stream whose handler calls left_unread() whenever it may not have read all there was: a read
  /// that fills its buffer. (One that doesn't has read all, but for what is behind urgent data, or
  /// behind a file descriptor in a Unix socket: such a peer waits till it sends more.) The end of
  /// the stream is told as long as it lasts. Waiting to write, too, is told by level.
  news,
};

/// Readiness of one fd. The fd belongs to the caller and must outlive the watch.
class IoWatch {
 public:
  IoWatch() = default;
  IoWatch(const IoWatch&) = delete;  // the kernel keeps the address
  IoWatch& operator=(const IoWatch&) = delete;
  ~IoWatch() { stop(); }

  /// Calls (self->*Method)(what) with bits of `interest`; an error or the end of the connection
  /// counts as whatever is waited for. `interest` may change later.
  template <auto Method, class T>
  Result<> start(Loop& loop, int fd, Bits interest, T* self, Trigger trigger = Trigger::level) {
    stop();
    loop_ = &loop;
    fd_ = fd;
    trigger_ = trigger;
    ended_ = false;
    self_ = self;
    call_ = [](void* object, Bits what) { (static_cast<T*>(object)->*Method)(what); };
    return begin(interest);
  }
  /// Changes what is waited for; 0 waits for nothing. Costs a system call only when it differs.
  void want(Bits interest) noexcept;
  /// From the handler, with Trigger::news: there may be more to read, so it is called once more.
  void left_unread();
  void stop() noexcept;
  bool active() const { return loop_ != nullptr; }
  Bits interest() const { return interest_; }

 private:
  friend class Loop;
  Result<> begin(Bits interest);
  void tell_end();

  Loop* loop_ = nullptr;
  void* self_ = nullptr;
  void (*call_)(void*, Bits) = nullptr;
  int fd_ = -1;
  Bits interest_ = 0;
  Trigger trigger_ = Trigger::level;
  bool ended_ = false;  ///< the stream's end has come, and is told from here on
  bool again_ = false;  ///< stands in the loop's list of that name
};

/// A timer; runs out once or again and again.
class Timer {
 public:
  Timer() = default;
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;
  ~Timer() { stop(); }

  template <auto Method, class T>
  void once(Loop& loop, std::chrono::microseconds after, T* self) {
    start(loop, after, {}, self, [](void* object) { (static_cast<T*>(object)->*Method)(); });
  }
  template <auto Method, class T>
  void every(Loop& loop, std::chrono::microseconds interval, T* self) {
    start(loop, interval, interval, self,
          [](void* object) { (static_cast<T*>(object)->*Method)(); });
  }
  void stop() noexcept;
  bool active() const { return loop_ != nullptr; }

 private:
  friend class Loop;
  void start(Loop& loop, std::chrono::microseconds after, std::chrono::microseconds interval,
             void* self, void (*call)(void*));

  Loop* loop_ = nullptr;
  void* self_ = nullptr;
  void (*call_)(void*) = nullptr;
  int64_t due_ns_ = 0, interval_ns_ = 0;
};

/// A signal, delivered in the loop. From the first watch on it is blocked otherwise, in this thread
/// and in those that it starts later.
class SignalWatch {
 public:
  SignalWatch() = default;
  SignalWatch(const SignalWatch&) = delete;
  SignalWatch& operator=(const SignalWatch&) = delete;
  ~SignalWatch() { stop(); }

  template <auto Method, class T>
  Result<> start(Loop& loop, int signal, T* self) {
    stop();
    self_ = self;
    call_ = [](void* object, int number) { (static_cast<T*>(object)->*Method)(number); };
    return begin(loop, signal);
  }
  void stop() noexcept;

 private:
  friend class Loop;
  Result<> begin(Loop& loop, int signal);

  Loop* loop_ = nullptr;
  void* self_ = nullptr;
  void (*call_)(void*, int) = nullptr;
  int signal_ = 0;
};

}  // namespace sluice::event
