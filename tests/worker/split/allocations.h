// Counts what the program allocates: linking allocations.cc replaces its operator new.
#pragma once

#include <cstdint>

namespace sluice::test {

/// How often memory was allocated so far.
uint64_t allocations();

}  // namespace sluice::test
