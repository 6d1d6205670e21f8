// What a master leaves to the program that takes its place (`sluicectl upgrade`): everything it
// knows, and the fds of everything it holds, which stay open over the exec. Plain values with wire
// tags: the two programs are of different releases. Each part of the master makes its own of these
// (export_()) and goes on from it (import_()).
//
// The format: what is added gets a tag and a default, and old readers skip it. Where that would be
// wrong, kVersion goes up, and kReadableFrom with it; tests/data/upgrade keeps a state of each
// version for ever.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "common/control/commands.h"
#include "common/ipc/channel.h"
#include "common/ipc/messages.h"
#include "master/inquiries.h"

namespace sluice::master {

using ipc::tag;

/// What can be asked of Rollout.
enum class RolloutKind : uint8_t { roll, dry_run, upgrade, replace };

}  // namespace sluice::master

namespace sluice {
template <>
inline constexpr auto kEnumNames<master::RolloutKind> = names("reload", "dry run", "upgrade",
                                                              "replacement");
}  // namespace sluice

namespace sluice::master::inheritance {

inline constexpr uint32_t kVersion = 1;       ///< that we write
inline constexpr uint32_t kReadableFrom = 1;  ///< version of a program that understands it
inline constexpr uint32_t kOldest = 1;        ///< version that we understand

/// An open file or socket, by the number that it has in both programs. Whoever makes an object from
/// it owns it from then on; none is named twice.
struct Fd {
  int32_t number = -1;
  static auto fields(auto& m) { return std::tuple(tag<1>(m.number)); }
};
/// The fd for its new owner; empty if there is none.
UniqueFd own(const Fd& fd);

struct Queued {
  Bytes datagram;
  std::vector<Fd> fds;
  static auto fields(auto& m) { return std::tuple(tag<1>(m.datagram), tag<2>(m.fds)); }
};
/// A channel to a child or to a control client, with what waits to be sent.
struct Channel {
  Fd fd;
  std::vector<Queued> queue;
  static auto fields(auto& m) { return std::tuple(tag<1>(m.fd), tag<2>(m.queue)); }
};
Channel export_(const ipc::Channel& channel);
ipc::Channel import_(Channel channel);

struct Programs {
  std::string path;  ///< of sluiced, as it was called
  Fd self, worker, monitor;
  static auto fields(auto& m) {
    return std::tuple(tag<1>(m.path), tag<2>(m.self), tag<3>(m.worker), tag<4>(m.monitor));
  }
};

struct Child {
  ipc::Role role{};
  int32_t pid = 0;
  Channel channel;
  std::string name, release;
  uint8_t phase = 0;  ///< a bit of ipc::Phase
  bool greeted = false, killed = false;
  uint64_t pings = 0;
  int64_t last_answer_ns = 0;
  uint32_t generation = 0, slot = 0, lane = 0, number = 0;
  int64_t started_ns = 0, deadline_ns = 0;
  bool stopped = false, finishing = false, done = false;
  std::string last_error;
  std::string sandbox;
  static auto fields(auto& m) {
    return std::tuple(tag<1>(m.role), tag<2>(m.pid), tag<3>(m.channel), tag<4>(m.name),
                      tag<5>(m.release), tag<6>(m.phase), tag<7>(m.greeted), tag<8>(m.killed),
                      tag<9>(m.pings), tag<10>(m.last_answer_ns), tag<11>(m.generation),
                      tag<12>(m.slot), tag<13>(m.lane), tag<14>(m.number), tag<15>(m.started_ns),
                      tag<16>(m.deadline_ns), tag<17>(m.stopped), tag<18>(m.finishing),
                      tag<19>(m.done), tag<20>(m.last_error), tag<21>(m.sandbox));
  }
};

struct Slot {
  std::optional<Child> serving, starting;
  uint32_t failures = 0;
  int64_t start_at_ns = 0;
  static auto fields(auto& m) {
    return std::tuple(tag<1>(m.serving), tag<2>(m.starting), tag<3>(m.failures),
                      tag<4>(m.start_at_ns));
  }
};

/// A process that has ended, or is about to, and whose exit code nobody has taken yet.
struct Unreaped {
  int32_t pid = 0;
  std::string name;
  bool expected = false;  ///< that it ends, also by our hand, is no news
  static auto fields(auto& m) {
    return std::tuple(tag<1>(m.pid), tag<2>(m.name), tag<3>(m.expected));
  }
};

struct Supervisor {
  std::optional<Child> monitor;
  uint32_t monitor_failures = 0;
  int64_t monitor_start_at_ns = 0;
  uint32_t monitor_uid = 0;
  std::vector<Slot> slots;
  std::vector<Child> leaving;
  std::vector<Unreaped> unreaped;
  uint32_t workers_started = 0;
  std::vector<Inquiries::Inquiry> inquiries;
  config::Sandbox monitor_sandbox{};
  static auto fields(auto& m) {
    return std::tuple(tag<1>(m.monitor), tag<2>(m.monitor_failures), tag<3>(m.monitor_start_at_ns),
                      tag<4>(m.monitor_uid), tag<5>(m.slots), tag<6>(m.leaving), tag<7>(m.unreaped),
                      tag<8>(m.workers_started), tag<9>(m.inquiries), tag<10>(m.monitor_sandbox));
  }
};

struct Listening {
  config::Endpoint endpoint;
  std::vector<Fd> sockets;
  uint64_t inode = 0;
  static auto fields(auto& m) {
    return std::tuple(tag<1>(m.endpoint), tag<2>(m.sockets), tag<3>(m.inode));
  }
};

struct KnownCluster {
  std::string name;
  std::optional<cluster::ClusterState> state;
  Fd accounts;
  uint64_t accounts_version = 0;
  std::string accounts_error;
  static auto fields(auto& m) {
    return std::tuple(tag<1>(m.name), tag<2>(m.state), tag<3>(m.accounts),
                      tag<4>(m.accounts_version), tag<5>(m.accounts_error));
  }
};

/// The row of a name in the statistics page.
struct Row {
  std::string name;
  uint32_t row = 0;
  static auto fields(auto& m) { return std::tuple(tag<1>(m.name), tag<2>(m.row)); }
};

struct Log {
  config::Log config;
  log::Level level{};  ///< in force, which the operator may have changed
  Fd file;
  static auto fields(auto& m) {
    return std::tuple(tag<1>(m.config), tag<2>(m.level), tag<3>(m.file));
  }
};

struct Keys {
  ipc::KeyMaterial material;
  int64_t ticket_made_ns = 0;
  static auto fields(auto& m) { return std::tuple(tag<1>(m.material), tag<2>(m.ticket_made_ns)); }
};

struct State {
  std::string config_path;
  config::Config config;
  uint32_t generation = 0, uid = 0, gid = 0;
  Keys keys;
  Log log;
  std::vector<Listening> listeners;
  std::vector<KnownCluster> clusters;
  std::vector<ipc::ServerAdmin> admin;
  Fd stats;
  std::vector<Row> service_rows, server_rows;
  int64_t started_s = 0, reloaded_s = 0;
  std::string last_reload, last_upgrade;
  bool last_reload_failed = false, last_upgrade_failed = false;
  static auto fields(auto& m) {
    return std::tuple(tag<1>(m.config_path), tag<2>(m.config), tag<3>(m.generation), tag<4>(m.uid),
                      tag<5>(m.gid), tag<6>(m.keys), tag<7>(m.log), tag<8>(m.listeners),
                      tag<9>(m.clusters), tag<10>(m.admin), tag<11>(m.stats),
                      tag<12>(m.service_rows), tag<13>(m.server_rows), tag<14>(m.started_s),
                      tag<15>(m.reloaded_s), tag<16>(m.last_reload), tag<17>(m.last_upgrade),
                      tag<18>(m.last_reload_failed), tag<19>(m.last_upgrade_failed));
  }
};

struct Waiting {
  RolloutKind kind{};
  uint64_t request = 0;
  static auto fields(auto& m) { return std::tuple(tag<1>(m.kind), tag<2>(m.request)); }
};

struct Rollout {
  std::vector<uint64_t> requests;  ///< that wait for the end of this upgrade
  std::vector<Waiting> waiting;
  bool incomplete = false;
  static auto fields(auto& m) {
    return std::tuple(tag<1>(m.requests), tag<2>(m.waiting), tag<3>(m.incomplete));
  }
};

struct ControlClient {
  Channel channel;
  control::Access access{};
  std::string who;
  uint8_t phase = 0;  ///< a bit of ipc::Phase
  int64_t active_ns = 0;
  uint64_t request = 0;
  static auto fields(auto& m) {
    return std::tuple(tag<1>(m.channel), tag<2>(m.access), tag<3>(m.who), tag<4>(m.phase),
                      tag<5>(m.active_ns), tag<6>(m.request));
  }
};

/// A question of a control client that children are about to answer.
struct Question {
  uint64_t id = 0, request = 0;
  int64_t deadline_ns = 0;
  bool any_good = false;
  ipc::Table head;  ///< a record that the children's record is added to
  ipc::ControlReply reply;
  std::vector<uint32_t> asked;  ///< children that have it, by number
  std::vector<uint32_t> later;  ///< those that get it when these have answered
  std::string command;
  std::vector<std::string> arguments;
  static auto fields(auto& m) {  // 3 was the number of answers to come
    return std::tuple(tag<1>(m.id), tag<2>(m.request), tag<4>(m.deadline_ns), tag<5>(m.any_good),
                      tag<6>(m.head), tag<7>(m.reply), tag<8>(m.asked), tag<9>(m.later),
                      tag<10>(m.command), tag<11>(m.arguments));
  }
};

/// A control client that waits for the accounts of these clusters.
struct Awaited {
  uint64_t request = 0;
  std::vector<std::string> clusters;
  std::string errors;
  int64_t asked_ns = 0, deadline_ns = 0;
  static auto fields(auto& m) {
    return std::tuple(tag<1>(m.request), tag<2>(m.clusters), tag<3>(m.errors), tag<4>(m.asked_ns),
                      tag<5>(m.deadline_ns));
  }
};

struct Control {
  std::string path;
  Fd socket;
  uint64_t inode = 0;
  std::vector<ControlClient> clients;
  std::vector<Question> questions;
  std::vector<Awaited> awaited;
  uint64_t next_request = 0, next_question = 0;
  static auto fields(auto& m) {
    return std::tuple(tag<1>(m.path), tag<2>(m.socket), tag<3>(m.inode), tag<4>(m.clients),
                      tag<5>(m.questions), tag<6>(m.awaited), tag<7>(m.next_request),
                      tag<8>(m.next_question));
  }
};

/// Whether the rest can be understood.
struct Format {
  uint32_t version = 0, readable_from = 0;
  uint32_t protocol = 0;    ///< that the children speak
  uint64_t stats_size = 0;  ///< of the statistics page that they write
  std::string release;      ///< of who wrote this
  static auto fields(auto& m) {
    return std::tuple(tag<1>(m.version), tag<2>(m.readable_from), tag<3>(m.protocol),
                      tag<4>(m.stats_size), tag<5>(m.release));
  }
};
/// What this program writes.
Format own_format();

/// All of it.
struct Master {
  Format format;
  Programs programs;  ///< to go on with
  Programs previous;  ///< that have run until now
  State state;
  Supervisor supervisor;
  Rollout rollout;
  Control control;
  int64_t expiry_due_ns = 0;
  static auto fields(auto& m) {
    return std::tuple(tag<1>(m.format), tag<2>(m.programs), tag<3>(m.previous), tag<4>(m.state),
                      tag<5>(m.supervisor), tag<6>(m.rollout), tag<7>(m.control),
                      tag<8>(m.expiry_due_ns));
  }
};
static_assert(ipc::complete<Master>(), "a member would be left behind by an upgrade");

/// Whether this program understands it; else why not, for people.
Result<> judge(const Format& format);
/// Whether what stands there can be.
Result<> judge(const Master& master);

/// Every fd that it names.
std::vector<int> fds_of(const Master& master);

/// Sealed: it holds every secret of the configuration, and must not change on its way.
Result<UniqueFd> write(const Master& master);
/// What write() made, judged.
Result<Master> read(int fd);

}  // namespace sluice::master::inheritance
