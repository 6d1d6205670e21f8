#include "common/process/landlock.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>
#include <thread>

#include "common/base/unique_fd.h"
#include "common/process/sanitized.h"

namespace sluice::process {
namespace {

/// What a process does after it has given up its rights; 0, or the errno of what it was refused.
using Deed = std::function<int()>;

int outcome(bool done) {
  return done ? 0 : errno;
}

int open_file(const char* path, int flags) {
  return outcome(static_cast<bool>(UniqueFd(::open(path, flags, 0600))));
}

int bind_tcp_port() {
  const UniqueFd socket(::socket(AF_INET, SOCK_STREAM, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  return outcome(::bind(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
}

int write_to_memory() {
  const UniqueFd fd(::memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  return outcome(::write(fd.get(), "x", 1) == 1 && ::ftruncate(fd.get(), 4096) == 0);
}

int signal_parent() {
  return outcome(::kill(::getppid(), 0) == 0);
}

int signal_own_thread() {
  return outcome(::syscall(SYS_tgkill, ::getpid(), ::gettid(), 0) == 0);
}

sockaddr_un abstract_address() {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::snprintf(address.sun_path + 1, sizeof address.sun_path - 1, "sluice-test-%d",
                static_cast<int>(::getpid()));
  return address;
}

class Landlock : public testing::Test {
 protected:
  void SetUp() override {
    version_ = ::syscall(SYS_landlock_create_ruleset, nullptr, 0, 1);
    if (kSanitized || version_ < 1) GTEST_SKIP() << "none in this kernel or build";
  }
  static int after_giving_up(Rights rights, const Deed& deed) {
    const pid_t pid = ::fork();
    if (pid == 0) {
      ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
      ::_exit(keep_rights(rights) ? deed() : 255);
    }
    int status = 0;
    ::waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }
  long version_ = 0;
};

TEST_F(Landlock, AWorkerReachesNoFile) {
  for (const int flags : {O_RDONLY, O_WRONLY, O_RDWR})
    EXPECT_EQ(after_giving_up(Rights::worker, [=] { return open_file("/dev/null", flags); }),
              EACCES);
  EXPECT_EQ(after_giving_up(Rights::worker, [] { return open_file("/", O_DIRECTORY); }), EACCES);
}

TEST_F(Landlock, TheMonitorReadsAndChangesNothing) {
  EXPECT_EQ(after_giving_up(Rights::monitor, [] { return open_file("/etc/passwd", O_RDONLY); }), 0);
  EXPECT_EQ(after_giving_up(Rights::monitor, [] { return open_file("/etc", O_DIRECTORY); }), 0);
  EXPECT_EQ(after_giving_up(Rights::monitor, [] { return open_file("/dev/null", O_WRONLY); }),
            EACCES);
  EXPECT_EQ(after_giving_up(Rights::monitor,
                            [] { return open_file("/tmp/sluice-test-new", O_CREAT | O_RDWR); }),
            EACCES);
  EXPECT_EQ(after_giving_up(Rights::monitor,
                            [] {
                              ::execl("/bin/true", "true", nullptr);
                              return errno;
                            }),
            EACCES);
  // The way on which the client library gets certificates (monitor/tls.cc).
  EXPECT_EQ(after_giving_up(Rights::monitor,
                            [] {
                              const UniqueFd fd(::memfd_create("pem", MFD_CLOEXEC));
                              const auto path = "/proc/self/fd/" + std::to_string(fd.get());
                              return open_file(path.c_str(), O_RDONLY);
                            }),
            0);
}

TEST_F(Landlock, NeitherServesATcpPort) {
  if (version_ < 4) GTEST_SKIP() << "version " << version_;
  EXPECT_EQ(after_giving_up(Rights::worker, bind_tcp_port), EACCES);
  EXPECT_EQ(after_giving_up(Rights::monitor, bind_tcp_port), EACCES);
}

TEST_F(Landlock, NeitherSignalsAnotherProcess) {
  if (version_ < 6) GTEST_SKIP() << "version " << version_;
  for (const auto rights : {Rights::worker, Rights::monitor}) {
    EXPECT_EQ(after_giving_up(rights, signal_parent), EPERM);
    EXPECT_EQ(after_giving_up(rights, signal_own_thread), 0);
  }
}

TEST_F(Landlock, AWorkerReachesNoAbstractSocket) {
  if (version_ < 6) GTEST_SKIP() << "version " << version_;
  const auto address = abstract_address();
  const auto* raw = reinterpret_cast<const sockaddr*>(&address);
  const UniqueFd listener(::socket(AF_UNIX, SOCK_STREAM, 0));
  ASSERT_EQ(::bind(listener.get(), raw, sizeof address), 0);
  ASSERT_EQ(::listen(listener.get(), 8), 0);
  const auto reach = [&] {
    const UniqueFd client(::socket(AF_UNIX, SOCK_STREAM, 0));
    return outcome(::connect(client.get(), raw, sizeof address) == 0);
  };
  EXPECT_EQ(after_giving_up(Rights::worker, reach), EPERM);
  EXPECT_EQ(after_giving_up(Rights::monitor, reach), 0);
}

TEST_F(Landlock, MemoryFilesAndInheritedSocketsStay) {
  EXPECT_EQ(after_giving_up(Rights::worker, write_to_memory), 0);
  int ends[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends), 0);
  EXPECT_EQ(after_giving_up(Rights::worker,
                            [&] { return outcome(::send(ends[0], "x", 1, MSG_NOSIGNAL) == 1); }),
            0);
}

TEST_F(Landlock, ThreadsStartedLaterHaveNoMoreRights) {
  EXPECT_EQ(after_giving_up(Rights::worker,
                            [] {
                              int refused = 0;
                              std::thread([&] { refused = open_file("/etc/passwd", 0); }).join();
                              return refused;
                            }),
            EACCES);
}

TEST_F(Landlock, SaysWhatIsInForce) {
  const auto expected = "landlock=abi" + std::to_string(std::min(version_, 6L));
  EXPECT_EQ(after_giving_up(Rights::worker,
                            [&] {
                              const auto again = keep_rights(Rights::worker);
                              return again && *again == expected ? 0 : 1;
                            }),
            0);
}

}  // namespace
}  // namespace sluice::process
