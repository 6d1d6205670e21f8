/// The first minute: no configuration, a wrong one, a port in use, an unknown user; in the
/// foreground and in the background, as root and as anybody else. Each says what is wrong, on
/// stderr and in the log, with its own exit code. And what the processes are once they run: who
/// they are, what they may.
#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sysexits.h>
#include <unistd.h>

#include <filesystem>
#include <optional>
#include <set>

#include "tests/support/free_port.h"
#include "tests/support/load.h"
#include "tests/support/own_namespace.h"
#include "tests/support/raw_client.h"
#include "tests/support/reload_fixture.h"
#include "tests/support/test_error.h"

namespace sluice::test {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::MatchesRegex;
using testing::Not;

namespace fs = std::filesystem;

class Start : public ReloadTest {
 protected:
  /// A sluiced that is only set up; every test starts it in its own way.
  Start() : sluice(two_services(), Sluice::Start::Stopped) {}

  /// Starts it in the foreground; it must end by itself.
  CommandResult start_in_vain() { return sluice.run({"--foreground"}); }

  Sluice sluice;
};

/// Ends what was started in the background, whatever becomes of the test: all processes that have
/// the configuration's name in their command line, which nobody else uses.
class Background {
 public:
  explicit Background(const Sluice& sluice) : config_(sluice.config_path()) {}
  ~Background() {
    for (const int signal : {SIGTERM, SIGKILL})
      if (eventually(10s, [&] { return end(signal); })) return;
  }
  std::optional<pid_t> pid() const {
    for (const auto& entry : fs::directory_iterator("/proc")) {
      const auto name = entry.path().filename().string();
      if (name.find_first_not_of("0123456789") != std::string::npos) continue;
      const auto pid = static_cast<pid_t>(std::stol(name));
      if (is_alive(pid) && read_file(entry.path() / "cmdline").find(config_) != std::string::npos)
        return pid;
    }
    return std::nullopt;
  }

 private:
  bool end(int signal) const {
    const auto found = pid();
    if (found) ::kill(*found, signal);
    return !found;
  }
  std::string config_;
};

/// One line of /proc/PID/status.
std::string status_of(pid_t pid, std::string_view key) {
  const auto text = read_file(fmt::format("/proc/{}/status", pid));
  const auto at = text.find(fmt::format("\n{}:\t", key));
  if (at == std::string::npos) return "";
  const auto from = at + key.size() + 3;
  return text.substr(from, text.find('\n', from) - from);
}

// What is wrong with the configuration.

TEST_F(Start, WithoutAConfigurationSaysWhereItLookedAndShowsAMinimalOne) {
  fs::remove(sluice.config_path());
  for (const auto& result : {start_in_vain(), sluice.run({}), sluice.run({"--check"})}) {
    EXPECT_EQ(result.exit_code, EX_CONFIG);
    EXPECT_THAT(result.err,
                AllOf(HasSubstr("there is no configuration"), HasSubstr(sluice.config_path()),
                      HasSubstr("conf.d"), HasSubstr("[cluster."), HasSubstr("[service.")));
  }
}

/// What the error shows must work, or the first thing that a user copies fails.
TEST_F(Start, TheMinimalConfigurationItShowsIsGood) {
  fs::remove(sluice.config_path());
  const auto shown = sluice.run({"--check"}).err;
  std::string minimal;
  const auto from = shown.find("[cluster.");
  ASSERT_NE(from, std::string::npos);
  const auto password = sluice.path("password");
  write_file(password, "secret\n");
  ::chmod(password.c_str(), 0600);
  minimal = shown.substr(from);
  if (const auto at = minimal.find("/etc/sluice/"); at != std::string::npos)
    minimal.replace(at, minimal.find('"', at) - at, password);
  sluice.write_config("[sluice]\nuser = \"nobody\"\ngroup = \"nogroup\"\n" + minimal);
  const auto checked = sluice.run({"--check"});
  EXPECT_EQ(checked.exit_code, 0) << checked.err << minimal;
}

TEST_F(Start, WithAnUnreadableConfiguration) {
  fs::remove(sluice.config_path());
  fs::create_directory(sluice.config_path());
  const auto result = start_in_vain();
  EXPECT_EQ(result.exit_code, EX_CONFIG);
  EXPECT_THAT(result.err, AllOf(HasSubstr(sluice.config_path()), HasSubstr("can't read the file")));
}

TEST_F(Start, WithAConfigurationThatItMayNotRead) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs a second user";
  ::chmod(sluice.config_path().c_str(), 0600);
  const auto result = run_command({"setpriv", "--reuid=65534", "--regid=65534", "--clear-groups",
                                   program("sluiced"), "--config", sluice.config_path()});
  EXPECT_EQ(result.exit_code, EX_CONFIG);
  EXPECT_THAT(result.err, AllOf(HasSubstr(sluice.config_path()), HasSubstr("Permission denied")));
}

TEST_F(Start, WithAWrongConfigurationNamesAllProblemsInOneGo) {
  sluice.write_config(sluice.config.text() +
                      "\n[service.third]\ncluster = \"lfet\"\nrouter = \"conection\"\n"
                      "lisen = [\"127.0.0.1:3306\"]\n");
  for (const auto& result : {start_in_vain(), sluice.run({}), sluice.run({"--check"})}) {
    EXPECT_EQ(result.exit_code, EX_CONFIG);
    EXPECT_THAT(result.err,
                AllOf(HasSubstr("unknown cluster \"lfet\""), HasSubstr("conection"),
                      HasSubstr("unknown key \"lisen\""), HasSubstr("did you mean \"listen\"")));
    EXPECT_THAT(result.err, HasSubstr(sluice.config_path() + ":"));
  }
}

TEST_F(Start, CheckJudgesAndStartsNothing) {
  const auto result = sluice.run({"--check"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.out, HasSubstr("good"));
  EXPECT_FALSE(fs::exists(sluice.control_socket()));
  EXPECT_FALSE(fs::exists(sluice.config.log_file));
}

TEST_F(Start, AWrongOptionIsAnErrorOfUse) {
  EXPECT_EQ(sluice.run({"--no-such-option"}).exit_code, 2);
}

// What is wrong with the machine.

TEST_F(Start, WithAPortInUseNamesIt) {
  const MariadbServer& occupant = left();
  sluice.config.services["left"].listen = {occupant.address()};
  sluice.write_config(sluice.config.text());
  const auto expected = fmt::format("listen on {}: Address already in use", occupant.address());
  for (const auto& result : {start_in_vain(), sluice.run({})}) {
    EXPECT_EQ(result.exit_code, EX_UNAVAILABLE);
    EXPECT_THAT(result.err, HasSubstr(expected));
  }
  EXPECT_THAT(sluice.log(), AllOf(HasSubstr(expected), HasSubstr("the start has failed"),
                                  Not(HasSubstr("reload"))));
  EXPECT_FALSE(fs::exists(sluice.control_socket()));
}

TEST_F(Start, WithAnUnknownUserToDropTo) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root drops to a user";
  sluice.config.settings = "user = \"no-such-user\"\ngroup = \"no-such-group\"\n";
  sluice.write_config(sluice.config.text());
  for (const auto& result : {start_in_vain(), sluice.run({"--check"})}) {
    EXPECT_EQ(result.exit_code, EX_CONFIG);
    EXPECT_THAT(result.err, AllOf(HasSubstr("there is no user \"no-such-user\""),
                                  HasSubstr("there is no group \"no-such-group\"")));
  }
}

TEST_F(Start, ASecondInstanceWithTheSameControlSocketIsRefused) {
  sluice.start();
  auto second = sluice.config;
  for (auto& [name, service] : second.services) service.listen = {free_address()};
  second.log_file = sluice.path("second.log");
  sluice.write_config(second.text());
  const auto result = start_in_vain();
  EXPECT_EQ(result.exit_code, EX_UNAVAILABLE);
  EXPECT_THAT(result.err, HasSubstr(sluice.control_socket() + ": Address already in use"));
  EXPECT_EQ(sluice.ctl({"status"}).exit_code, 0);
  EXPECT_EQ(answering(sluice, "left"), id(left()));
}

TEST_F(Start, StaleUnixSocketsAreReplaced) {
  const auto path = sluice.path("left.sock");
  sluice.config.services["left"].listen.push_back(path);
  for (const auto& stale : {path, sluice.control_socket()}) {
    const UniqueFd left_over(::socket(AF_UNIX, stale == path ? SOCK_STREAM : SOCK_SEQPACKET, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    stale.copy(address.sun_path, sizeof address.sun_path - 1);
    ASSERT_EQ(::bind(left_over.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  }
  sluice.start();
  ClientOptions options = sluice.endpoint("left");
  options.socket = path;
  EXPECT_EQ(Client(options).value("SELECT @@server_id"), id(left()));
  EXPECT_EQ(sluice.stop(), 0);
  EXPECT_FALSE(fs::exists(path));
  EXPECT_FALSE(fs::exists(sluice.control_socket()));
}

TEST_F(Start, AFileThatIsNoSocketIsLeftAlone) {
  const auto path = sluice.path("precious");
  write_file(path, "data");
  sluice.config.services["left"].listen.push_back(path);
  sluice.write_config(sluice.config.text());
  const auto result = start_in_vain();
  EXPECT_EQ(result.exit_code, EX_UNAVAILABLE);
  EXPECT_THAT(result.err, HasSubstr(path));
  EXPECT_EQ(read_file(path), "data");
}

// Foreground and background.

TEST_F(Start, InTheBackgroundReturnsOnceItServes) {
  const Background background(sluice);
  const auto started = sluice.run({});
  ASSERT_EQ(started.exit_code, 0) << started.err;
  EXPECT_EQ(started.err, "");
  EXPECT_EQ(sluice.ctl({"status"}).exit_code, 0);  // no wait
  EXPECT_EQ(answering(sluice, "left"), id(left()));
  const auto pid = background.pid();
  ASSERT_TRUE(pid);
  EXPECT_NE(::getsid(*pid), ::getsid(0)) << "it would end with the terminal";
  ::kill(*pid, SIGTERM);
  EXPECT_TRUE(eventually(10s, [&] { return !is_alive(*pid); }));
  EXPECT_FALSE(fs::exists(sluice.control_socket()));
}

/// `$(sluiced)` and a start script behind a pipe wait for the end of the output.
TEST_F(Start, InTheBackgroundItHoldsNoOutputOfTheCaller) {
  const Background background(sluice);
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  const UniqueFd reading(ends[0]);
  UniqueFd writing(ends[1]);
  Process starter({.argv = {program("sluiced"), "--config", sluice.config_path()},
                   .output = {},
                   .account = std::nullopt,
                   .stdout_fd = writing.get(),
                   .stderr_fd = writing.get()});
  writing.reset();
  EXPECT_EQ(starter.wait(30s), 0);
  pollfd end{reading.get(), POLLIN, 0};
  char byte;
  EXPECT_EQ(::poll(&end, 1, 5000), 1) << "somebody still holds the pipe";
  EXPECT_EQ(::read(reading.get(), &byte, 1), 0);
}

TEST_F(Start, TermEndsItWithExitCodeZero) {
  sluice.start();
  Load load({.endpoint = sluice.endpoint("left")});
  load.wait_flowing();
  auto children = sluice.worker_pids();
  children.push_back(sluice.monitor_pid().value());
  load.stop();
  EXPECT_EQ(sluice.stop(), 0);
  for (const auto pid : children) EXPECT_FALSE(is_alive(pid));
  EXPECT_THAT(sluice.log(), HasSubstr("has ended"));
}

// The log.

/// A stand-in for the system's log. Where the machine has one, it is covered in a mount namespace
/// of the test's own.
class SystemLog {
 public:
  static constexpr const char* kPath = "/dev/log";
  SystemLog() : fd_(::socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)) {
    mine_ = listen(kPath);
    if (mine_) {
      made_ = kPath;
    } else if (const auto covering = dir_ / "log"; no_namespaces().empty() && listen(covering)) {
      cover_.emplace(covering, kPath);
      mine_ = true;
    }
  }
  ~SystemLog() {
    if (!made_.empty()) ::unlink(made_.c_str());
  }
  bool mine() const { return mine_; }
  /// Reads no more, and before it returns, nobody can send any more.
  void stop() {
    stopped_ = true;
    const UniqueFd writer(::socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    const auto address = address_of(kPath);
    while (::sendto(writer.get(), "full", 4, 0, reinterpret_cast<const sockaddr*>(&address),
                    sizeof address) == 4)
      continue;
  }
  void resume() { stopped_ = false, text(); }
  const std::string& text() {
    char buffer[8192];
    for (ssize_t n; !stopped_ && (n = ::recv(fd_.get(), buffer, sizeof buffer, 0)) > 0;)
      text_.append(buffer, static_cast<std::size_t>(n)).append("\n");
    return text_;
  }

 private:
  static sockaddr_un address_of(std::string_view path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    return address;
  }
  bool listen(std::string_view path) const {
    const auto address = address_of(path);
    return ::bind(fd_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  }

  TempDir dir_;
  UniqueFd fd_;
  std::optional<Cover> cover_;
  std::string made_;  ///< the file, where there was none
  bool mine_ = false, stopped_ = false;
  std::string text_;
};

TEST_F(Start, LogsToTheSystemLogUnlessToldOtherwise) {
  SystemLog system;
  if (!system.mine()) GTEST_SKIP() << "this machine has a system log, or /dev is not ours";
  auto text = sluice.config.text();
  const auto at = text.find("log = ");
  text.erase(at, text.find('\n', at) - at);
  sluice.write_config(text);
  sluice.launch();
  sluice.wait_ready();
  // <29>: facility daemon, level notice.
  EXPECT_TRUE(eventually(5s, [&] {
    return system.text().find("sluice-worker[") != std::string::npos &&
           system.text().find("sluice-monitor[") != std::string::npos;
  }));
  EXPECT_THAT(system.text(), AllOf(HasSubstr("<29>"), HasSubstr(": sluiced: starts")));
  EXPECT_FALSE(fs::exists(sluice.config.log_file));

  sluice.write_config("[service.left\n");
  EXPECT_EQ(sluice.ctl({"reload"}).exit_code, 1);
  EXPECT_THAT(system.text(), HasSubstr("<27>"));  // an error
  EXPECT_EQ(sluice.stop(), 0);
}

TEST_F(Start, TheSystemLogGetsTheConfiguredFacility) {
  SystemLog system;
  if (!system.mine()) GTEST_SKIP() << "this machine has a system log, or /dev is not ours";
  auto text = sluice.config.text();
  const auto at = text.find("log = ");
  text.replace(at, text.find('\n', at) - at, "log = { facility = \"authpriv\" }");
  sluice.write_config(text);
  sluice.launch();
  sluice.wait_ready();
  EXPECT_TRUE(eventually(5s, [&] {  // <85>: facility authpriv, level notice
    return system.text().find("<85>") != std::string::npos;
  }));
  EXPECT_THAT(system.text(), Not(HasSubstr("<29>")));
  EXPECT_EQ(sluice.stop(), 0);
}

/// Who starts it from a script sees no terminal: the reason is in the log as well.
TEST_F(Start, AFailureAtTheStartIsInTheSystemLogToo) {
  SystemLog system;
  if (!system.mine()) GTEST_SKIP() << "this machine has a system log, or /dev is not ours";
  fs::remove(sluice.config_path());
  EXPECT_EQ(sluice.run({}).exit_code, EX_CONFIG);
  EXPECT_THAT(system.text(), AllOf(HasSubstr("<27>"), HasSubstr("there is no configuration")));
}

/// To who writes, a log daemon that is stopped (SIGSTOP) is one that reads nothing.
TEST_F(Start, ASystemLogThatIsStoppedHoldsUpNobody) {
  SystemLog system;
  if (!system.mine()) GTEST_SKIP() << "this machine has a system log, or /dev is not ours";
  auto text = sluice.config.text();
  const auto at = text.find("log = ");
  text.replace(at, text.find('\n', at) - at, "log = { level = \"info\" }");
  sluice.write_config(text);
  sluice.launch();
  sluice.wait_ready();
  system.stop();
  for (int i = 0; i < 20; ++i) {  // a line or two each
    const auto start = Clock::now();
    EXPECT_EQ(sluice.ctl({"reload"}, 10s).exit_code, 0);
    EXPECT_EQ(answering(sluice, "left"), id(left()));
    ASSERT_LT(Clock::now() - start, 10s);
  }
  system.resume();
  EXPECT_EQ(sluice.ctl({"reload"}).exit_code, 0);
  EXPECT_TRUE(eventually(5s, [&] { return system.text().find("lines lost") != std::string::npos; }))
      << system.text();
  EXPECT_EQ(sluice.stop(), 0);
}

// Who they are.

TEST_F(Start, AnOrdinaryUserStartsItWithHighPorts) {
  if (::geteuid() == 0) {
    sluice.account = find_account("nobody");
    ASSERT_TRUE(sluice.account);
  }
  sluice.config.services["left"].listen.push_back(sluice.path("left.sock"));
  sluice.start();
  for (const std::string service : {"left", "right"}) {
    Load load({.endpoint = sluice.endpoint(service)});
    load.wait_flowing();
    EXPECT_TRUE(load.advance(50));
    const auto report = load.stop();
    EXPECT_TRUE(report.clean()) << report.text();
  }
  auto options = sluice.endpoint("left");
  options.socket = sluice.path("left.sock");
  EXPECT_EQ(Client(options).value("SELECT @@server_id"), id(left()));

  sluice.config.workers = 3;
  EXPECT_EQ(sluice.reload().exit_code, 0);
  EXPECT_EQ(answering(sluice, "left"), id(left()));
  auto all = sluice.worker_pids();
  all.push_back(sluice.monitor_pid().value());
  for (const auto pid : all) EXPECT_EQ(status_of(pid, "NoNewPrivs"), "1");
  EXPECT_EQ(sluice.stop(), 0);
}

class Privileges : public Start {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "only root has something to give up";
    sluice.start();
    ASSERT_EQ(answering(sluice, "left"), id(left()));
    ASSERT_TRUE(eventually(5s, [&] {  // the others start when the first one serves
      const auto workers = sluice.ctl_json({"list", "workers"});
      return workers.size() == sluice.config.workers &&
             std::ranges::all_of(workers,
                                 [](const auto& one) { return one.at("state") == "serving"; });
    }));
  }
  /// What may be said of every child.
  static void expect_powerless(pid_t pid) {
    const auto nobody = find_account("nobody").value();
    EXPECT_EQ(status_of(pid, "Uid"), fmt::format("{0}\t{0}\t{0}\t{0}", nobody.uid));
    EXPECT_EQ(status_of(pid, "Gid"), fmt::format("{0}\t{0}\t{0}\t{0}", nobody.gid));
    EXPECT_THAT(status_of(pid, "Groups"), MatchesRegex(" *"));
    for (const char* set : {"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"})
      EXPECT_EQ(status_of(pid, set), "0000000000000000") << set;
    EXPECT_EQ(status_of(pid, "NoNewPrivs"), "1");
    EXPECT_THAT(read_file(fmt::format("/proc/{}/limits", pid)),
                HasSubstr("Max core file size        0                    0 "));
  }
  /// What the fds of a process are, by kind: "socket", "anon_inode", a path.
  static std::multiset<std::string> fds_of(pid_t pid) {
    std::multiset<std::string> kinds;
    for (const auto& entry : fs::directory_iterator(fmt::format("/proc/{}/fd", pid))) {
      std::error_code gone;
      const auto target = fs::read_symlink(entry, gone).string();
      kinds.insert(target.substr(0, target.find(':')));
    }
    return kinds;
  }
};

TEST_F(Privileges, AWorkerHasNothingButItsConnections) {
  for (const auto pid : sluice.worker_pids()) {
    expect_powerless(pid);
    const fs::path root = fmt::format("/proc/{}/root", pid);
    EXPECT_TRUE(fs::is_empty(root)) << "its root directory";
    EXPECT_THAT(fs::read_symlink(root).string(), Not("/"));
    for (const auto& kind : fds_of(pid))
      EXPECT_TRUE(kind == "socket" || kind == "anon_inode" || kind.starts_with("/memfd") ||
                  kind == "/dev/null" || kind == "pipe" || kind == sluice.path("printed"))
          << kind;
  }
}

TEST_F(Privileges, TheMonitorHasNothingButItsConnections) {
  const auto pid = sluice.monitor_pid();
  ASSERT_TRUE(pid);
  expect_powerless(*pid);
  for (const auto& kind : fds_of(*pid)) {
    EXPECT_THAT(kind, Not(HasSubstr("sluice.toml")));
    EXPECT_THAT(kind, Not(HasSubstr("sluice.log")));
  }
}

TEST_F(Privileges, TheControlSocketIsOfRootAndTheGroup) {
  struct stat socket {};
  ASSERT_EQ(::stat(sluice.control_socket().c_str(), &socket), 0);
  EXPECT_EQ(socket.st_mode & 07777, 0660u);
  EXPECT_EQ(socket.st_uid, 0u);
  const auto nobody = find_account("nobody").value();
  EXPECT_EQ(socket.st_gid, nobody.gid);
}

/// Whoever takes over a worker must not command the master: its user is refused though its group,
/// which the socket's file lets in, is the right one.
TEST_F(Privileges, TheUserOfTheChildrenIsRefusedAtTheControlSocket) {
  const auto as = [&](Account account) {
    const auto output = sluice.path("refused");
    fs::remove(output);
    Process ctl({.argv = {program("sluicectl"), "--socket", sluice.control_socket(), "status"},
                 .output = output,
                 .account = account});
    const auto exit_code = ctl.wait(10s);
    return std::pair(exit_code, read_file(output));
  };
  const auto nobody = find_account("nobody").value();
  fs::permissions(sluice.path(""), fs::perms::others_exec | fs::perms::group_exec,
                  fs::perm_options::add);
  const auto [refused, why] = as(nobody);
  EXPECT_NE(refused, 0);
  EXPECT_THAT(why, HasSubstr("permission denied: root or the group of sluice is needed"));
  EXPECT_THAT(sluice.log(), HasSubstr(fmt::format("uid={}", nobody.uid)));
  auto member = find_account("daemon").value();
  member.gid = nobody.gid;
  const auto [allowed, answer] = as(member);
  EXPECT_EQ(allowed, 0) << answer;
}

}  // namespace
}  // namespace sluice::test
