#pragma once

#include <signal.h>
#include <sys/types.h>

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/base/unique_fd.h"
#include "tests/support/eventually.h"

namespace sluice::test {

/// A uid and gid to run a program as.
struct Account {
  uid_t uid = 0;
  gid_t gid = 0;
};

/// The named user, or nothing when the machine has none.
std::optional<Account> find_account(const char* user);

/// From /proc/PID/stat.
struct ProcessStat {
  char state = '?';
  pid_t parent = 0;
};
std::optional<ProcessStat> read_stat(pid_t pid);

/// Whether the process runs. A zombie does not: an orphan stays one where init reaps nothing.
bool is_alive(pid_t pid);

/// A file or directory `what` that is seen at `where`, which must exist, instead of what is there.
struct Mount {
  std::string what;
  std::string where;
};

/// What to start, and as whom.
struct ProcessSpec {
  std::vector<std::string> argv;   ///< argv[0] is searched in $PATH
  std::string output;              ///< file that gets stdout and stderr (appended)
  std::optional<Account> account;  ///< become this user before the exec
  std::vector<std::pair<std::string, std::string>> environment{};  ///< set on top of ours
  int stdout_fd = -1;  ///< instead of `output`; stays the caller's
  int stderr_fd = -1;  ///< instead of `output`; stays the caller's
  int stdin_fd = -1;   ///< default: /dev/null
  /// Made in a mount namespace of the process's own, so nobody else sees them; for root only.
  std::vector<Mount> mounts{};
};

/// A child process. It dies with the thread that started it (PR_SET_PDEATHSIG), so a crashed test
/// leaves nothing running; start long-lived ones from the main thread. The destructor kills.
class Process {
 public:
  Process() = default;
  explicit Process(const ProcessSpec& spec);
  ~Process();
  Process(Process&& other) noexcept;
  Process& operator=(Process&& other) noexcept;

  /// 0 when nothing was started or the end was seen.
  pid_t pid() const { return pid_; }
  /// Whether it still runs; collects the exit status when it does not.
  bool running();
  void signal(int number);
  void suspend() { signal(SIGSTOP); }
  void resume() { signal(SIGCONT); }

  /// Waits for the end. The exit code, 128 + N when signal N ended it, nothing after the deadline.
  std::optional<int> wait(Milliseconds deadline);
  /// SIGTERM (a suspended process is resumed), and SIGKILL when the deadline passes.
  int terminate(Milliseconds deadline);
  int kill9();

 private:
  pid_t pid_ = 0;
  UniqueFd pidfd_;
  int exit_code_ = -1;
};

/// What a command printed, and how it ended.
struct CommandResult {
  int exit_code = -1;  ///< 128 + N after signal N
  std::string out;
  std::string err;
  bool timed_out = false;  ///< it was killed after the deadline
};

/// Runs a command to its end.
CommandResult run_command(const std::vector<std::string>& argv, Milliseconds deadline = 30s,
                          std::string_view input = {});

}  // namespace sluice::test
