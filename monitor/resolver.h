// The names of clients' addresses: a few threads ask the name service, the main thread keeps what
// they found. Nobody ever waits for a lookup: each has a deadline that is seen from outside. One
// that hangs occupies its thread and nothing else; when all of them hang, answers are "no name"
// after the deadline. Like a Watcher's, the threads only post notes and are never joined.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "common/base/clock.h"
#include "common/ipc/messages.h"
#include "monitor/mailbox.h"

namespace sluice::monitor {

/// What is known and who waits, without threads and clock, so that the rules can be tested without
/// waiting.
class NameCache {
 public:
  static constexpr int64_t kDeadlineNs = 2 * kSecondNs;  ///< for a lookup
  static constexpr int64_t kKeepNs = 60 * kSecondNs;     ///< a name
  static constexpr int64_t kKeepNoneNs = 5 * kSecondNs;  ///< that there is none
  static constexpr std::size_t kMaxEntries = 10'000;     ///< names; the oldest go first
  static constexpr std::size_t kMaxWaiting = 1'000;      ///< lookups that are under way

  /// What is known of the address, or nothing.
  std::optional<ipc::NameResolved> known(const std::string& ip, int64_t now_ns) const;

  /// Somebody wants to know: a lookup has to begin, is under way (found() or overdue() will tell),
  /// or there are too many.
  enum class Lookup : uint8_t { begin, joined, refused };
  Lookup ask(const std::string& ip, int64_t now_ns);

  /// A lookup has ended, perhaps long after its deadline.
  ipc::NameResolved found(const std::string& ip, std::string name, int64_t now_ns);
  /// The lookups whose deadline has passed: they count as "no name".
  std::vector<ipc::NameResolved> overdue(int64_t now_ns);

  std::size_t size() const { return entries_.size(); }

 private:
  struct Entry {
    std::string name;
    int64_t until_ns = 0;
    uint64_t age = 0;  ///< number of the entry's last change
  };
  ipc::NameResolved keep(const std::string& ip, std::string name, int64_t now_ns);

  std::unordered_map<std::string, Entry> entries_;
  std::deque<std::pair<uint64_t, std::string>> order_;  ///< changes of entries, the oldest first
  uint64_t changes_ = 0;
  std::unordered_map<std::string, int64_t> waiting_;  ///< since when
};

class Resolver {
 public:
  using LookUp = std::string (*)(const std::string& ip);
  static constexpr int kThreads = 4;

  /// Starts the threads. `id` is on every note that they post; `look_up` may block for ever.
  static Result<Resolver> start(uint64_t id, std::shared_ptr<Mailbox> mailbox, LookUp look_up);
  Resolver(Resolver&&) = default;
  Resolver& operator=(Resolver&& other) noexcept {
    std::swap(shared_, other.shared_);
    std::swap(cache_, other.cache_);
    return *this;
  }
  ~Resolver();

  uint64_t id() const;
  /// The answer if it is known; else it comes from take() or overdue().
  std::optional<ipc::NameResolved> ask(const std::string& ip, int64_t now_ns);
  std::optional<ipc::NameResolved> known(const std::string& ip, int64_t now_ns) const {
    return cache_.known(ip, now_ns);
  }
  ipc::NameResolved take(NameFound found, int64_t now_ns);
  std::vector<ipc::NameResolved> overdue(int64_t now_ns);

  struct Shared;

 private:
  explicit Resolver(std::shared_ptr<Shared> shared) : shared_(std::move(shared)) {}
  std::shared_ptr<Shared> shared_;
  NameCache cache_;
};

}  // namespace sluice::monitor
