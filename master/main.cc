// sluiced: reads its options, and becomes the master, the configuration's reader, or neither.
#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <termios.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <iostream>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/version.h"
#include "master/config/load.h"
#include "master/config/secrets.h"
#include "master/master.h"
#include "master/parser_child.h"
#include "master/succession.h"

namespace sluice::master {
namespace {

struct Options {
  std::string config = "/etc/sluice/sluice.toml";
  std::string key = config::Process{}.secrets_key;
  bool check = false, foreground = false, encrypt = false;
  // Only for children that the master starts, and for the program that takes its place.
  std::string parse_config;
  config::KeyKinds make_keys;
  bool try_state = false;
  Succession succession;
  std::vector<std::string> arguments;
};

/// Every password and key of the configuration passes through: no core of ours, and nobody of the
/// same user looks into the memory. Children keep the limit; the rest an exec sets anew.
void keep_memory_private() {
  const rlimit none{};
  ::setrlimit(RLIMIT_CORE, &none);
  ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

int check(const std::string& path) {
  const auto parsed = read_configuration(path, config::Purpose::judge);
  for (const auto& problem : parsed.problems) fmt::print(stderr, "{}\n", config::render(problem));
  if (!config::usable(parsed)) return EX_CONFIG;
  fmt::print("{}: good: {} services, {} clusters\n", path, parsed.config.services.size(),
             parsed.config.clusters.size());
  return EX_OK;
}

/// A line from the terminal without echo, or from a pipe.
Secret read_password() {
  termios before{};
  const bool terminal = ::tcgetattr(STDIN_FILENO, &before) == 0;
  if (terminal) {
    termios quiet = before;
    quiet.c_lflag &= ~static_cast<tcflag_t>(ECHO);
    ::tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet);
    fmt::print(stderr, "password: ");
  }
  Secret secret;
  std::getline(std::cin, secret.reveal());
  if (terminal) {
    ::tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
    fmt::print(stderr, "\n");
  }
  return secret;
}

int encrypt(const std::string& key) {
  const auto password = read_password();
  if (password.empty()) {
    fmt::print(stderr, "sluiced: nothing to encrypt\n");
    return EX_USAGE;
  }
  const auto value = config::encrypt(password, key);
  if (!value) {
    fmt::print(stderr, "sluiced: {}\n", value.error().message);
    return EX_UNAVAILABLE;
  }
  fmt::print("{}\n", *value);
  return EX_OK;
}

/// The same file from any working directory: children start in "/".
std::string absolute(const std::string& path) {
  if (path.starts_with('/')) return path;
  char directory[PATH_MAX];
  return ::getcwd(directory, sizeof directory) ? fmt::format("{}/{}", directory, path) : path;
}

/// Goes on in a child of its own session; the caller returns once that serves or has failed.
/// Returns the fd on which the child tells how its start ended.
Result<int> go_to_background() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return fail_errno("pipe");
  const pid_t pid = ::fork();
  if (pid < 0) return fail_errno("fork");
  if (pid > 0) {
    ::close(ends[1]);
    std::string told;
    char buffer[4096];
    for (ssize_t n; (n = ::read(ends[0], buffer, sizeof buffer)) > 0;)
      told.append(buffer, static_cast<std::size_t>(n));
    const auto newline = told.find('\n');
    if (newline == std::string::npos) {
      fmt::print(stderr, "sluiced: died at its start; the log may say why\n");
      ::_exit(EX_SOFTWARE);
    }
    fmt::print(stderr, "{}", told.substr(newline + 1));
    std::fflush(stderr);
    ::_exit(std::atoi(told.c_str()));
  }
  ::setsid();
  const UniqueFd null(::open("/dev/null", O_RDWR));
  ::dup2(null.get(), STDIN_FILENO);
  return ends[1];
}

Result<State> first_state(const Options& options) {
  State state;
  state.arguments = options.arguments;
  state.config_path = absolute(options.config);
  state.programs = SLUICE_TRY(Programs::open());
  state.stats_file = SLUICE_TRY(stats::Mapping::create());
  state.stats = SLUICE_TRY(stats::Mapping::map(state.stats_file.get()));
  state.started_s = wall_clock_s();
  // The hard limit is what children may open; two fds for each session.
  rlimit files{};
  if (::getrlimit(RLIMIT_NOFILE, &files) == 0) {
    files.rlim_cur = files.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &files);
  }
  return state;
}

int serve(const Options& options) {
  int background_fd = -1;
  if (!options.foreground) {
    auto fd = go_to_background();
    if (!fd) {
      fmt::print(stderr, "sluiced: {}\n", fd.error().message);
      return EX_OSERR;
    }
    background_fd = *fd;
  }
  auto state = first_state(options);
  auto loop = event::Loop::create();
  if (!state || !loop) {
    const auto text = fmt::format("{}\n", !state ? state.error().message : loop.error().message);
    fmt::print(stderr, "sluiced: {}", text);
    if (background_fd >= 0) {
      const auto told = fmt::format("{}\nsluiced: {}", EX_OSFILE, text);
      (void)!::write(background_fd, told.data(), told.size());
    }
    return EX_OSFILE;
  }
  Master master(*loop, std::move(*state), background_fd);
  master.state().log.take_over();
  const int code = master.run();
  log::set_sink(nullptr, nullptr);
  return code;
}

int run(int argc, char** argv) {
  keep_memory_private();
  Options options;
  CLI::App app("sluiced - a proxy for MySQL and MariaDB; see sluiced(8)", "sluiced");
  app.add_option("--config", options.config, "Configuration file")->capture_default_str();
  app.add_flag("--check", options.check, "Judge the configuration and exit: 0 good, 78 bad");
  app.add_flag("--foreground", options.foreground, "Stay in the foreground");
  app.add_flag("--encrypt", options.encrypt,
               "Encrypt a password for the configuration, read from standard input");
  app.add_option("--key", options.key, "Key file of --encrypt, made if missing")
      ->capture_default_str();
  app.add_option("--parse-config", options.parse_config)->group("");
  app.add_flag("--make-ticket-key", options.make_keys.ticket)->group("");
  app.add_flag("--make-rsa-key", options.make_keys.rsa)->group("");
  app.add_flag("--make-certificate", options.make_keys.certificate)->group("");
  app.add_flag(kTrialOption, options.try_state)->group("");
  app.add_option(kInheritOption, options.succession.state_fd)->group("");
  app.add_option(kReturnOption, options.succession.return_to)->group("");
  app.add_option(kTroubleOption, options.succession.trouble)->group("");
  app.set_version_flag("--version", std::string(kRelease));
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? EX_OK : 2;
  }
  if (!options.parse_config.empty())
    return parse_for_master(options.parse_config, options.make_keys);
  options.arguments = own_arguments({argv, static_cast<std::size_t>(argc)});
  if (options.try_state) return try_state();
  if (options.succession.state_fd >= 0) return succeed(options.succession, options.arguments);
  if (options.check) return check(options.config);
  if (options.encrypt) return encrypt(options.key);
  return serve(options);
}

}  // namespace
}  // namespace sluice::master

int main(int argc, char** argv) {
  try {
    return sluice::master::run(argc, argv);
  } catch (const std::exception& e) {  // bad_alloc, most likely
    fmt::print(stderr, "sluiced: {}\n", e.what());
    return EX_SOFTWARE;
  }
}
