#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "tests/support/process.h"
#include "tests/support/temp_dir.h"

namespace sluice::test {

/// An /etc and a /run of the test's own, for processes that are started with mounts(). Nobody else
/// sees them, so accounts and PAM services of a test leave the machine's alone. For root only.
class PrivateSystem {
 public:
  PrivateSystem();

  /// Whether this process may start others in a mount namespace.
  static bool available();

  std::vector<Mount> mounts() const;
  /// A file below /etc. Only root can read it unless it is `open`.
  enum class Mode { Open, Secret };
  void write_etc(std::string_view name, std::string_view text, Mode mode = Mode::Open) const;
  /// A user that pam_unix lets in; `hash` as in shadow(5).
  void add_user(std::string_view name, std::string_view hash) const;
  /// What the processes see in /run.
  std::string run(std::string_view name) const { return dir_ / "run/" + std::string(name); }

 private:
  TempDir dir_;
};

}  // namespace sluice::test
