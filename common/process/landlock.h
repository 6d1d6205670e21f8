// Landlock (landlock(7)): what a child may do with files, ports and other processes, also where the
// system calls for it are allowed. The kernel's headers of Debian 12 stop at its second version, so
// the calls and constants are our own.
#pragma once

#include <string>

#include "common/base/result.h"

namespace sluice::process {

/// Which rights a child keeps. None of them may serve a TCP port of its own. A worker has none in
/// the file system and reaches no abstract socket; the monitor reads what name resolution, client
/// plugins and TLS need. Neither can signal a process that is not its own. Where one may connect
/// to stays free: the next reload can name other ports, and these rights can only be taken away.
enum class Rights : uint8_t { worker, monitor };

/// Gives up all but those rights, in this thread and those that it starts; files that are open stay
/// so. The process must have no new privileges. Returns "landlock=abiN", N being the version of
/// Landlock that is in force; "" where the kernel has none, or we are built with sanitizers.
Result<std::string> keep_rights(Rights rights);

}  // namespace sluice::process
