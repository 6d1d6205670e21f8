#include "monitor/resolver.h"

#include <gtest/gtest.h>
#include <poll.h>

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <set>

#include "monitor/host_name.h"

namespace sluice::monitor {
namespace {

using Lookup = NameCache::Lookup;

constexpr int64_t kNow = 1000 * kSecondNs;

TEST(NameCache, KeepsANameForAMinuteAndNoNameForSeconds) {
  NameCache cache;
  EXPECT_FALSE(cache.known("10.0.0.1", kNow));
  EXPECT_EQ(cache.ask("10.0.0.1", kNow), Lookup::begin);
  const auto named = cache.found("10.0.0.1", "web1", kNow);
  EXPECT_EQ(named.name, "web1");
  EXPECT_EQ(named.until_ns, kNow + 60 * kSecondNs);
  EXPECT_EQ(cache.found("10.0.0.2", "", kNow).until_ns, kNow + 5 * kSecondNs);

  EXPECT_EQ(cache.known("10.0.0.1", kNow + 60 * kSecondNs - 1)->name, "web1");
  EXPECT_FALSE(cache.known("10.0.0.1", kNow + 60 * kSecondNs));
  EXPECT_EQ(cache.known("10.0.0.2", kNow + 5 * kSecondNs - 1)->name, "");
  EXPECT_FALSE(cache.known("10.0.0.2", kNow + 5 * kSecondNs));
}

TEST(NameCache, RequestsForOneAddressJoin) {
  NameCache cache;
  EXPECT_EQ(cache.ask("10.0.0.1", kNow), Lookup::begin);
  EXPECT_EQ(cache.ask("10.0.0.1", kNow + 1), Lookup::joined);
  EXPECT_EQ(cache.ask("10.0.0.2", kNow), Lookup::begin);
  cache.found("10.0.0.1", "web1", kNow);
  EXPECT_EQ(cache.ask("10.0.0.1", kNow + 1), Lookup::begin) << "the one before is over";
}

TEST(NameCache, AtTheDeadlineThereIsNoName) {
  NameCache cache;
  cache.ask("10.0.0.1", kNow);
  cache.ask("10.0.0.2", kNow + kSecondNs);
  EXPECT_TRUE(cache.overdue(kNow + 2 * kSecondNs - 1).empty());
  const auto late = cache.overdue(kNow + 2 * kSecondNs);
  ASSERT_EQ(late.size(), 1u);
  EXPECT_EQ(late[0].ip, "10.0.0.1");
  EXPECT_EQ(late[0].name, "");
  EXPECT_EQ(cache.known("10.0.0.1", kNow + 2 * kSecondNs)->name, "");
  EXPECT_EQ(cache.found("10.0.0.1", "web1", kNow + 3 * kSecondNs).name, "web1") << "better late";
  EXPECT_EQ(cache.known("10.0.0.1", kNow + 3 * kSecondNs)->name, "web1");
  EXPECT_EQ(cache.overdue(kNow + 4 * kSecondNs).size(), 1u);
}

TEST(NameCache, IsBounded) {
  NameCache cache;
  for (std::size_t i = 0; i < NameCache::kMaxWaiting; ++i)
    EXPECT_EQ(cache.ask(std::to_string(i), kNow), Lookup::begin);
  EXPECT_EQ(cache.ask("one more", kNow), Lookup::refused);
  EXPECT_EQ(cache.ask("7", kNow), Lookup::joined);

  for (std::size_t i = 0; i < 3 * NameCache::kMaxEntries; ++i) {
    cache.found(std::to_string(i), "web", kNow);
    cache.found("often", "web", kNow);  // what changes often is neither lost nor a burden
  }
  EXPECT_LE(cache.size(), NameCache::kMaxEntries);
  EXPECT_TRUE(cache.known("often", kNow));
  EXPECT_TRUE(cache.known(std::to_string(3 * NameCache::kMaxEntries - 1), kNow));
  EXPECT_FALSE(cache.known("0", kNow)) << "the oldest go first";
}

// Threads.

/// A name service that answers when the test lets it.
struct NameService {
  std::mutex mutex;
  std::condition_variable changed;
  std::set<std::string> hanging;  ///< addresses whose lookup does not end
  int lookups = 0;

  static NameService& get() {
    static NameService service;  // outlives the threads, which are never joined
    return service;
  }
  static std::string look_up(const std::string& ip) {
    auto& self = get();
    std::unique_lock lock(self.mutex);
    ++self.lookups;
    self.changed.notify_all();
    self.changed.wait(lock, [&] { return !self.hanging.contains(ip); });
    return "name-of-" + ip;
  }
  void hang(std::set<std::string> ips) {
    const std::lock_guard lock(mutex);
    hanging = std::move(ips);
    changed.notify_all();
  }
  int count() {
    const std::lock_guard lock(mutex);
    return lookups;
  }
  void wait_until_begun(int count) {
    std::unique_lock lock(mutex);
    changed.wait_for(lock, std::chrono::seconds(10), [&] { return lookups >= count; });
  }
};

class ResolverTest : public testing::Test {
 protected:
  ~ResolverTest() override { NameService::get().hang({}); }

  /// What the threads post until `count` lookups are over; fewer after ten seconds.
  std::vector<ipc::NameResolved> results(std::size_t count) {
    std::vector<ipc::NameResolved> out;
    pollfd ready{mailbox_->fd(), POLLIN, 0};
    while (out.size() < count && ::poll(&ready, 1, 10'000) > 0)
      for (auto& note : mailbox_->take())
        out.push_back(resolver_.take(std::move(std::get<NameFound>(note.what)), kNow));
    return out;
  }

  std::shared_ptr<Mailbox> mailbox_ = Mailbox::create().value();
  Resolver resolver_ = Resolver::start(0, mailbox_, NameService::look_up).value();
};

TEST_F(ResolverTest, AnswersFromTheCacheOnceItKnows) {
  const int before = NameService::get().count();
  EXPECT_FALSE(resolver_.ask("10.0.0.1", kNow));
  EXPECT_FALSE(resolver_.ask("10.0.0.1", kNow));
  const auto found = results(1);
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].name, "name-of-10.0.0.1");
  EXPECT_EQ(resolver_.ask("10.0.0.1", kNow)->name, "name-of-10.0.0.1");
  EXPECT_EQ(NameService::get().count() - before, 1) << "the two joined";
}

TEST_F(ResolverTest, ALookupThatHangsDelaysNoOther) {
  NameService::get().hang({"10.0.0.1"});
  EXPECT_FALSE(resolver_.ask("10.0.0.1", kNow));
  EXPECT_FALSE(resolver_.ask("10.0.0.2", kNow));
  const auto found = results(1);
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].ip, "10.0.0.2");
}

TEST_F(ResolverTest, WhenAllHangTheAnswerIsNoNameAndNothingPilesUp) {
  const int before = NameService::get().count();
  std::set<std::string> ips;
  for (int i = 0; i < 50; ++i) ips.insert("10.0.0." + std::to_string(i));
  NameService::get().hang(ips);
  for (const auto& ip : ips) EXPECT_FALSE(resolver_.ask(ip, kNow));
  NameService::get().wait_until_begun(before + Resolver::kThreads);
  EXPECT_TRUE(resolver_.overdue(kNow + kSecondNs).empty());
  EXPECT_EQ(resolver_.overdue(kNow + 2 * kSecondNs).size(), ips.size());

  NameService::get().hang({});
  EXPECT_EQ(results(Resolver::kThreads).size(), static_cast<std::size_t>(Resolver::kThreads));
  EXPECT_FALSE(resolver_.ask("10.0.1.1", kNow));
  EXPECT_EQ(results(1).at(0).ip, "10.0.1.1") << "the threads are free, and the queue is empty";
  EXPECT_LE(NameService::get().count() - before, Resolver::kThreads + 1);
}

TEST_F(ResolverTest, GoesAtOnceThoughItsThreadsHang) {
  NameService::get().hang({"10.0.0.1"});
  Resolver other = Resolver::start(0, Mailbox::create().value(), NameService::look_up).value();
  EXPECT_FALSE(other.ask("10.0.0.1", kNow));
}

// The lookup itself; what needs a name service is in tests/e2e/names_test.cc.

TEST(ConfirmedHostName, WhatNeedsNoNameService) {
  EXPECT_EQ(confirmed_host_name("127.0.0.1"), "localhost");
  EXPECT_EQ(confirmed_host_name("::1"), "localhost");
  EXPECT_EQ(confirmed_host_name("::ffff:127.0.0.1"), "localhost");
  for (const char* bad : {"", "localhost", "10.0.0", "10.0.0.1.2", "1:2", "10.0.0.1 "})
    EXPECT_EQ(confirmed_host_name(bad), "") << bad;
}

}  // namespace
}  // namespace sluice::monitor
