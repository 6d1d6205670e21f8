// A worker or monitor in the enemy's hands: it starts and locks itself in as a good one does, then
// does the deed that the file `sluice-worker.deed` or `sluice-monitor.deed` beside it names, and
// says how that went. While there is no such file it becomes the good program. Run in place of
// sluice-worker and sluice-monitor by tests/e2e/sandbox_test.cc.
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/io_uring.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#include <fstream>
#include <thread>

#include "common/process/master_link.h"
#include "common/process/privileges.h"
#include "tests/support/captured_child.h"

namespace sluice {
namespace {

using test::say;

pid_t master;                ///< found out before the lock
std::string control_socket;  ///< of the master, from the deed's file

/// How a deed went: 0, or the errno with which it was refused.
int outcome(long result) {
  return result < 0 ? errno : 0;
}

char name_of_program[] = "true";
char* const kArguments[] = {name_of_program, nullptr};
char* const kEnvironment[] = {nullptr};

int execute() {
  return outcome(::execve("/bin/true", kArguments, kEnvironment));
}

int execute_memory() {
  const int fd = ::memfd_create("program", 0);
  const std::string_view script = "#!/bin/sh\nkill -9 1\n";
  if (::write(fd, script.data(), script.size()) < 0) return errno;
  return outcome(::execveat(fd, "", kArguments, kEnvironment, AT_EMPTY_PATH));
}

int use_control_socket() {
  const UniqueFd fd(::socket(AF_UNIX, SOCK_SEQPACKET, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  control_socket.copy(address.sun_path, sizeof address.sun_path - 1);
  if (::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) return errno;
  ipc::Channel channel{UniqueFd(::fcntl(fd.get(), F_DUPFD_CLOEXEC, 10))};
  say(channel, ipc::Hello{.role = ipc::Role::control});
  say(channel, ipc::ControlRequest{.command = "stop"});
  test::wait_for(channel, POLLIN);
  const auto frame = channel.receive();
  if (!frame || !*frame) return EPERM;
  const auto reply = ipc::decode<ipc::ControlReply>((*frame)->body);
  return reply && reply->error.empty() ? 0 : EPERM;
}

int serve_tcp_port() {
  const UniqueFd fd(::socket(AF_INET, SOCK_STREAM, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  const int bound =
      outcome(::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address));
  // Also without an address: the kernel chooses one.
  const int listens = outcome(::listen(fd.get(), 1));
  return bound != 0 ? bound : listens;
}

int read_memory_of_master() {
  char byte = 0;
  iovec here{&byte, 1}, there{reinterpret_cast<void*>(0x400000), 1};
  return outcome(::process_vm_readv(master, &here, 1, &there, 1, 0));
}

int trace_master() {
  return outcome(::ptrace(PTRACE_ATTACH, master, nullptr, nullptr));
}

int execute_own_code() {
  void* page = ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return outcome(::mprotect(page, 4096, PROT_READ | PROT_EXEC));
}

void do_nothing(int) {}

/// Without the handler nobody would tell how the process came to its end.
int replace_handler() {
  return outcome(::signal(SIGSYS, do_nothing) == SIG_ERR ? -1 : 0);
}

/// The kernel takes this for SIGSYS too.
int replace_handler_by_stealth() {
  return outcome(::syscall(SYS_rt_sigaction, (1L << 32) | SIGSYS, nullptr, nullptr, 8));
}

int map_own_code() {
  return outcome(::mmap(nullptr, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
                        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED
                     ? -1
                     : 0);
}

int block_signal_and_execute() {
  sigset_t all;
  sigfillset(&all);
  ::sigprocmask(SIG_BLOCK, &all, nullptr);
  return execute();
}

int close_channel_and_execute() {
  ::close(process::kChannelFd);
  return execute();
}

int execute_in_thread() {
  int result = 0;
  std::thread([&] { result = execute(); }).join();
  return result;
}

#ifdef __x86_64__
/// The same by the numbers of 32-bit programs, where 11 is execve.
int execute_as_32_bits() {
  long result = 11;
  asm volatile("int $0x80" : "+a"(result) : "b"(0), "c"(0), "d"(0) : "memory");
  return result < 0 ? static_cast<int>(-result) : 0;
}
#endif

int start_process() {
  const auto child = ::fork();
  if (child == 0) ::_exit(0);
  return outcome(child);
}

struct Deed {
  std::string_view name;
  int (*run)();
};
constexpr Deed kDeeds[] = {
    {"ReadFile", [] { return outcome(::open("/etc/passwd", O_RDONLY)); }},
    {"ReadSecret", [] { return outcome(::open("/etc/shadow", O_RDONLY)); }},
    {"WriteFile", [] { return outcome(::open("/tmp/x", O_CREAT | O_WRONLY, 0600)); }},
    {"MakeDirectory", [] { return outcome(::mkdir("/tmp/sluice-hostile", 0700)); }},
    {"RemoveFile", [] { return outcome(::unlink(control_socket.c_str())); }},
    {"Execute", execute},
    {"ExecuteMemory", execute_memory},
    {"ExecuteInThread", execute_in_thread},
    {"ExecuteOwnCode", execute_own_code},
    {"BlockSignalAndExecute", block_signal_and_execute},
    {"CloseChannelAndExecute", close_channel_and_execute},
#ifdef __x86_64__
    {"ExecuteAs32Bits", execute_as_32_bits},
#endif
    {"StartProcess", start_process},
    {"SignalMaster", [] { return outcome(::kill(master, SIGTERM)); }},
    {"SignalMasterAsThread",
     [] { return outcome(::syscall(SYS_tgkill, master, master, SIGTERM)); }},
    {"SignalMasterByFd",
     [] { return outcome(::syscall(SYS_pidfd_send_signal, 0, SIGTERM, nullptr, 0)); }},
    {"TakeFdOfMaster", [] { return outcome(::syscall(SYS_pidfd_getfd, 0, 0, 0)); }},
    {"TraceMaster", trace_master},
    {"ReadMemoryOfMaster", read_memory_of_master},
    {"UseControlSocket", use_control_socket},
    {"ServeTcpPort", serve_tcp_port},
    {"ListenAnywhere", [] { return outcome(::listen(::socket(AF_INET, SOCK_STREAM, 0), 1)); }},
    {"ReadThePackets", [] { return outcome(::socket(AF_PACKET, SOCK_RAW, 0)); }},
    {"WritePackets", [] { return outcome(::socket(AF_INET, SOCK_RAW, IPPROTO_RAW)); }},
    {"BecomeRoot", [] { return outcome(::syscall(SYS_setuid, 0)); }},
    {"BecomeRootForFiles", [] { return outcome(::syscall(SYS_setfsuid, 0)); }},
    {"LeaveNamespace", [] { return outcome(::unshare(CLONE_NEWUSER)); }},
    {"Mount", [] { return outcome(::mount("none", "/tmp", "tmpfs", 0, nullptr)); }},
    {"ChangeRoot", [] { return outcome(::chroot("/")); }},
    {"UseIoUring",
     [] {
       io_uring_params parameters{};
       return outcome(::syscall(SYS_io_uring_setup, 1, &parameters));
     }},
    {"UseKeyring", [] { return outcome(::syscall(SYS_keyctl, 0, 0, 0, 0, 0)); }},
    {"LoadKernelCode", [] { return outcome(::syscall(SYS_bpf, 0, nullptr, 0)); }},
    {"ReplaceHandler", replace_handler},
    {"ReplaceHandlerByStealth", replace_handler_by_stealth},
    {"MapOwnCode", map_own_code},
};

int run(std::string_view name) {
  for (const auto& deed : kDeeds)
    if (deed.name == name) return deed.run();
  return -1;
}

/// Up to the order to start, as a good child hears it.
ipc::Privileges hear_privileges(ipc::Channel& channel, ipc::Role role) {
  ipc::Privileges privileges;
  for (;;) {
    const auto frame = test::hear(channel);
    if (frame.id == ipc::Declared<ipc::Start>::kId) return privileges;
    if (frame.id == ipc::Declared<ipc::WorkerConfig>::kId && role == ipc::Role::worker)
      privileges = ipc::decode<ipc::WorkerConfig>(frame.body).value().privileges;
    if (frame.id == ipc::Declared<ipc::MonitorConfig>::kId && role == ipc::Role::monitor)
      privileges = ipc::decode<ipc::MonitorConfig>(frame.body).value().privileges;
  }
}

[[noreturn]] void be_hostile(ipc::Channel channel, ipc::Role role, const std::string& deed) {
  say(channel, ipc::Hello{.role = role});
  const auto privileges = hear_privileges(channel, role);
  const auto tell = [&](std::string text) {
    say(channel, ipc::LogRecord{log::Level::error, "hostile", std::move(text)});
  };
  const auto locked = process::lock_in(
      privileges, role == ipc::Role::worker ? process::Root::empty : process::Root::keep);
  if (!locked) {
    tell(locked.error().message);
    ::_exit(1);
  }
  say(channel, ipc::Ready{*locked});
  if (deed != "Silence") {
    const int error = run(deed);
    tell(fmt::format("{}: {}", deed, error == 0 ? "done" : fmt::format("refused ({})", error)));
  }
  for (;;) {
    const auto frame = test::hear(channel);
    const auto ping = ipc::decode<ipc::Ping>(frame.body);
    if (frame.id == ipc::Declared<ipc::Ping>::kId && ping && deed != "Silence")
      say(channel, ipc::Pong{ping->number});
  }
}

}  // namespace
}  // namespace sluice

int main(int, char** argv) {
  using namespace sluice;
  std::string deed;
  std::ifstream(fmt::format("{}/{}.deed", test::own_directory(), argv[0])) >> deed >>
      control_socket;
  if (deed.empty()) {
    test::become_good(argv);
    return 127;
  }
  master = ::getppid();
  be_hostile(ipc::Channel{UniqueFd(process::kChannelFd)}, test::role_by_name(argv[0]), deed);
}
