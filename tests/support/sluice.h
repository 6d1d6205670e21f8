#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tests/support/client.h"
#include "tests/support/process.h"
#include "tests/support/sluice_config.h"
#include "tests/support/temp_dir.h"

namespace sluice::test {

/// Where the programs under test are: this build, or SLUICE_BIN_DIR of the environment.
std::string build_directory();

/// The path of one of the programs under test ("sluiced", "sluicectl").
std::string program(const std::string& name);

/// A running sluice: `sluiced --config FILE --foreground` with its own configuration, control
/// socket and log in a temporary directory.
///
/// The destructor stops it with SIGTERM and fails the test unless it exits 0 without a word from a
/// sanitizer. Where the test has failed, the end of the log and of stderr are printed.
///
/// With SLUICE_TEST_STORM=replace in the environment its workers are replaced every 200 ms from the
/// moment it is ready on, with =upgrade all its programs: whatever a test does, sessions move
/// meanwhile.
class Sluice {
 public:
  enum class Start { Ready, Launched, Stopped };

  /// Starts it and waits until `sluicectl status` works. Throws TestError with what it printed
  /// when it does not. With Stopped, the test changes `config` or calls write_config() first.
  explicit Sluice(SluiceConfig config, Start start = Start::Ready);
  ~Sluice();
  Sluice(const Sluice&) = delete;
  Sluice& operator=(const Sluice&) = delete;

  /// What reload() and start() write. Changing it alone does nothing.
  SluiceConfig config;
  /// Whom launch() starts sluiced as, and who then owns the directory; nothing: the invoking user.
  std::optional<Account> account{};
  /// What launch() gives sluiced beside the configuration.
  std::vector<std::string> arguments{"--foreground"};

  /// What launch() sets on top of our environment.
  std::vector<std::pair<std::string, std::string>> environment{};
  /// The program that launch() starts: another one beside children of the test's choosing.
  std::string daemon = program("sluiced");

  /// Writes `config` and starts. launch() does not wait for the control socket.
  void start(Milliseconds deadline = 30s);
  void launch();
  void wait_ready(Milliseconds deadline = 30s);
  /// SIGTERM; the exit code, or 137 when it had to be killed.
  int stop(Milliseconds deadline = 30s);
  /// Kills the master. The test, not the destructor, then looks at what is left.
  void kill9();
  Process& process() { return process_; }

  /// `sluicectl --socket ... ARGS`.
  CommandResult ctl(const std::vector<std::string>& args, Milliseconds deadline = 30s) const;
  /// The same with --json; throws unless it exits 0 and prints JSON.
  nlohmann::json ctl_json(std::vector<std::string> args) const;
  /// Writes `config` (or `text`) and runs `sluicectl reload`.
  CommandResult reload();
  CommandResult reload(std::string_view text);
  /// Replaces the configuration file with any text.
  void write_config(std::string_view text) { write_file(config_path(), text); }
  /// `sluiced --config FILE ARGS` to its end: for --check, and for starts that must fail.
  CommandResult run(std::vector<std::string> args, Milliseconds deadline = 30s) const;

  std::string config_path() const { return dir_ / "sluice.toml"; }
  const std::string& control_socket() const { return config.control_socket; }
  /// A path for a Unix listener or another file of the test.
  std::string path(std::string_view name) const { return dir_ / name; }
  std::string log() const { return read_file(config.log_file); }
  /// What sluiced printed (both streams).
  std::string printed() const { return read_file(dir_ / "printed"); }

  pid_t pid() const { return process_.pid(); }
  /// The master's children by the name of their program, read from /proc; zombies don't count.
  std::vector<pid_t> worker_pids() const;
  std::optional<pid_t> monitor_pid() const;

  uint16_t port(const std::string& service) const { return config.services.at(service).port(); }
  /// How `user` connects to the first TCP listener of a service.
  ClientOptions endpoint(const std::string& service, std::string user = "app",
                         std::string password = "app-secret") const;
  Client connect(const std::string& service) const { return Client(endpoint(service)); }

 private:
  void report_failure() const;
  void begin_storm();

  TempDir dir_;
  Process process_;
  std::jthread storm_;
};

/// Direct children of `parent` whose program (or argv[0]) is named `name`.
std::vector<pid_t> children_named(pid_t parent, std::string_view name);

}  // namespace sluice::test
