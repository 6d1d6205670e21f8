// What one look at one server found: plain values, made in the thread that watches the server
// (monitor/watcher.h) and judged in the main thread (monitor/topology.h).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/cluster/state.h"

namespace sluice::monitor {

/// What the server said in its greeting.
struct Greeting {
  std::string version;        ///< without the "5.5.5-" that MariaDB 10 puts in front
  uint64_t capabilities = 0;  ///< as sent; MariaDB's extended ones in the upper half
  uint8_t collation = 0;      ///< default collation id

  /// MariaDB leaves the lowest bit (CLIENT_MYSQL) clear, which tells it from MySQL.
  bool is_mariadb() const { return (capabilities & 1) == 0; }
};

/// A replication thread.
enum class Running : uint8_t { no, connecting, yes };

/// One row of SHOW ALL SLAVES STATUS (MariaDB) or SHOW REPLICA STATUS (MySQL).
struct ReplicationLink {
  std::string channel;  ///< empty: the unnamed one
  std::string host;     ///< of the source, as the replica knows it
  uint16_t port = 0;
  uint32_t source_id = 0;  ///< server_id of the source; 0 before the first contact
  Running io = Running::no;
  Running sql = Running::no;
  std::optional<uint32_t> behind_s;  ///< absent while a thread does not run
  uint32_t io_errno = 0, sql_errno = 0;
  std::string io_error, sql_error;

  /// The link is in use: at least one thread works, or tries to.
  bool active() const { return io != Running::no || sql == Running::yes; }
};

/// A Galera node's view of itself; the names are those of the wsrep_* variables.
struct Wsrep {
  bool on = false;
  std::string cluster_status;      ///< "Primary", "non-Primary", "Disconnected"
  std::string cluster_state_uuid;  ///< nodes with different ones hold different data
  uint32_t local_state = 0;        ///< 1 joining, 2 donor/desynced, 3 joined, 4 synced
  std::string local_state_comment;
  uint32_t cluster_size = 0;
  bool ready = false;
  bool desync = false;
  bool rejects_queries = false;  ///< wsrep_reject_queries is not NONE
};

/// All that is known of a server. A failed look leaves the facts of the last good one in place
/// (absorb() in monitor/cluster_watch.cc), so that a dead server still has its id.
struct Observation {
  cluster::Health health = cluster::Health::unknown;  ///< what the last look found
  std::string error;                                  ///< why it is down or denied

  Greeting greeting;
  uint32_t server_id = 0;  ///< 0: never seen
  bool read_only = false, super_read_only = false;
  std::string gtid_binlog, gtid_current;  ///< MySQL: gtid_executed in both
  std::vector<ReplicationLink> links;
  std::string links_error;  ///< why the links could not be asked for (a missing privilege)
  std::optional<Wsrep> wsrep;
  std::optional<std::string> outgoing_ip;  ///< ours, as the server sees it; empty: a Unix socket

  std::vector<cluster::Address> addresses;  ///< last good resolution
  std::string resolve_error;                ///< of the last try; empty if it worked

  // CLOCK_MONOTONIC, kept by the main thread.
  int64_t asked_ns = 0;     ///< since when an answer is awaited; 0: none is
  int64_t answered_ns = 0;  ///< when the last good look was over; 0: never
  int64_t linked_ns = 0;    ///< when replication was last seen running; 0: never
};

}  // namespace sluice::monitor
