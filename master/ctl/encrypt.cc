#include "master/ctl/encrypt.h"

#include <fmt/format.h>
#include <limits.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

namespace sluice::ctl {
namespace {

/// The folder of our own executable; empty if the kernel does not say.
std::string own_folder() {
  char path[PATH_MAX];
  const auto n = ::readlink("/proc/self/exe", path, sizeof path);
  if (n <= 0) return {};
  const std::string_view whole(path, static_cast<std::size_t>(n));
  return std::string(whole.substr(0, whole.rfind('/')));
}

}  // namespace

std::string find_sluiced(const std::string& folder) {
  for (const auto* relative : {"/sluiced", "/../sbin/sluiced"})
    if (const auto path = folder + relative; ::access(path.c_str(), X_OK) == 0) return path;
  return {};
}

Outcome encrypt() {
  const auto folder = own_folder();
  const auto path = find_sluiced(folder);
  if (path.empty())
    return failure(kRefused,
                   fmt::format("no sluiced beside {0}/sluicectl or in {0}/../sbin", folder));

  std::string name = "sluiced", option = "--encrypt";
  char* const arguments[] = {name.data(), option.data(), nullptr};
  pid_t child = 0;
  if (const int error = ::posix_spawn(&child, path.c_str(), nullptr, nullptr, arguments, environ);
      error != 0)
    return failure(kRefused, fmt::format("can't start {}: {}", path, std::strerror(error)));
  int status = 0;
  while (::waitpid(child, &status, 0) < 0)
    if (errno != EINTR) return failure(kRefused, fmt::format("wait: {}", std::strerror(errno)));
  if (WIFSIGNALED(status))
    return failure(kRefused, fmt::format("{} was ended by signal {}", path, WTERMSIG(status)));
  return {WEXITSTATUS(status) == 0 ? kDone : kRefused, "", ""};  // it has said why itself
}

}  // namespace sluice::ctl
