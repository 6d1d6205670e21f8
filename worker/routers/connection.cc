// Router "connection": one server for the whole life of a connection. Among the servers of the
// service's target, the one with the fewest connections for its weight; the fallback only while
// nothing of the target can serve.

#include <fmt/format.h>

#include <algorithm>

#include "worker/routers/choice.h"

namespace sluice::worker {
namespace {

using cluster::Role;
using config::Fallback;
using config::Target;

bool serves(Target target, Role role) {
  switch (target) {
    case Target::primary:
      return role == Role::primary;
    case Target::replica:
      return role == Role::replica;
    case Target::any:
      return role != Role::none;
  }
  return false;
}

/// Fewer connections for its weight, the one to come included. Weight 0 is the last resort.
bool better(const ServerView& a, const ServerView& b) {
  if ((a.weight == 0) != (b.weight == 0)) return b.weight == 0;
  if (a.weight == 0) return a.open < b.open;
  return (a.open + 1) * b.weight < (b.open + 1) * a.weight;
}

}  // namespace

const ServerView* best(std::span<const ServerView> servers, Target target,
                       std::span<const std::string> tried) {
  const ServerView* found = nullptr;
  for (const ServerView& server : servers) {
    if (!serves(target, server.state->role) || server.state->addresses.empty()) continue;
    if (std::ranges::find(tried, server.state->name) != tried.end()) continue;
    if (found == nullptr || better(server, *found)) found = &server;
  }
  return found;
}

namespace {

std::string why_none(const config::Service& service, std::span<const ServerView> servers,
                     std::span<const std::string> tried) {
  std::string text = service.target == Target::any
                         ? fmt::format("no server of cluster {} can serve", service.cluster)
                         : fmt::format("no {} of cluster {} can serve", enum_name(service.target),
                                       service.cluster);
  std::string_view separator = ": ";
  for (const ServerView& server : servers) {
    const bool failed = std::ranges::find(tried, server.state->name) != tried.end();
    text += fmt::format("{}{}: {}", separator, server.state->name,
                        failed ? "could not be reached" : server.state->reason);
    separator = "; ";
  }
  return text;
}

class ConnectionRouter final : public Router {
 public:
  Result<Route> route(const config::Service& service, std::span<const ServerView> servers,
                      std::span<const std::string> tried) const override {
    if (const auto* server = best(servers, service.target, tried))
      return Route{server->state->name, fmt::format("fewest connections for its weight, target {}",
                                                    enum_name(service.target))};
    if (service.fallback != Fallback::none) {
      const auto target = service.fallback == Fallback::primary ? Target::primary : Target::replica;
      if (const auto* server = best(servers, target, tried))
        return Route{server->state->name, fmt::format("fallback to {}", enum_name(target))};
    }
    return fail(Errc::unavailable, why_none(service, servers, tried));
  }

  std::string must_leave(const config::Service& service,
                         const cluster::ServerState& server) const override {
    if (server.admin == cluster::Admin::draining) return {};  // its sessions may end by themselves
    if (server.role == Role::none) return server.reason;
    // A reader that became the primary goes on reading; a writer must not stay on a replica.
    if (service.target == Target::primary && server.role != Role::primary &&
        service.fallback != Fallback::replica)
      return fmt::format("{} is no longer the primary: {}", server.name, server.reason);
    return {};
  }
};

}  // namespace

const Router& make_connection() {
  static const ConnectionRouter router;
  return router;
}

}  // namespace sluice::worker
