#include "tests/support/process_memory.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <fstream>
#include <sstream>

#include "common/base/unique_fd.h"
#include "tests/support/test_error.h"

namespace sluice::test {
namespace {

struct Mapping {
  uint64_t begin = 0, end = 0;
  bool readable = false;
  std::string name{};
};

/// A line of /proc/PID/maps (proc(5)).
Mapping parse(const std::string& line) {
  Mapping out;
  std::istringstream in(line);
  char dash = 0;
  std::string permissions, offset, device, inode;
  in >> std::hex >> out.begin >> dash >> out.end >> permissions >> offset >> device >> inode;
  std::getline(in >> std::ws, out.name);
  out.readable = permissions.starts_with('r');
  if (out.name.empty()) out.name = fmt::format("anonymous {:x}", out.begin);
  return out;
}

/// What can be read of it; the kernel's own pages can't.
std::string contents(int memory, const Mapping& mapping) {
  std::string out(mapping.end - mapping.begin, '\0');
  std::size_t got = 0;
  while (got < out.size()) {
    const ssize_t n = ::pread(memory, out.data() + got, out.size() - got,
                              static_cast<off_t>(mapping.begin + got));
    if (n <= 0) break;
    got += static_cast<std::size_t>(n);
  }
  out.resize(got);
  return out;
}

}  // namespace

std::vector<std::string> memory_with(pid_t pid, std::string_view needle) {
  const UniqueFd memory(::open(fmt::format("/proc/{}/mem", pid).c_str(), O_RDONLY | O_CLOEXEC));
  if (!memory) throw TestError(fmt::format("the memory of process {} can't be read", pid));
  std::ifstream maps(fmt::format("/proc/{}/maps", pid));
  std::vector<std::string> found;
  for (std::string line; std::getline(maps, line);) {
    const auto mapping = parse(line);
    if (mapping.readable && contents(memory.get(), mapping).find(needle) != std::string::npos)
      found.push_back(mapping.name);
  }
  return found;
}

}  // namespace sluice::test
