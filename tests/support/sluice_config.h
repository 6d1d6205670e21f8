#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "tests/support/mariadb_server.h"

namespace sluice::test {

/// `[cluster.NAME]`. The account is the one that every DatabaseServer has.
struct ClusterSpec {
  std::string topology = "replication";
  std::vector<const DatabaseServer*> servers{};
  std::string user = kWatchUser;
  std::string password = kWatchPassword;
  std::string interval = "200ms";
  std::string extra{};  ///< more lines of the table, as TOML
};

/// `[service.NAME]`, router `connection`.
struct ServiceSpec {
  std::string cluster;
  std::string target = "primary";
  std::vector<std::string> listen{};  ///< addresses and socket paths
  std::string router = "connection";
  std::string extra{};  ///< more lines of the table, as TOML

  /// The port of the first TCP listener; throws when there is none.
  uint16_t port() const;
};

/// A configuration as values: a test changes them and reloads. For what can't be said this way
/// (wrong configurations) there is Sluice::write_config().
struct SluiceConfig {
  std::map<std::string, ClusterSpec> clusters{};
  std::map<std::string, ServiceSpec> services{};
  unsigned workers = 2;
  std::string control_socket{};  ///< default: in the directory of the Sluice object
  std::string log_file{};        ///< default: in the directory of the Sluice object
  std::string settings{};        ///< more lines of [sluice]
  std::string extra{};           ///< more tables, at the end

  /// Adds a service with one listener on a free port of 127.0.0.1, and returns it.
  ServiceSpec& add_service(const std::string& name, const std::string& cluster,
                           const std::string& target = "primary");
  ClusterSpec& add_cluster(const std::string& name, const std::string& topology,
                           std::vector<const DatabaseServer*> servers);
  template <class Server>
  ClusterSpec& add_cluster(const std::string& name, const std::string& topology,
                           const std::vector<Server*>& servers) {
    return add_cluster(name, topology,
                       std::vector<const DatabaseServer*>(servers.begin(), servers.end()));
  }

  std::string text() const;
};

/// `text` as a TOML basic string, quotes included.
std::string toml_string(std::string_view text);

}  // namespace sluice::test
