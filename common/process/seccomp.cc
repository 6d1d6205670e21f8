#include "common/process/seccomp.h"

#include <fcntl.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include <memory>

#include "common/process/sanitized.h"

namespace sluice::process {
namespace {

struct Release {
  void operator()(void* filter) const noexcept { seccomp_release(filter); }
};
using Filter = std::unique_ptr<void, Release>;

// What a worker's loop does, what glibc does under it when memory runs out or an assertion fails,
// and how a process ends.
constexpr int kWorkerCalls[] = {SCMP_SYS(recvfrom),
                                SCMP_SYS(sendto),
                                SCMP_SYS(epoll_wait),
                                SCMP_SYS(epoll_ctl),
                                SCMP_SYS(epoll_pwait),
                                SCMP_SYS(read),
                                SCMP_SYS(write),
                                SCMP_SYS(readv),
                                SCMP_SYS(writev),
                                SCMP_SYS(recvmsg),
                                SCMP_SYS(sendmsg),
                                SCMP_SYS(accept4),
                                SCMP_SYS(connect),
                                SCMP_SYS(close),
                                SCMP_SYS(shutdown),
                                SCMP_SYS(getsockopt),
                                SCMP_SYS(setsockopt),
                                SCMP_SYS(getsockname),
                                SCMP_SYS(getpeername),
                                SCMP_SYS(poll),
                                SCMP_SYS(ppoll),
                                SCMP_SYS(brk),
                                SCMP_SYS(munmap),
                                SCMP_SYS(mremap),
                                SCMP_SYS(madvise),
                                SCMP_SYS(futex),
                                SCMP_SYS(clock_gettime),
                                SCMP_SYS(gettimeofday),
                                SCMP_SYS(clock_nanosleep),
                                SCMP_SYS(timerfd_settime),
                                SCMP_SYS(getrandom),
                                SCMP_SYS(getpid),
                                SCMP_SYS(gettid),
                                SCMP_SYS(fcntl),
                                SCMP_SYS(memfd_create),  // of ipc::Channel, for large messages
                                SCMP_SYS(fstat),
                                SCMP_SYS(rt_sigaction),
                                SCMP_SYS(rt_sigprocmask),
                                SCMP_SYS(rt_sigreturn),
                                SCMP_SYS(sigaltstack),
                                SCMP_SYS(restart_syscall),
                                SCMP_SYS(sched_yield),
                                SCMP_SYS(rseq),
                                SCMP_SYS(membarrier),
                                SCMP_SYS(tgkill),
                                SCMP_SYS(exit),
                                SCMP_SYS(exit_group)};

// What no child of sluice ever does: an attempt is an attack, and ends the process.
constexpr int kNever[] = {SCMP_SYS(execve),
                          SCMP_SYS(execveat),
                          SCMP_SYS(fork),
                          SCMP_SYS(vfork),
                          SCMP_SYS(ptrace),
                          SCMP_SYS(process_vm_readv),
                          SCMP_SYS(process_vm_writev),
                          SCMP_SYS(kexec_load),
                          SCMP_SYS(init_module),
                          SCMP_SYS(finit_module),
                          SCMP_SYS(mount),
                          SCMP_SYS(umount2),
                          SCMP_SYS(pivot_root),
                          SCMP_SYS(chroot),
                          SCMP_SYS(unshare),
                          SCMP_SYS(setns),
                          SCMP_SYS(bpf),
                          SCMP_SYS(userfaultfd),
                          SCMP_SYS(perf_event_open),
                          SCMP_SYS(keyctl),
                          SCMP_SYS(add_key),
                          SCMP_SYS(request_key),
                          SCMP_SYS(personality),
                          SCMP_SYS(io_uring_setup),
                          SCMP_SYS(io_uring_enter),
                          SCMP_SYS(setuid),
                          SCMP_SYS(setgid),
                          SCMP_SYS(setresuid),
                          SCMP_SYS(setresgid),
                          SCMP_SYS(setgroups),
                          SCMP_SYS(reboot),
                          SCMP_SYS(swapon)};

Result<> add(const Filter& filter, uint32_t action, int call) {
  if (const int error = seccomp_rule_add(filter.get(), action, call, 0); error != 0)
    return fail(Errc::system, "seccomp rule: " + std::string(std::strerror(-error)));
  return {};
}

/// Memory yes, code no; sockets of the kinds that databases and our log need.
Result<> add_worker_rules(const Filter& filter) {
  for (const int call : kWorkerCalls) SLUICE_TRY(add(filter, SCMP_ACT_ALLOW, call));
  int error = 0;
  for (const int call : {SCMP_SYS(mmap), SCMP_SYS(mprotect)})
    error |= seccomp_rule_add(filter.get(), SCMP_ACT_ALLOW, call, 1,
                              scmp_arg_cmp{2, SCMP_CMP_MASKED_EQ, PROT_EXEC, 0});
  for (const int family : {AF_INET, AF_INET6, AF_UNIX})
    error |= seccomp_rule_add(filter.get(), SCMP_ACT_ALLOW, SCMP_SYS(socket), 1,
                              scmp_arg_cmp{0, SCMP_CMP_EQ, static_cast<uint64_t>(family), 0});
  // What glibc makes of fstat(): the descriptor itself, not a path.
  error |= seccomp_rule_add(filter.get(), SCMP_ACT_ALLOW, SCMP_SYS(newfstatat), 1,
                            scmp_arg_cmp{3, SCMP_CMP_EQ, AT_EMPTY_PATH, 0});
  if (error != 0) return fail(Errc::system, "seccomp rules for memory, sockets and descriptors");
  return {};
}

}  // namespace

Result<std::string> filter_calls(Calls calls) {
  if (kSanitized) return std::string();
  // Unknown calls fail instead of killing: a libc of tomorrow may try one and do without.
  const bool worker = calls == Calls::worker;
  const Filter filter(seccomp_init(worker ? SCMP_ACT_ERRNO(EPERM) : SCMP_ACT_ALLOW));
  if (!filter) return fail(Errc::system, "seccomp: no memory");
  seccomp_attr_set(filter.get(), SCMP_FLTATR_CTL_OPTIMIZE, 2);  // a tree: the data path calls often
  for (const int call : kNever) SLUICE_TRY(add(filter, SCMP_ACT_KILL_PROCESS, call));
  if (worker) SLUICE_TRY(add_worker_rules(filter));
  if (const int error = seccomp_load(filter.get()); error != 0)
    return fail(Errc::system, "seccomp: " + std::string(std::strerror(-error)));
  return std::string("seccomp");
}

}  // namespace sluice::process
