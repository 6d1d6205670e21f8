// What several commands look at and show, and how replies are put together.
#pragma once

#include <fmt/format.h>

#include <string>
#include <utility>

#include "master/control/commands.h"

namespace sluice::master {

using ipc::ControlReply;
using ipc::Kind;
using ipc::Table;
using Reply = std::optional<ControlReply>;

inline ControlReply refused(std::string why) {
  return {.error = std::move(why)};
}
inline ControlReply done(std::string message) {
  return {.message = std::move(message)};
}
inline std::string number(uint64_t n) {
  return fmt::to_string(n);
}
inline std::string yes_no(bool b) {
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
ServiceTotals totals_of(State& state, const std::string& service);
/// Commands of split sessions, by stats::Route.
uint64_t commands_by_route(State& state, const std::string& service, std::size_t route);
/// Those whose hint names a server that could not be used.
uint64_t hints_unheeded(State& state, const std::string& service);

/// A counter of the service's pool.
uint64_t pool_counter(State& state, const std::string& service,
                      stats::Counter stats::PoolCounters::*which);
uint64_t pool_pins(State& state, const std::string& service, stats::Pin pin);

/// What is wrong with a cluster as a whole, its accounts among it; empty: nothing.
std::string problem_of(const State& state, const config::Cluster& cluster);

/// What is known of a server: before the monitor has told anything, that.
cluster::ServerState state_of(const State& state, const config::Cluster& cluster,
                              const config::Server& server);
/// A cluster and a server from "CLUSTER/NAME"; null and null if there is none.
std::pair<const config::Cluster*, const config::Server*> find_server(const State& state,
                                                                     const std::string& text);
/// Whether a service's fallback is what serves it now.
bool on_fallback(const State& state, const config::Service& service);
uint64_t sessions_of(State& state, const Child& child);

std::string lag_text(const cluster::ServerState& server);
std::string listeners_text(const config::Service& service);
std::string target_text(const config::Service& service);
std::string phase_text(const Child& child);
/// "2026-11-24T12:00:00Z"; empty for 0.
std::string time_text(int64_t seconds);
/// A date; empty for 0.
std::string expiry_text(int64_t not_after_s);
/// The mode that all servers of a cluster share.
std::string tls_mode_text(const config::Cluster& cluster);
/// The first of the certificates towards a cluster's servers to expire; 0: there are none.
int64_t first_expiry(const config::Cluster& cluster);

/// Passes a question on to the monitor. While that is being restarted the answer is `head` alone,
/// or a refusal.
Reply ask_monitor(const Invocation& in, std::string command, std::vector<std::string> arguments,
                  ipc::Table head = {});

}  // namespace sluice::master
