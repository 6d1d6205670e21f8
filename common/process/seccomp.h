// The last layer: which system calls a child can still make.
#pragma once

#include "common/base/result.h"

namespace sluice::process {

enum class Calls : uint8_t {
  worker,   ///< sockets, memory, time; nothing that opens a file or starts a program
  monitor,  ///< everything but what only an intruder wants
};

/// Installs the filter, for good. Does nothing in a sanitizer's build, whose runtime needs more.
/// Returns "seccomp", or "" if it was left out.
Result<std::string> filter_calls(Calls calls);

}  // namespace sluice::process
