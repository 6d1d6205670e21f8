#include "tests/support/own_namespace.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "tests/support/process.h"
#include "tests/support/test_error.h"

namespace sluice::test {
namespace {

void must(bool done, const std::string& what) {
  if (!done) throw TestError(fmt::format("{}: {}", what, std::strerror(errno)));
}

/// Once a process: what is mounted from then on is seen by it and its children alone.
void leave_mount_namespace() {
  static const bool left = [] {
    must(::unshare(CLONE_NEWNS) == 0, "unshare the mount namespace");
    must(::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0, "make mounts private");
    return true;
  }();
  (void)left;
}

void raise_loopback() {
  const UniqueFd fd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ifreq request{};
  std::strcpy(request.ifr_name, "lo");
  request.ifr_flags = IFF_UP | IFF_RUNNING;
  must(fd && ::ioctl(fd.get(), SIOCSIFFLAGS, &request) == 0, "raise the loopback interface");
}

}  // namespace

std::string no_namespaces() {
  if (::geteuid() != 0) return "only root has namespaces of its own";
  const auto tried = run_command({"unshare", "--mount", "--net", "true"});
  return tried.exit_code == 0 ? "" : "no namespaces here: " + tried.err;
}

Cover::Cover(const std::string& by, std::string path) : path_(std::move(path)) {
  leave_mount_namespace();
  must(::mount(by.c_str(), path_.c_str(), nullptr, MS_BIND, nullptr) == 0, "cover " + path_);
}

Cover::~Cover() {
  if (!path_.empty()) ::umount2(path_.c_str(), MNT_DETACH);
}

OwnFiles::OwnFiles(const std::vector<std::pair<std::string, std::string>>& files) {
  for (const auto& [path, contents] : files) {
    const auto own = dir_ / std::to_string(covered_.size());
    write_file(own, contents);
    must(::chmod(own.c_str(), 0644) == 0, "chmod " + own);
    covered_.emplace_back(own, path);
  }
}

OwnNetwork::OwnNetwork() : before_(::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC)) {
  must(static_cast<bool>(before_), "open the network namespace");
  must(::unshare(CLONE_NEWNET) == 0, "unshare the network namespace");
  raise_loopback();
}

OwnNetwork::~OwnNetwork() {
  ::setns(before_.get(), CLONE_NEWNET);
}

}  // namespace sluice::test
