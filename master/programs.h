// The executables of the children. Opened once at start and run from those fds, so that a package
// upgrade cannot mix versions when a child is restarted.
#pragma once

#include <string>

#include "common/base/result.h"
#include "common/base/unique_fd.h"

namespace sluice::master {

struct Programs {
  UniqueFd self, worker, monitor;
  /// Looks beside this program, then in ../libexec/sluice.
  static Result<Programs> open();
};

}  // namespace sluice::master
