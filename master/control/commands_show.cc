// The commands that show all about one thing, and what is done to a session.
#include <fmt/format.h>

#include <algorithm>

#include "common/base/clock.h"
#include "master/control/handlers.h"
#include "master/control/views.h"

namespace sluice::master {

namespace {

/// A session may have moved from the worker that its name begins with: all are asked.
Reply session_command(const Invocation& in, const char* command) {
  in.server.ask(in.request, in.master.supervisor().workers(), command, in.arguments);
  return std::nullopt;
}

void add_pool(Record& record, State& state, const config::Service& service) {
  using P = stats::PoolCounters;
  const auto count = [&](stats::Counter P::*which) {
    return pool_counter(state, service.name, which);
  };
  record.add("pool", service.pool).add("pool_connections", count(&P::open));
  record.add("pool_lent", count(&P::lent)).add("pool_waiting", count(&P::waiting));
  record.add("pool_waited", count(&P::waited)).add("pool_refused", count(&P::refused));
  for (std::size_t i = 0; i < stats::kPins; ++i)
    record.add(std::string(kEnumNames<stats::Pin>[i]),
               pool_pins(state, service.name, static_cast<stats::Pin>(i)));
}

}  // namespace

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
  record.add("since", time_text(s.since_s));
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
  if (service->router == config::RouterKind::read_write_split) {
    record.add("causal_reads", std::string(enum_name(service->causal_reads)));
    for (std::size_t i = 0; i < stats::kRoutes; ++i)
      record.add(std::string(kEnumNames<stats::Route>[i]),
                 commands_by_route(state, service->name, i));
    record.add("hints_unheeded", hints_unheeded(state, service->name));
    if (service->pool > 0) add_pool(record, state, *service);
  }
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
  record.add("primary", primary).add("problem", problem_of(state, *cluster));
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

Reply show_session(const Invocation& in) {
  return session_command(in, "show session");
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
    record.add("release", child->release()).add("sandbox", child->sandbox);
    return ControlReply{.table = record.table()};
  }
  return refused("no worker with pid " + in.arguments[0]);
}

Reply kill_session(const Invocation& in) {
  return session_command(in, "kill session");
}

}  // namespace sluice::master
