#include "master/ctl/prompt.h"

#include <editline/readline.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "common/base/unique_fd.h"
#include "common/control/commands.h"

namespace sluice::ctl {
namespace {

constexpr int kHistoryLength = 1000;

struct Free {
  void operator()(void* memory) const noexcept { std::free(memory); }
};
using Line = std::unique_ptr<char, Free>;

/// libedit asks for candidates one by one, state 0 being the first; it owns and frees each.
char* next_candidate(const char* partial, int state) {
  static std::vector<std::string> candidates;  // libedit's callbacks carry no context
  static std::size_t next;
  if (state == 0) {
    const auto cursor = static_cast<std::size_t>(std::max(rl_point, 0));
    const std::string_view typed = std::string_view(rl_line_buffer).substr(0, cursor);
    const auto before = control::split_words(typed.substr(0, typed.size() - std::strlen(partial)));
    candidates = before ? control::completions(*before, partial) : std::vector<std::string>();
    next = 0;
  }
  return next < candidates.size() ? ::strdup(candidates[next++].c_str()) : nullptr;
}

char** complete(const char* partial, int, int) {
  rl_attempted_completion_over = 1;  // never file names
  return rl_completion_matches(partial, next_candidate);
}

/// ~/.sluicectl_history: names of servers and users are in it, so it is its owner's alone.
class History {
 public:
  History() {
    using_history();
    stifle_history(kHistoryLength);
    const char* home = std::getenv("HOME");
    if (home == nullptr || *home == '\0') return;
    path_ = std::string(home) + "/.sluicectl_history";
    // Made here because libedit would make it first and restrict it afterwards.
    UniqueFd file(::open(path_.c_str(), O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (!file || ::fchmod(file.get(), 0600) != 0) path_.clear();
    if (!path_.empty()) ::read_history(path_.c_str());
  }
  /// At once, not at the end: prompts end by signals too.
  void add(const char* line) {
    if (last_ == line) return;
    last_ = line;
    ::add_history(line);
    if (!path_.empty()) ::write_history(path_.c_str());
  }

 private:
  std::string path_;  ///< empty: kept in memory only
  std::string last_;
};

int run_terminal(const CommandLine& defaults) {
  rl_readline_name = "sluicectl";
  rl_catch_signals = 1;  // Ctrl-C leaves the terminal as it was
  rl_attempted_completion_function = complete;
  rl_initialize();
  History history;
  for (;;) {
    const Line line(::readline("sluice> "));
    if (!line) {
      print({kDone, "\n", ""});
      return kDone;
    }
    const auto outcome = run_line(line.get(), defaults);
    if (!outcome) return kDone;
    if (*line != '\0') history.add(line.get());
    print(*outcome);
  }
}

}  // namespace

std::optional<Outcome> run_line(std::string_view text, const CommandLine& defaults) {
  const auto words = control::split_words(text);
  if (!words) return failure(kUsage, words.error().message);
  if (words->empty() || words->front().starts_with('#')) return Outcome{};
  if (words->size() == 1 && (words->front() == "quit" || words->front() == "exit"))
    return std::nullopt;
  const auto line = parse_command_line(*words, defaults);
  if (!line) return failure(kUsage, line.error().message);
  return run(*line);
}

int run_batch(std::FILE* input, const CommandLine& defaults) {
  int worst = kDone;
  char* buffer = nullptr;
  std::size_t capacity = 0;
  ssize_t length = 0;
  while ((length = ::getline(&buffer, &capacity, input)) >= 0) {
    const auto outcome = run_line({buffer, static_cast<std::size_t>(length)}, defaults);
    if (!outcome) break;
    worst = std::max(worst, print(*outcome));
  }
  std::free(buffer);
  return worst;
}

int run_prompt(const CommandLine& defaults) {
  const bool terminal = ::isatty(STDIN_FILENO) == 1 && ::isatty(STDOUT_FILENO) == 1;
  return terminal ? run_terminal(defaults) : run_batch(stdin, defaults);
}

}  // namespace sluice::ctl
