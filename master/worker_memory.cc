#include "master/worker_memory.h"

#include <fmt/format.h>
#include <stdio.h>
#include <unistd.h>

#include <memory>

#include "common/base/log.h"
#include "common/base/units.h"

namespace sluice::master {

uint64_t own_memory(pid_t pid) {
  const std::unique_ptr<FILE, int (*)(FILE*)> file(
      ::fopen(fmt::format("/proc/{}/statm", pid).c_str(), "re"), ::fclose);
  unsigned long long resident = 0, shared = 0;
  if (!file || ::fscanf(file.get(), "%*u %llu %llu", &resident, &shared) != 2) return 0;
  return (resident - shared) * static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
}

bool overgrown(Child& worker, uint64_t limit, bool settled) {
  auto& memory = worker.memory;
  memory.now = own_memory(worker.pid());
  if (memory.settled == 0 && settled) memory.settled = memory.now;
  if (limit == 0 || memory.settled == 0 || memory.now <= limit) return false;
  if (memory.now - memory.now / 3 > memory.settled) {
    memory.settled = memory.now;
    return true;
  }
  if (!memory.told)
    log::warning("child", "is larger than max_worker_memory, and a new one would be as large",
                 log::kv("process", worker.name()), log::kv("memory", format_size(memory.now)),
                 log::kv("limit", format_size(limit)));
  memory.told = true;
  return false;
}

}  // namespace sluice::master
