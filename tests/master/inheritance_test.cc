/// What a master leaves to the next program: every member of it arrives, every fd in it is known,
/// and what earlier releases have written is read for ever.
#include "master/inheritance.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/version.h"
#include "common/stats/page.h"
#include "master/listeners.h"
#include "master/programs.h"
#include "master/state.h"
#include "master/succession.h"
#include "tests/common/ipc/fill.h"
#include "tests/support/temp_dir.h"

namespace sluice::master::inheritance {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr uint64_t kStatsSize1 = 58'851'392;

Child child(ipc::Role role, int fd, uint32_t number) {
  return {.role = role,
          .pid = 1000 + fd,
          .channel = {.fd = {fd}},
          .name = "child[1000]",
          .release = "0.1.0",
          .phase = ipc::kServing,
          .greeted = true,
          .pings = 7,
          .last_answer_ns = 123'456'789,
          .generation = 3,
          .lane = number,
          .number = number,
          .started_ns = 100'000'000};
}

config::Config configuration() {
  config::Config out;
  out.sluice.workers = 1;
  out.sluice.sandbox = config::Sandbox::best_effort;  // the default of release 0.1.0
  out.sluice.control_socket = "/run/sluice/control.sock";
  out.sluice.log.target = config::LogTarget::file;
  out.sluice.log.file = "/var/log/sluice/sluice.log";
  out.clusters.push_back(
      {.name = "shop", .user = "watch", .password = Secret("watch-secret"), .servers = {}});
  out.clusters[0].servers.push_back({.name = "db1", .address = {"10.0.0.1", 3306, ""}});
  out.services.push_back({.name = "rw", .cluster = "shop", .listen = {{"0.0.0.0", 3306, ""}}});
  return out;
}

/// The state in tests/data/upgrade/state-1.bin: of a master with a worker, one that drains, a
/// monitor, and somebody who waits for the end of the upgrade. Never to be changed; what has been
/// added to the format since has its default here.
Master version_1() {
  Master all;
  all.format = {.version = 1,
                .readable_from = 1,
                .protocol = 1,
                .stats_size = kStatsSize1,
                .release = "0.1.0"};
  all.programs = {.path = "/usr/sbin/sluiced", .self = {3}, .worker = {4}, .monitor = {5}};
  all.previous = {.path = "/usr/sbin/sluiced", .self = {6}, .worker = {7}, .monitor = {8}};
  auto& state = all.state;
  state.config_path = "/etc/sluice/sluice.toml";
  state.config = configuration();
  state.generation = 3;
  state.uid = state.gid = 998;
  state.keys = {{.ticket_key = Secret("ticket-key"), .rsa_key_pem = Secret("rsa-key")}, 42};
  state.log = {state.config.sluice.log, log::Level::debug, {9}};
  state.listeners.push_back({.endpoint = {"0.0.0.0", 3306, ""}, .sockets = {{10}}});
  state.clusters.push_back({.name = "shop",
                            .state = cluster::ClusterState{.name = "shop", .version = 17},
                            .accounts = {11},
                            .accounts_version = 5});
  state.admin.push_back({"shop", "db1", cluster::Admin::maintenance});
  state.stats = {12};
  state.service_rows = {{"rw", 1}};
  state.server_rows = {{"shop/db1", 1}};
  state.started_s = 1'790'000'000;
  state.reloaded_s = 1'790'000'100;
  state.last_reload = "generation 3 is in force";
  auto& supervisor = all.supervisor;
  supervisor.monitor = child(ipc::Role::monitor, 13, 0);
  supervisor.monitor_uid = 998;
  supervisor.slots.emplace_back().serving = child(ipc::Role::worker, 14, 9);
  supervisor.leaving.push_back(child(ipc::Role::worker, 15, 8));
  supervisor.leaving[0].phase = ipc::kDraining;
  supervisor.leaving[0].stopped = true;
  supervisor.leaving[0].channel.queue.push_back(
      {.datagram = Bytes(5, std::byte{1}), .fds = {{16}}});
  supervisor.unreaped.push_back({.pid = 999, .name = "sluice-worker[999]", .expected = true});
  supervisor.workers_started = 9;
  supervisor.inquiries.push_back({{9, 42, 1}, {8}, 200'000'000});
  all.rollout = {.requests = {21}, .waiting = {{RolloutKind::roll, 22}}};
  auto& control = all.control;
  control.path = "/run/sluice/control.sock";
  control.socket = {17};
  control.inode = 4711;
  control.clients.push_back({.channel = {.fd = {18}},
                             .access = control::Access::admin,
                             .who = "uid=0 pid=1",
                             .phase = ipc::kServing,
                             .active_ns = 1,
                             .request = 21});
  control.questions.push_back({.id = 2, .request = 20, .deadline_ns = 5});
  control.awaited.push_back({.request = 19, .clusters = {"shop"}, .deadline_ns = 6});
  control.next_request = 22;
  control.next_question = 2;
  all.expiry_due_ns = 77;
  return all;
}

/// The same, of this release.
Master present() {
  auto all = version_1();
  all.format = own_format();
  return all;
}

Result<Master> read_bytes(ByteSpan bytes) {
  return read(ipc::sealed_memfd("test", bytes).value().get());
}

TEST(Inheritance, EveryMemberArrives) {
  const auto all = ipc::test::filled<Master>();
  const auto bytes = ipc::encode(all);
  const auto back = ipc::decode<Master>(bytes);
  ASSERT_TRUE(back);
  EXPECT_EQ(ipc::encode(*back), bytes);
}

TEST(Inheritance, AStateOfVersion1IsReadForEver) {
  const auto frozen = test::read_file(SLUICE_TEST_DATA "/upgrade/state-1.bin");
  ASSERT_FALSE(frozen.empty());
  const auto read = ipc::decode<Master>(as_bytes(frozen));
  ASSERT_TRUE(read) << read.error().field;
  EXPECT_EQ(ipc::encode(*read), ipc::encode(version_1()));
  EXPECT_TRUE(judge(*read));
  EXPECT_GE(read->format.version, kOldest);
}

TEST(Inheritance, EveryTruncationIsRefused) {
  const auto whole = ipc::encode(present());
  ASSERT_TRUE(read_bytes(whole));
  std::size_t accepted = 0;
  for (std::size_t n = 0; n < whole.size(); ++n)
    accepted += read_bytes(ByteSpan(whole).first(n)).has_value();
  EXPECT_LE(accepted, 1u) << "but for the one that lacks the last member, which has a default";
}

TEST(Inheritance, AnUnsealedStateIsRefused) {
  const UniqueFd open(::memfd_create("test", MFD_CLOEXEC));
  const auto bytes = ipc::encode(present());
  ASSERT_EQ(::write(open.get(), bytes.data(), bytes.size()), std::ssize(bytes));
  EXPECT_FALSE(read(open.get()));
}

/// What a release says that this one can't follow, before anything else of its state is read.
TEST(Inheritance, WhatIsNotUnderstoodIsNamed) {
  const auto refusal = [](auto change) {
    auto all = present();
    change(all.format);
    all.control.clients[0].access = static_cast<control::Access>(200);  // that we don't know
    const auto read = read_bytes(ipc::encode(all));
    return read ? "" : read.error().message;
  };
  EXPECT_THAT(refusal([](Format& f) { f.version = 9, f.readable_from = 9, f.release = "9.0"; }),
              HasSubstr("release 9.0 leaves a state of version 9"));
  EXPECT_THAT(refusal([](Format& f) { f.version = 0; }), HasSubstr("version 0"));
  EXPECT_THAT(refusal([](Format& f) { f.protocol = 2; }), HasSubstr("protocol 2"));
  EXPECT_THAT(refusal([](Format& f) { f.stats_size = 1; }), HasSubstr("statistics page"));
}

/// A newer one that says it can be read by us is: that is how one goes back.
TEST(Inheritance, ANewerStateThatWeCanReadIsRead) {
  auto all = present();
  all.format.version = kVersion + 1;
  auto bytes = ipc::encode(all);
  ipc::put_varint(bytes, 99);  // a tag of the future
  ipc::put_varint(bytes, 0);
  EXPECT_TRUE(read_bytes(bytes));
}

TEST(Inheritance, AStateThatContradictsItselfIsRefused) {
  const auto is_good = [](auto change) {
    auto all = present();
    change(all);
    return judge(all).has_value();
  };
  EXPECT_TRUE(is_good([](Master&) {}));
  EXPECT_FALSE(is_good([](Master& m) { m.state.generation = 0; }));
  EXPECT_FALSE(is_good([](Master& m) { m.programs.worker = {}; }));
  EXPECT_FALSE(is_good([](Master& m) { m.control.socket = {10}; })) << "two owners of one fd";
  EXPECT_FALSE(is_good([](Master& m) { m.supervisor.monitor->phase = 3; }));
  EXPECT_FALSE(is_good([](Master& m) { m.supervisor.leaving[0].lane = stats::kLanes; }));
  EXPECT_FALSE(is_good([](Master& m) { m.supervisor.slots[0].serving->slot = 1; }));
  EXPECT_FALSE(is_good([](Master& m) { m.control.clients[0].channel.fd = {}; }));
}

TEST(Inheritance, KnowsAllItsFds) {
  EXPECT_THAT(fds_of(version_1()),
              ElementsAre(3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18));
  uint32_t members = 0;
  Master filled;
  ipc::test::fill(filled, members);
  EXPECT_GT(fds_of(filled).size(), 20u) << "those in lists of lists";
}

/// A message that waits, fd included, is sent by the next owner of the channel, in its turn.
TEST(Inheritance, AChannelsQueueGoesAlong) {
  auto [ours, theirs] = ipc::Channel::pair().value();
  ipc::Channel peer(std::move(theirs));
  ipc::Channel before(std::move(ours));
  uint64_t sent = 0;
  while (!before.wants_write()) ASSERT_TRUE(before.send(ipc::Ping{++sent}));
  const UniqueFd null(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  ASSERT_TRUE(before.send(ipc::StateOffer{}, std::array{null.get()}));

  auto left = export_(before);
  ASSERT_EQ(left.queue.size(), 2u);
  // The exec's part: the same open files, with other owners.
  left.fd.number = ::fcntl(left.fd.number, F_DUPFD_CLOEXEC, 3);
  for (auto& queued : left.queue)
    for (auto& fd : queued.fds) fd.number = ::fcntl(fd.number, F_DUPFD_CLOEXEC, 3);
  before = ipc::Channel(UniqueFd());
  auto after = import_(std::move(left));

  uint64_t received = 0;
  for (;;) {
    ASSERT_TRUE(after.flush());
    auto frame = peer.receive();
    ASSERT_TRUE(frame && *frame);
    if ((*frame)->id == ipc::Declared<ipc::StateOffer>::kId) {
      EXPECT_EQ((*frame)->fds.size(), 1u);
      break;
    }
    EXPECT_EQ(ipc::decode<ipc::Ping>((*frame)->body)->number, ++received);
  }
  EXPECT_EQ(received, sent);
  EXPECT_FALSE(after.wants_write());
}

/// The program of before is started again, with the same state and the reason.
TEST(Succession, GoesBackIfItCannotGoOn) {
  int output[2];
  ASSERT_EQ(::pipe2(output, O_CLOEXEC), 0);
  const UniqueFd reader(output[0]);
  const pid_t pid = ::fork();
  if (pid == 0) {
    ::dup2(output[1], STDOUT_FILENO);
    const int unsealed = ::memfd_create("test", 0);
    ::_exit(succeed({.state_fd = unsealed, .return_to = ::open("/bin/echo", O_RDONLY)},
                    {"sluiced", "--foreground"}));
  }
  ::close(output[1]);
  std::string told;
  char buffer[512];
  for (ssize_t n; (n = ::read(reader.get(), buffer, sizeof buffer)) > 0;)
    told.append(buffer, static_cast<std::size_t>(n));
  int status = -1;
  ::waitpid(pid, &status, 0);
  EXPECT_EQ(status, 0);
  EXPECT_THAT(told, testing::MatchesRegex(
                        "--foreground --inherit [0-9]+ --trouble a shared file is not sealed\n"));
}

TEST(Succession, LeavesTheCommandLineAsItWas) {
  const char* const argv[] = {"sluiced", "--foreground", "--inherit", "7", "--return-to", "3"};
  EXPECT_THAT(own_arguments(argv), ElementsAre("sluiced", "--foreground"));
  EXPECT_THAT(own_arguments(std::span(argv).first(2)), ElementsAre("sluiced", "--foreground"));
}

}  // namespace
}  // namespace sluice::master::inheritance
