// Router "read-write-split": a session logs in to the primary, as with "connection", and gets a
// replica for its reads beside it (worker/split).
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
};

}  // namespace

const Router& make_read_write_split() {
  static const ReadWriteSplitRouter router;
  return router;
}

}  // namespace sluice::worker
