#include "master/programs.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/auxv.h>

namespace sluice::master {
namespace {

Result<std::string> own_path() {
  char path[PATH_MAX];
  const auto n = ::readlink("/proc/self/exe", path, sizeof path);
  if (n <= 0) return fail_errno("read /proc/self/exe");
  return std::string(path, static_cast<std::size_t>(n));
}

/// Without links: the programs of one release lie together, whatever leads there.
Result<std::string> resolved(const std::string& path) {
  char out[PATH_MAX];
  if (::realpath(path.c_str(), out) == nullptr) return fail_errno(path);
  return std::string(out);
}

/// How we were called, if that leads to us: /usr/sbin/sluiced may be a link, which an upgrade turns
/// to another release.
std::string called_path(const std::string& own) {
  const auto* called = reinterpret_cast<const char*>(::getauxval(AT_EXECFN));
  char directory[PATH_MAX];
  if (called == nullptr || ::getcwd(directory, sizeof directory) == nullptr) return own;
  const auto path = *called == '/' ? std::string(called) : fmt::format("{}/{}", directory, called);
  return resolved(path) == own ? path : own;
}

std::string directory_of(const std::string& path) {
  return path.substr(0, path.rfind('/'));
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
  const auto own = SLUICE_TRY(own_path());
  Programs programs{.path = called_path(own)};
  programs.self.reset(::open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
  if (!programs.self) return fail_errno("open /proc/self/exe");
  programs.worker = SLUICE_TRY(open_program(directory_of(own), "sluice-worker"));
  programs.monitor = SLUICE_TRY(open_program(directory_of(own), "sluice-monitor"));
  return programs;
}

Result<Programs> Programs::open_anew() const {
  const auto now = SLUICE_TRY(resolved(path));
  Programs programs{.path = path};
  programs.self.reset(::open(now.c_str(), O_RDONLY | O_CLOEXEC));
  if (!programs.self) return fail_errno("open " + now);
  programs.worker = SLUICE_TRY(open_program(directory_of(now), "sluice-worker"));
  programs.monitor = SLUICE_TRY(open_program(directory_of(now), "sluice-monitor"));
  return programs;
}

inheritance::Programs Programs::export_() const {
  return {.path = path, .self = {self.get()}, .worker = {worker.get()}, .monitor = {monitor.get()}};
}

Programs Programs::import_(const inheritance::Programs& programs) {
  return {.path = programs.path,
          .self = inheritance::own(programs.self),
          .worker = inheritance::own(programs.worker),
          .monitor = inheritance::own(programs.monitor)};
}

}  // namespace sluice::master
