// Questions from the control socket that only the monitor can answer. Each is a function from what
// is known to a table; a password or its hash is never in one.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "common/ipc/messages.h"
#include "monitor/cluster_watch.h"
#include "monitor/explain_login.h"

namespace sluice::monitor {

/// The watched clusters, by name.
using Clusters = std::map<std::string, ClusterWatch, std::less<>>;

/// The clusters whose accounts are to be loaded before the answer, so that it knows those that were
/// made a moment ago.
std::vector<std::string> accounts_needed(const Clusters& clusters, const ipc::Ask& question);

/// The addresses whose names are needed for the answer: they are to be looked up first.
std::vector<std::string> names_needed(const Clusters& clusters, const ipc::Ask& question);

/// `names` has those that were needed. Errors are for people: an unknown question, cluster or
/// server, a missing argument, accounts that are not loaded yet.
Result<ipc::Table> answer(const Clusters& clusters, const Names& names, const ipc::Ask& question);

/// "list accounts": every row of the table in the server's order, with what keeps it from being
/// used.
void list_accounts(const config::Cluster& cluster, const KnownAccounts& known, uint64_t now_s,
                   ipc::Table& out);

/// "show server": everything last seen, as a record.
Result<ipc::Table> show_server(const ClusterWatch& watch, const std::string& name, int64_t now_ns);

}  // namespace sluice::monitor
