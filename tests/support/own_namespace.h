#pragma once

#include <string>
#include <utility>
#include <vector>

#include "common/base/unique_fd.h"
#include "tests/support/temp_dir.h"

namespace sluice::test {

/// Why this process can't have namespaces of its own; empty if it can.
std::string no_namespaces();

/// Files of the system as a test wants them, for this thread and the processes that it starts. The
/// machine's own are never touched: they are covered in a private mount namespace.
class OwnFiles {
 public:
  /// Pairs of path and contents: {"/etc/hosts", "127.0.0.5 five.test\n"}.
  explicit OwnFiles(const std::vector<std::pair<std::string, std::string>>& files);
  ~OwnFiles();
  OwnFiles(const OwnFiles&) = delete;
  OwnFiles& operator=(const OwnFiles&) = delete;

 private:
  TempDir dir_;
  std::vector<std::string> covered_;
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
