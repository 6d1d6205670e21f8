// RAII over libevent's core: the loop, readiness of an fd, timers, signals. Callbacks are member
// functions known at compile time, never closures: what they work on lives in `self`, where it can
// be found, printed and handed over. The event structs lie inside their owners (no allocation).
#pragma once

#include <event2/event.h>
#include <event2/event_struct.h>

#include <chrono>
#include <memory>

#include "common/base/result.h"

namespace sluice::event {

/// One event loop. Everything registered with it must die before it.
class Loop {
 public:
  static Result<Loop> create();
  event_base* base() const { return base_.get(); }
  /// Runs until stop() or until nothing is left to wait for.
  void run() { event_base_dispatch(base_.get()); }
  void stop() { event_base_loopbreak(base_.get()); }

 private:
  struct Free {
    void operator()(event_base* base) const noexcept { event_base_free(base); }
  };
  explicit Loop(event_base* base) : base_(base) {}
  std::unique_ptr<event_base, Free> base_;
};

/// What the three kinds of watches share: an event that leaves its loop when it goes.
class Watch {
 public:
  Watch() { event_.ev_base = nullptr; }
  Watch(const Watch&) = delete;  // libevent keeps the address
  Watch& operator=(const Watch&) = delete;
  ~Watch() { stop(); }
  void stop() noexcept {
    if (event_.ev_base != nullptr) event_del(&event_);
    event_.ev_base = nullptr;
  }
  bool active() const { return event_.ev_base != nullptr; }

 protected:
  struct event event_ {};
};

/// Readiness of one fd, level-triggered. The fd belongs to the caller and must outlive the watch.
class IoWatch : public Watch {
 public:
  /// Calls (self->*Method)(what) with EV_READ and EV_WRITE bits. `interest` may change later.
  template <auto Method, class T>
  Result<> start(Loop& loop, int fd, short interest, T* self) {
    stop();
    interest_ = interest;
    if (event_assign(&event_, loop.base(), fd, static_cast<short>(interest | EV_PERSIST),
                     &call<Method, T>, self) != 0 ||
        (interest != 0 && event_add(&event_, nullptr) != 0))
      return broken(fd);
    return {};
  }
  /// Changes what is waited for; 0 waits for nothing. Costs a system call only when it differs.
  void want(short interest) noexcept {
    if (interest == interest_ || !active()) return;
    if (interest_ != 0) event_del(&event_);
    interest_ = interest;
    if (interest == 0) return;
    event_assign(&event_, event_.ev_base, static_cast<int>(event_.ev_fd),
                 static_cast<short>(interest | EV_PERSIST), event_get_callback(&event_),
                 event_get_callback_arg(&event_));
    event_add(&event_, nullptr);
  }
  short interest() const { return interest_; }

 private:
  template <auto Method, class T>
  static void call(evutil_socket_t, short what, void* self) noexcept {
    (static_cast<T*>(self)->*Method)(what);
  }
  static tl::unexpected<Error> broken(int fd);
  short interest_ = 0;
};

/// A timer; runs out once or again and again.
class Timer : public Watch {
 public:
  template <auto Method, class T>
  void once(Loop& loop, std::chrono::microseconds after, T* self) {
    start<Method>(loop, after, 0, self);
  }
  template <auto Method, class T>
  void every(Loop& loop, std::chrono::microseconds interval, T* self) {
    start<Method>(loop, interval, EV_PERSIST, self);
  }

 private:
  template <auto Method, class T>
  void start(Loop& loop, std::chrono::microseconds time, short flags, T* self) {
    stop();
    event_assign(&event_, loop.base(), -1, flags, &call<Method, T>, self);
    const timeval tv{static_cast<time_t>(time.count() / 1'000'000),
                     static_cast<suseconds_t>(time.count() % 1'000'000)};
    event_add(&event_, &tv);
  }
  template <auto Method, class T>
  static void call(evutil_socket_t, short, void* self) noexcept {
    (static_cast<T*>(self)->*Method)();
  }
};

/// A signal, delivered in the loop.
class SignalWatch : public Watch {
 public:
  template <auto Method, class T>
  void start(Loop& loop, int signal, T* self) {
    stop();
    event_assign(&event_, loop.base(), signal, EV_SIGNAL | EV_PERSIST, &call<Method, T>, self);
    event_add(&event_, nullptr);
  }

 private:
  template <auto Method, class T>
  static void call(evutil_socket_t signal, short, void* self) noexcept {
    (static_cast<T*>(self)->*Method)(static_cast<int>(signal));
  }
};

}  // namespace sluice::event
