#include "tests/support/process.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <charconv>

#include "tests/support/temp_dir.h"
#include "tests/support/test_error.h"

namespace sluice::test {
namespace {

[[noreturn]] void fail_errno(std::string_view what) {
  throw TestError(fmt::format("{}: {}", what, ::strerror(errno)));
}

UniqueFd memory_file(const char* name) {
  UniqueFd fd(::memfd_create(name, MFD_CLOEXEC));
  if (!fd) fail_errno("memfd_create");
  return fd;
}

std::string contents(int fd) {
  std::string text;
  char buffer[16384];
  for (off_t at = 0;;) {
    const ssize_t n = ::pread(fd, buffer, sizeof buffer, at);
    if (n <= 0) return text;
    text.append(buffer, static_cast<std::size_t>(n));
    at += n;
  }
}

std::vector<std::string> merged_environment(const ProcessSpec& spec) {
  std::vector<std::string> result;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view text(*entry);
    const auto name = text.substr(0, text.find('='));
    bool replaced = false;
    for (const auto& [key, value] : spec.environment) replaced = replaced || key == name;
    if (!replaced) result.emplace_back(text);
  }
  for (const auto& [key, value] : spec.environment) result.push_back(key + "=" + value);
  return result;
}

std::vector<char*> pointers(std::vector<std::string>& strings) {
  std::vector<char*> result;
  for (auto& text : strings) result.push_back(text.data());
  result.push_back(nullptr);
  return result;
}

/// All that the child needs, made before the fork: other threads may hold the allocator's locks.
struct Prepared {
  int in, out, err;
  const Account* account;
  const std::vector<Mount>* mounts;
  char** argv;
  char** environment;
  pid_t parent;
};

/// In a namespace where nothing comes back to ours.
bool mount_all(const std::vector<Mount>& mounts) {
  if (mounts.empty()) return true;
  if (::unshare(CLONE_NEWNS) != 0 ||
      ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0)
    return false;
  for (const auto& [what, where] : mounts)
    if (::mount(what.c_str(), where.c_str(), nullptr, MS_BIND, nullptr) != 0) return false;
  return true;
}

[[noreturn]] void become(const Prepared& child) {
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  ::signal(SIGPIPE, SIG_DFL);
  bool ok = ::dup2(child.in, 0) == 0 && ::dup2(child.out, 1) == 1 && ::dup2(child.err, 2) == 2 &&
            mount_all(*child.mounts);
  if (const Account* who = child.account)
    ok = ok && ::setgroups(1, &who->gid) == 0 && ::setresgid(who->gid, who->gid, who->gid) == 0 &&
         ::setresuid(who->uid, who->uid, who->uid) == 0;
  // After the change of user, which would clear it.
  ok = ok && ::prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && ::getppid() == child.parent;
  if (ok) ::execvpe(child.argv[0], child.argv, child.environment);
  for (const char* text : {"cannot execute ", static_cast<const char*>(child.argv[0]), "\n"})
    [[maybe_unused]] const auto written = ::write(2, text, ::strlen(text));
  ::_exit(127);
}

}  // namespace

std::optional<Account> find_account(const char* user) {
  const passwd* entry = ::getpwnam(user);
  if (entry == nullptr) return std::nullopt;
  return Account{entry->pw_uid, entry->pw_gid};
}

std::optional<ProcessStat> read_stat(pid_t pid) {
  const auto text = read_file(fmt::format("/proc/{}/stat", pid));
  const auto name_end = text.rfind(')');  // "pid (name) state parent ...": a name may hold anything
  if (name_end == std::string::npos || name_end + 4 > text.size()) return std::nullopt;
  ProcessStat stat{.state = text[name_end + 2]};
  std::from_chars(text.data() + name_end + 4, text.data() + text.size(), stat.parent);
  return stat;
}

bool is_alive(pid_t pid) {
  const auto stat = read_stat(pid);
  return stat && stat->state != 'Z' && stat->state != 'X';
}

Process::Process(const ProcessSpec& spec) {
  auto arguments = spec.argv;
  auto variables = merged_environment(spec);
  const auto argv = pointers(arguments);
  const auto environment = pointers(variables);
  const char* path = spec.output.empty() ? "/dev/null" : spec.output.c_str();
  const UniqueFd output(::open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644));
  if (!output) fail_errno(path);
  const UniqueFd null(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  const Prepared child{.in = spec.stdin_fd >= 0 ? spec.stdin_fd : null.get(),
                       .out = spec.stdout_fd >= 0 ? spec.stdout_fd : output.get(),
                       .err = spec.stderr_fd >= 0 ? spec.stderr_fd : output.get(),
                       .account = spec.account ? &*spec.account : nullptr,
                       .mounts = &spec.mounts,
                       .argv = const_cast<char**>(argv.data()),
                       .environment = const_cast<char**>(environment.data()),
                       .parent = ::getpid()};
  pid_ = ::fork();
  if (pid_ < 0) fail_errno("fork");
  if (pid_ == 0) become(child);
  pidfd_.reset(static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0)));
  if (!pidfd_) fail_errno("pidfd_open");
}

Process::~Process() {
  if (pid_ != 0) kill9();
}

Process::Process(Process&& other) noexcept
    : pid_(std::exchange(other.pid_, 0)),
      pidfd_(std::move(other.pidfd_)),
      exit_code_(other.exit_code_) {}

Process& Process::operator=(Process&& other) noexcept {
  if (this == &other) return *this;
  if (pid_ != 0) kill9();
  pid_ = std::exchange(other.pid_, 0);
  pidfd_ = std::move(other.pidfd_);
  exit_code_ = other.exit_code_;
  return *this;
}

bool Process::running() {
  return pid_ != 0 && !wait(0ms);
}

void Process::signal(int number) {
  if (pid_ != 0) ::kill(pid_, number);
}

std::optional<int> Process::wait(Milliseconds deadline) {
  if (pid_ == 0) return exit_code_;
  const auto start = Clock::now();
  pollfd ended{.fd = pidfd_.get(), .events = POLLIN, .revents = 0};
  int ready = 0;
  do {
    ready = ::poll(&ended, 1, static_cast<int>(time_left(start, deadline).count()));
  } while (ready < 0 && errno == EINTR);
  if (ready <= 0) return std::nullopt;
  int status = 0;
  ::waitpid(pid_, &status, 0);
  pid_ = 0;
  exit_code_ = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
  pidfd_.reset();
  return exit_code_;
}

int Process::terminate(Milliseconds deadline) {
  signal(SIGTERM);
  signal(SIGCONT);
  if (const auto code = wait(deadline)) return *code;
  return kill9();
}

int Process::kill9() {
  signal(SIGKILL);
  return wait(60s).value_or(-1);
}

CommandResult run_command(const std::vector<std::string>& argv, Milliseconds deadline,
                          std::string_view input) {
  const auto in = memory_file("stdin");
  const auto out = memory_file("stdout");
  const auto err = memory_file("stderr");
  if (::pwrite(in.get(), input.data(), input.size(), 0) != static_cast<ssize_t>(input.size()))
    fail_errno("pwrite");
  ProcessSpec spec{.argv = argv, .output = {}, .account = std::nullopt};
  spec.stdin_fd = in.get();
  spec.stdout_fd = out.get();
  spec.stderr_fd = err.get();
  Process process(spec);
  CommandResult result;
  const auto code = process.wait(deadline);
  result.timed_out = !code;
  result.exit_code = code ? *code : process.kill9();
  result.out = contents(out.get());
  result.err = contents(err.get());
  return result;
}

}  // namespace sluice::test
