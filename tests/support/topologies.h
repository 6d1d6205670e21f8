#pragma once

#include <array>
#include <memory>
#include <vector>

#include "tests/support/mariadb_server.h"
#include "tests/support/mysql_server.h"

namespace sluice::test {

/// db1 is the primary; db2 follows it and has read_only = 1.
struct ReplicationPair {
  explicit ReplicationPair(std::vector<std::string> extra_args = {},
                           MariadbRelease release = MariadbRelease::Installed);

  MariadbServer primary;
  MariadbServer replica;
  std::vector<MariadbServer*> servers() { return {&primary, &replica}; }
};

/// The same of MySQL.
struct MysqlReplicationPair {
  explicit MysqlReplicationPair(std::vector<std::string> extra_args = {},
                                MysqlRelease release = MysqlRelease::V9);

  MysqlServer primary;
  MysqlServer replica;
  std::vector<MysqlServer*> servers() { return {&primary, &replica}; }
};

/// db1 is the primary; db2 and db3 follow it and have super_read_only = 1.
struct MysqlReplicationTrio {
  MysqlReplicationTrio();

  MysqlServer primary;
  std::array<std::unique_ptr<MysqlServer>, 2> replicas;
  std::vector<MysqlServer*> servers() { return {&primary, replicas[0].get(), replicas[1].get()}; }
  /// Waits until both replicas have what the primary has.
  void keep_in_step();
};

/// Two servers that replicate from each other, each with its own GTID domain; db2 has
/// read_only = 1. make_writable() moves the right to write.
struct MultiPrimaryPair {
  explicit MultiPrimaryPair(std::vector<std::string> extra_args = {});
  /// The other one becomes read-only first, so at no moment both can be written.
  void make_writable(MariadbServer& server);

  MariadbServer first;
  MariadbServer second;
  std::vector<MariadbServer*> servers() { return {&first, &second}; }
};

/// Holds a Galera node that is to give its state to another, for as long as a test looks at it: a
/// method of state transfer ("gated") that is rsync's own, but waits at the donor until open().
class TransferGate {
 public:
  TransferGate();
  /// Opens: no script is left behind that waits for ever.
  ~TransferGate() { open(); }
  /// Lets go whoever waits at this moment.
  void open();
  /// What a server must be started with for the method to be found.
  std::vector<std::pair<std::string, std::string>> environment() const;
  /// For the node that is to get the state.
  static constexpr const char* kOption = "--wsrep-sst-method=gated";

 private:
  TempDir dir_;
};

/// A Galera cluster db1..dbN with the rsync state transfer. All nodes are synced when made.
class GaleraCluster {
 public:
  explicit GaleraCluster(int nodes = 3,
                         std::vector<std::pair<std::string, std::string>> environment = {});

  MariadbServer& node(int index) { return *nodes_.at(static_cast<std::size_t>(index)); }
  std::vector<MariadbServer*> servers();
  /// Whether the node says Synced; false when it does not answer.
  static bool synced(MariadbServer& node);
  /// Starts a stopped node again; it joins the others.
  void rejoin(MariadbServer& node);
  /// Waits until the node is synced; throws after a minute.
  static void wait_synced(MariadbServer& node);

 private:
  std::vector<std::unique_ptr<MariadbServer>> nodes_;
};

}  // namespace sluice::test
