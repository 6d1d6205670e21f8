// Counters shared by the master and all workers: one page of memory, a lane for each worker,
// written with relaxed atomics by its owner alone. Readers add up the lanes and never bother a
// worker. When a worker dies the master adds its totals to lane 0 and clears the lane, so nothing
// is lost but the connections that died with it.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include "common/base/result.h"
#include "common/base/unique_fd.h"
#include "common/stats/last_writes.h"
#include "common/stats/login_guard.h"
#include "common/stats/pins.h"
#include "common/stats/routes.h"

namespace sluice::stats {

inline constexpr uint32_t kLanes = 256;  ///< lane 0: workers that are gone
inline constexpr uint32_t kServices = 512;
inline constexpr uint32_t kServers = 1024;

using Counter = std::atomic<uint64_t>;
static_assert(Counter::is_always_lock_free);

/// The pool of a service: what goes up and down, but for the three that say something else.
struct PoolCounters {
  Counter open;                     ///< server connections that its sessions keep
  Counter waiting;                  ///< commands that wait for one
  Counter lent;                     ///< only up: connections that a session gave up for another one
  Counter waited;                   ///< only up: commands that had to wait
  Counter refused;                  ///< only up: commands that waited in vain
  std::array<Counter, kPins> pins;  ///< sessions that can't lend, by Pin
};
/// `open` goes up and down; everything else only up.
struct ServiceCounters {
  Counter open;  ///< client connections now
  Counter accepted;
  Counter logins;   ///< that ended in the client's OK
  Counter refused;  ///< connections that ended in an error before that
  Counter commands;
  Counter bytes_in, bytes_out;          ///< from clients, to clients
  std::array<Counter, kRoutes> routes;  ///< commands of split sessions, by Route
  PoolCounters pool;
  Counter hints_unheeded;  ///< commands whose hint names a server that could not be used
  Counter reserved;
};
struct ServerCounters {
  Counter open;  ///< connections to it now
  Counter connected;
  Counter failed;  ///< connects that failed
  Counter busy;    ///< commands of split sessions that it runs now, as their replica
};
struct Lane {
  std::array<ServiceCounters, kServices> services;
  std::array<ServerCounters, kServers> servers;
};
/// Pages that nobody touched cost nothing: the file is sparse.
struct Page {
  Counter lanes_used;  ///< lanes at or above this were never given out
  std::array<Counter, 7> reserved;
  std::array<Lane, kLanes> lanes;
  LoginGuardPage login_guard;
  std::array<std::array<WritesSlot, kServices>, kLanes> writes;  ///< stay when a lane is cleared
};

/// One more, one less, for a counter with a single writer.
inline void add(Counter& counter, uint64_t n = 1) {
  counter.store(counter.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
}
inline void subtract(Counter& counter, uint64_t n = 1) {
  counter.store(counter.load(std::memory_order_relaxed) - n, std::memory_order_relaxed);
}

/// The page's mapping. Its file can't be resized by anyone, so no process can pull it from under
/// another.
class Mapping {
 public:
  Mapping() = default;
  Mapping(Mapping&& other) noexcept : page_(std::exchange(other.page_, nullptr)) {}
  Mapping& operator=(Mapping&& other) noexcept {
    std::swap(page_, other.page_);
    return *this;
  }
  ~Mapping();

  static Result<UniqueFd> create();
  static Result<Mapping> map(int fd);
  Page& operator*() const { return *page_; }
  Page* operator->() const { return page_; }
  explicit operator bool() const { return page_ != nullptr; }

 private:
  explicit Mapping(Page* page) : page_(page) {}
  Page* page_ = nullptr;
};

/// Sum of one counter over all lanes in use.
template <class Select>
uint64_t sum(const Page& page, Select select) {
  uint64_t total = 0;
  const auto used = std::min<uint64_t>(page.lanes_used.load(std::memory_order_relaxed), kLanes);
  for (uint64_t i = 0; i < used; ++i)
    total += select(page.lanes[i]).load(std::memory_order_relaxed);
  return total;
}
inline uint64_t open_connections(const Page& page, uint32_t server) {
  return sum(page,
             [server](const Lane& lane) -> const Counter& { return lane.servers[server].open; });
}
inline uint64_t running_commands(const Page& page, uint32_t server) {
  return sum(page,
             [server](const Lane& lane) -> const Counter& { return lane.servers[server].busy; });
}

}  // namespace sluice::stats
