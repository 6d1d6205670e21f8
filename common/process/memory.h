// The memory of a child: out of the swap, and back to the system when it is free.
#pragma once

namespace sluice::process {

/// Keeps everything out of the swap, passwords among it. Only without a limit on locked memory:
/// with one, memory that is needed later could be refused. False: it could not be had.
bool lock_memory();

/// Gives freed memory back to the system. Locked pages can't be given back (madvise(2),
/// MADV_DONTNEED), so where lock_memory() has been called, nothing is locked for a moment: about a
/// millisecond for 10 MiB.
void release_memory();

}  // namespace sluice::process
