// What is known of the clusters: derived by the monitor (monitor/topology.h), kept by the master
// for `list servers`, and used by every worker to choose servers. Small, and sent whole at each
// change.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/base/enum_names.h"
#include "common/config/config.h"
#include "common/ipc/codec.h"

namespace sluice::cluster {

using ipc::tag;

/// What a server may be used for now.
enum class Role : uint8_t {
  none,     ///< nothing; `reason` says why
  primary,  ///< may be written
  replica,  ///< may be read
};

/// What the monitor's last questions found.
enum class Health : uint8_t {
  unknown,       ///< not asked yet
  up,            ///< answers
  down,          ///< can't be reached, or does not answer in time
  access_denied  ///< refuses the watching account
};

/// What the operator decided (`set server`).
enum class Admin : uint8_t {
  none,
  maintenance,  ///< out of use: no new connections, sessions on it are ended
  draining,     ///< no new connections; sessions on it may end by themselves
};

/// An address that a worker can connect to without resolving anything.
struct Address {
  std::string ip;  ///< IPv4 or IPv6 text; empty for a Unix socket
  uint16_t port = 0;
  std::string path;
  static auto fields(auto& m) { return std::tuple(tag<1>(m.ip), tag<2>(m.port), tag<3>(m.path)); }
  bool operator==(const Address&) const = default;
};

struct ServerState {
  std::string name;
  std::vector<Address> addresses;  ///< resolved by the monitor; empty while that has not succeeded
  Role role = Role::none;
  Health health = Health::unknown;
  Admin admin = Admin::none;
  std::optional<uint32_t> lag_ms;  ///< of a replica, where it is known
  std::string reason;              ///< why it has this role, for people; never empty
  std::string version;             ///< as the server's greeting gives it, without a "5.5.5-" prefix
  uint64_t capabilities = 0;       ///< of its greeting; MariaDB's extended ones in the upper half
  uint8_t collation = 0;           ///< default collation id of its greeting
  int64_t since_s = 0;             ///< when role or health last changed, seconds since the epoch
  static auto fields(auto& m) {
    return std::tuple(tag<1>(m.name), tag<2>(m.addresses), tag<3>(m.role), tag<4>(m.health),
                      tag<5>(m.admin), tag<6>(m.lag_ms), tag<7>(m.reason), tag<8>(m.version),
                      tag<9>(m.capabilities), tag<10>(m.collation), tag<11>(m.since_s));
  }
  bool operator==(const ServerState&) const = default;
};

struct ClusterState {
  std::string name;
  uint64_t version = 0;  ///< grows with every change, over monitor restarts too
  config::Topology topology{};
  std::vector<ServerState> servers;  ///< in the order of the configuration
  std::string problem;  ///< what is wrong with the cluster as a whole; empty if nothing
  static auto fields(auto& m) {
    return std::tuple(tag<1>(m.name), tag<2>(m.version), tag<3>(m.topology), tag<4>(m.servers),
                      tag<5>(m.problem));
  }
  bool operator==(const ClusterState&) const = default;

  const ServerState* server(std::string_view server_name) const {
    for (const auto& s : servers)
      if (s.name == server_name) return &s;
    return nullptr;
  }
  /// The server that may be written; null while there is none.
  const ServerState* primary() const {
    for (const auto& s : servers)
      if (s.role == Role::primary) return &s;
    return nullptr;
  }
};

}  // namespace sluice::cluster

namespace sluice {
template <>
inline constexpr auto kEnumNames<cluster::Role> = names("none", "primary", "replica");
template <>
inline constexpr auto kEnumNames<cluster::Health> = names("unknown", "up", "down", "access denied");
template <>
inline constexpr auto kEnumNames<cluster::Admin> = names("none", "maintenance", "draining");
}  // namespace sluice
