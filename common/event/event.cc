#include "common/event/event.h"

#include <fmt/format.h>
#include <signal.h>
#include <sys/signalfd.h>

#include <algorithm>

#include "common/base/clock.h"

namespace sluice::event {

Result<Loop> Loop::create() {
  UniqueFd epoll(::epoll_create1(EPOLL_CLOEXEC));
  if (!epoll) return fail_errno("make an event loop");
  return Loop(std::move(epoll));
}

void Loop::run() {
  stopped_ = false;
  while (!stopped_) {
    size_ = ::epoll_wait(epoll_.get(), batch_.data(), kBatch, timeout_ms());
    ++turns_;
    for (at_ = 0; at_ < size_ && !stopped_; ++at_) {
      const auto& event = batch_[static_cast<std::size_t>(at_)];
      if (event.data.ptr == nullptr) continue;  // stopped by the handler of an earlier one
      if (event.data.ptr == this) {
        read_signals();
        continue;
      }
      auto* watch = static_cast<IoWatch*>(event.data.ptr);
      const bool broken = event.events & (EPOLLERR | EPOLLHUP);
      const Bits what = broken ? watch->interest_ : event.events & watch->interest_;
      if (what != 0) watch->call_(watch->self_, what);
    }
    size_ = 0;
    if (next_timer_ns_ != INT64_MAX) run_timers();
  }
}

bool Loop::control(int operation, int fd, Bits interest, IoWatch* watch) {
  epoll_event event{.events = interest, .data = {.ptr = watch}};
  return ::epoll_ctl(epoll_.get(), operation, fd, &event) == 0;
}

/// What has already come for a watch that is gone must not reach it.
void Loop::forget(const IoWatch& watch) {
  for (int i = at_ + 1; i < size_; ++i) {
    auto& event = batch_[static_cast<std::size_t>(i)];
    if (event.data.ptr == &watch) event.data.ptr = nullptr;
  }
}

int Loop::timeout_ms() const {
  if (stopped_) return 0;
  if (next_timer_ns_ == INT64_MAX) return -1;
  const int64_t left_ns = next_timer_ns_ - monotonic_ns();
  if (left_ns <= 0) return 0;
  return static_cast<int>(std::min<int64_t>(left_ns / kMillisecondNs + 1, INT32_MAX));
}

/// Timers are started and stopped by those that run: so one at a time, until none is due.
void Loop::run_timers() {
  const int64_t now_ns = monotonic_ns();
  for (;;) {
    const auto due = std::ranges::min_element(timers_, {}, &Timer::due_ns_);
    next_timer_ns_ = due == timers_.end() ? INT64_MAX : (*due)->due_ns_;
    if (next_timer_ns_ > now_ns || stopped_) return;
    Timer& timer = **due;
    const auto call = timer.call_;
    void* self = timer.self_;
    if (timer.interval_ns_ > 0)
      timer.due_ns_ = now_ns + timer.interval_ns_;
    else
      timer.stop();
    call(self);
  }
}

Result<> IoWatch::begin(Bits interest) {
  interest_ = interest;
  if (interest == 0 || loop_->control(EPOLL_CTL_ADD, fd_, interest, this)) return {};
  loop_ = nullptr;
  return fail_errno(fmt::format("watch fd {}", fd_));
}

void IoWatch::want(Bits interest) noexcept {
  if (interest == interest_ || loop_ == nullptr) return;
  // Without any interest an error would still be reported, again and again: so it leaves.
  const int operation = interest_ == 0  ? EPOLL_CTL_ADD
                        : interest == 0 ? EPOLL_CTL_DEL
                                        : EPOLL_CTL_MOD;
  loop_->control(operation, fd_, interest, this);
  interest_ = interest;
}

void IoWatch::stop() noexcept {
  if (loop_ == nullptr) return;
  if (interest_ != 0) loop_->control(EPOLL_CTL_DEL, fd_, 0, this);
  loop_->forget(*this);
  loop_ = nullptr;
  interest_ = 0;
}

void Timer::start(Loop& loop, std::chrono::microseconds after, std::chrono::microseconds interval,
                  void* self, void (*call)(void*)) {
  stop();
  loop_ = &loop;
  self_ = self;
  call_ = call;
  due_ns_ = monotonic_ns() + after.count() * 1000;
  interval_ns_ = interval.count() * 1000;
  loop.timers_.push_back(this);
  loop.next_timer_ns_ = std::min(loop.next_timer_ns_, due_ns_);
}

/// The loop may wake up once for nothing: next_timer_ns_ is looked at then.
void Timer::stop() noexcept {
  if (loop_ == nullptr) return;
  std::erase(loop_->timers_, this);
  loop_ = nullptr;
}

void Loop::read_signals() {
  signalfd_siginfo info;
  while (::read(signal_fd_.get(), &info, sizeof info) == sizeof info) {
    const auto signals = signals_;  // a handler may stop any of them
    for (SignalWatch* watch : signals) {
      const bool there = std::ranges::find(signals_, watch) != signals_.end();
      if (there && watch->signal_ == static_cast<int>(info.ssi_signo))
        watch->call_(watch->self_, watch->signal_);
    }
  }
}

Result<> SignalWatch::begin(Loop& loop, int signal) {
  sigset_t all;
  sigemptyset(&all);
  sigaddset(&all, signal);
  for (const SignalWatch* other : loop.signals_) sigaddset(&all, other->signal_);
  ::pthread_sigmask(SIG_BLOCK, &all, nullptr);
  const bool first = !loop.signal_fd_;
  const int fd = ::signalfd(loop.signal_fd_.get(), &all, SFD_NONBLOCK | SFD_CLOEXEC);
  if (fd < 0) return fail_errno("watch signals");
  if (first) {
    loop.signal_fd_ = UniqueFd(fd);
    epoll_event event{.events = kRead, .data = {.ptr = &loop}};
    if (::epoll_ctl(loop.epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0)
      return fail_errno("watch signals");
  }
  loop_ = &loop;
  signal_ = signal;
  loop.signals_.push_back(this);
  return {};
}

void SignalWatch::stop() noexcept {
  if (loop_ == nullptr) return;
  std::erase(loop_->signals_, this);
  loop_ = nullptr;
}

}  // namespace sluice::event
