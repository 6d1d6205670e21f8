#include "monitor/answers.h"

#include <fmt/format.h>

#include <algorithm>

#include "common/accounts/match.h"
#include "common/base/clock.h"
#include "monitor/account_text.h"

namespace sluice::monitor {
namespace {

using ipc::Kind;
using ipc::Table;
using Arguments = std::vector<std::string>;

Result<accounts::Table> open_table(const std::string& cluster, const KnownAccounts& known) {
  if (known.table.bytes().empty())
    return fail(Errc::unavailable,
                fmt::format("no accounts of cluster \"{}\" are loaded{}{}", cluster,
                            known.error.empty() ? "" : ": ", known.error));
  return accounts::Table::open(known.table.bytes());
}

Result<const ClusterWatch*> find_cluster(const Clusters& clusters, std::string_view name) {
  const auto it = clusters.find(name);
  if (it == clusters.end()) return fail(Errc::not_found, fmt::format("no cluster \"{}\"", name));
  return &it->second;
}

/// The cluster named at `index` of the arguments, or all of them.
Result<std::vector<std::pair<std::string, const ClusterWatch*>>> clusters_meant(
    const Clusters& clusters, const Arguments& arguments, std::size_t index) {
  std::vector<std::pair<std::string, const ClusterWatch*>> out;
  if (arguments.size() > index) {
    out.emplace_back(arguments[index], SLUICE_TRY(find_cluster(clusters, arguments[index])));
    return out;
  }
  for (const auto& [name, watch] : clusters) out.emplace_back(name, &watch);
  return out;
}

Result<Table> ask_list_accounts(const Clusters& clusters, const Names&,
                                const Arguments& arguments) {
  Table out;
  out.columns = {{"cluster", Kind::text}, {"user", Kind::text}, {"host", Kind::text},
                 {"plugins", Kind::text}, {"tls", Kind::text},  {"state", Kind::text},
                 {"reason", Kind::text}};
  for (const auto& [name, watch] : SLUICE_TRY(clusters_meant(clusters, arguments, 0)))
    list_accounts(watch->cluster(), watch->accounts(), static_cast<uint64_t>(wall_clock_s()), out);
  return out;
}

WayToServer way_to_primary(const ClusterWatch& watch) {
  for (const auto& server : watch.cluster().servers) {
    const auto* state = watch.state().server(server.name);
    const auto* seen = watch.observation(server.name);
    if (state && seen && state->role == cluster::Role::primary)
      return {server.name, seen->outgoing_ip, server.proxy_protocol, &server};
  }
  return {};
}

Result<Table> ask_explain_login(const Clusters& clusters, const Names& names,
                                const Arguments& arguments) {
  if (arguments.size() < 2) return fail(Errc::bad_input, "USER and HOST are needed");
  auto out = explain_login_table();
  const Login login{arguments[0], arguments[1]};
  for (const auto& [name, watch] : SLUICE_TRY(clusters_meant(clusters, arguments, 2))) {
    const auto& known = watch->accounts();
    SLUICE_TRY(explain_login(name, SLUICE_TRY(open_table(name, known)), login,
                             way_to_primary(*watch), names, static_cast<uint64_t>(wall_clock_s()),
                             out));
    if (!known.error.empty())
      out.rows.back().cells.back() +=
          fmt::format("; by the accounts of the last load that worked: {}", known.error);
  }
  return out;
}

Result<Table> ask_show_server(const Clusters& clusters, const Names&, const Arguments& arguments) {
  if (arguments.empty()) return fail(Errc::bad_input, "CLUSTER/NAME is needed");
  std::string cluster = arguments[0], server = arguments.size() > 1 ? arguments[1] : "";
  if (const auto slash = cluster.find('/'); server.empty() && slash != cluster.npos) {
    server = cluster.substr(slash + 1);
    cluster.resize(slash);
  }
  return show_server(*SLUICE_TRY(find_cluster(clusters, cluster)), server, monotonic_ns());
}

struct Question {
  std::string_view words;
  Result<Table> (*answer)(const Clusters& clusters, const Names& names, const Arguments& arguments);
};
constexpr Question kQuestions[] = {
    {"list accounts", ask_list_accounts},
    {"explain login", ask_explain_login},
    {"show server", ask_show_server},
};

std::string age(int64_t at_ns, int64_t now_ns) {
  if (at_ns == 0) return "never";
  return fmt::format("{:.1f} s ago", static_cast<double>(now_ns - at_ns) / kSecondNs);
}

std::string address_list(const std::vector<cluster::Address>& addresses) {
  std::string text;
  for (const auto& a : addresses)
    text += (text.empty() ? "" : ", ") + config::Endpoint{a.ip, a.port, a.path}.text();
  return text;
}

std::string_view running(Running thread) {
  constexpr std::string_view kText[] = {"stopped", "connecting", "running"};
  return kText[static_cast<int>(thread)];
}

/// A record is a table of one row; values are added with their columns.
struct Record {
  Table table;
  void add(std::string name, Kind kind, std::string value) {
    table.columns.push_back({std::move(name), kind});
    table.rows[0].cells.push_back(std::move(value));
  }
  void text(std::string name, std::string_view value) {
    add(std::move(name), Kind::text, std::string(value));
  }
  void number(std::string name, uint64_t value) {
    add(std::move(name), Kind::number, std::to_string(value));
  }
  void boolean(std::string name, bool value) {
    add(std::move(name), Kind::boolean, value ? "true" : "false");
  }
};

void add_links(Record& record, const Observation& seen) {
  for (std::size_t i = 0; i < seen.links.size(); ++i) {
    const auto& link = seen.links[i];
    const auto prefix = i == 0 ? std::string("source") : fmt::format("source_{}", i + 1);
    record.text(prefix, config::Endpoint{link.host, link.port, ""}.text());
    if (!link.channel.empty()) record.text(prefix + "_channel", link.channel);
    record.number(prefix + "_server_id", link.source_id);
    record.text(prefix + "_io_thread", running(link.io));
    record.text(prefix + "_sql_thread", running(link.sql));
    record.add(prefix + "_behind_s", Kind::number,
               link.behind_s ? std::to_string(*link.behind_s) : "");
    if (link.io_errno != 0)
      record.text(prefix + "_io_error", fmt::format("{} {}", link.io_errno, link.io_error));
    if (link.sql_errno != 0)
      record.text(prefix + "_sql_error", fmt::format("{} {}", link.sql_errno, link.sql_error));
  }
  if (!seen.links_error.empty()) record.text("source_error", seen.links_error);
}

void add_wsrep(Record& record, const Wsrep& wsrep) {
  record.text("wsrep_cluster_status", wsrep.cluster_status);
  record.text("wsrep_cluster_state_uuid", wsrep.cluster_state_uuid);
  record.number("wsrep_cluster_size", wsrep.cluster_size);
  record.number("wsrep_local_state", wsrep.local_state);
  record.text("wsrep_local_state_comment", wsrep.local_state_comment);
  record.boolean("wsrep_ready", wsrep.ready);
  record.boolean("wsrep_desync", wsrep.desync);
  record.boolean("wsrep_rejects_queries", wsrep.rejects_queries);
}

}  // namespace

std::vector<std::string> accounts_needed(const Clusters& clusters, const ipc::Ask& question) {
  const auto& arguments = question.arguments;
  if (question.command != "explain login" || arguments.size() < 2) return {};
  std::vector<std::string> names;
  if (const auto meant = clusters_meant(clusters, arguments, 2))
    for (const auto& [name, watch] : *meant) names.push_back(name);
  return names;
}

std::vector<std::string> names_needed(const Clusters& clusters, const ipc::Ask& question) {
  const auto& arguments = question.arguments;
  if (question.command != "explain login" || arguments.size() < 2) return {};
  const auto meant = clusters_meant(clusters, arguments, 2);
  std::vector<std::string> ips;
  const auto add = [&](const std::string& ip) {
    if (numeric_address({ip, 0, ""}) && std::ranges::count(ips, ip) == 0) ips.push_back(ip);
  };
  for (std::size_t i = 0; meant && i < meant->size(); ++i) {
    const auto& [name, watch] = (*meant)[i];
    const auto table = open_table(name, watch->accounts());
    if (!table || !accounts::names_matter(*table, arguments[0])) continue;
    add(arguments[1]);
    if (const auto way = way_to_primary(*watch); way.outgoing_ip) add(*way.outgoing_ip);
  }
  return ips;
}

Result<Table> answer(const Clusters& clusters, const Names& names, const ipc::Ask& question) {
  const auto row = std::ranges::find(kQuestions, question.command, &Question::words);
  if (row == std::end(kQuestions))
    return fail(Errc::not_found,
                fmt::format("the monitor has no answer to \"{}\"", question.command));
  return row->answer(clusters, names, question.arguments);
}

namespace {

/// With servers that differ, the first one's word counts: which of them a login is for is not
/// known.
std::string why_not_usable(const config::Cluster& cluster, const accounts::Account& account) {
  const auto reason = accounts::reason(account);
  if (!reason.empty() || cluster.servers.empty()) return std::string(reason);
  return std::string(tls_obstacle(account, cluster.servers.front()));
}

}  // namespace

void list_accounts(const config::Cluster& cluster, const KnownAccounts& known, uint64_t now_s,
                   Table& out) {
  const auto table = open_table(cluster.name, known);
  if (!table) {
    out.rows.push_back({{cluster.name, "", "", "", "", "", table.error().message}});
    return;
  }
  for (std::size_t i = 0; i < table->size(); ++i) {
    const auto account = table->at(i);
    if (!account) continue;
    auto reason = why_not_usable(cluster, *account);
    const auto state = state_text(*account, now_s);
    const bool refused = state == "usable" && !reason.empty();
    out.rows.push_back({{cluster.name, std::string(account->user), std::string(account->host),
                         plugins_text(*account), tls_text(*account),
                         std::string(refused ? "unusable" : state), std::move(reason)}});
  }
}

Result<Table> show_server(const ClusterWatch& watch, const std::string& name, int64_t now_ns) {
  const auto* seen = watch.observation(name);
  if (seen == nullptr)
    return fail(Errc::not_found,
                fmt::format("no server \"{}\" in cluster \"{}\"", name, watch.cluster().name));
  const auto server = std::ranges::find(watch.cluster().servers, name, &config::Server::name);
  Record record;
  record.table.record = true;
  record.table.rows.emplace_back();
  record.text("cluster", watch.cluster().name);
  record.text("server", name);
  record.text("address", server->address.text());
  record.text("resolved", address_list(seen->addresses));
  if (!seen->resolve_error.empty()) record.text("resolve_error", seen->resolve_error);
  record.number("priority", server->priority);
  record.number("weight", server->weight);
  if (const auto* state = watch.state().server(name)) {
    record.text("role", enum_name(state->role));
    record.text("health", enum_name(state->health));
    record.text("admin", enum_name(state->admin));
    record.add("lag_ms", Kind::number, state->lag_ms ? std::to_string(*state->lag_ms) : "");
    record.text("reason", state->reason);
    record.number("since_s", static_cast<uint64_t>(state->since_s));
  }
  record.text("last_answer", age(seen->answered_ns, now_ns));
  if (!seen->error.empty()) record.text("last_error", seen->error);
  if (seen->outgoing_ip)
    record.text("outgoing", seen->outgoing_ip->empty() ? "a Unix socket" : *seen->outgoing_ip);
  record.text("version", seen->greeting.version);
  record.text("capabilities", fmt::format("0x{:x}", seen->greeting.capabilities));
  record.number("collation", seen->greeting.collation);
  record.number("server_id", seen->server_id);
  record.boolean("read_only", seen->read_only);
  record.boolean("super_read_only", seen->super_read_only);
  record.text("gtid_binlog", seen->gtid_binlog);
  record.text("gtid_current", seen->gtid_current);
  add_links(record, *seen);
  if (seen->wsrep) add_wsrep(record, *seen->wsrep);
  return record.table;
}

}  // namespace sluice::monitor
