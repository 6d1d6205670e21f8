#include "common/process/privileges.h"

#include <fmt/format.h>
#include <grp.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "common/base/log.h"
#include "common/process/landlock.h"
#include "common/process/memory.h"
#include "common/process/sanitized.h"
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

/// Goes on without a layer that could not be had, where that is allowed.
Result<> without(config::Sandbox sandbox, std::string_view layer, const Error& why) {
  if (sandbox == config::Sandbox::require)
    return fail(why.code,
                fmt::format("the sandbox lacks its {}: {} (sandbox = \"best-effort\" does "
                            "without what the system does not offer)",
                            layer, why.message));
  log::warning("sandbox", "left out", log::kv("layer", layer), log::kv("error", why.message));
  return {};
}

/// What was locked, for the log.
class Done {
 public:
  void add(std::string_view layer) {
    if (layer.empty()) return;
    if (!text_.empty()) text_ += ',';
    text_ += layer;
  }
  std::string take() { return std::move(text_); }

 private:
  std::string text_;
};

Result<> become_nobody(const ipc::Privileges& how, Root root, Done& done) {
  if (root == Root::empty) {
    if (auto entered = enter_empty_root(); entered)
      done.add("chroot");
    else
      SLUICE_TRY(without(how.sandbox, "empty root directory", entered.error()));
  }
  if (!kSanitized && lock_memory()) done.add("memory");
  drop_bounding_set();
  SLUICE_TRY(change_user(how.uid, how.gid));
  done.add(fmt::format("uid={}", how.uid));
  return {};
}

Result<> give_up_calls(config::Sandbox sandbox, Root root, Done& done) {
  const bool worker = root == Root::empty;
  // First, for the filter leaves nobody the calls that it takes. Many kernels in use have none, and
  // what it forbids the filter forbids too, but for the monitor's files: so it is never required.
  if (auto kept = keep_rights(worker ? Rights::worker : Rights::monitor); kept)
    done.add(*kept);
  else
    SLUICE_TRY(without(config::Sandbox::best_effort, "landlock", kept.error()));
  if (auto filtered = filter_calls(worker ? Calls::worker : Calls::monitor); filtered)
    done.add(*filtered);
  else
    SLUICE_TRY(without(sandbox, "filter of system calls", filtered.error()));
  return {};
}

}  // namespace

Result<std::string> lock_in(const ipc::Privileges& how, Root root) {
  Done done;
  ::umask(077);
  SLUICE_TRY(limit(RLIMIT_CORE, "RLIMIT_CORE", 0));
  if (how.max_fds > 0) SLUICE_TRY(limit(RLIMIT_NOFILE, "RLIMIT_NOFILE", how.max_fds));
  if (how.drop) SLUICE_TRY(become_nobody(how, root, done));
  // Not in the monitor, whose threads would count. A limit of file sizes would be one of memfds
  // too: large messages travel in them.
  if (root == Root::empty && !kSanitized) SLUICE_TRY(limit(RLIMIT_NPROC, "RLIMIT_NPROC", 0));
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0)
    done.add("no-new-privileges");
  else
    SLUICE_TRY(without(how.sandbox, "no-new-privileges", fail_errno("prctl").value()));
  // After the change of user and after exec, both of which set it anew (capabilities(7), prctl(2)).
  ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  if (how.sandbox != config::Sandbox::off) SLUICE_TRY(give_up_calls(how.sandbox, root, done));
  return done.take();
}

}  // namespace sluice::process
