// The last layer: which system calls a child can still make. What an intruder wants (a file for a
// worker, a program, another process, another user) ends the process, and the log names the call;
// what nobody has thought of is refused as if the kernel had no such call, so that a libc of
// tomorrow may try something new and do without.
//
// How the name gets into the log: the kernel tells a parent only that SIGSYS has ended its child,
// and leaves nothing in /proc to ask. So a forbidden call is not made but raises SIGSYS
// (SECCOMP_RET_TRAP); the handler sends one prepared datagram to the master and makes a call for
// which the kernel kills the process itself (SECCOMP_RET_KILL_PROCESS). The handler runs inside
// what may be in hostile hands, but nothing rests on it: the call was refused before it ran, and
// whoever could keep the handler from its work (by exchanging the memory or the threads under it)
// has won a refused call. He can't replace it, for the filter forbids that too, and blocking SIGSYS
// makes the kernel kill at once. What the handler says may be a lie: the master believes no more
// than that the process wants to die, and kills it as well.
// The other way, a seccomp listener in the master, keeps a thread waiting instead of dying where
// the master hangs, and is not to be had in containers that use one themselves.
#pragma once

#include <string>

#include "common/base/result.h"

namespace sluice::process {

enum class Calls : uint8_t {
  worker,   ///< sockets, memory, time; nothing that opens a file or starts a program or thread
  monitor,  ///< the same, threads, what name resolution and client plugins do, files to read
};

/// Installs the filter, for good; a forbidden call is reported at kChannelFd (master_link.h). Does
/// nothing in a sanitizer's build, whose runtime needs more. Returns "seccomp", or "" if it was
/// left out.
Result<std::string> filter_calls(Calls calls);

/// "openat"; the number itself where nobody knows a name for it.
std::string call_name(uint32_t number);

}  // namespace sluice::process
