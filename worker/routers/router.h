// Which server a connection goes to. A router decides; it holds no socket and does no I/O.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "common/base/result.h"
#include "common/cluster/state.h"

namespace sluice::worker {

/// A server as a router sees it, at this moment.
struct ServerView {
  const cluster::ServerState* state = nullptr;
  uint32_t weight = 100;
  uint64_t open = 0;  ///< connections to it from all of sluice's workers
  uint64_t busy = 0;  ///< commands that it runs as a replica of split sessions, likewise
};

struct Route {
  std::string server;
  std::string reason;  ///< for `show session` and the log
};

class Router {
 public:
  virtual ~Router() = default;
  /// A server for a new connection; `tried` are those that just failed it.
  /// Errc::unavailable: none can serve; the message says why of each.
  virtual Result<Route> route(const config::Service& service, std::span<const ServerView> servers,
                              std::span<const std::string> tried) const = 0;
  /// Whether statements of a session may run on different servers.
  virtual bool splits() const { return false; }
  /// A replica for the reads of a session; null if there is none.
  virtual const ServerView* reader(const config::Service&, std::span<const ServerView>) const {
    return nullptr;
  }
  /// One that a session had better use than its present one, as that has much more to do; null if
  /// there is none.
  virtual const ServerView* better_reader(std::span<const ServerView>,
                                          std::string_view /*present*/) const {
    return nullptr;
  }
  /// Why a session may not stay on its server; empty if it may.
  virtual std::string must_leave(const config::Service& service,
                                 const cluster::ServerState& server) const = 0;
};

/// The router of a kind; one for all services, it has no state.
const Router& router_of(config::RouterKind kind);

}  // namespace sluice::worker
