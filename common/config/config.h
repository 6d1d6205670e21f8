// The configuration as typed structs: what the parser makes, what travels, what every process
// reads. Defaults stand here; names, units, ranges and help in master/config/schema.cc.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "common/base/enum_names.h"
#include "common/base/log.h"
#include "common/base/secret.h"
#include "common/ipc/codec.h"

namespace sluice::config {

using ipc::tag;

enum class Topology : uint8_t { replication, multi_primary, galera, group_replication, single };
enum class Target : uint8_t { primary, replica, any };
enum class Fallback : uint8_t { none, primary, replica };
enum class TlsMode : uint8_t { off, preferred, required };
enum class TlsVerify : uint8_t { none, ca, identity };
enum class IdentityMode : uint8_t { outgoing, as_connected };
enum class AccountMismatch : uint8_t { refuse, allow };
/// Whose writes a read on a replica has to see.
enum class CausalReads : uint8_t {
  off,      ///< none: it may be behind
  session,  ///< those of its own session
  service,  ///< those of all sessions of its service
};
enum class ClearPasswords : uint8_t { encrypted, anywhere };
enum class LogTarget : uint8_t { syslog, stderr_, file };
enum class Sandbox : uint8_t { best_effort, require, off };

/// Modules that serve a service's connections; one row each in common/config/modules.def.
enum class RouterKind : uint8_t {
#define SLUICE_ROUTER(type, name, help) type,
#include "common/config/modules.def"
#undef SLUICE_ROUTER
};

/// A place to connect to or to listen on: host and port, or the path of a Unix socket.
struct Endpoint {
  std::string host;  ///< name, IPv4 or IPv6 text without brackets; empty for a Unix socket
  uint16_t port = 0;
  std::string path;  ///< of a Unix socket; empty for TCP

  bool is_unix() const { return !path.empty(); }
  /// As people write it: "10.0.0.1:3306", "[::1]:3306", "/run/x.sock".
  std::string text() const;
  static auto fields(auto& m) { return std::tuple(tag<1>(m.host), tag<2>(m.port), tag<3>(m.path)); }
  bool operator==(const Endpoint&) const = default;
};

/// TLS of one side: towards clients of a service, or towards servers of a cluster. What the files
/// hold is read together with the configuration: a file that changes is a configuration that
/// changes, and no other process has to open it.
struct Tls {
  TlsMode mode = TlsMode::off;
  TlsVerify verify = TlsVerify::none;  ///< towards servers only
  std::string ca, certificate, key;    ///< paths of PEM files
  std::string min_version = "1.2";
  std::string ciphers;
  std::string ca_pem, certificate_pem;  ///< contents of the files
  Secret key_pem;
  int64_t not_after_s = 0;  ///< when the certificate expires, seconds since the epoch; 0: none
  static auto fields(auto& m) {
    return std::tuple(tag<1>(m.mode), tag<2>(m.verify), tag<3>(m.ca), tag<4>(m.certificate),
                      tag<5>(m.key), tag<6>(m.min_version), tag<7>(m.ciphers), tag<8>(m.ca_pem),
                      tag<9>(m.certificate_pem), tag<10>(m.key_pem), tag<11>(m.not_after_s));
  }
  bool operator==(const Tls&) const = default;
};

struct Server {
  std::string name;
  Endpoint address;
  uint32_t priority =
      1;  ///< who becomes the writer first, where there is a choice; 1 is best, 0 never
  uint32_t weight =
      100;  ///< share of the connections among servers of one role; 0: only if no other
  bool proxy_protocol = false;
  uint32_t connect_timeout_ms = 3000;
  Tls tls;
  ClearPasswords clear_passwords =
      ClearPasswords::encrypted;      ///< plugins that send a password as it is, over TCP
  bool public_key_retrieval = false;  ///< believe the RSA key that the server sends without TLS
  static auto fields(auto& m) {
    return std::tuple(tag<1>(m.name), tag<2>(m.address), tag<3>(m.priority), tag<4>(m.weight),
                      tag<5>(m.proxy_protocol), tag<6>(m.connect_timeout_ms), tag<7>(m.tls),
                      tag<8>(m.clear_passwords), tag<9>(m.public_key_retrieval));
  }
  bool operator==(const Server&) const = default;
};

struct Cluster {
  std::string name;
  Topology topology = Topology::replication;
  std::string user;  ///< the watching account
  Secret password;
  std::vector<Server> servers;
  uint32_t interval_ms = 1000;            ///< between two questions to a server
  uint32_t max_lag_ms = 0;                ///< a replica that lags more serves no reads; 0: no limit
  uint32_t accounts_interval_ms = 60000;  ///< between two loads of the grant tables
  static auto fields(auto& m) {
    return std::tuple(tag<1>(m.name), tag<2>(m.topology), tag<3>(m.user), tag<4>(m.password),
                      tag<5>(m.servers), tag<6>(m.interval_ms), tag<7>(m.max_lag_ms),
                      tag<8>(m.accounts_interval_ms));
  }
  bool operator==(const Cluster&) const = default;
};

struct Service {
  std::string name;
  std::string cluster;
  RouterKind router{};
  std::vector<Endpoint> listen;
  Target target = Target::primary;     ///< router "connection"
  Fallback fallback = Fallback::none;  ///< router "connection"
  IdentityMode identity = IdentityMode::outgoing;
  AccountMismatch account_mismatch = AccountMismatch::refuse;
  uint32_t max_connections = 0;       ///< client connections over all workers; 0: no limit
  uint32_t login_timeout_ms = 10000;  ///< from accept to the client's OK
  uint32_t max_failed_logins = 20;    ///< of one address, till its logins are slowed; 0: never
  uint32_t socket_mode = 0777;        ///< of Unix-socket listeners
  std::vector<std::string> proxy_protocol_from;  ///< networks whose PROXY headers are believed
  Tls tls;
  ClearPasswords clear_passwords =
      ClearPasswords::encrypted;  ///< plugins that send a password as it is, over TCP
  CausalReads causal_reads = CausalReads::session;  ///< router "read-write-split"
  uint32_t causal_reads_timeout_ms = 1000;          ///< how long a replica may take to catch up
  bool transaction_replay = false;  ///< an open transaction goes on with another primary
  uint32_t transaction_replay_max_size = 1048576;  ///< bytes of its commands
  uint32_t transaction_replay_timeout_ms = 30000;  ///< from the loss until it goes on
  uint32_t pool =
      0;  ///< connections to each server that its sessions keep; 0: as many as they make
  uint32_t pool_timeout_ms = 10000;  ///< how long a command waits for one of them
  bool compression = false;          ///< offer clients the compressed protocol
  static auto fields(auto& m) {
    return std::tuple(
        tag<1>(m.name), tag<2>(m.cluster), tag<3>(m.router), tag<4>(m.listen), tag<5>(m.target),
        tag<6>(m.fallback), tag<7>(m.identity), tag<8>(m.account_mismatch),
        tag<9>(m.max_connections), tag<10>(m.login_timeout_ms), tag<11>(m.socket_mode),
        tag<12>(m.proxy_protocol_from), tag<13>(m.tls), tag<14>(m.clear_passwords),
        tag<15>(m.max_failed_logins), tag<16>(m.causal_reads), tag<17>(m.causal_reads_timeout_ms),
        tag<18>(m.transaction_replay), tag<19>(m.transaction_replay_max_size),
        tag<20>(m.transaction_replay_timeout_ms), tag<21>(m.pool), tag<22>(m.pool_timeout_ms),
        tag<23>(m.compression));
  }
  bool operator==(const Service&) const = default;
};

struct Log {
  LogTarget target = LogTarget::syslog;
  log::Level level = log::Level::notice;
  std::string facility = "daemon";
  std::string file;
  static auto fields(auto& m) {
    return std::tuple(tag<1>(m.target), tag<2>(m.level), tag<3>(m.facility), tag<4>(m.file));
  }
  bool operator==(const Log&) const = default;
};

/// Process-wide settings: the [sluice] table.
struct Process {
  std::string user = "sluice";  ///< children run as; only when started as root
  std::string group = "sluice";
  uint32_t workers = 0;  ///< 0: one a core
  uint32_t drain_timeout_ms = 300'000;
  std::string control_socket = "/run/sluice/control.sock";
  Log log;
  Sandbox sandbox = Sandbox::require;
  std::string secrets_key = "/etc/sluice/secrets.key";  ///< opens encrypted values of the file
  uint64_t max_worker_memory = 0;  ///< bytes; who grows beyond is replaced; 0: no limit
  static auto fields(auto& m) {
    return std::tuple(tag<1>(m.user), tag<2>(m.group), tag<3>(m.workers),
                      tag<4>(m.drain_timeout_ms), tag<5>(m.control_socket), tag<6>(m.log),
                      tag<7>(m.sandbox), tag<8>(m.secrets_key), tag<9>(m.max_worker_memory));
  }
  bool operator==(const Process&) const = default;
};

/// A whole configuration, checked.
struct Config {
  Process sluice;
  std::vector<Cluster> clusters;  ///< by name
  std::vector<Service> services;  ///< by name
  static auto fields(auto& m) {
    return std::tuple(tag<1>(m.sluice), tag<2>(m.clusters), tag<3>(m.services));
  }
  bool operator==(const Config&) const = default;

  const Cluster* cluster(std::string_view name) const;
  const Service* service(std::string_view name) const;
};

}  // namespace sluice::config

namespace sluice {
template <>
inline constexpr auto kEnumNames<config::Topology> = names("replication", "multi-primary", "galera",
                                                           "group-replication", "single");
template <>
inline constexpr auto kEnumNames<config::Target> = names("primary", "replica", "any");
template <>
inline constexpr auto kEnumNames<config::Fallback> = names("none", "primary", "replica");
template <>
inline constexpr auto kEnumNames<config::TlsMode> = names("off", "preferred", "required");
template <>
inline constexpr auto kEnumNames<config::TlsVerify> = names("none", "ca", "identity");
template <>
inline constexpr auto kEnumNames<config::IdentityMode> = names("outgoing", "as-connected");
template <>
inline constexpr auto kEnumNames<config::AccountMismatch> = names("refuse", "allow");
template <>
inline constexpr auto kEnumNames<config::CausalReads> = names("off", "session", "service");
template <>
inline constexpr auto kEnumNames<config::ClearPasswords> = names("encrypted", "anywhere");
template <>
inline constexpr auto kEnumNames<config::LogTarget> = names("syslog", "stderr", "file");
template <>
inline constexpr auto kEnumNames<config::Sandbox> = names("best-effort", "require", "off");
template <>
inline constexpr auto kEnumNames<log::Level> = names("error", "warning", "notice", "info", "debug");
template <>
inline constexpr auto kEnumNames<config::RouterKind> = std::to_array<std::string_view>({
#define SLUICE_ROUTER(type, name, help) name,
#include "common/config/modules.def"
#undef SLUICE_ROUTER
});
}  // namespace sluice
