#include "tests/worker/split/allocations.h"

#include <atomic>
#include <cstdlib>
#include <new>

namespace {

std::atomic<uint64_t> count{0};

}  // namespace

namespace sluice::test {

uint64_t allocations() {
  return count.load(std::memory_order_relaxed);
}

}  // namespace sluice::test

// The other forms of the standard library's come down to these, but for over-aligned types, of
// which sluice has none.

void* operator new(std::size_t size) {
  count.fetch_add(1, std::memory_order_relaxed);
  if (void* memory = std::malloc(size == 0 ? 1 : size)) return memory;
  throw std::bad_alloc();
}

void operator delete(void* memory) noexcept {
  std::free(memory);
}

void operator delete(void* memory, std::size_t) noexcept {
  std::free(memory);
}
