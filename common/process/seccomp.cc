#include "common/process/seccomp.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <memory>
#include <span>

#include "common/ipc/channel.h"
#include "common/process/master_link.h"
#include "common/process/sanitized.h"

namespace sluice::process {
namespace {

struct Release {
  void operator()(void* filter) const noexcept { seccomp_release(filter); }
};
using Filter = std::unique_ptr<void, Release>;

// What an event loop does, what glibc does under it when memory runs out or an assertion fails, and
// how a process ends.
constexpr int kUsual[] = {SCMP_SYS(recvfrom),
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
                          SCMP_SYS(mlockall),  // of release_memory()
                          SCMP_SYS(munlockall),
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
                          SCMP_SYS(rt_sigprocmask),
                          SCMP_SYS(rt_sigreturn),
                          SCMP_SYS(sigaltstack),
                          SCMP_SYS(restart_syscall),
                          SCMP_SYS(sched_yield),
                          SCMP_SYS(sched_getaffinity),
                          SCMP_SYS(rseq),
                          SCMP_SYS(membarrier),
                          SCMP_SYS(exit),
                          SCMP_SYS(exit_group)};

// The monitor's threads, and the libraries under it: name resolution, the client library with its
// plugins and TLS.
constexpr int kOfLibraries[] = {SCMP_SYS(newfstatat),
                                SCMP_SYS(stat),
                                SCMP_SYS(lstat),
                                SCMP_SYS(statx),
                                SCMP_SYS(access),
                                SCMP_SYS(faccessat),
                                SCMP_SYS(faccessat2),
                                SCMP_SYS(readlink),
                                SCMP_SYS(readlinkat),
                                SCMP_SYS(getdents64),
                                SCMP_SYS(getcwd),
                                SCMP_SYS(lseek),
                                SCMP_SYS(pread64),
                                SCMP_SYS(statfs),
                                SCMP_SYS(fstatfs),
                                SCMP_SYS(fadvise64),

                                SCMP_SYS(sendmmsg),
                                SCMP_SYS(recvmmsg),
                                SCMP_SYS(bind),
                                SCMP_SYS(dup),
                                SCMP_SYS(dup3),
                                SCMP_SYS(pipe2),
                                SCMP_SYS(eventfd2),
                                SCMP_SYS(select),
                                SCMP_SYS(pselect6),
                                SCMP_SYS(epoll_create1),
                                SCMP_SYS(timerfd_create),
                                SCMP_SYS(uname),
                                SCMP_SYS(sysinfo),
                                SCMP_SYS(getuid),
                                SCMP_SYS(geteuid),
                                SCMP_SYS(getgid),
                                SCMP_SYS(getegid),
                                SCMP_SYS(getresuid),
                                SCMP_SYS(getresgid),
                                SCMP_SYS(getgroups),
                                SCMP_SYS(getppid),
                                SCMP_SYS(nanosleep),
                                SCMP_SYS(clock_getres),
                                SCMP_SYS(time),
                                SCMP_SYS(times),
                                SCMP_SYS(getrusage),
                                SCMP_SYS(getcpu),
                                SCMP_SYS(rt_sigpending),
                                SCMP_SYS(rt_sigtimedwait),
                                SCMP_SYS(set_robust_list),
                                SCMP_SYS(sched_getparam),
                                SCMP_SYS(sched_getscheduler)};

// What no child of sluice ever does: an attempt is an attack.
constexpr int kNever[] = {
    // another program, another process
    SCMP_SYS(execve), SCMP_SYS(execveat), SCMP_SYS(fork), SCMP_SYS(vfork), SCMP_SYS(kill),
    SCMP_SYS(tkill), SCMP_SYS(rt_sigqueueinfo), SCMP_SYS(rt_tgsigqueueinfo),
    SCMP_SYS(pidfd_send_signal), SCMP_SYS(pidfd_getfd), SCMP_SYS(ptrace),
    SCMP_SYS(process_vm_readv), SCMP_SYS(process_vm_writev), SCMP_SYS(process_madvise),
    SCMP_SYS(kcmp),
    // another user, another view of the machine
    SCMP_SYS(setuid), SCMP_SYS(setgid), SCMP_SYS(setreuid), SCMP_SYS(setregid), SCMP_SYS(setresuid),
    SCMP_SYS(setresgid), SCMP_SYS(setfsuid), SCMP_SYS(setfsgid), SCMP_SYS(setgroups),
    SCMP_SYS(capset), SCMP_SYS(unshare), SCMP_SYS(setns), SCMP_SYS(chroot), SCMP_SYS(pivot_root),
    SCMP_SYS(mount), SCMP_SYS(umount2), SCMP_SYS(open_tree), SCMP_SYS(move_mount), SCMP_SYS(fsopen),
    SCMP_SYS(fsconfig), SCMP_SYS(fsmount), SCMP_SYS(fspick), SCMP_SYS(mount_setattr),
    SCMP_SYS(open_by_handle_at),
    // the machine itself, and the parts of the kernel where most holes were
    SCMP_SYS(reboot), SCMP_SYS(swapon), SCMP_SYS(swapoff), SCMP_SYS(kexec_file_load),
    SCMP_SYS(init_module), SCMP_SYS(finit_module), SCMP_SYS(delete_module), SCMP_SYS(iopl),
    SCMP_SYS(ioperm), SCMP_SYS(clock_settime), SCMP_SYS(settimeofday), SCMP_SYS(sethostname),
    SCMP_SYS(setdomainname), SCMP_SYS(acct), SCMP_SYS(quotactl), SCMP_SYS(syslog), SCMP_SYS(bpf),
    SCMP_SYS(userfaultfd), SCMP_SYS(perf_event_open), SCMP_SYS(keyctl), SCMP_SYS(add_key),
    SCMP_SYS(request_key), SCMP_SYS(personality), SCMP_SYS(io_uring_setup),
    SCMP_SYS(io_uring_enter), SCMP_SYS(io_uring_register),
    // to be called, to change what is there
    SCMP_SYS(listen), SCMP_SYS(creat), SCMP_SYS(mkdir), SCMP_SYS(mkdirat), SCMP_SYS(mknod),
    SCMP_SYS(mknodat), SCMP_SYS(unlink), SCMP_SYS(unlinkat), SCMP_SYS(rmdir), SCMP_SYS(rename),
    SCMP_SYS(renameat), SCMP_SYS(renameat2), SCMP_SYS(link), SCMP_SYS(linkat), SCMP_SYS(symlink),
    SCMP_SYS(symlinkat), SCMP_SYS(truncate), SCMP_SYS(chmod), SCMP_SYS(fchmod), SCMP_SYS(fchmodat),
    SCMP_SYS(chown), SCMP_SYS(lchown), SCMP_SYS(fchown), SCMP_SYS(fchownat)};

// What a worker never does either: files, threads, addresses of its own.
constexpr int kNeverInWorker[] = {SCMP_SYS(open),  SCMP_SYS(openat), SCMP_SYS(openat2),
                                  SCMP_SYS(clone), SCMP_SYS(clone3), SCMP_SYS(bind)};

// The one that is answered with death at once; nobody calls it but the handler.
constexpr int kDeath = SCMP_SYS(kexec_load);

/// What is to be done with a call, or with a call whose argument is such.
struct Rules {
  Filter filter;
  int error = 0;  ///< of the first rule that could not be had

  void add(uint32_t action, int call) { keep(seccomp_rule_add(filter.get(), action, call, 0)); }
  void add(uint32_t action, int call, scmp_arg_cmp argument) {
    keep(seccomp_rule_add(filter.get(), action, call, 1, argument));
  }
  void add(uint32_t action, std::span<const int> calls) {
    for (const int call : calls) add(action, call);
  }
  void keep(int result) {
    if (error == 0) error = result;
  }
};

constexpr scmp_arg_cmp is(unsigned argument, uint64_t value) {
  return {argument, SCMP_CMP_EQ, value, 0};
}
constexpr scmp_arg_cmp is_not(unsigned argument, uint64_t value) {
  return {argument, SCMP_CMP_NE, value, 0};
}
/// Of the bits in the mask just these are set.
constexpr scmp_arg_cmp has(unsigned argument, uint64_t mask, uint64_t bits) {
  return {argument, SCMP_CMP_MASKED_EQ, mask, bits};
}

void add_common_rules(Rules& rules) {
  rules.add(SCMP_ACT_ALLOW, kUsual);
  rules.add(SCMP_ACT_TRAP, kNever);
  rules.add(SCMP_ACT_KILL_PROCESS, kDeath);
  for (const int family : {AF_INET, AF_INET6, AF_UNIX})
    rules.add(SCMP_ACT_ALLOW, SCMP_SYS(socket), is(0, static_cast<uint64_t>(family)));
  const auto own_pid = static_cast<uint64_t>(::getpid());
  rules.add(SCMP_ACT_ALLOW, SCMP_SYS(tgkill), is(0, own_pid));
  rules.add(SCMP_ACT_TRAP, SCMP_SYS(tgkill), is_not(0, own_pid));
  // The kernel looks at the lower half of this argument, the filter at both: "is not SIGSYS" would
  // let it through with any bit of the upper half. In SIGSYS the last five bits are set (and in the
  // last but one of the real-time signals, which nobody uses).
  static_assert(SIGSYS == 0b11111);
  for (unsigned bit = 1; bit <= SIGSYS; bit <<= 1)
    rules.add(SCMP_ACT_ALLOW, SCMP_SYS(rt_sigaction), has(0, bit, 0));
  rules.add(SCMP_ACT_TRAP, SCMP_SYS(rt_sigaction), has(0, SIGSYS, SIGSYS));
  rules.add(SCMP_ACT_ALLOW, SCMP_SYS(mprotect), has(2, PROT_EXEC, 0));
}

void add_worker_rules(Rules& rules) {
  rules.add(SCMP_ACT_TRAP, kNeverInWorker);
  rules.add(SCMP_ACT_ALLOW, SCMP_SYS(mmap), has(2, PROT_EXEC, 0));
  // What glibc makes of fstat(): the descriptor itself, not a path.
  rules.add(SCMP_ACT_ALLOW, SCMP_SYS(newfstatat), is(3, AT_EMPTY_PATH));
}

void add_monitor_rules(Rules& rules) {
  rules.add(SCMP_ACT_ALLOW, kOfLibraries);
  rules.add(SCMP_ACT_ALLOW, SCMP_SYS(socket), is(0, AF_NETLINK));  // getaddrinfo(3) asks for routes
  rules.add(SCMP_ACT_ALLOW, SCMP_SYS(openat), has(2, O_ACCMODE | O_CREAT | O_TRUNC, O_RDONLY));
  // Not an attack: Kerberos, for one, would like to keep its tickets.
  for (const uint64_t flag : {O_WRONLY, O_RDWR, O_CREAT, O_TRUNC})
    rules.add(SCMP_ACT_ERRNO(EACCES), SCMP_SYS(openat), has(2, flag, flag));
  for (const uint64_t rights :
       {PROT_NONE, PROT_WRITE, PROT_EXEC})  // and no code that was written here
    rules.add(SCMP_ACT_ALLOW, SCMP_SYS(mmap), has(2, PROT_WRITE | PROT_EXEC, rights));
  // A thread, but no process. The newer call hides its flags from us; glibc does without it.
  rules.add(SCMP_ACT_ALLOW, SCMP_SYS(clone), has(0, CLONE_THREAD, CLONE_THREAD));
  rules.add(SCMP_ACT_TRAP, SCMP_SYS(clone), has(0, CLONE_THREAD, 0));
  rules.add(SCMP_ACT_ALLOW, SCMP_SYS(prctl), is(0, PR_SET_NAME));
  rules.add(SCMP_ACT_ALLOW, SCMP_SYS(prlimit64), is(2, 0));  // reading a limit
  for (const uint64_t request : {FIONREAD, FIONBIO, TCGETS})
    rules.add(SCMP_ACT_ALLOW, SCMP_SYS(ioctl), is(1, request));
}

constexpr int kBySeccomp = 1;  // SYS_SECCOMP of asm-generic/siginfo.h

// The datagram that the handler sends, made before there is one.
std::array<std::byte, 64> last_words;
std::size_t last_words_size;

void prepare_last_words() {
  using Message = ipc::ForbiddenCall;
  const auto made = ipc::Channel::datagram(ipc::Declared<Message>::kId, ipc::encode(Message{}));
  std::ranges::copy(made, last_words.begin());
  last_words_size = made.size();
}

/// Async-signal-safe calls alone, and nothing that needs memory to be in order.
void on_forbidden_call(int, siginfo_t* info, void*) {
  if (info->si_code == kBySeccomp) {
    auto* number = last_words.data() + last_words_size - sizeof ipc::ForbiddenCall{}.number;
    for (int shift = 0; shift < 32; shift += 8)
      *number++ = static_cast<std::byte>(static_cast<unsigned>(info->si_syscall) >> shift);
    ::send(kChannelFd, last_words.data(), last_words_size, MSG_NOSIGNAL | MSG_DONTWAIT);
  }
  ::syscall(kDeath);
  ::_exit(128 + SIGSYS);  // the filter is not there: somebody else sent the signal
}

Result<> report_forbidden_calls() {
  prepare_last_words();
  struct sigaction action {};
  action.sa_sigaction = on_forbidden_call;
  action.sa_flags = SA_SIGINFO;
  sigfillset(&action.sa_mask);
  if (::sigaction(SIGSYS, &action, nullptr) != 0) return fail_errno("handler of SIGSYS");
  return {};
}

}  // namespace

Result<std::string> filter_calls(Calls calls) {
  if (kSanitized) return std::string();
  SLUICE_TRY(report_forbidden_calls());
  Rules rules{Filter(seccomp_init(SCMP_ACT_ERRNO(ENOSYS)))};
  if (!rules.filter) return fail(Errc::system, "seccomp: no memory");
  // A tree: the data path calls often.
  rules.keep(seccomp_attr_set(rules.filter.get(), SCMP_FLTATR_CTL_OPTIMIZE, 2));
  rules.keep(seccomp_attr_set(rules.filter.get(), SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS));
  add_common_rules(rules);
  calls == Calls::worker ? add_worker_rules(rules) : add_monitor_rules(rules);
  if (rules.error != 0)
    return fail(Errc::system, fmt::format("seccomp rule: {}", std::strerror(-rules.error)));
  if (const int error = seccomp_load(rules.filter.get()); error != 0)
    return fail(Errc::system, fmt::format("seccomp: {}", std::strerror(-error)));
  return std::string("seccomp");
}

std::string call_name(uint32_t number) {
  const std::unique_ptr<char, decltype(&::free)> name(
      seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, static_cast<int>(number)), &::free);
  return name ? name.get() : std::to_string(number);
}

}  // namespace sluice::process
