// All that the master knows, in one struct: the configuration in force, the sockets, what the
// monitor last said, what the operator decided, and the rows of the statistics page.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <utility>

#include "common/cluster/state.h"
#include "common/config/config.h"
#include "common/stats/page.h"
#include "master/inheritance.h"
#include "master/keys.h"
#include "master/listeners.h"
#include "master/log_output.h"
#include "master/programs.h"

namespace sluice::master {

/// Gives names rows of the statistics page. A name keeps its row for as long as the master lives,
/// so that counters survive reloads; row 0 is for what found no place.
class Rows {
 public:
  std::vector<inheritance::Row> export_() const;
  void import_(std::vector<inheritance::Row> rows);
  explicit Rows(uint32_t capacity) : capacity_(capacity) {}
  uint32_t of(const std::string& name) {
    const auto found = rows_.find(name);
    if (found != rows_.end()) return found->second;
    if (rows_.size() + 1 >= capacity_) return 0;
    return rows_[name] = static_cast<uint32_t>(rows_.size() + 1);
  }

 private:
  uint32_t capacity_;
  std::map<std::string, uint32_t> rows_;
};

/// What the monitor said of a cluster, for workers that start later and while it is dead.
struct KnownCluster {
  cluster::ClusterState state;
  bool has_state = false;
  UniqueFd accounts;
  uint64_t accounts_version = 0;
  std::string accounts_error;  ///< why the last load of them failed; empty if it did not
};

/// What the last state of a cluster is still good for when its configuration changes: servers that
/// are gone are left out. Nothing if one has moved or the primary is gone: better to know nothing,
/// and let clients wait for the monitor, than to send them to the wrong server.
std::optional<cluster::ClusterState> still_true(const cluster::ClusterState& known,
                                                const config::Cluster* before,
                                                const config::Cluster& now);

struct State {
  std::vector<std::string> arguments;  ///< of our command line
  std::string config_path;
  Programs programs;
  Programs previous;  ///< what ran before an upgrade that is not over yet; else empty
  config::Config config;
  uint32_t generation = 0;  ///< 0: nothing is in force yet
  uint32_t uid = 0, gid = 0;
  Keys keys;
  LogOutput log;
  Listeners listeners;
  std::map<std::string, KnownCluster> clusters;
  std::map<std::pair<std::string, std::string>, cluster::Admin> admin;  ///< by cluster and server
  UniqueFd stats_file;
  stats::Mapping stats;
  Rows service_rows{stats::kServices}, server_rows{stats::kServers};
  int64_t started_s = 0, reloaded_s = 0;
  std::string last_reload;  ///< how it ended, for `status`
  bool last_reload_failed = false;
  std::string last_upgrade;  ///< the same of the last upgrade; empty: there was none
  bool last_upgrade_failed = false;

  inheritance::State export_() const;
  Result<> import_(inheritance::State from);
  std::size_t slots() const;
  uint32_t server_row(const std::string& cluster, const std::string& server) {
    return server_rows.of(cluster + '/' + server);
  }
};

/// How many workers a configuration asks for.
std::size_t worker_count(const config::Config& config);

}  // namespace sluice::master
