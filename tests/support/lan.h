#pragma once

#include <memory>
#include <string>
#include <vector>

#include "common/base/unique_fd.h"

namespace sluice::test {

/// A network namespace, as long as this object or a process in it lives.
class Host {
 public:
  Host();

 private:
  friend class At;
  friend class Lan;
  UniqueFd namespace_;
};

/// The calling thread is at a host as long as this lives: sockets that it opens and processes that
/// it starts meanwhile stay there for good.
class At {
 public:
  explicit At(const Host& host);
  ~At();
  At(const At&) = delete;
  At& operator=(const At&) = delete;

 private:
  UniqueFd home_;
};

/// A network of its own: hosts that reach each other over a bridge and nothing else. It needs root
/// and leaves nothing behind, whatever becomes of the test.
class Lan {
 public:
  /// Why none can be made here; empty when it can.
  static std::string obstacle();
  Lan();

  /// A host with loopback and these addresses ("10.77.0.1/24") on its interface eth0.
  std::unique_ptr<Host> add_host(const std::vector<std::string>& addresses);
  /// `ip ARGUMENTS` at that host; throws TestError when it fails.
  static void ip(const Host& host, const std::vector<std::string>& arguments);

 private:
  Host bridge_;
  int ports_ = 0;
};

}  // namespace sluice::test
