// Workers that grow too large, by a fault of ours or by sessions that needed much once: a fresh one
// takes over their sessions, which are small as data, and the memory goes back to the system.
#pragma once

#include <sys/types.h>

#include <cstdint>

#include "master/child.h"

namespace sluice::master {

/// Bytes that a process has in memory and shares with no file or other process; 0 if that can't be
/// told (proc(5), statm).
uint64_t own_memory(pid_t pid);

/// Looks at a worker that serves; `settled`: it has taken over all that its predecessors had. True,
/// once for each growth by half, so that a replacement that fails is not tried every second: it is
/// larger than `limit` bytes (0: none), and a successor would be smaller. One whose sessions
/// need that much from the start on is not replaced, or that would go on for ever; the log says so.
bool overgrown(Child& worker, uint64_t limit, bool settled);

}  // namespace sluice::master
