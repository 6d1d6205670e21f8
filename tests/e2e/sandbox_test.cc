/// Worker and monitor turn hostile behind their own lock: whatever they do costs nothing but their
/// own life, and the log says why. What is locked, and that nothing starts without it.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <seccomp.h>
#include <signal.h>
#include <sys/prctl.h>

#include <future>
#include <thread>

#include "common/process/sanitized.h"
#include "tests/support/rogue_workers.h"
#include "tests/support/test_error.h"

namespace sluice::test {
namespace {

using testing::AllOf;
using testing::Each;
using testing::HasSubstr;
using testing::MatchesRegex;
using testing::Not;

/// What is to come of a deed: the call that the log names; or that it is refused; or an end that
/// nobody could tell about.
constexpr const char* kRefused = "";
constexpr const char* kUnnamed = "?";
constexpr const char* kUnheard = "??";  ///< and that the master may have ended itself

struct Case {
  const char* deed;
  const char* in_worker;
  const char* in_monitor;
};
constexpr Case kCases[] = {
    {"ReadFile", "openat", nullptr},  // the monitor has to read files
    {"ReadSecret", "openat", kRefused},
    {"WriteFile", "openat", kRefused},
    {"MakeDirectory", "mkdir", "mkdir"},
    {"RemoveFile", "unlink", "unlink"},
    {"Execute", "execve", "execve"},
    {"ExecuteMemory", "execveat", "execveat"},
    {"ExecuteInThread", nullptr, "execve"},  // a worker can't have one: StartProcess
    {"ExecuteOwnCode", kRefused, kRefused},
    {"BlockSignalAndExecute", kUnnamed, kUnnamed},
    {"CloseChannelAndExecute", kUnheard, kUnheard},
#ifdef __x86_64__
    {"ExecuteAs32Bits", kUnnamed, kUnnamed},
#endif
    {"StartProcess", "clone", "clone"},
    {"SignalMaster", "kill", "kill"},
    {"SignalMasterAsThread", "tgkill", "tgkill"},
    {"SignalMasterByFd", "pidfd_send_signal", "pidfd_send_signal"},
    {"TakeFdOfMaster", "pidfd_getfd", "pidfd_getfd"},
    {"TraceMaster", "ptrace", "ptrace"},
    {"ReadMemoryOfMaster", "process_vm_readv", "process_vm_readv"},
    {"UseControlSocket", kRefused, kRefused},
    {"ServeTcpPort", "bind", "listen"},
    {"ListenAnywhere", "listen", "listen"},
    {"ReadThePackets", kRefused, kRefused},
    {"WritePackets", kRefused, kRefused},
    {"BecomeRoot", "setuid", "setuid"},
    {"BecomeRootForFiles", "setfsuid", "setfsuid"},
    {"LeaveNamespace", "unshare", "unshare"},
    {"Mount", "mount", "mount"},
    {"ChangeRoot", "chroot", "chroot"},
    {"UseIoUring", "io_uring_setup", "io_uring_setup"},
    {"UseKeyring", "keyctl", "keyctl"},
    {"LoadKernelCode", "bpf", "bpf"},
    {"ReplaceHandler", "rt_sigaction", "rt_sigaction"},
    {"ReplaceHandlerByStealth", "rt_sigaction", "rt_sigaction"},
    {"MapOwnCode", kRefused, kRefused},
};

void PrintTo(const Case& one, std::ostream* out) {
  *out << one.deed;
}

class Hostile : public CapturedChildren {
 protected:
  Hostile() : CapturedChildren("hostile", 2) {}
  void SetUp() override {
    if (process::kSanitized) GTEST_SKIP() << "a sanitizer's build has no filter";
    if (::geteuid() != 0) GTEST_SKIP() << "only root has a master of another user";
  }

  void order(const std::string& deed, const std::string& child) {
    write_file(programs_ / (child + ".deed"), deed + "\n" + sluice_.control_socket() + "\n");
  }
  void order_nothing(const std::string& child) {
    std::filesystem::remove(programs_ / (child + ".deed"));
  }
  pid_t worker_of(const Client& client) const {
    std::string number;
    for (const auto& session : sluice_.ctl_json({"list", "sessions"}))
      if (session.at("server_connection_id") == client.thread_id())
        number = session.at("session").get<std::string>();
    number.resize(std::min(number.find('-'), number.size()));
    for (const auto& worker : sluice_.ctl_json({"list", "workers"}))
      if (std::to_string(worker.at("worker").get<int>()) == number) return worker.at("pid");
    throw TestError("no worker has the session");
  }

  /// Waits for a word in the log; the session gets right answers all the while.
  bool wait_for_word(const std::string& word, Client& session, Milliseconds deadline = 10s) {
    return eventually(deadline, [&] {
      const auto value = std::to_string(++statement_);
      EXPECT_EQ(session.value("SELECT " + value), value);
      return sluice_.log().find(word) != std::string::npos;
    });
  }

  void expect_outcome(const Case& one, const char* outcome, const std::string& child,
                      Client& session) {
    const auto done = fmt::format("{}: done", one.deed);
    if (outcome == kUnnamed) {
      EXPECT_TRUE(wait_for_word("by=\"signal 31\"", session));
    } else if (outcome == kUnheard) {
      const auto ended = fmt::format("child: ended process={}", child);
      EXPECT_TRUE(eventually(10s, [&] { return count(sluice_.log(), ended) >= 2; }));
    } else if (outcome == kRefused) {
      EXPECT_TRUE(wait_for_word(fmt::format("{}: refused", one.deed), session));
    } else {
      EXPECT_TRUE(wait_for_word(fmt::format("killed by the sandbox process={}", child), session));
      EXPECT_THAT(sluice_.log(), HasSubstr(fmt::format("call={}\n", outcome)));
    }
    EXPECT_THAT(sluice_.log(), Not(HasSubstr(done)));
  }

  int statement_ = 0;
};

class HostileDeed : public Hostile, public testing::WithParamInterface<Case> {};

TEST_P(HostileDeed, OfAWorkerHarmsNobodyElse) {
  const auto& one = GetParam();
  if (one.in_worker == nullptr) GTEST_SKIP() << "it may, or can't begin";
  const auto master = sluice_.pid();
  auto session = sluice_.connect("shop");
  const auto good = worker_of(session);
  order(one.deed, kWorkerProgram);
  for (const auto pid : sluice_.worker_pids())
    if (pid != good) ::kill(pid, SIGKILL);
  expect_outcome(one, one.in_worker, kWorkerProgram, session);

  order_nothing(kWorkerProgram);
  for (const auto pid : sluice_.worker_pids())
    if (pid != good) ::kill(pid, SIGKILL);  // one whose deed was refused
  expect_service(master);
  EXPECT_EQ(session.value("SELECT 'still here'"), "still here");
}

TEST_P(HostileDeed, OfTheMonitorHarmsNobodyElse) {
  const auto& one = GetParam();
  if (one.in_monitor == nullptr) GTEST_SKIP() << "it may, or can't begin";
  const auto master = sluice_.pid();
  auto session = sluice_.connect("shop");
  order(one.deed, kMonitorProgram);
  ::kill(sluice_.monitor_pid().value(), SIGKILL);
  expect_outcome(one, one.in_monitor, kMonitorProgram, session);

  order_nothing(kMonitorProgram);
  if (const auto pid = sluice_.monitor_pid()) ::kill(*pid, SIGKILL);
  expect_service(master);
  EXPECT_TRUE(
      eventually(10s, [&] { return sluice_.ctl_json({"status"}).at("monitor") == "running"; }));
  EXPECT_EQ(session.value("SELECT 'still here'"), "still here");
}

INSTANTIATE_TEST_SUITE_P(, HostileDeed, testing::ValuesIn(kCases),
                         [](const auto& info) { return std::string(info.param.deed); });

TEST_F(Hostile, SilenceOfAWorkerIsItsEnd) {
  const auto master = sluice_.pid();
  auto session = sluice_.connect("shop");
  const auto good = worker_of(session);
  order("Silence", kWorkerProgram);
  for (const auto pid : sluice_.worker_pids())
    if (pid != good) ::kill(pid, SIGKILL);
  EXPECT_TRUE(wait_for_word("it does not answer", session, 30s));
  order_nothing(kWorkerProgram);
  for (const auto pid : sluice_.worker_pids())
    if (pid != good) ::kill(pid, SIGKILL);
  expect_service(master);
}

TEST_F(Hostile, SilenceOfTheMonitorIsItsEnd) {
  const auto master = sluice_.pid();
  auto session = sluice_.connect("shop");
  order("Silence", kMonitorProgram);
  ::kill(sluice_.monitor_pid().value(), SIGKILL);
  EXPECT_TRUE(wait_for_word("it does not answer", session, 30s));
  order_nothing(kMonitorProgram);
  expect_service(master);
}

/// What is locked, and what a start without it comes to.
class Sandbox : public testing::Test {
 protected:
  static void SetUpTestSuite() { server_ = std::make_unique<MariadbServer>(); }
  static void TearDownTestSuite() { server_.reset(); }
  Sandbox() : sluice_(in_front_of(*server_), Sluice::Start::Stopped) {}
  void SetUp() override {
    if (process::kSanitized) GTEST_SKIP() << "a sanitizer's build has no filter";
  }

  /// Does it where these system calls fail, as they do in some containers.
  template <class Work>
  static void without(std::initializer_list<int> calls, Work work) {
    std::thread([&] {
      const std::unique_ptr<void, void (*)(void*)> filter(seccomp_init(SCMP_ACT_ALLOW),
                                                          seccomp_release);
      seccomp_attr_set(filter.get(), SCMP_FLTATR_CTL_NNP, ::geteuid() == 0 ? 0 : 1);
      for (const int call : calls)
        ASSERT_EQ(seccomp_rule_add(filter.get(), SCMP_ACT_ERRNO(EPERM), call, 0), 0);
      ASSERT_EQ(seccomp_rule_add(filter.get(), SCMP_ACT_ERRNO(EPERM), SCMP_SYS(prctl), 1,
                                 SCMP_A0(SCMP_CMP_EQ, PR_SET_SECCOMP)),
                0);
      ASSERT_EQ(seccomp_load(filter.get()), 0);
      try {
        work();
      } catch (const std::exception& e) {
        ADD_FAILURE() << e.what();
      }
    }).join();
  }

  /// With a line of [sluice] that SluiceConfig does not write.
  void configure(const std::string& line) {
    auto text = sluice_.config.text();
    const std::string table = "[sluice]\n";
    text.insert(text.find(table) + table.size(), line + "\n");
    sluice_.write_config(text);
  }
  CommandResult start_in_vain() {
    configure("");
    return sluice_.run({"--foreground"});
  }
  void start_with(const std::string& line) {
    configure(line);
    sluice_.launch();
    sluice_.wait_ready();
    EXPECT_EQ(sluice_.connect("shop").value("SELECT 1"), "1");
  }
  std::vector<std::string> of_workers() const {
    std::vector<std::string> all;
    for (const auto& worker : sluice_.ctl_json({"list", "workers"}))
      if (worker.at("state") != "starting") all.push_back(worker.at("sandbox"));
    return all;
  }
  std::string of_monitor() const { return sluice_.ctl_json({"status"}).at("monitor_sandbox"); }

  static inline std::unique_ptr<MariadbServer> server_;
  Sluice sluice_;
};

constexpr const char* kWholeLock =
    "(memory,)?uid=[0-9]+,no-new-privileges(,landlock=abi[1-6])?,seccomp";

TEST_F(Sandbox, OfEachChildIsShown) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root has something to give up";
  sluice_.start();
  EXPECT_THAT(of_workers(), Each(MatchesRegex(fmt::format("chroot,{}", kWholeLock))));
  EXPECT_TRUE(eventually(5s, [&] { return !of_monitor().empty(); }));
  EXPECT_THAT(of_monitor(), MatchesRegex(kWholeLock));
  const auto worker = sluice_.worker_pids().at(0);
  EXPECT_THAT(sluice_.ctl_json({"show", "worker", std::to_string(worker)}).at("sandbox"),
              of_workers().at(0));
  EXPECT_THAT(read_file(fmt::format("/proc/{}/limits", worker)),
              HasSubstr("Max processes             0                    0 "));
}

TEST_F(Sandbox, OfAnOrdinaryUserLacksOnlyWhatNeedsRoot) {
  if (::geteuid() == 0) {
    sluice_.account = find_account("nobody");
    ASSERT_TRUE(sluice_.account);
  }
  sluice_.start();
  const auto expected = MatchesRegex("no-new-privileges(,landlock=abi[1-6])?,seccomp");
  EXPECT_THAT(of_workers(), Each(expected));
  EXPECT_TRUE(eventually(5s, [&] { return !of_monitor().empty(); }));
  EXPECT_THAT(of_monitor(), expected);
  EXPECT_THAT(sluice_.log(), Not(HasSubstr("left out")));
}

/// Of the old children the new master knows only what the old one has left.
TEST_F(Sandbox, IsStillKnownAfterAnUpgrade) {
  sluice_.start();
  const auto before = of_workers().at(0);
  auto upgrade = std::async(std::launch::async, [&] { return sluice_.ctl({"upgrade"}).exit_code; });
  do {
    EXPECT_THAT(of_workers(), Each(before));
  } while (upgrade.wait_for(0s) != std::future_status::ready);
  EXPECT_EQ(upgrade.get(), 0);
  EXPECT_THAT(of_workers(), Each(before));
  EXPECT_TRUE(eventually(5s, [&] { return !of_monitor().empty(); }));
}

TEST_F(Sandbox, WithoutAFilterNothingStarts) {
  without({SCMP_SYS(seccomp)}, [&] {
    const auto start = start_in_vain();
    EXPECT_NE(start.exit_code, 0);
    EXPECT_THAT(start.err + sluice_.log(),
                AllOf(HasSubstr("the sandbox lacks its filter of system calls: "),
                      HasSubstr("sandbox = \\\"best-effort\\\"")));
  });
}

TEST_F(Sandbox, WithoutAnEmptyRootDirectoryNothingStarts) {
  if (::geteuid() != 0) GTEST_SKIP() << "an ordinary user does without";
  without({SCMP_SYS(chroot)}, [&] {
    const auto start = start_in_vain();
    EXPECT_NE(start.exit_code, 0);
    EXPECT_THAT(start.err + sluice_.log(),
                AllOf(HasSubstr("the sandbox lacks its empty root directory: "),
                      HasSubstr("sandbox = \\\"best-effort\\\"")));
  });
}

TEST_F(Sandbox, BestEffortStartsWithWhatThereIs) {
  without({SCMP_SYS(seccomp), SCMP_SYS(chroot), SCMP_SYS(landlock_create_ruleset)}, [&] {
    start_with("sandbox = \"best-effort\"");
    EXPECT_THAT(of_workers(), Each(AllOf(HasSubstr("no-new-privileges"), Not(HasSubstr("chroot")),
                                         Not(HasSubstr("landlock")), Not(HasSubstr("seccomp")))));
    EXPECT_THAT(sluice_.log(), HasSubstr("left out layer=\"filter of system calls\""));
    if (::geteuid() == 0) {
      EXPECT_THAT(sluice_.log(), HasSubstr("left out layer=\"empty root directory\""));
    }
    EXPECT_EQ(sluice_.stop(), 0);
  });
}

TEST_F(Sandbox, ALackOfLandlockIsNoReasonToStayAway) {
  without({SCMP_SYS(landlock_create_ruleset)}, [&] {
    sluice_.start();
    EXPECT_THAT(of_workers(), Each(AllOf(HasSubstr("seccomp"), Not(HasSubstr("landlock")))));
    EXPECT_EQ(sluice_.stop(), 0);
  });
}

TEST_F(Sandbox, ChangesWithAReloadInWorkersAndMonitor) {
  start_with("sandbox = \"off\"");
  EXPECT_THAT(of_workers(), Each(Not(HasSubstr("seccomp"))));
  auto session = sluice_.connect("shop");
  configure("sandbox = \"require\"");
  ASSERT_EQ(sluice_.ctl({"reload"}).exit_code, 0);
  EXPECT_TRUE(eventually(10s, [&] {
    const auto all = of_workers();
    return std::ranges::all_of(
               all, [](const auto& one) { return one.find("seccomp") != std::string::npos; }) &&
           of_monitor().find("seccomp") != std::string::npos;
  }));
  EXPECT_EQ(session.value("SELECT 1"), "1");
}

/// A reload to what can't be had leaves everything as it was.
TEST_F(Sandbox, AReloadToOneThatCannotBeHadIsRefused) {
  without({SCMP_SYS(seccomp)}, [&] {
    start_with("sandbox = \"best-effort\"");
    auto session = sluice_.connect("shop");
    configure("sandbox = \"require\"");
    const auto reload = sluice_.ctl({"reload"});
    EXPECT_EQ(reload.exit_code, 1);
    EXPECT_THAT(reload.err, HasSubstr("filter of system calls"));
    EXPECT_EQ(session.value("SELECT 1"), "1");
    EXPECT_EQ(sluice_.connect("shop").value("SELECT 2"), "2");
    EXPECT_EQ(sluice_.stop(), 0);
  });
}

}  // namespace
}  // namespace sluice::test
