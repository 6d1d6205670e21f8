#include "master/control/commands.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>

#include "common/base/clock.h"
#include "common/base/units.h"
#include "common/base/version.h"

namespace sluice::master {
namespace {

using ipc::Column;
using ipc::ControlReply;
using ipc::Kind;
using ipc::Table;
using Reply = std::optional<ControlReply>;

ControlReply refused(std::string why) {
  return {.error = std::move(why)};
}
ControlReply done(std::string message) {
  return {.message = std::move(message)};
}
std::string number(uint64_t n) {
  return fmt::to_string(n);
}
std::string yes_no(bool b) {
  return b ? "true" : "false";
}

/// A record, built name by name.
class Record {
 public:
  Record& add(std::string name, std::string value, Kind kind = Kind::text) {
    table_.columns.push_back({std::move(name), kind});
    row_.cells.push_back(std::move(value));
    return *this;
  }
  Record& add(std::string name, uint64_t value) {
    return add(std::move(name), number(value), Kind::number);
  }
  Table table() {
    table_.record = true;
    table_.rows = {std::move(row_)};
    return std::move(table_);
  }

 private:
  Table table_;
  ipc::Row row_;
};

struct ServiceTotals {
  uint64_t open, accepted, logins, refused, commands, bytes_in, bytes_out;
};
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

/// What is known of a server: before the monitor has told anything, that.
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

/// Whether a service's fallback is what serves it now.
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

std::string expiry_text(int64_t not_after_s) {
  return not_after_s == 0 ? "" : format_date(not_after_s);
}

/// The mode that all servers of a cluster share.
std::string tls_mode_text(const config::Cluster& cluster) {
  for (const auto& server : cluster.servers)
    if (server.tls.mode != cluster.servers.front().tls.mode) return "mixed";
  return cluster.servers.empty() ? "" : std::string(enum_name(cluster.servers.front().tls.mode));
}

/// The first of the certificates towards a cluster's servers to expire; 0: there are none.
int64_t first_expiry(const config::Cluster& cluster) {
  int64_t first = 0;
  for (const auto& server : cluster.servers)
    if (const auto next = server.tls.not_after_s; next != 0 && (first == 0 || next < first))
      first = next;
  return first;
}

// List.

Reply list_clusters(const Invocation& in) {
  auto& state = in.master.state();
  Table table{.columns = {{"cluster"},
                          {"topology"},
                          {"primary"},
                          {"usable", Kind::number},
                          {"servers", Kind::number},
                          {"problem"}}};
  for (const auto& cluster : state.config.clusters) {
    uint64_t usable = 0;
    std::string primary;
    for (const auto& server : cluster.servers) {
      const auto s = state_of(state, cluster, server);
      usable += s.role != cluster::Role::none;
      if (s.role == cluster::Role::primary) primary = server.name;
    }
    const auto known = state.clusters.find(cluster.name);
    table.rows.push_back(
        {{cluster.name, std::string(enum_name(cluster.topology)), primary, number(usable),
          number(cluster.servers.size()),
          known == state.clusters.end() ? "not asked yet" : known->second.state.problem}});
  }
  return ControlReply{.table = std::move(table)};
}

Reply list_servers(const Invocation& in) {
  auto& state = in.master.state();
  Table table{.columns = {{"cluster"},
                          {"server"},
                          {"address"},
                          {"role"},
                          {"health"},
                          {"lag_s", Kind::number},
                          {"connections", Kind::number},
                          {"reason"}}};
  for (const auto& cluster : state.config.clusters) {
    for (const auto& server : cluster.servers) {
      const auto s = state_of(state, cluster, server);
      table.rows.push_back(
          {{cluster.name, server.name, server.address.text(), std::string(enum_name(s.role)),
            std::string(enum_name(s.health)), lag_text(s),
            number(
                stats::open_connections(*state.stats, state.server_row(cluster.name, server.name))),
            s.reason}});
    }
  }
  return ControlReply{.table = std::move(table)};
}

Reply list_services(const Invocation& in) {
  auto& state = in.master.state();
  Table table{.columns = {{"service"},
                          {"router"},
                          {"cluster"},
                          {"target"},
                          {"listen"},
                          {"connections", Kind::number},
                          {"accepted", Kind::number},
                          {"refused", Kind::number},
                          {"fallback", Kind::boolean}}};
  for (const auto& service : state.config.services) {
    const auto t = totals_of(state, service.name);
    table.rows.push_back(
        {{service.name, std::string(enum_name(service.router)), service.cluster,
          target_text(service), listeners_text(service), number(t.open), number(t.accepted),
          number(t.refused), yes_no(on_fallback(state, service))}});
  }
  return ControlReply{.table = std::move(table)};
}

Reply list_listeners(const Invocation& in) {
  auto& state = in.master.state();
  Table table{.columns = {{"address"}, {"service"}, {"kind"}, {"sockets", Kind::number}}};
  for (const auto& service : state.config.services) {
    for (const auto& endpoint : service.listen) {
      const auto found = state.listeners.all().find(endpoint.text());
      table.rows.push_back(
          {{endpoint.text(), service.name, endpoint.is_unix() ? "unix" : "tcp",
            number(found == state.listeners.all().end() ? 0 : found->second.sockets.size())}});
    }
  }
  return ControlReply{.table = std::move(table)};
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

Reply list_workers(const Invocation& in) {
  auto& state = in.master.state();
  Table table{.columns = {{"worker", Kind::number},
                          {"pid", Kind::number},
                          {"slot", Kind::number},
                          {"generation", Kind::number},
                          {"state"},
                          {"sessions", Kind::number},
                          {"age_s", Kind::number}}};
  for (const Child* child : in.master.supervisor().workers())
    table.rows.push_back(
        {{number(child->number), number(child->pid()), number(child->slot),
          number(child->generation), phase_text(*child), number(sessions_of(state, *child)),
          number((monotonic_ns() - child->started_ns) / kSecondNs)}});
  return ControlReply{.table = std::move(table)};
}

Reply list_sessions(const Invocation& in) {
  in.server.ask(in.request, in.master.supervisor().workers(), "list sessions", {});
  return std::nullopt;
}

Reply ask_monitor(const Invocation& in, std::string command, std::vector<std::string> arguments,
                  Table head = {}) {
  Child* monitor = in.master.supervisor().monitor();
  if (monitor == nullptr || monitor->phase() != ipc::kServing) {
    if (head.columns.empty())
      return refused("the monitor is being restarted; try again in a moment");
    return ControlReply{.table = std::move(head)};
  }
  in.server.ask(in.request, {monitor}, std::move(command), std::move(arguments), std::move(head));
  return std::nullopt;
}

Reply list_accounts(const Invocation& in) {
  return ask_monitor(in, "list accounts", {});
}
Reply explain_login(const Invocation& in) {
  return ask_monitor(in, "explain login", in.arguments);
}

// Show.

/// A cluster and a server from "CLUSTER/NAME"; null and null if there is none.
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

Reply show_server(const Invocation& in) {
  auto& state = in.master.state();
  const auto [cluster, server] = find_server(state, in.arguments[0]);
  if (server == nullptr) return refused("no server " + log::quoted(in.arguments[0]));
  const auto s = state_of(state, *cluster, *server);
  const auto row = state.server_row(cluster->name, server->name);
  Record record;
  record.add("cluster", cluster->name)
      .add("server", server->name)
      .add("address", server->address.text());
  record.add("role", std::string(enum_name(s.role))).add("reason", s.reason);
  record.add("health", std::string(enum_name(s.health)))
      .add("admin", std::string(enum_name(s.admin)));
  record.add("lag_s", lag_text(s), Kind::number).add("version", s.version);
  record.add("weight", server->weight).add("priority", server->priority);
  record.add("tls", std::string(enum_name(server->tls.mode)));
  record.add("tls_verify", std::string(enum_name(server->tls.verify)));
  record.add("tls_certificate_expires", expiry_text(server->tls.not_after_s));
  record.add("connections", stats::open_connections(*state.stats, row));
  record.add("connected",
             stats::sum(*state.stats, [row](const stats::Lane& lane) -> const stats::Counter& {
               return lane.servers[row].connected;
             }));
  record.add("since", s.since_s > 0 ? number(static_cast<uint64_t>(s.since_s)) : "", Kind::number);
  return ask_monitor(in, "show server", {cluster->name, server->name}, record.table());
}

Reply show_service(const Invocation& in) {
  auto& state = in.master.state();
  const auto* service = state.config.service(in.arguments[0]);
  if (service == nullptr) return refused("no service " + log::quoted(in.arguments[0]));
  const auto t = totals_of(state, service->name);
  Record record;
  record.add("service", service->name).add("router", std::string(enum_name(service->router)));
  record.add("cluster", service->cluster).add("target", std::string(enum_name(service->target)));
  record.add("fallback", std::string(enum_name(service->fallback)));
  record.add("on_fallback", yes_no(on_fallback(state, *service)), Kind::boolean);
  record.add("listen", listeners_text(*service))
      .add("identity", std::string(enum_name(service->identity)));
  record.add("account_mismatch", std::string(enum_name(service->account_mismatch)));
  record.add("tls", std::string(enum_name(service->tls.mode)));
  record.add("tls_certificate_expires", expiry_text(service->tls.not_after_s));
  record.add("tls_client_ca", yes_no(!service->tls.ca_pem.empty()), Kind::boolean);
  record.add("max_connections", service->max_connections).add("connections", t.open);
  record.add("accepted", t.accepted).add("logins", t.logins).add("refused", t.refused);
  record.add("commands", t.commands).add("bytes_in", t.bytes_in).add("bytes_out", t.bytes_out);
  return ControlReply{.table = record.table()};
}

Reply show_cluster(const Invocation& in) {
  auto& state = in.master.state();
  const auto* cluster = state.config.cluster(in.arguments[0]);
  if (cluster == nullptr) return refused("no cluster " + log::quoted(in.arguments[0]));
  Record record;
  record.add("cluster", cluster->name).add("topology", std::string(enum_name(cluster->topology)));
  std::string primary, services;
  for (const auto& server : cluster->servers)
    if (state_of(state, *cluster, server).role == cluster::Role::primary) primary = server.name;
  for (const auto& service : state.config.services)
    if (service.cluster == cluster->name) services += (services.empty() ? "" : " ") + service.name;
  const auto known = state.clusters.find(cluster->name);
  const bool has = known != state.clusters.end();
  record.add("primary", primary)
      .add("problem", has ? known->second.state.problem : "not asked yet");
  record.add("services", services).add("watched_as", cluster->user);
  record.add("interval_ms", cluster->interval_ms).add("max_lag_ms", cluster->max_lag_ms);
  record.add("tls", tls_mode_text(*cluster));
  record.add("tls_certificate_expires", expiry_text(first_expiry(*cluster)));
  record.add("view_version", has ? known->second.state.version : 0);
  record.add("accounts_version", has ? known->second.accounts_version : 0);
  for (const auto& server : cluster->servers) {
    const auto s = state_of(state, *cluster, server);
    record.add("server " + server.name, fmt::format("{}: {}", enum_name(s.role), s.reason));
  }
  return ControlReply{.table = record.table()};
}

/// The worker that a session's name begins with: "3-17" is of worker 3.
Child* worker_of_session(const Invocation& in) {
  const auto number = std::strtoul(in.arguments[0].c_str(), nullptr, 10);
  return in.master.supervisor().worker_by(static_cast<uint32_t>(number));
}

Reply session_command(const Invocation& in, const char* command) {
  Child* worker = worker_of_session(in);
  if (worker == nullptr) return refused("no session " + in.arguments[0]);
  in.server.ask(in.request, {worker}, command, in.arguments);
  return std::nullopt;
}
Reply show_session(const Invocation& in) {
  return session_command(in, "show session");
}
Reply kill_session(const Invocation& in) {
  return session_command(in, "kill session");
}

Reply show_worker(const Invocation& in) {
  auto& state = in.master.state();
  for (const Child* child : in.master.supervisor().workers()) {
    if (number(child->pid()) != in.arguments[0]) continue;
    Record record;
    record.add("worker", child->number).add("pid", static_cast<uint64_t>(child->pid()));
    record.add("slot", child->slot)
        .add("generation", child->generation)
        .add("state", phase_text(*child));
    record.add("sessions", sessions_of(state, *child)).add("lane", child->lane);
    record.add("age_s", static_cast<uint64_t>((monotonic_ns() - child->started_ns) / kSecondNs));
    return ControlReply{.table = record.table()};
  }
  return refused("no worker with pid " + in.arguments[0]);
}

// Change.

Reply set_server(const Invocation& in) {
  const auto [cluster, server] = find_server(in.master.state(), in.arguments[0]);
  if (server == nullptr) return refused("no server " + log::quoted(in.arguments[0]));
  const auto& word = in.arguments[1];
  const auto admin = word == "clear" ? cluster::Admin::none : enum_from_name<cluster::Admin>(word);
  if (!admin) return refused("maintenance, draining or clear is wanted");
  in.master.supervisor().set_admin(cluster->name, server->name, *admin);
  return done(fmt::format("{}: {}", in.arguments[0], word == "clear" ? "in use again" : word));
}

Reply reload(const Invocation& in) {
  const bool dry = !in.arguments.empty();
  in.master.rollout().request(dry ? Rollout::Kind::dry_run : Rollout::Kind::roll, in.request);
  return std::nullopt;
}

Reply reload_accounts(const Invocation& in) {
  std::vector<std::string> names;
  for (const auto& cluster : in.master.state().config.clusters)
    if (in.arguments.empty() || cluster.name == in.arguments[0]) names.push_back(cluster.name);
  if (names.empty())
    return refused("no cluster " + log::quoted(in.arguments.empty() ? "" : in.arguments[0]));
  const Child* monitor = in.master.supervisor().monitor();
  if (monitor == nullptr || monitor->phase() != ipc::kServing)
    return refused("the monitor is being restarted; try again in a moment");
  in.server.await_accounts(in.request, names);
  for (const auto& name : names) in.master.supervisor().refresh_accounts(name);
  return std::nullopt;
}

Reply log_level(const Invocation& in) {
  const auto level = enum_from_name<log::Level>(in.arguments[0]);
  if (!level) return refused("unknown level");
  log::set_level(*level);
  in.master.supervisor().set_log_level(*level);
  return done("log level: " + in.arguments[0]);
}

Reply log_rotate(const Invocation& in) {
  if (auto ok = in.master.state().log.rotate(); !ok) return refused(ok.error().message);
  return done("the log was opened anew");
}

// About.

Reply status(const Invocation& in) {
  auto& state = in.master.state();
  uint64_t sessions = 0, commands = 0;
  for (const auto& service : state.config.services) {
    const auto t = totals_of(state, service.name);
    sessions += t.open;
    commands += t.commands;
  }
  std::string problems;
  for (const auto& cluster : state.config.clusters) {
    const auto known = state.clusters.find(cluster.name);
    if (known != state.clusters.end() && !known->second.state.problem.empty())
      problems += fmt::format("{}{}: {}", problems.empty() ? "" : "; ", cluster.name,
                              known->second.state.problem);
  }
  const Child* monitor = in.master.supervisor().monitor();
  Record record;
  record.add("release", std::string(kRelease)).add("pid", static_cast<uint64_t>(::getpid()));
  record.add("uptime_s", static_cast<uint64_t>(wall_clock_s() - state.started_s));
  record.add("config", state.config_path).add("generation", state.generation);
  record.add("last_reload", state.last_reload);
  record.add("workers", state.slots()).add("old_workers", in.master.supervisor().leaving().size());
  record.add("monitor", monitor && monitor->phase() == ipc::kServing ? "running" : "starting");
  record.add("services", state.config.services.size())
      .add("clusters", state.config.clusters.size());
  record.add("sessions", sessions).add("commands", commands).add("problems", problems);
  return ControlReply{.table = record.table()};
}

Reply version(const Invocation&) {
  Record record;
  return ControlReply{.table = record.add("release", std::string(kRelease)).table()};
}

struct Bound {
  std::string_view words;
  Handler handler;
};
constexpr Bound kHandlers[] = {
    {"status", status},
    {"list clusters", list_clusters},
    {"list servers", list_servers},
    {"list services", list_services},
    {"list listeners", list_listeners},
    {"list workers", list_workers},
    {"list sessions", list_sessions},
    {"list accounts", list_accounts},
    {"show cluster", show_cluster},
    {"show server", show_server},
    {"show service", show_service},
    {"show session", show_session},
    {"show worker", show_worker},
    {"set server", set_server},
    {"kill session", kill_session},
    {"reload", reload},
    {"reload accounts", reload_accounts},
    {"explain login", explain_login},
    {"log level", log_level},
    {"log rotate", log_rotate},
    {"version", version},
};
/// Each handler has its row, and each row that the master serves has its handler.
constexpr bool all_joined() {
  for (const auto& bound : kHandlers)
    if (!std::ranges::any_of(control::kCommands,
                             [&](const auto& row) { return row.words == bound.words; }))
      return false;
  for (const auto& command : control::kCommands) {
    bool found = command.runs == control::Runs::in_client;
    for (const auto& bound : kHandlers) found |= bound.words == command.words;
    if (!found) return false;
  }
  return true;
}
static_assert(all_joined(), "common/control/commands.h and the handlers here differ");

}  // namespace

Handler handler_of(std::string_view words) {
  for (const auto& bound : kHandlers)
    if (bound.words == words) return bound.handler;
  return nullptr;
}

}  // namespace sluice::master
