// Keeps the accounts of one cluster fresh: a thread with a connection of its own loads the grant
// tables at the start, on the cluster's interval and on request, at most once a second. Requests in
// between, and while a load runs, collapse into the next load. Like a Watcher it only posts notes
// and is never joined.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "common/config/config.h"
#include "monitor/mailbox.h"

namespace sluice::monitor {

/// Where accounts can be loaded from now, the best first.
struct AccountsSource {
  config::Server server;
  std::vector<cluster::Address> addresses;
  bool operator==(const AccountsSource&) const = default;
};

/// When the next load is due. Pure, so that the rules can be tested without waiting.
class LoadSchedule {
 public:
  static constexpr int64_t kPauseNs = 1'000'000'000;  ///< from the start of one load to the next

  /// Somebody waits for a load that begins after now.
  void request() { requested_ = true; }
  bool requested() const { return requested_; }
  /// What is to be loaded from has changed: load as soon as allowed.
  void expedite() { hurried_ = true; }
  /// When to load next, given the interval; INT64_MIN before the first load.
  int64_t due_ns(int64_t interval_ns) const;
  /// A load begins. Returns whether somebody waits for it.
  bool begin(int64_t now_ns);

 private:
  std::optional<int64_t> began_ns_;
  bool requested_ = false, hurried_ = false;
};

class AccountsWatch {
 public:
  /// Starts the thread; it waits for sources. `id` is on every note that it posts.
  static Result<AccountsWatch> start(uint64_t id, std::shared_ptr<Mailbox> mailbox);
  AccountsWatch(AccountsWatch&&) = default;
  AccountsWatch& operator=(AccountsWatch&& other) noexcept {
    std::swap(shared_, other.shared_);
    return *this;
  }
  ~AccountsWatch();

  uint64_t id() const;
  /// Whom to be, how often to load and from where. Costs nothing if nothing changed.
  void configure(const config::Cluster& cluster, std::vector<AccountsSource> sources);
  /// Load now, or as soon as a second has passed; the note will say `requested`. Where there is no
  /// source it says so at once.
  void request();

  struct Shared;

 private:
  explicit AccountsWatch(std::shared_ptr<Shared> shared) : shared_(std::move(shared)) {}
  std::shared_ptr<Shared> shared_;
};

}  // namespace sluice::monitor
