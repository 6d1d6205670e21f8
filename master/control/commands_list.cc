// The commands that list things of one kind.
#include <fmt/format.h>

#include <algorithm>

#include "common/base/clock.h"
#include "master/control/handlers.h"
#include "master/control/views.h"
#include "master/worker_memory.h"

namespace sluice::master {

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
    table.rows.push_back(
        {{cluster.name, std::string(enum_name(cluster.topology)), primary, number(usable),
          number(cluster.servers.size()), problem_of(state, cluster)}});
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

Reply list_workers(const Invocation& in) {
  auto& state = in.master.state();
  Table table{.columns = {{"worker", Kind::number},
                          {"pid", Kind::number},
                          {"slot", Kind::number},
                          {"generation", Kind::number},
                          {"state"},
                          {"sessions", Kind::number},
                          {"age_s", Kind::number},
                          {"memory", Kind::number},
                          {"release"},
                          {"sandbox"}}};
  for (const Child* child : in.master.supervisor().workers())
    table.rows.push_back(
        {{number(child->number), number(child->pid()), number(child->slot),
          number(child->generation), phase_text(*child), number(sessions_of(state, *child)),
          number((monotonic_ns() - child->started_ns) / kSecondNs),
          number(own_memory(child->pid())), child->release(), child->sandbox}});
  return ControlReply{.table = std::move(table)};
}

Reply list_sessions(const Invocation& in) {
  in.server.ask(in.request, in.master.supervisor().workers(), "list sessions", {});
  return std::nullopt;
}

Reply list_accounts(const Invocation& in) {
  return ask_monitor(in, "list accounts", in.arguments);
}
Reply explain_login(const Invocation& in) {
  return ask_monitor(in, "explain login", in.arguments);
}
Reply explain_sql(const Invocation& in) {
  for (const auto& slot : in.master.supervisor().slots()) {
    if (!slot.serving) continue;
    in.server.ask(in.request, {slot.serving.get()}, "explain sql", in.arguments);
    return std::nullopt;
  }
  return refused("no worker serves");
}

}  // namespace sluice::master
