// Questions from the control socket that only the monitor can answer. Each is a function from what
// is known to a table; a password or its hash is never in one.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "common/ipc/messages.h"
#include "monitor/cluster_watch.h"

namespace sluice::monitor {

/// The watched clusters, by name.
using Clusters = std::map<std::string, ClusterWatch, std::less<>>;

/// Errors are for people: an unknown question, cluster or server, a missing argument.
Result<ipc::Table> answer(const Clusters& clusters, const ipc::Ask& question);

/// "list accounts": every row of the table in the server's order, with what keeps it from being
/// used.
void list_accounts(const std::string& cluster, const KnownAccounts& known, ipc::Table& out);

/// "explain login": the rows of this user and the anonymous ones in the order in which the server
/// tries them, and for each why it matches or why not. `host` is an IP, or "localhost" for a Unix
/// socket. Error: nothing was loaded yet.
Result<> explain_login(const std::string& cluster, const KnownAccounts& known,
                       const std::string& user, const std::string& host, ipc::Table& out);

/// "show server": everything last seen, as a record.
Result<ipc::Table> show_server(const ClusterWatch& watch, const std::string& name, int64_t now_ns);

}  // namespace sluice::monitor
