// How a child locks itself in before it reads a byte from outside.
#pragma once

#include <string>

#include "common/base/result.h"
#include "common/ipc/messages.h"

namespace sluice::process {

enum class Root : uint8_t {
  keep,   ///< the monitor: name resolution and client plugins need files
  empty,  ///< a worker: an empty directory that was already removed
};

/// Gives up every privilege as `how` says, for good: resource limits, root directory, groups, user,
/// capabilities, no-new-privileges, no ptrace and no core of ours, files, ports and foreign
/// processes (landlock.h), system calls (seccomp.h). Verifies the change of user. Returns what was
/// locked, for people ("chroot,memory,uid=998,no-new-privileges,landlock=abi6,seccomp"). Where the
/// master does not run as root, what needs root is left out. Before any other thread starts.
/// Errors: root directory, no-new-privileges or the filter of system calls could not be had and
/// `how.sandbox` is `require` (otherwise that is logged), or the user change failed.
Result<std::string> lock_in(const ipc::Privileges& how, Root root);

}  // namespace sluice::process
