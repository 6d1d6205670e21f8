// What a server is asked at each look, by topology and by the server's kind.
#pragma once

#include "monitor/connection.h"

namespace sluice::monitor {

/// Asks everything that the rules of the topology need, and fills in what the server answered.
/// Errors: the connection was lost, or the server refused a question that can't be done without.
/// A privilege that is missing for replication status alone is no error: `links_error` says so.
SqlResult<Observation> ask(Connection& connection, config::Topology topology);

}  // namespace sluice::monitor
