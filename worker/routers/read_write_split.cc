// Router "read-write-split": a session logs in to the primary, as with "connection", and gets a
// replica for its reads beside it (worker/split).
#include <algorithm>

#include "worker/routers/choice.h"

namespace sluice::worker {

const Router& make_connection();

namespace {

class ReadWriteSplitRouter final : public Router {
 public:
  Result<Route> route(const config::Service& service, std::span<const ServerView> servers,
                      std::span<const std::string> tried) const override {
    return make_connection().route(service, servers, tried);
  }
  std::string must_leave(const config::Service& service,
                         const cluster::ServerState& server) const override {
    return make_connection().must_leave(service, server);
  }
  bool splits() const override { return true; }
  const ServerView* reader(const config::Service&,
                           std::span<const ServerView> servers) const override {
    return best(servers, config::Target::replica, {});
  }
  /// Sessions are spread by their number, as each will ask more than once; what some of them ask
  /// may take longer. At least twice as much for its weight, and some commands more: a difference
  /// that is over before the session has moved is none.
  const ServerView* better_reader(std::span<const ServerView> servers,
                                  std::string_view present) const override {
    constexpr uint64_t kTimes = 2, kMore = 4;
    const auto named = [&](const ServerView& server) { return server.state->name == present; };
    const auto own = std::ranges::find_if(servers, named);
    if (own == servers.end()) return nullptr;
    const ServerView* found = nullptr;
    for (const ServerView& server : servers) {
      if (server.state->role != cluster::Role::replica || server.state->addresses.empty() ||
          server.weight == 0 || named(server))
        continue;
      const bool clearly = own->busy >= server.busy + kMore &&
                           own->busy * server.weight >= kTimes * server.busy * own->weight;
      if (clearly &&
          (found == nullptr || server.busy * found->weight < found->busy * server.weight))
        found = &server;
    }
    return found;
  }
};

}  // namespace

const Router& make_read_write_split() {
  static const ReadWriteSplitRouter router;
  return router;
}

}  // namespace sluice::worker
