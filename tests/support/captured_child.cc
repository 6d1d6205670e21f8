#include "tests/support/captured_child.h"

#include <limits.h>
#include <unistd.h>

namespace sluice::test {

std::string own_directory() {
  char path[PATH_MAX];
  const auto n = ::readlink("/proc/self/exe", path, sizeof path);
  const std::string text(path, n > 0 ? static_cast<std::size_t>(n) : 0);
  return text.substr(0, text.rfind('/'));
}

ipc::Role role_by_name(const char* name) {
  return std::string_view(name) == "sluice-monitor" ? ipc::Role::monitor : ipc::Role::worker;
}

void become_good(char* const argv[]) {
  const bool monitor = role_by_name(argv[0]) == ipc::Role::monitor;
  ::execv((own_directory() + (monitor ? "/good-monitor" : "/good-worker")).c_str(), argv);
}

void wait_for(const ipc::Channel& channel, short what) {
  pollfd ready{channel.fd(), what, 0};
  ::poll(&ready, 1, -1);
}

ipc::Frame hear(ipc::Channel& channel) {
  for (;;) {
    auto frame = channel.receive();
    if (!frame) ::_exit(0);
    if (*frame) return std::move(**frame);
    wait_for(channel, POLLIN);
  }
}

}  // namespace sluice::test
