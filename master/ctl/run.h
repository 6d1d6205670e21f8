// One command of sluicectl from its words to what is printed. Shared by the command line and the
// prompt.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "common/base/result.h"

namespace sluice::ctl {

/// Exit codes (DESIGN 5, contract); the worst of several is the largest.
enum Exit : int {
  kDone = 0,
  kRefused = 1,  ///< refused or failed; the reason is on stderr
  kUsage = 2,
};

inline constexpr const char* kDefaultSocket = "/run/sluice/control.sock";

/// What the options of a command line say, and the words left over.
struct CommandLine {
  std::string socket = kDefaultSocket;
  bool json = false;
  bool help = false, version = false;
  std::vector<std::string> words;  ///< of the command; none: the prompt
};

/// Takes --socket PATH, --json, --help and --version out of `arguments`, wherever they stand before
/// a "--". `defaults` says what holds where they do not. Errc::bad_input: --socket without a path.
Result<CommandLine> parse_command_line(std::span<const std::string> arguments,
                                       CommandLine defaults = {});

/// What to print, and the exit code. Exactly one of both texts, or none.
struct Outcome {
  int exit = kDone;
  std::string out, err;
};

/// Runs the command; asks the master where that is needed. `encrypt` gets the terminal for itself.
Outcome run(const CommandLine& line);

/// Prints the outcome. Returns its exit code, or kRefused when stdout can't be written.
int print(const Outcome& outcome);

/// A failure as stderr shows it: "sluicectl: ...", control characters escaped.
Outcome failure(int exit, const std::string& reason);

}  // namespace sluice::ctl
