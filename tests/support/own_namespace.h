#pragma once

#include <string>
#include <utility>
#include <vector>

#include "common/base/unique_fd.h"
#include "tests/support/temp_dir.h"

namespace sluice::test {

/// Why this process can't have namespaces of its own; empty if it can.
std::string no_namespaces();

/// One file of the system, covered by another for this process and those that it starts. The
/// machine's own is never touched.
class Cover {
 public:
  Cover(const std::string& by, std::string path);
  ~Cover();
  Cover(Cover&& other) noexcept : path_(std::exchange(other.path_, {})) {}
  Cover& operator=(Cover&&) = delete;

 private:
  std::string path_;
};

/// Files of the system as a test wants them, for this process and those that it starts.
class OwnFiles {
 public:
  /// Pairs of path and contents: {"/etc/hosts", "127.0.0.5 five.test\n"}.
  explicit OwnFiles(const std::vector<std::pair<std::string, std::string>>& files);

 private:
  TempDir dir_;
  std::vector<Cover> covered_;
};

/// A network of this thread's own, and of the processes that it starts: nothing but a loopback
/// interface. Sockets that are open stay where they are.
class OwnNetwork {
 public:
  OwnNetwork();
  ~OwnNetwork();
  OwnNetwork(const OwnNetwork&) = delete;
  OwnNetwork& operator=(const OwnNetwork&) = delete;

 private:
  UniqueFd before_;
};

}  // namespace sluice::test
