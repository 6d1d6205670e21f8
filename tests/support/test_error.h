#pragma once

#include <stdexcept>

namespace sluice::test {

/// A fixture could not do what the test asked of it. The one exception in this tree: a test has no
/// failure path of its own, and GoogleTest turns a throw into a failed test while destructors
/// still stop every process. The programs under test never see it.
class TestError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

}  // namespace sluice::test
