#pragma once

#include <cstdint>
#include <cstdlib>
#include <random>
#include <vector>

namespace sluice::test {

/// Numbers that come again with the same seed, on every machine.
class Random {
 public:
  explicit Random(uint64_t seed) : engine_(seed) {}

  int below(int limit) { return static_cast<int>(engine_() % static_cast<uint64_t>(limit)); }
  bool one_in(int n) { return below(n) == 0; }
  template <class T>
  const T& any_of(const std::vector<T>& list) {
    return list[static_cast<std::size_t>(below(static_cast<int>(list.size())))];
  }

 private:
  std::mt19937_64 engine_;
};

/// A number that the user may set (SLUICE_SEED, SLUICE_PAIRS).
inline uint64_t from_environment(const char* name, uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text != nullptr ? std::strtoull(text, nullptr, 10) : otherwise;
}

}  // namespace sluice::test
