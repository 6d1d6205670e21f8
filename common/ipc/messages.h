// Everything that travels between sluice's processes: one struct a message, and one list that says
// who may send it to whom, when, and with how many fds. Encoder, decoder, names and legality checks
// all come from that list. Tags and ids are for ever: never used again for something else.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "common/base/log.h"
#include "common/cluster/state.h"
#include "common/config/config.h"
#include "common/ipc/codec.h"

namespace sluice::ipc {

/// Version of the channel itself. A peer with another major protocol is refused at Hello.
inline constexpr uint32_t kProtocolVersion = 1;

enum class Role : uint8_t {
  master,
  worker,
  monitor,
  control,  ///< sluicectl
  parser,   ///< the throw-away child that reads the configuration
  trial,    ///< the throw-away child that tries out a new program of the master
};

/// Where a peer is in its life; the list below says what is legal when.
enum Phase : uint8_t {
  kGreeting = 1,  ///< nothing but Hello
  kStarting = 2,  ///< gets its configuration
  kServing = 4,
  kDraining = 8,  ///< finishes what it has
};

/// First message in both directions.
struct Hello {
  uint32_t protocol = kProtocolVersion;
  Role role{};
  uint32_t generation = 0;
  std::string release;  ///< of the program, for people
  static auto fields(auto& m) {
    return std::tuple(tag<1>(m.protocol), tag<2>(m.role), tag<3>(m.generation), tag<4>(m.release));
  }
};

/// How a child is to lock itself in, before it reads anything from outside.
struct Privileges {
  bool drop = false;  ///< the master runs as root: change user, group and root directory
  uint32_t uid = 0, gid = 0;
  config::Sandbox sandbox{};
  uint64_t max_fds = 0;  ///< RLIMIT_NOFILE to run with
  static auto fields(auto& m) {
    return std::tuple(tag<1>(m.drop), tag<2>(m.uid), tag<3>(m.gid), tag<4>(m.sandbox),
                      tag<5>(m.max_fds));
  }
};

/// A worker's part of the configuration. + fd: the statistics page (common/stats/page.h).
struct WorkerConfig {
  Privileges privileges;
  uint32_t slot = 0, slots = 1;  ///< which of how many
  uint32_t lane = 0;             ///< its lane of the statistics page
  log::Level log_level{};
  uint32_t session_id_base = 0;  ///< upper bits of its session ids, unique among living workers
  std::vector<config::Service> services;
  std::vector<uint32_t> service_ids;      ///< beside `services`: row of each in the statistics page
  std::vector<config::Cluster> clusters;  ///< without the watching accounts
  static auto fields(auto& m) {
    return std::tuple(tag<1>(m.privileges), tag<2>(m.slot), tag<3>(m.slots), tag<4>(m.lane),
                      tag<5>(m.log_level), tag<6>(m.session_id_base), tag<7>(m.services),
                      tag<8>(m.service_ids), tag<9>(m.clusters));
  }
};

/// + fd: a bound, non-blocking socket; it listens once a worker serves it.
struct Listener {
  std::string service;  ///< empty only for one that is gone: who comes there is told so
  config::Endpoint endpoint;
  bool gone = false;  ///< not in the configuration any more: served until CloseGone
  static auto fields(auto& m) {
    return std::tuple(tag<1>(m.service), tag<2>(m.endpoint), tag<3>(m.gone));
  }
};

/// The kernel takes nobody in any more at the listeners that are gone: answer who is in already,
/// close them, then answer GoneClosed.
struct CloseGone {
  static auto fields(auto&) { return std::tuple(); }
};
struct GoneClosed {
  static auto fields(auto&) { return std::tuple(); }
};

/// The last of a worker's or monitor's start: it has all it needs and answers Ready.
struct Start {
  static auto fields(auto&) { return std::tuple(); }
};
struct Ready {
  std::string sandbox;  ///< what was locked, for the log: "uid,chroot,nnp"
  static auto fields(auto& m) { return std::tuple(tag<1>(m.sandbox)); }
};

/// The last words of a process that wanted a system call which its filter forbids: it dies of it
/// (common/process/seccomp.h). Of fixed size, for a signal handler fills it in.
struct ForbiddenCall {
  std::array<std::byte, 4> number{};  ///< little-endian
  static auto fields(auto& m) { return std::tuple(tag<1>(m.number)); }
};

/// The state of one cluster, whole. Monitor to master to workers.
struct ClusterUpdate {
  cluster::ClusterState state;
  std::vector<uint32_t> server_ids;  ///< set by the master: statistics row of each server
  static auto fields(auto& m) { return std::tuple(tag<1>(m.state), tag<2>(m.server_ids)); }
};

/// + fd: sealed memfd with the accounts of one cluster (common/accounts/table.h). Monitor to master
/// to workers, unopened.
struct AccountsUpdate {
  std::string cluster;
  uint64_t version = 0;
  static auto fields(auto& m) { return std::tuple(tag<1>(m.cluster), tag<2>(m.version)); }
};

/// A login found no account or a wrong password: the tables may be stale. Worker to master to
/// monitor.
struct RefreshAccounts {
  std::string cluster;
  static auto fields(auto& m) { return std::tuple(tag<1>(m.cluster)); }
};
/// A load is over that was asked for, or that failed or worked unlike the one before it. `version`
/// may be unchanged. Monitor to master to workers. Who asked after it began waits for the next one.
struct AccountsChecked {
  std::string cluster;
  uint64_t version = 0;
  std::string error;     ///< why it failed; empty if it did not
  int64_t began_ns = 0;  ///< CLOCK_MONOTONIC: what the servers knew then is in the table
  static auto fields(auto& m) {
    return std::tuple(tag<1>(m.cluster), tag<2>(m.version), tag<3>(m.error), tag<4>(m.began_ns));
  }
};

/// What name an address has, looked up as a server does (reverse, then confirmed forward). Worker
/// to master to monitor.
struct ResolveName {
  std::string ip;
  static auto fields(auto& m) { return std::tuple(tag<1>(m.ip)); }
};
/// Monitor to master to workers.
struct NameResolved {
  std::string ip;
  std::string name;      ///< empty: it has none, or none that is confirmed
  int64_t until_ns = 0;  ///< CLOCK_MONOTONIC; ask again after that
  static auto fields(auto& m) {
    return std::tuple(tag<1>(m.ip), tag<2>(m.name), tag<3>(m.until_ns));
  }
};

/// Keys that all workers share, made by the master's parsing child. Sent before Start, and when
/// they change.
struct KeyMaterial {
  Secret ticket_key, ticket_key_before;  ///< of TLS session tickets; `before` opens older ones
  Secret rsa_key_pem;           ///< for passwords of clients without TLS; empty: not needed
  std::string certificate_pem;  ///< self-signed, for services that name no certificate
  Secret certificate_key_pem;
  static auto fields(auto& m) {
    return std::tuple(tag<1>(m.ticket_key), tag<2>(m.ticket_key_before), tag<3>(m.rsa_key_pem),
                      tag<4>(m.certificate_pem), tag<5>(m.certificate_key_pem));
  }
};

/// What the monitor watches. Sent at its start and at every reload; always whole.
struct MonitorConfig {
  Privileges privileges;  ///< read at the first one only
  log::Level log_level{};
  std::vector<config::Cluster> clusters;
  static auto fields(auto& m) {
    return std::tuple(tag<1>(m.privileges), tag<2>(m.log_level), tag<3>(m.clusters));
  }
};

/// What the operator decided about a server. The monitor's view takes it into account.
struct ServerAdmin {
  std::string cluster, server;
  cluster::Admin admin{};
  static auto fields(auto& m) {
    return std::tuple(tag<1>(m.cluster), tag<2>(m.server), tag<3>(m.admin));
  }
};

struct LogLevel {
  log::Level level{};
  static auto fields(auto& m) { return std::tuple(tag<1>(m.level)); }
};

/// Stop accepting: take what the kernel has queued, then answer Stopped.
struct StopAccepting {
  static auto fields(auto&) { return std::tuple(); }
};
struct Stopped {
  uint64_t sessions = 0;
  static auto fields(auto& m) { return std::tuple(tag<1>(m.sessions)); }
};

/// End every session at its next command boundary, with `reason` for the client; cut what is left
/// at the deadline. Answered by Leaving, and the end of the process.
struct Finish {
  std::string reason;
  int64_t deadline_ns = 0;  ///< CLOCK_MONOTONIC
  static auto fields(auto& m) { return std::tuple(tag<1>(m.reason), tag<2>(m.deadline_ns)); }
};
struct Leaving {
  uint64_t sessions = 0;
  static auto fields(auto& m) { return std::tuple(tag<1>(m.sessions)); }
};

struct Ping {
  uint64_t number = 0;
  static auto fields(auto& m) { return std::tuple(tag<1>(m.number)); }
};
struct Pong {
  uint64_t number = 0;
  static auto fields(auto& m) { return std::tuple(tag<1>(m.number)); }
};

struct LogRecord {
  log::Level level{};
  std::string component, text;
  static auto fields(auto& m) {
    return std::tuple(tag<1>(m.level), tag<2>(m.component), tag<3>(m.text));
  }
};

/// A table for people and scripts; rendered by sluicectl alone.
enum class Kind : uint8_t { text, number, boolean };
struct Column {
  std::string name;
  Kind kind{};
  static auto fields(auto& m) { return std::tuple(tag<1>(m.name), tag<2>(m.kind)); }
};
struct Row {
  std::vector<std::string> cells;  ///< as many as there are columns; "" in a number means unknown
  static auto fields(auto& m) { return std::tuple(tag<1>(m.cells)); }
};
struct Table {
  std::vector<Column> columns;
  std::vector<Row> rows;
  bool record =
      false;  ///< one thing (`show`): printed down the page, a JSON object instead of a list
  static auto fields(auto& m) {
    return std::tuple(tag<1>(m.columns), tag<2>(m.rows), tag<3>(m.record));
  }
};

/// A question from the control socket that a child can answer ("list sessions", "explain login").
struct Ask {
  uint64_t id = 0;
  std::string command;
  std::vector<std::string> arguments;
  static auto fields(auto& m) {
    return std::tuple(tag<1>(m.id), tag<2>(m.command), tag<3>(m.arguments));
  }
};
struct Answer {
  uint64_t id = 0;
  std::string error;  ///< why it was refused; empty if it was not
  Table table;
  static auto fields(auto& m) { return std::tuple(tag<1>(m.id), tag<2>(m.error), tag<3>(m.table)); }
};

/// A server has done what a KILL of one of its connections asked for. If that is a session's, which
/// the id was told, its command may run elsewhere: where? Worker to master to the other workers.
struct SeekSession {
  uint32_t worker = 0;   ///< who asks: its number; set by the master
  uint64_t session = 0;  ///< that has sent the KILL
  uint32_t round = 0;    ///< of its asking
  std::string cluster, server;
  uint32_t connection_id = 0;
  bool killed = false;   ///< the connection, not its statement alone
  bool at_home = false;  ///< which connection it has to its primary is asked, ahead of the KILL
  static auto fields(auto& m) {
    return std::tuple(tag<1>(m.worker), tag<2>(m.session), tag<3>(m.round), tag<4>(m.cluster),
                      tag<5>(m.server), tag<6>(m.connection_id), tag<7>(m.killed),
                      tag<8>(m.at_home));
  }
};
/// Worker to master; to the worker that asked, once somebody knows the session or nobody does.
struct FoundSession {
  uint32_t worker = 0;  ///< these three as in the question
  uint64_t session = 0;
  uint32_t round = 0;
  bool known = false;          ///< the session is here
  std::string server;          ///< that runs its command, if it is not the one of the KILL
  uint32_t connection_id = 0;  ///< there
  bool waits = false;          ///< its command is about to run on such a server
  uint32_t home_id = 0;        ///< its connection to its primary, if that was asked; 0: it has none
  static auto fields(auto& m) {
    return std::tuple(tag<1>(m.worker), tag<2>(m.session), tag<3>(m.round), tag<4>(m.known),
                      tag<5>(m.server), tag<6>(m.connection_id), tag<7>(m.waits),
                      tag<8>(m.home_id));
  }
};

/// Sessions move from a worker that is replaced to the one that serves in its place. + fd: one end
/// of the socket between the two, on which the master neither reads nor writes.
struct HandOff {
  bool give = false;  ///< else take
  static auto fields(auto& m) { return std::tuple(tag<1>(m.give)); }
};

/// One connection of a session that moves.
struct OfferedLeg {
  uint32_t side = 0;    ///< worker::Side
  Bytes tls;            ///< what the record layer knows; empty: it is not encrypted
  std::string address;  ///< where the server is, by the giver's configuration; empty: a client
  static auto fields(auto& m) {
    return std::tuple(tag<1>(m.side), tag<2>(m.tls), tag<3>(m.address));
  }
};
/// A session, whole (worker/session/state.h). The giver does nothing with it any more, until the
/// taker has answered; the taker does nothing with it before GiveSession. + fds: of its legs.
struct OfferSession {
  uint64_t number = 0;   ///< of the offer, on this channel
  uint32_t version = 0;  ///< of the state's format
  std::vector<OfferedLeg> legs;
  Bytes state;
  static auto fields(auto& m) {
    return std::tuple(tag<1>(m.number), tag<2>(m.version), tag<3>(m.legs), tag<4>(m.state));
  }
};
/// The taker's answer.
struct SessionTaken {
  uint64_t number = 0;
  std::string refused;  ///< why it can't take it; empty: it can
  static auto fields(auto& m) { return std::tuple(tag<1>(m.number), tag<2>(m.refused)); }
};
/// The giver's last word about an offer, at any time. A giver that dies before it leaves the
/// session to the taker.
struct GiveSession {
  uint64_t number = 0;
  bool go = false;  ///< it is the taker's; else the giver goes on with it
  static auto fields(auto& m) { return std::tuple(tag<1>(m.number), tag<2>(m.go)); }
};
/// A password that clients have shown to the giver (man/decisions/0006).
struct KnownPassword {
  std::string cluster, user;
  Secret password;
  int64_t good_ns = 0;  ///< CLOCK_MONOTONIC: when a server accepted it last
  static auto fields(auto& m) {
    return std::tuple(tag<1>(m.cluster), tag<2>(m.user), tag<3>(m.password), tag<4>(m.good_ns));
  }
};

/// From sluicectl.
struct ControlRequest {
  std::string command;  ///< the words: "list servers"
  std::vector<std::string> arguments;
  static auto fields(auto& m) { return std::tuple(tag<1>(m.command), tag<2>(m.arguments)); }
};
struct ControlReply {
  std::string error;    ///< why it was refused or failed; empty if done
  std::string message;  ///< a sentence for people; may be empty
  Table table;
  static auto fields(auto& m) {
    return std::tuple(tag<1>(m.error), tag<2>(m.message), tag<3>(m.table));
  }
};

/// What the parsing child found: a checked configuration, or what is wrong with it.
struct Problem {
  bool warning = false;
  std::string file;
  uint32_t line = 0, column = 0;
  std::string key, text, hint;
  static auto fields(auto& m) {
    return std::tuple(tag<1>(m.warning), tag<2>(m.file), tag<3>(m.line), tag<4>(m.column),
                      tag<5>(m.key), tag<6>(m.text), tag<7>(m.hint));
  }
};
struct ParsedConfig {
  config::Config config;
  std::vector<Problem> problems;      ///< usable if none of them is more than a warning
  uint32_t uid = 0, gid = 0;          ///< of [sluice] user and group, looked up where they matter
  std::optional<KeyMaterial> keys{};  ///< those that were asked for and are needed
  static auto fields(auto& m) {
    return std::tuple(tag<1>(m.config), tag<2>(m.problems), tag<3>(m.uid), tag<4>(m.gid),
                      tag<5>(m.keys));
  }
};

/// Could you go on from here? + fd: a sealed memfd with the master's state (master/inheritance.h).
struct StateOffer {
  static auto fields(auto&) { return std::tuple(); }
};
struct StateVerdict {
  std::string error;  ///< why it could not; empty if it could
  static auto fields(auto& m) { return std::tuple(tag<1>(m.error)); }
};

/// Who sends, who receives, as bits of Role.
enum Parties : uint8_t {
  kMaster = 1,
  kWorker = 2,
  kMonitor = 4,
  kControl = 8,
  kParser = 16,
  kTrial = 32,
  kChild = kWorker | kMonitor,
  kEveryone = kMaster | kChild | kControl | kParser | kTrial,
};
constexpr uint8_t party(Role role) {
  return static_cast<uint8_t>(1U << static_cast<int>(role));
}

/// How many fds ride along with a message.
struct FdCount {
  constexpr FdCount(std::size_t n) : least(n), most(n) {}  // NOLINT(google-explicit-constructor)
  constexpr FdCount(std::size_t from, std::size_t to) : least(from), most(to) {}
  constexpr bool holds(std::size_t n) const { return n >= least && n <= most; }
  std::size_t least, most;
};
constexpr FdCount up_to(std::size_t most) {
  return {0, most};
}

// clang-format off
//    id  message          sender               receiver             legal in phase (of the child)      fds
#define SLUICE_IPC_MESSAGES(X)                                                                              \
  X(  1, Hello,           kEveryone,           kEveryone,           kGreeting,                         0)   \
  X(  2, WorkerConfig,    kMaster,             kWorker,             kStarting,                         1)   \
  X(  3, Listener,        kMaster,             kWorker,             kStarting | kServing,              1)   \
  X(  4, Start,           kMaster,             kChild,              kStarting,                         0)   \
  X(  5, Ready,           kChild,              kMaster,             kStarting,                         0)   \
  X(  6, ClusterUpdate,   kMonitor | kMaster,  kMaster | kChild,    kStarting | kServing | kDraining,  0)   \
  X(  7, AccountsUpdate,  kMonitor | kMaster,  kMaster | kWorker,   kStarting | kServing | kDraining,  1)   \
  X(  8, RefreshAccounts, kWorker | kMaster,   kMaster | kMonitor,  kServing | kDraining,              0)   \
  X(  9, AccountsChecked, kMonitor | kMaster,  kMaster | kWorker,   kServing | kDraining,              0)   \
  X( 10, MonitorConfig,   kMaster,             kMonitor,            kStarting | kServing,              0)   \
  X( 11, ServerAdmin,     kMaster,             kMonitor,            kStarting | kServing,              0)   \
  X( 12, LogLevel,        kMaster,             kChild,              kServing | kDraining,              0)   \
  X( 13, StopAccepting,   kMaster,             kWorker,             kServing,                          0)   \
  X( 14, Stopped,         kWorker,             kMaster,             kDraining,                         0)   \
  X( 15, Finish,          kMaster,             kChild,              kServing | kDraining,              0)   \
  X( 16, Leaving,         kChild,              kMaster,             kServing | kDraining,              0)   \
  X( 17, Ping,            kMaster,             kChild,              kStarting | kServing | kDraining,  0)   \
  X( 18, Pong,            kChild,              kMaster,             kStarting | kServing | kDraining,  0)   \
  X( 19, LogRecord,       kChild,              kMaster,             kStarting | kServing | kDraining,  0)   \
  X( 20, Ask,             kMaster,             kChild,              kServing | kDraining,              0)   \
  X( 21, Answer,          kChild,              kMaster,             kServing | kDraining,              0)   \
  X( 22, ControlRequest,  kControl,            kMaster,             kServing,                          0)   \
  X( 23, ControlReply,    kMaster,             kControl,            kServing,                          0)   \
  X( 24, ParsedConfig,    kParser,             kMaster,             kStarting,                         0)   \
  X( 25, ResolveName,     kWorker | kMaster,   kMaster | kMonitor,  kServing | kDraining,              0)   \
  X( 26, NameResolved,    kMonitor | kMaster,  kMaster | kWorker,   kServing | kDraining,              0)   \
  X( 27, KeyMaterial,     kMaster,             kWorker,             kStarting | kServing,              0)   \
  X( 28, CloseGone,       kMaster,             kWorker,             kServing,                          0)   \
  X( 29, GoneClosed,      kWorker,             kMaster,             kServing,                          0)   \
  X( 30, SeekSession,     kWorker | kMaster,   kMaster | kWorker,   kServing | kDraining,              0)   \
  X( 31, FoundSession,    kWorker | kMaster,   kMaster | kWorker,   kServing | kDraining,              0)   \
  X( 32, HandOff,         kMaster,             kWorker,             kServing | kDraining,              1)   \
  X( 33, OfferSession,    kWorker,             kWorker,             kServing | kDraining,              up_to(3)) \
  X( 34, SessionTaken,    kWorker,             kWorker,             kServing | kDraining,              0)   \
  X( 35, GiveSession,     kWorker,             kWorker,             kServing | kDraining,              0)   \
  X( 36, KnownPassword,   kWorker,             kWorker,             kServing | kDraining,              0)   \
  X( 37, ForbiddenCall,   kChild,              kMaster,             kStarting | kServing | kDraining,  0)   \
  X( 40, StateOffer,      kMaster,             kTrial,              kStarting,                         1)   \
  X( 41, StateVerdict,    kTrial,              kMaster,             kStarting,                         0)
// clang-format on

/// One row of the list for a message type.
template <class Message>
struct Declared;
#define SLUICE_IPC_DECLARE(number, message, from, to, when, fds) \
  template <>                                                    \
  struct Declared<message> {                                     \
    static constexpr uint16_t kId = number;                      \
    static constexpr std::string_view kName = #message;          \
    static constexpr uint8_t kSender = from;                     \
    static constexpr uint8_t kReceiver = to;                     \
    static constexpr uint8_t kPhases = when;                     \
    static constexpr FdCount kFds = fds;                         \
  };
SLUICE_IPC_MESSAGES(SLUICE_IPC_DECLARE)
#undef SLUICE_IPC_DECLARE

}  // namespace sluice::ipc

namespace sluice {
template <>
inline constexpr auto kEnumNames<ipc::Role> = names("master", "worker", "monitor", "control",
                                                    "parser", "trial");
template <>
inline constexpr auto kEnumNames<ipc::Kind> = names("text", "number", "boolean");

// The way of a message through bytes is compiled once, in messages.cc.
#define SLUICE_IPC_ELSEWHERE(number, message, from, to, when, fds) \
  extern template Bytes ipc::encode(const ipc::message&);          \
  extern template Parsed<ipc::message> ipc::decode(ByteSpan);
SLUICE_IPC_MESSAGES(SLUICE_IPC_ELSEWHERE)
#undef SLUICE_IPC_ELSEWHERE
}  // namespace sluice
