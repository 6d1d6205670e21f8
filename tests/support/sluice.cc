#include "tests/support/sluice.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <iostream>

#include "tests/support/test_error.h"

namespace sluice::test {
namespace {

namespace fs = std::filesystem;

/// What AddressSanitizer, LeakSanitizer and UndefinedBehaviorSanitizer write.
bool mentions_sanitizer(std::string_view printed) {
  return printed.find("Sanitizer") != std::string_view::npos ||
         printed.find(": runtime error: ") != std::string_view::npos;
}

bool is_program(const fs::path& directory, std::string_view name) {
  const auto command = read_file(directory / "cmdline");
  if (fs::path(command.substr(0, command.find('\0'))).filename() == name) return true;
  std::error_code unreadable;  // of another user, or gone
  return fs::read_symlink(directory / "exe", unreadable).filename() == name;
}

}  // namespace

std::string build_directory() {
  const char* named = ::getenv("SLUICE_BIN_DIR");
  return named != nullptr && *named != '\0' ? named : SLUICE_BIN_DIR;
}

std::string program(const std::string& name) {
  return build_directory() + "/" + name;
}

std::vector<pid_t> children_named(pid_t parent, std::string_view name) {
  std::vector<pid_t> result;
  std::error_code gone;
  for (const auto& entry : fs::directory_iterator("/proc", gone)) {
    const auto text = entry.path().filename().string();
    pid_t pid = 0;
    if (std::from_chars(text.data(), text.data() + text.size(), pid).ec != std::errc{}) continue;
    const auto stat = read_stat(pid);
    if (stat && stat->parent == parent && is_alive(pid) && is_program(entry.path(), name))
      result.push_back(pid);
  }
  std::ranges::sort(result);
  return result;
}

Sluice::Sluice(SluiceConfig wanted, Start start_as) : config(std::move(wanted)) {
  if (config.control_socket.empty()) config.control_socket = dir_ / "control.sock";
  if (config.log_file.empty()) config.log_file = dir_ / "sluice.log";
  write_config(config.text());
  if (start_as != Start::Stopped) launch();
  if (start_as == Start::Ready) wait_ready();
}

Sluice::~Sluice() {
  if (process_.running()) {
    EXPECT_EQ(stop(), 0) << "sluiced after SIGTERM";
  }
  EXPECT_FALSE(mentions_sanitizer(printed())) << printed();
  if (::testing::Test::HasFailure()) report_failure();
}

void Sluice::report_failure() const {
  std::cerr << fmt::format("---- end of sluice's log\n{}\n---- end of its output\n{}\n----\n",
                           tail(log(), 60), tail(printed(), 40));
}

void Sluice::start(Milliseconds deadline) {
  write_config(config.text());
  launch();
  wait_ready(deadline);
}

void Sluice::launch() {
  std::vector<std::string> argv{daemon, "--config", config_path()};
  argv.insert(argv.end(), arguments.begin(), arguments.end());
  if (account && ::chown(dir_.path().c_str(), account->uid, account->gid) != 0)
    throw TestError(fmt::format("cannot give {} away", dir_.path().string()));
  process_ = Process({.argv = std::move(argv),
                      .output = dir_ / "printed",
                      .account = account,
                      .environment = environment});
}

void Sluice::wait_ready(Milliseconds deadline) {
  bool ended = false;
  const bool done = eventually(deadline, [&] {
    ended = !process_.running();
    return ended || ctl({"status"}).exit_code == 0;
  });
  if (done && !ended) return begin_storm();
  throw TestError(fmt::format("sluiced {}:\n{}\nlog:\n{}", ended ? "ended" : "is not ready",
                              tail(printed(), 40), tail(log(), 40)));
}

void Sluice::begin_storm() {
  const char* kind = ::getenv("SLUICE_TEST_STORM");
  if (kind == nullptr || storm_.joinable()) return;
  const std::vector<std::string> replace{program("sluicectl"), "--socket", control_socket(),
                                         "replace", "workers"};
  storm_ = std::jthread([pid = pid(), replace, upgrade = std::string_view(kind) == "upgrade"](
                            const std::stop_token& stop) {
    // An upgrade replaces the monitor too, which has to get to know the servers now and then.
    for (; !stop.stop_requested(); std::this_thread::sleep_for(upgrade ? 400ms : 200ms)) {
      if (upgrade)
        ::kill(pid, SIGUSR2);
      else
        run_command(replace, 60s);
    }
  });
}

void Sluice::kill9() {
  storm_ = {};
  process_.kill9();
}

int Sluice::stop(Milliseconds deadline) {
  storm_ = {};
  return process_.terminate(deadline);
}

CommandResult Sluice::ctl(const std::vector<std::string>& args, Milliseconds deadline) const {
  std::vector<std::string> argv{program("sluicectl"), "--socket", control_socket()};
  argv.insert(argv.end(), args.begin(), args.end());
  return run_command(argv, deadline);
}

nlohmann::json Sluice::ctl_json(std::vector<std::string> args) const {
  args.insert(args.begin(), "--json");
  const auto result = ctl(args);
  auto json = nlohmann::json::parse(result.out, nullptr, /*allow_exceptions=*/false);
  if (result.exit_code != 0 || json.is_discarded())
    throw TestError(fmt::format("sluicectl {}: exit {}, {}{}", args.back(), result.exit_code,
                                result.out, result.err));
  return json;
}

CommandResult Sluice::reload() {
  return reload(config.text());
}

CommandResult Sluice::reload(std::string_view text) {
  write_config(text);
  return ctl({"reload"}, 60s);
}

CommandResult Sluice::run(std::vector<std::string> args, Milliseconds deadline) const {
  std::vector<std::string> argv{program("sluiced"), "--config", config_path()};
  argv.insert(argv.end(), args.begin(), args.end());
  return run_command(argv, deadline);
}

std::vector<pid_t> Sluice::worker_pids() const {
  return children_named(pid(), "sluice-worker");
}

std::optional<pid_t> Sluice::monitor_pid() const {
  std::vector<pid_t> found;
  // One that was started just now does not have its name yet.
  (void)eventually(5s, [&] {
    found = children_named(pid(), "sluice-monitor");
    return !found.empty();
  });
  return found.empty() ? std::nullopt : std::optional(found.front());
}

ClientOptions Sluice::endpoint(const std::string& service, std::string user,
                               std::string password) const {
  ClientOptions options;
  options.port = port(service);
  options.user = std::move(user);
  options.password = std::move(password);
  return options;
}

}  // namespace sluice::test
