#include "master/programs.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <limits.h>

namespace sluice::master {
namespace {

Result<std::string> own_directory() {
  char path[PATH_MAX];
  const auto n = ::readlink("/proc/self/exe", path, sizeof path);
  if (n <= 0) return fail_errno("read /proc/self/exe");
  const std::string text(path, static_cast<std::size_t>(n));
  return text.substr(0, text.rfind('/'));
}

Result<UniqueFd> open_program(const std::string& directory, const char* name) {
  for (const char* place : {"/", "/../libexec/sluice/"}) {
    UniqueFd fd(::open((directory + place + name).c_str(), O_RDONLY | O_CLOEXEC));
    if (fd) return fd;
  }
  return fail(
      Errc::not_found,
      fmt::format(
          "{} is neither in {} nor in {}/../libexec/sluice: is sluice installed completely?", name,
          directory, directory));
}

}  // namespace

Result<Programs> Programs::open() {
  const auto directory = SLUICE_TRY(own_directory());
  Programs programs;
  programs.self.reset(::open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
  if (!programs.self) return fail_errno("open /proc/self/exe");
  programs.worker = SLUICE_TRY(open_program(directory, "sluice-worker"));
  programs.monitor = SLUICE_TRY(open_program(directory, "sluice-monitor"));
  return programs;
}

}  // namespace sluice::master
