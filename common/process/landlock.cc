#include "common/process/landlock.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>

#include "common/base/unique_fd.h"
#include "common/process/sanitized.h"

namespace sluice::process {
namespace {

// include/uapi/linux/landlock.h
struct RulesetAttributes {
  uint64_t files = 0, ports = 0, scopes = 0;
};
struct [[gnu::packed]] PathBeneath {
  uint64_t allowed = 0;
  int32_t parent_fd = -1;
};
constexpr uint32_t kAskVersion = 1;
constexpr int kRulePathBeneath = 1;
constexpr uint64_t kReadFile = 1 << 2, kReadDirectory = 1 << 3;
constexpr uint64_t kBindTcp = 1 << 0;
constexpr uint64_t kAbstractSockets = 1 << 0, kSignals = 1 << 1;
constexpr long kPortsSince = 4, kScopesSince = 6;
constexpr long kKnown = 6;  ///< what later versions add is not ours to handle

/// The rights to files that a version knows, all of them.
uint64_t files_of(long version) {
  constexpr uint64_t kFirst = (1 << 13) - 1, kRefer = 1 << 13, kTruncate = 1 << 14,
                     kDevices = 1 << 15;
  return kFirst | (version >= 2 ? kRefer : 0) | (version >= 3 ? kTruncate : 0) |
         (version >= 5 ? kDevices : 0);
}

/// Without those of the version's members that its kernel does not know.
std::size_t size_of(long version) {
  if (version >= kScopesSince) return sizeof(RulesetAttributes);
  return version >= kPortsSince ? offsetof(RulesetAttributes, scopes)
                                : offsetof(RulesetAttributes, ports);
}

Result<> let_read(int ruleset) {
  const UniqueFd root(::open("/", O_PATH | O_CLOEXEC));
  if (!root) return fail_errno("open /");
  const PathBeneath rule{kReadFile | kReadDirectory, root.get()};
  if (::syscall(SYS_landlock_add_rule, ruleset, kRulePathBeneath, &rule, 0) != 0)
    return fail_errno("landlock rule");
  return {};
}

}  // namespace

Result<std::string> keep_rights(Rights rights) {
  if (kSanitized) return std::string();
  const long offered = ::syscall(SYS_landlock_create_ruleset, nullptr, 0, kAskVersion);
  if (offered < 1) return std::string();
  const long version = std::min(offered, kKnown);
  RulesetAttributes handled{.files = files_of(version)};
  if (version >= kPortsSince) handled.ports = kBindTcp;
  if (version >= kScopesSince)
    handled.scopes = rights == Rights::worker ? kAbstractSockets | kSignals : kSignals;
  const UniqueFd ruleset(
      static_cast<int>(::syscall(SYS_landlock_create_ruleset, &handled, size_of(version), 0)));
  if (!ruleset) return fail_errno("landlock ruleset");
  if (rights == Rights::monitor) SLUICE_TRY(let_read(ruleset.get()));
  if (::syscall(SYS_landlock_restrict_self, ruleset.get(), 0) != 0) return fail_errno("landlock");
  return fmt::format("landlock=abi{}", version);
}

}  // namespace sluice::process
