#include "master/control/views.h"

#include <fmt/chrono.h>

#include <algorithm>

#include "common/base/units.h"

namespace sluice::master {

ServiceTotals totals_of(State& state, const std::string& service) {
  const auto row = state.service_rows.of(service);
  const auto sum = [&](auto member) {
    return stats::sum(*state.stats, [&](const stats::Lane& lane) -> const stats::Counter& {
      return lane.services[row].*member;
    });
  };
  using C = stats::ServiceCounters;
  return {sum(&C::open),     sum(&C::accepted), sum(&C::logins),   sum(&C::refused),
          sum(&C::commands), sum(&C::bytes_in), sum(&C::bytes_out)};
}

uint64_t commands_by_route(State& state, const std::string& service, std::size_t route) {
  const auto row = state.service_rows.of(service);
  return stats::sum(*state.stats, [&](const stats::Lane& lane) -> const stats::Counter& {
    return lane.services[row].routes[route];
  });
}

uint64_t hints_unheeded(State& state, const std::string& service) {
  const auto row = state.service_rows.of(service);
  return stats::sum(*state.stats, [&](const stats::Lane& lane) -> const stats::Counter& {
    return lane.services[row].hints_unheeded;
  });
}

uint64_t pool_counter(State& state, const std::string& service,
                      stats::Counter stats::PoolCounters::*which) {
  const auto row = state.service_rows.of(service);
  return stats::sum(*state.stats, [&](const stats::Lane& lane) -> const stats::Counter& {
    return lane.services[row].pool.*which;
  });
}

uint64_t pool_pins(State& state, const std::string& service, stats::Pin pin) {
  const auto row = state.service_rows.of(service);
  return stats::sum(*state.stats, [&](const stats::Lane& lane) -> const stats::Counter& {
    return lane.services[row].pool.pins[static_cast<std::size_t>(pin)];
  });
}

std::string problem_of(const State& state, const config::Cluster& cluster) {
  const auto at = state.clusters.find(cluster.name);
  if (at == state.clusters.end()) return "not asked yet";
  const auto& known = at->second;
  std::string out = known.has_state ? known.state.problem : "not asked yet";
  const auto add = [&out](std::string_view text) {
    out += (out.empty() ? "" : "; ") + std::string(text);
  };
  const auto why = known.accounts_error.empty() ? "" : ": " + known.accounts_error;
  if (known.accounts_version == 0)
    add("its accounts are not loaded" + why);
  else if (!why.empty())
    add("its accounts are those of an earlier load" + why);
  return out;
}

cluster::ServerState state_of(const State& state, const config::Cluster& cluster,
                              const config::Server& server) {
  cluster::ServerState unknown{.name = server.name, .reason = "not asked yet"};
  if (const auto admin = state.admin.find({cluster.name, server.name}); admin != state.admin.end())
    unknown.admin = admin->second;
  const auto known = state.clusters.find(cluster.name);
  if (known == state.clusters.end() || !known->second.has_state) return unknown;
  const auto* found = known->second.state.server(server.name);
  return found ? *found : unknown;
}

std::string lag_text(const cluster::ServerState& server) {
  return server.lag_ms ? fmt::format("{:.1f}", *server.lag_ms / 1000.0) : "";
}

std::string listeners_text(const config::Service& service) {
  std::string out;
  for (const auto& endpoint : service.listen) out += (out.empty() ? "" : " ") + endpoint.text();
  return out;
}

bool on_fallback(const State& state, const config::Service& service) {
  const auto known = state.clusters.find(service.cluster);
  if (service.fallback == config::Fallback::none || known == state.clusters.end()) return false;
  const auto wanted =
      service.target == config::Target::primary ? cluster::Role::primary : cluster::Role::replica;
  return std::ranges::none_of(known->second.state.servers, [&](const auto& server) {
    return service.target == config::Target::any ? server.role != cluster::Role::none
                                                 : server.role == wanted;
  });
}

std::string target_text(const config::Service& service) {
  std::string out(enum_name(service.target));
  if (service.fallback != config::Fallback::none)
    out += fmt::format(", else {}", enum_name(service.fallback));
  return out;
}

std::string time_text(int64_t seconds) {
  return seconds > 0 ? fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(seconds)) : "";
}

std::string expiry_text(int64_t not_after_s) {
  return not_after_s == 0 ? "" : format_date(not_after_s);
}

std::string tls_mode_text(const config::Cluster& cluster) {
  for (const auto& server : cluster.servers)
    if (server.tls.mode != cluster.servers.front().tls.mode) return "mixed";
  return cluster.servers.empty() ? "" : std::string(enum_name(cluster.servers.front().tls.mode));
}

int64_t first_expiry(const config::Cluster& cluster) {
  int64_t first = 0;
  for (const auto& server : cluster.servers)
    if (const auto next = server.tls.not_after_s; next != 0 && (first == 0 || next < first))
      first = next;
  return first;
}

uint64_t sessions_of(State& state, const Child& child) {
  uint64_t sum = 0;
  for (const auto& service : state.stats->lanes[child.lane].services) sum += service.open.load();
  return sum;
}

std::string phase_text(const Child& child) {
  switch (child.phase()) {
    case ipc::kServing:
      return "serving";
    case ipc::kDraining:
      return child.finishing ? "finishing" : "draining";
    default:
      return "starting";
  }
}

std::pair<const config::Cluster*, const config::Server*> find_server(const State& state,
                                                                     const std::string& text) {
  const auto slash = text.find('/');
  if (slash == std::string::npos) return {};
  const auto* cluster = state.config.cluster(text.substr(0, slash));
  if (cluster == nullptr) return {};
  const auto server =
      std::ranges::find(cluster->servers, text.substr(slash + 1), &config::Server::name);
  if (server == cluster->servers.end()) return {};
  return {cluster, &*server};
}

Reply ask_monitor(const Invocation& in, std::string command, std::vector<std::string> arguments,
                  Table head) {
  Child* monitor = in.master.supervisor().monitor();
  if (monitor == nullptr || monitor->phase() != ipc::kServing) {
    if (head.columns.empty())
      return refused("the monitor is being restarted; try again in a moment");
    return ControlReply{.table = std::move(head)};
  }
  in.server.ask(in.request, {monitor}, std::move(command), std::move(arguments), std::move(head));
  return std::nullopt;
}

}  // namespace sluice::master
