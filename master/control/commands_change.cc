// The commands that change what runs, and the short ones about the whole.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <set>

#include "common/base/clock.h"
#include "common/base/version.h"
#include "master/control/handlers.h"
#include "master/control/views.h"

namespace sluice::master {
namespace {

/// The reply comes when it is over.
Reply roll_out(const Invocation& in, Rollout::Kind kind) {
  if (in.master.leaving()) return refused("sluice is shutting down");
  in.master.rollout().request(kind, in.request);
  return std::nullopt;
}

}  // namespace

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
  return roll_out(in, in.arguments.empty() ? Rollout::Kind::roll : Rollout::Kind::dry_run);
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

Reply replace_workers(const Invocation& in) {
  return roll_out(in, Rollout::Kind::replace);
}

Reply upgrade(const Invocation& in) {
  return roll_out(in, Rollout::Kind::upgrade);
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

namespace {

/// What is wrong as a whole: the line that a monitoring system reads.
std::string problems_of(const State& state) {
  std::string problems;
  const auto add = [&problems](std::string_view what, std::string_view problem) {
    problems += fmt::format("{}{}: {}", problems.empty() ? "" : "; ", what, problem);
  };
  if (state.last_reload_failed)
    add("reload", state.last_reload.substr(0, state.last_reload.find('\n')));
  if (state.last_upgrade_failed) add("upgrade", state.last_upgrade);
  for (const auto& cluster : state.config.clusters) {
    if (!state.clusters.contains(cluster.name)) continue;  // the monitor is about to tell
    if (const auto problem = problem_of(state, cluster); !problem.empty())
      add(cluster.name, problem);
  }
  return problems;
}

/// Of children whose release is not the master's: old workers with sessions, mostly.
std::string other_releases(const Supervisor& supervisor) {
  std::set<std::string> others;
  const auto look = [&others](const Child* child) {
    if (child != nullptr && child->greeted() && child->release() != kRelease)
      others.insert(child->release());
  };
  for (const Child* worker : supervisor.workers()) look(worker);
  look(supervisor.monitor());
  return fmt::format("{}", fmt::join(others, " "));
}

}  // namespace

Reply status(const Invocation& in) {
  auto& state = in.master.state();
  uint64_t sessions = 0, commands = 0;
  for (const auto& service : state.config.services) {
    const auto t = totals_of(state, service.name);
    sessions += t.open;
    commands += t.commands;
  }
  const auto problems = problems_of(state);
  const Child* monitor = in.master.supervisor().monitor();
  Record record;
  record.add("release", std::string(kRelease)).add("pid", static_cast<uint64_t>(::getpid()));
  record.add("other_releases", other_releases(in.master.supervisor()));
  record.add("uptime_s", static_cast<uint64_t>(wall_clock_s() - state.started_s));
  record.add("config", state.config_path).add("generation", state.generation);
  record.add("last_reload", state.last_reload).add("last_upgrade", state.last_upgrade);
  record.add("workers", state.slots()).add("old_workers", in.master.supervisor().leaving().size());
  record.add("monitor", monitor && monitor->phase() == ipc::kServing ? "running" : "starting");
  record.add("monitor_sandbox", monitor ? monitor->sandbox : "");
  record.add("services", state.config.services.size())
      .add("clusters", state.config.clusters.size());
  record.add("sessions", sessions).add("commands", commands).add("problems", problems);
  return ControlReply{.table = record.table()};
}

Reply version(const Invocation& in) {
  Record record;
  record.add("release", std::string(kRelease));
  record.add("other_releases", other_releases(in.master.supervisor()));
  return ControlReply{.table = record.table()};
}

}  // namespace sluice::master
