// The watch over one server: a thread that asks on the cluster's interval, and where the server has
// a host name, a second one that resolves it. Both only post notes. Neither is ever joined: stop()
// tells them to go and returns at once, whatever a dead server or name service lets them wait for.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>

#include "common/config/config.h"
#include "monitor/mailbox.h"

namespace sluice::monitor {

/// What the threads of a watcher share with each other; they hold it together with their owner.
class WatchShared {
 public:
  WatchShared(uint64_t watcher, const config::Cluster& watched_cluster,
              const config::Server& watched, std::shared_ptr<Mailbox> where,
              std::shared_ptr<StopSignal> when)
      : id(watcher),
        cluster(watched_cluster),
        server(watched),
        mailbox(std::move(where)),
        stop(std::move(when)) {}

  const uint64_t id;
  const config::Cluster cluster;  ///< account, topology and interval; its servers don't matter here
  const config::Server server;
  const std::shared_ptr<Mailbox> mailbox;
  const std::shared_ptr<StopSignal> stop;

  void set_addresses(std::vector<cluster::Address> addresses, std::string error);
  /// The last good addresses, or why there are none yet.
  tl::expected<std::vector<cluster::Address>, std::string> addresses();

 private:
  std::mutex mutex_;
  std::vector<cluster::Address> addresses_;
  std::string resolve_error_;
};

class Watcher {
 public:
  /// Starts the threads. `id` is on every note that they post.
  static Result<Watcher> start(uint64_t id, const config::Cluster& cluster,
                               const config::Server& server, std::shared_ptr<Mailbox> mailbox);
  Watcher(Watcher&&) = default;
  Watcher& operator=(Watcher&& other) noexcept {
    std::swap(shared_, other.shared_);
    return *this;
  }
  ~Watcher();

  uint64_t id() const { return shared_->id; }
  const config::Endpoint& address() const { return shared_->server.address; }
  /// Whether this watcher does what one for these settings would do.
  bool serves(const config::Cluster& cluster, const config::Server& server) const;

 private:
  explicit Watcher(std::shared_ptr<WatchShared> shared) : shared_(std::move(shared)) {}
  std::shared_ptr<WatchShared> shared_;
};

/// The address in a server's configuration where nothing has to be resolved: a numeric IP or a Unix
/// socket. Nothing for a host name.
std::optional<cluster::Address> numeric_address(const config::Endpoint& endpoint);

}  // namespace sluice::monitor
