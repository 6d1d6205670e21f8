#include "common/process/privileges.h"

#include <fmt/format.h>
#include <grp.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "common/process/memory.h"
#include "common/process/seccomp.h"

namespace sluice::process {
namespace {

Result<> limit(int resource, const char* name, rlim_t value) {
  rlimit now{};
  if (::getrlimit(static_cast<__rlimit_resource_t>(resource), &now) != 0) return fail_errno(name);
  const rlimit wanted{std::min(value, now.rlim_max), std::min(value, now.rlim_max)};
  if (::setrlimit(static_cast<__rlimit_resource_t>(resource), &wanted) != 0)
    return fail_errno(name);
  return {};
}

/// A directory that is empty for ever: it has no name any more, so nothing can be put into it.
Result<> enter_empty_root() {
  char path[] = "/tmp/sluice-root-XXXXXX";
  char fallback[] = "/run/sluice-root-XXXXXX";
  const char* made = ::mkdtemp(path);
  if (made == nullptr) made = ::mkdtemp(fallback);
  if (made == nullptr) return fail_errno("make an empty root directory");
  const bool inside = ::chdir(made) == 0;
  const int saved = errno;
  ::rmdir(made);
  errno = saved;
  if (!inside || ::chroot(".") != 0) return fail_errno("enter an empty root directory");
  return {};
}

Result<> change_user(uint32_t uid, uint32_t gid) {
  if (::setgroups(0, nullptr) != 0) return fail_errno("setgroups");
  if (::setresgid(gid, gid, gid) != 0) return fail_errno(fmt::format("setresgid {}", gid));
  if (::setresuid(uid, uid, uid) != 0) return fail_errno(fmt::format("setresuid {}", uid));
  uid_t real = 0, effective = 0, saved = 0;
  ::getresuid(&real, &effective, &saved);
  if (real != uid || effective != uid || saved != uid || (uid != 0 && ::setuid(0) == 0))
    return fail(Errc::internal, "the change of user did not hold");
  return {};
}

void drop_bounding_set() {
  for (int capability = 0; ::prctl(PR_CAPBSET_READ, capability, 0, 0, 0) >= 0; ++capability)
    ::prctl(PR_CAPBSET_DROP, capability, 0, 0, 0);
}

}  // namespace

Result<std::string> lock_in(const ipc::Privileges& how, Root root) {
  std::string done;
  ::umask(077);
  SLUICE_TRY(limit(RLIMIT_CORE, "RLIMIT_CORE", 0));
  if (how.max_fds > 0) SLUICE_TRY(limit(RLIMIT_NOFILE, "RLIMIT_NOFILE", how.max_fds));

  if (how.drop) {
    if (root == Root::empty) {
      if (auto entered = enter_empty_root(); entered)
        done += "chroot,";
      else if (how.sandbox == config::Sandbox::require)
        return tl::unexpected(entered.error());
    }
    if (!kSanitized && lock_memory()) done += "memory,";
    drop_bounding_set();
    SLUICE_TRY(change_user(how.uid, how.gid));
    done += fmt::format("uid={},", how.uid);
  }
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return fail_errno("no-new-privileges");
  // After the change of user and after exec, both of which set it anew (capabilities(7), prctl(2)).
  ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  done += "no-new-privileges";
  if (how.sandbox == config::Sandbox::off) return done;
  auto filtered = filter_calls(root == Root::empty ? Calls::worker : Calls::monitor);
  if (!filtered && how.sandbox == config::Sandbox::require) return tl::unexpected(filtered.error());
  if (filtered && !filtered->empty()) done += "," + *filtered;
  return done;
}

}  // namespace sluice::process
