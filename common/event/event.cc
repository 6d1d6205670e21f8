#include "common/event/event.h"

#include <fmt/format.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>

#include <algorithm>

#include "common/base/clock.h"

namespace sluice::event {

Result<Loop> Loop::create() {
  UniqueFd epoll(::epoll_create1(EPOLL_CLOEXEC));
  if (!epoll) return fail_errno("make an event loop");
  UniqueFd clock(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
  if (!clock) return fail_errno("make a timer");
  Loop loop(std::move(epoll), std::move(clock));
  if (!loop.add_own(loop.clock_.get(), kClock)) return fail_errno("watch a timer");
  return loop;
}

void Loop::run() {
  stopped_ = false;
  while (!stopped_) {
    if (set_ns_ != next_timer_ns_) set_clock();
    size_ = ::epoll_wait(epoll_.get(), batch_.data(), kBatch, again_.empty() ? -1 : 0);
    ++turns_;
    bool timers_due = false;
    for (at_ = 0; at_ < size_ && !stopped_; ++at_) {
      const auto& event = batch_[static_cast<std::size_t>(at_)];
      if (event.data.u64 <= kSignals) {
        timers_due |= event.data.u64 == kClock;
        if (event.data.u64 == kSignals) read_signals();
        continue;
      }
      auto* watch = static_cast<IoWatch*>(event.data.ptr);
      const bool broken = event.events & (EPOLLERR | EPOLLHUP);
      const Bits what = broken ? watch->interest_ : event.events & watch->interest_;
      if (broken || event.events & EPOLLRDHUP) watch->tell_end();
      if (what != 0) watch->call_(watch->self_, what);
    }
    size_ = 0;
    if (!again_.empty()) call_again();
    if (timers_due) run_timers();
  }
}

bool Loop::add_own(int fd, Own what) {
  epoll_event event{.events = kRead, .data = {.u64 = what}};
  return ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) == 0;
}

bool Loop::control(int operation, int fd, Bits interest, IoWatch* watch) {
  const bool news = watch->trigger_ == Trigger::news && interest == kRead;
  epoll_event event{.events = news ? interest | EPOLLRDHUP | EPOLLET : interest,
                    .data = {.ptr = watch}};
  return ::epoll_ctl(epoll_.get(), operation, fd, &event) == 0;
}

/// What has already come for a watch that is gone must not reach it.
void Loop::forget(const IoWatch& watch) {
  for (int i = at_ + 1; i < size_; ++i) {
    auto& event = batch_[static_cast<std::size_t>(i)];
    if (event.data.ptr == &watch) event.data.u64 = kGone;
  }
  std::ranges::replace(again_, &watch, nullptr);
  std::ranges::replace(due_, &watch, nullptr);
}

/// Those that are asked for while it runs have the next turn.
void Loop::call_again() {
  std::swap(due_, again_);
  for (std::size_t i = 0; i < due_.size() && !stopped_; ++i) {
    IoWatch* watch = std::exchange(due_[i], nullptr);
    if (watch == nullptr) continue;
    watch->again_ = false;
    if (watch->interest_ != kRead) continue;  // told by level then
    if (watch->ended_) watch->left_unread();
    watch->call_(watch->self_, kRead);
  }
  due_.clear();
}

/// Setting it takes back that it has run out. The kernel need not be given a time with each wait,
/// nor be asked for it.
void Loop::set_clock() {
  itimerspec due{};
  if (next_timer_ns_ != INT64_MAX) {
    const auto at_ns = std::max<int64_t>(next_timer_ns_, 1);  // 0 would stop it
    due.it_value = {at_ns / kSecondNs, at_ns % kSecondNs};
  }
  ::timerfd_settime(clock_.get(), TFD_TIMER_ABSTIME, &due, nullptr);
  set_ns_ = next_timer_ns_;
}

/// Timers are started and stopped by those that run: so one at a time, until none is due.
void Loop::run_timers() {
  set_ns_ = 0;
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

void IoWatch::left_unread() {
  if (trigger_ == Trigger::level || again_ || loop_ == nullptr) return;
  again_ = true;
  loop_->again_.push_back(this);
}

void IoWatch::tell_end() {
  ended_ = true;
  left_unread();
}

void IoWatch::stop() noexcept {
  if (loop_ == nullptr) return;
  if (interest_ != 0) loop_->control(EPOLL_CTL_DEL, fd_, 0, this);
  loop_->forget(*this);
  loop_ = nullptr;
  interest_ = 0;
  again_ = false;
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
    if (!loop.add_own(fd, Loop::kSignals)) return fail_errno("watch signals");
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
