// The executables of the children. Opened once at start and run from those fds, so that a package
// upgrade cannot mix versions when a child is restarted; `sluicectl upgrade` opens them anew.
#pragma once

#include <string>

#include "common/base/result.h"
#include "common/base/unique_fd.h"
#include "master/inheritance.h"

namespace sluice::master {

struct Programs {
  std::string path;  ///< of sluiced, as it was called; may lead elsewhere by now
  UniqueFd self, worker, monitor;
  /// Looks beside this program, then in ../libexec/sluice.
  static Result<Programs> open();
  /// Those that are there now.
  Result<Programs> open_anew() const;

  inheritance::Programs export_() const;
  static Programs import_(const inheritance::Programs& programs);
};

}  // namespace sluice::master
