// The loop with real fds: who is called, in which order, and what happens to those who go.
#include "common/event/event.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/socket.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "common/base/clock.h"

namespace sluice::event {
namespace {

using namespace std::chrono_literals;

struct Pair {
  Pair() {
    int ends[2];
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
    ours = UniqueFd(ends[0]);
    theirs = UniqueFd(ends[1]);
  }
  void say() { EXPECT_EQ(::send(theirs.get(), "x", 1, 0), 1); }
  UniqueFd ours, theirs;
};

/// Notes what happens to it, then does what the test wants.
struct Watcher {
  Loop& loop;
  Pair pair{};
  IoWatch watch{};
  Bits seen = 0;
  int calls = 0;
  std::function<void()> then{};

  void on_ready(Bits what) {
    seen |= what;
    ++calls;
    if (then) then();
  }
  void start(Bits interest, Trigger trigger = Trigger::level) {
    ASSERT_TRUE((watch.start<&Watcher::on_ready>(loop, pair.ours.get(), interest, this, trigger)));
  }
};

class EventTest : public testing::Test {
 protected:
  Loop loop = *Loop::create();
  Timer end;
  void on_end() { loop.stop(); }
  /// Runs until somebody stops the loop, or for so long.
  void run(std::chrono::microseconds most = 30ms) {
    end.once<&EventTest::on_end>(loop, most, this);
    loop.run();
    end.stop();
  }
};

TEST_F(EventTest, ReadsWhatIsThereAsLongAsItIsThere) {
  Watcher w{loop};
  w.start(kRead);
  run();
  EXPECT_EQ(w.calls, 0);
  w.pair.say();
  w.then = [&] {
    if (w.calls == 3) loop.stop();
  };
  run();
  EXPECT_EQ(w.calls, 3) << "level-triggered";
  EXPECT_EQ(w.seen, kRead);
}

TEST_F(EventTest, NewsAreToldOnce) {
  Watcher w{loop};
  w.start(kRead, Trigger::news);
  w.pair.say();
  run();
  EXPECT_EQ(w.calls, 1) << "though nobody has read it";
  w.pair.say();
  run();
  EXPECT_EQ(w.calls, 2);
}

TEST_F(EventTest, WhoLeavesBytesUnreadIsCalledAgain) {
  Watcher w{loop}, other{loop};
  w.start(kRead, Trigger::news);
  w.pair.say();
  w.then = [&] {
    if (w.calls < 3) w.watch.left_unread();
    if (w.calls == 1) other.pair.say();
  };
  other.start(kRead, Trigger::news);
  other.then = [&] { EXPECT_LT(w.calls, 3) << "others have their turn meanwhile"; };
  run();
  EXPECT_EQ(w.calls, 3);
  EXPECT_EQ(other.calls, 1);
}

TEST_F(EventTest, TheEndOfAStreamIsToldAsLongAsItLasts) {
  for (const bool with_bytes : {false, true}) {
    Watcher w{loop};
    w.start(kRead, Trigger::news);
    if (with_bytes) w.pair.say();
    ASSERT_EQ(::shutdown(w.pair.theirs.get(), SHUT_WR), 0);
    w.then = [&] {
      char byte;
      if (w.calls > 1 && ::recv(w.pair.ours.get(), &byte, 1, 0) == 0) w.watch.stop();
    };
    run();
    EXPECT_EQ(w.calls, with_bytes ? 3 : 2);
    EXPECT_FALSE(w.watch.active());
  }
}

TEST_F(EventTest, WhoWaitsToWriteIsToldByLevel) {
  Watcher w{loop};
  w.start(kRead | kWrite, Trigger::news);
  w.then = [&] {
    if (w.calls == 3) w.watch.want(kRead);
  };
  w.pair.say();
  run();
  EXPECT_EQ(w.calls, 4) << "and once for what is there when it waits for that alone";
}

TEST_F(EventTest, WhoIsToBeCalledAgainMayGo) {
  std::unique_ptr<Watcher> first(new Watcher{loop}), second(new Watcher{loop});
  int calls = 0;
  for (auto* one : {&first, &second}) {
    (*one)->start(kRead, Trigger::news);
    (*one)->pair.say();
    auto& other = one == &first ? second : first;
    (*one)->then = [&calls, &other, w = one->get()] {
      ++calls;
      if (w->calls == 1) return w->watch.left_unread();
      other.reset();
    };
  }
  run();
  EXPECT_EQ(calls, 3) << "both, and then only one of them";
}

TEST_F(EventTest, InterestChanges) {
  Watcher w{loop};
  w.start(0);
  w.pair.say();
  run();
  EXPECT_EQ(w.calls, 0);
  w.then = [&] { w.watch.want(0); };
  w.watch.want(kWrite);
  run();
  EXPECT_EQ(w.seen, kWrite);
  EXPECT_EQ(w.calls, 1);
  w.watch.want(kRead | kWrite);
  run();
  EXPECT_EQ(w.seen, kRead | kWrite);
}

TEST_F(EventTest, TheEndOfAConnectionIsReadable) {
  Watcher w{loop};
  w.start(kRead);
  w.pair.theirs.reset();
  w.then = [&] { loop.stop(); };
  run();
  EXPECT_EQ(w.seen, kRead);
}

TEST_F(EventTest, WithoutInterestAnErrorIsNobodysBusiness) {
  Watcher w{loop};
  w.start(kRead);
  w.watch.want(0);
  w.pair.theirs.reset();
  run();
  EXPECT_EQ(w.calls, 0);
}

/// Both are ready in one batch; whoever comes first takes the other away, its memory included.
TEST_F(EventTest, WhatHasComeForAWatchThatIsGoneReachesNobody) {
  std::unique_ptr<Watcher> a(new Watcher{loop}), b(new Watcher{loop});
  int calls = 0;
  a->then = [&] { ++calls, b.reset(); };
  b->then = [&] { ++calls, a.reset(); };
  a->start(kWrite);
  b->start(kWrite);
  Timer after;
  run(5ms);
  EXPECT_TRUE(!a || !b);
  EXPECT_GT(calls, 0);
}

struct Counter {
  Loop& loop;
  Timer timer{};
  int calls = 0;
  void on_time() { ++calls; }
  void on_last_time() {
    ++calls;
    loop.stop();
  }
};

TEST_F(EventTest, TimersRunOutOnceOrAgainAndAgain) {
  Counter once{loop}, every{loop}, never{loop};
  once.timer.once<&Counter::on_time>(loop, 1ms, &once);
  every.timer.every<&Counter::on_time>(loop, 2ms, &every);
  never.timer.once<&Counter::on_time>(loop, 1ms, &never);
  never.timer.stop();
  run(50ms);
  EXPECT_EQ(once.calls, 1);
  EXPECT_FALSE(once.timer.active());
  EXPECT_GT(every.calls, 3);
  EXPECT_LE(every.calls, 25);
  EXPECT_EQ(never.calls, 0);
}

TEST_F(EventTest, ATimerComesNotBeforeItsTime) {
  Counter c{loop};
  const auto start = monotonic_ns();
  c.timer.once<&Counter::on_last_time>(loop, 7ms, &c);
  run(10s);
  EXPECT_GE(monotonic_ns() - start, 7 * kMillisecondNs);
}

TEST_F(EventTest, ATimerMayStartItselfAgainAndStopOthers) {
  Counter other{loop};
  struct Again {
    Loop& loop;
    Counter& other;
    Timer timer{};
    int calls = 0;
    void on_time() {
      other.timer.stop();
      if (++calls < 3) timer.once<&Again::on_time>(loop, 0ms, this);
    }
  } again{loop, other};
  other.timer.once<&Counter::on_time>(loop, 1ms, &other);
  again.timer.once<&Again::on_time>(loop, 0ms, &again);
  run();
  EXPECT_EQ(again.calls, 3);
  EXPECT_EQ(other.calls, 0);
}

TEST_F(EventTest, SignalsComeInTheLoop) {
  struct Caught {
    Loop& loop;
    SignalWatch one{}, two{};
    int last = 0, calls = 0;
    void on_signal(int signal) {
      last = signal;
      if (++calls == 2) loop.stop();
    }
  } caught{loop};
  ASSERT_TRUE((caught.one.start<&Caught::on_signal>(loop, SIGUSR1, &caught)));
  ASSERT_TRUE((caught.two.start<&Caught::on_signal>(loop, SIGUSR2, &caught)));
  ::raise(SIGUSR1);
  ::raise(SIGUSR2);
  run();
  EXPECT_EQ(caught.calls, 2);
  EXPECT_NE(caught.last, 0);
}

}  // namespace
}  // namespace sluice::event
