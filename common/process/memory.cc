#include "common/process/memory.h"

#include <malloc.h>
#include <sys/mman.h>
#include <sys/resource.h>

namespace sluice::process {
namespace {

bool locked = false;

/// What is there, and what comes, as it is touched.
bool lock_all() {
  return ::mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) == 0;
}

}  // namespace

bool lock_memory() {
  const rlimit unlimited{RLIM_INFINITY, RLIM_INFINITY};
  locked = ::setrlimit(RLIMIT_MEMLOCK, &unlimited) == 0 && lock_all();
  return locked;
}

void release_memory() {
  if (locked) ::munlockall();
  ::malloc_trim(0);
  if (locked) lock_all();
}

}  // namespace sluice::process
