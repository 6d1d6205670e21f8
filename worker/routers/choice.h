// What routers have in common: the choice among servers that may serve.
#pragma once

#include "worker/routers/router.h"

namespace sluice::worker {

/// Of the servers that can serve `target`, less those that were tried, the one with the fewest
/// connections for its weight; null if there is none.
const ServerView* best(std::span<const ServerView> servers, config::Target target,
                       std::span<const std::string> tried);

}  // namespace sluice::worker
