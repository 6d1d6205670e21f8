/// What a service manager sees of sluice: systemd's notification protocol, on a socket of the
/// test's own (sd_notify(3)), and the programs in the place where an installation puts them. A
/// whole systemd runs the unit in tests/checks/service.
#include <gmock/gmock.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <charconv>
#include <cstddef>
#include <filesystem>
#include <future>

#include "common/base/clock.h"
#include "tests/support/reload_fixture.h"
#include "tests/support/test_error.h"

namespace sluice::test {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

namespace fs = std::filesystem;

/// Receives what sd_notify() would send, a datagram each.
class NotifySocket {
 public:
  /// `name`: a path, or "@NAME" for an abstract socket.
  explicit NotifySocket(std::string name)
      : name_(std::move(name)),
        fd_(::socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    name_.copy(address.sun_path, sizeof address.sun_path - 1);
    if (name_[0] == '@') address.sun_path[0] = '\0';
    const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name_.size());
    if (::bind(fd_.get(), reinterpret_cast<sockaddr*>(&address), size) != 0)
      throw TestError("cannot listen on " + name_);
  }
  const std::string& name() const { return name_; }

  /// The next message that is no answer to a watchdog; empty when none comes in time.
  std::string next(Milliseconds deadline = 10s) {
    std::string message;
    if (!eventually(deadline, [&] {
          while (receive(message))
            if (message != "WATCHDOG=1") return true;
          return false;
        }))
      return "";
    return message;
  }
  /// How many times the watchdog has been answered so far.
  int pings() {
    std::string message;
    while (receive(message)) {
    }
    return pings_;
  }
  bool is_quiet() {
    std::string message;
    return !receive(message);
  }

 private:
  bool receive(std::string& message) {
    char buffer[4096];
    const auto n = ::recv(fd_.get(), buffer, sizeof buffer, 0);
    if (n < 0) return false;
    message.assign(buffer, static_cast<std::size_t>(n));
    pings_ += message == "WATCHDOG=1";
    return true;
  }

  std::string name_;
  UniqueFd fd_;
  int pings_ = 0;
};

class Service : public ReloadTest {
 protected:
  Service() : sluice(two_services(), Sluice::Start::Stopped), manager(directory / "notify") {
    sluice.environment = {{"NOTIFY_SOCKET", manager.name()}};
  }
  void launch() {
    sluice.launch();
    ASSERT_EQ(manager.next(), "READY=1\nSTATUS=generation 1: serving") << sluice.printed();
  }

  TempDir directory;
  Sluice sluice;
  NotifySocket manager;
};

TEST_F(Service, SaysThatItIsReadyOnceItServes) {
  launch();
  EXPECT_EQ(answering(sluice, "left"), id(left())) << "no wait: it has said that it serves";
  EXPECT_TRUE(manager.is_quiet()) << "no watchdog was asked for";
  for (const auto pid : sluice.worker_pids())
    EXPECT_THAT(read_file(fs::path("/proc") / std::to_string(pid) / "environ"),
                Not(HasSubstr("NOTIFY_SOCKET")));
}

TEST_F(Service, AnAbstractSocketWillDo) {
  NotifySocket abstract("@sluice-test-notify-" + std::to_string(::getpid()));
  sluice.environment = {{"NOTIFY_SOCKET", abstract.name()}};
  sluice.launch();
  EXPECT_THAT(abstract.next(), StartsWith("READY=1"));
  EXPECT_EQ(sluice.stop(), 0);
}

TEST_F(Service, AStartThatFailsIsNeverReady) {
  sluice.write_config("[service.left\n");
  sluice.launch();
  EXPECT_EQ(sluice.process().wait(10s), 78);
  EXPECT_TRUE(manager.is_quiet());
}

/// Type=notify of systemd 252 knows no other way to tell how long a reload takes.
TEST_F(Service, TellsOfAReloadFromItsBeginningToItsEnd) {
  launch();
  const auto reload_by_signal = [&] { sluice.process().signal(SIGHUP); };
  const auto reload_by_command = [&] { EXPECT_EQ(sluice.ctl({"reload"}).exit_code, 0); };
  int generation = 1;
  for (const auto& reload : {std::function<void()>(reload_by_signal), {reload_by_command}}) {
    sluice.config.workers = 2 + static_cast<unsigned>(generation) % 2;
    sluice.write_config(sluice.config.text());
    const auto before = monotonic_ns() / 1000;
    reload();
    const std::string begins = manager.next();
    constexpr std::string_view kBegin = "RELOADING=1\nMONOTONIC_USEC=";
    ASSERT_THAT(begins, StartsWith(std::string(kBegin)));
    int64_t told = 0;
    const auto at = kBegin.size();
    std::from_chars(begins.data() + at, begins.data() + begins.size(), told);
    EXPECT_GE(told, before);
    EXPECT_LE(told, monotonic_ns() / 1000);
    EXPECT_EQ(manager.next(),
              "READY=1\nSTATUS=generation " + std::to_string(++generation) + ": serving");
  }
}

TEST_F(Service, AFailedReloadEndsReadyWithTheReason) {
  launch();
  sluice.write_config("[service.left\n");
  EXPECT_EQ(sluice.ctl({"reload"}).exit_code, 1);
  EXPECT_THAT(manager.next(), StartsWith("RELOADING=1"));
  EXPECT_EQ(manager.next(), "READY=1\nSTATUS=generation 1: serving; the last reload failed");
}

TEST_F(Service, AnAttemptIsNoReload) {
  launch();
  sluice.write_config("[service.left\n");
  EXPECT_EQ(sluice.ctl({"reload", "--dry-run"}).exit_code, 1);
  EXPECT_TRUE(manager.is_quiet());
}

TEST_F(Service, SaysThatItStopsWhileStatementsEnd) {
  launch();
  ASSERT_EQ(left().value("SELECT GET_LOCK('stop', 0)"), "1");
  auto busy = sluice.connect("left");
  auto answer =
      std::async(std::launch::async, [&] { return busy.query("SELECT GET_LOCK('stop', 60)"); });
  ASSERT_TRUE(eventually(5s, [&] {
    return left().value(
               "SELECT COUNT(*) FROM information_schema.processlist WHERE state = 'User lock'") ==
           "1";
  }));
  sluice.process().signal(SIGTERM);
  EXPECT_EQ(manager.next(), "STOPPING=1");
  EXPECT_TRUE(sluice.process().running());
  left().exec("DO RELEASE_LOCK('stop')");
  EXPECT_TRUE(answer.get());
  EXPECT_EQ(sluice.process().wait(10s), 0);
}

TEST_F(Service, AnswersTheWatchdogThatWasAskedFor) {
  sluice.environment.emplace_back("WATCHDOG_USEC", "3000000");
  launch();
  EXPECT_TRUE(eventually(10s, [&] { return manager.pings() >= 3; }));
  sluice.process().suspend();
  const auto until_then = manager.pings();
  sluice.process().resume();
  EXPECT_TRUE(eventually(10s, [&] { return manager.pings() > until_then; }));
}

// The installed programs.

std::string program_of(pid_t pid) {
  std::error_code gone;
  return fs::read_symlink(fs::path("/proc") / std::to_string(pid) / "exe", gone).string();
}

TEST_F(Service, StartsFromWhereAnInstallationPutsIt) {
  const auto installed = run_command(
      {"env", "DESTDIR=" + directory.path().string(), "cmake", "--install", build_directory()});
  ASSERT_EQ(installed.exit_code, 0) << installed.out << installed.err;
  for (const auto& entry : fs::recursive_directory_iterator(directory.path()))
    if (entry.path().filename() == "sluiced" && !entry.is_directory())
      sluice.daemon = entry.path().string();
  const auto prefix = fs::path(sluice.daemon).parent_path().parent_path();
  ASSERT_THAT(prefix.string(), StartsWith(directory.path().string()));
  launch();
  EXPECT_EQ(answering(sluice, "left"), id(left()));
  const auto children = prefix / "libexec/sluice";
  for (const auto pid : sluice.worker_pids()) {
    EXPECT_EQ(program_of(pid), children / "sluice-worker");
    struct stat owner {};
    ::stat(("/proc/" + std::to_string(pid)).c_str(), &owner);
    if (::geteuid() == 0) {
      EXPECT_NE(owner.st_uid, 0u);
    }
  }
  EXPECT_EQ(program_of(sluice.monitor_pid().value()), children / "sluice-monitor");
}

}  // namespace
}  // namespace sluice::test
