// One program of the master takes the place of another, by exec: what passes on the command line,
// and the new one's part. Process, children and sockets stay; nobody notices.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "common/base/result.h"
#include "common/base/unique_fd.h"

namespace sluice::master {

/// Options of the command line, for ever the same: releases talk to each other by them. They stand
/// behind all others.
struct Succession {
  int state_fd = -1;    ///< --inherit: what inheritance::write() made
  int return_to = -1;   ///< --return-to: the program of before, should we fail; -1: none
  std::string trouble;  ///< --trouble: why the program that we left ourselves to has failed
};
inline constexpr const char kInheritOption[] = "--inherit";
inline constexpr const char kReturnOption[] = "--return-to";
inline constexpr const char kTroubleOption[] = "--trouble";
inline constexpr const char kTrialOption[] = "--try-state";

/// The command line without what succession put there.
std::vector<std::string> own_arguments(std::span<const char* const> argv);

/// A child's end of the channel to the master that tries it out. It stays open to the very end: who
/// closed it before would be killed, and not be asked how it ended.
UniqueFd trial_channel();

/// Whether these fds outlive an exec.
enum class OverExec : uint8_t { close, keep };
void mark(std::span<const int> fds, OverExec what);

/// Becomes that program. Returns only if that fails.
Error become(int program_fd, std::vector<std::string> arguments, const Succession& how);

/// Goes on where the program of before has stopped, to the end of all. The exit code.
int succeed(const Succession& how, const std::vector<std::string>& arguments);

/// The throw-away child: reads the state of the master that has started it, and says whether this
/// program could go on from there. The exit code.
int try_state();

}  // namespace sluice::master
