#include "common/stats/page.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

namespace sluice::stats {

Result<UniqueFd> Mapping::create() {
  UniqueFd fd(::memfd_create("sluice-statistics", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!fd || ::ftruncate(fd.get(), sizeof(Page)) != 0 ||
      ::fcntl(fd.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0)
    return fail_errno("make the statistics page");
  return fd;
}

Result<Mapping> Mapping::map(int fd) {
  struct stat st {};
  const int seals = ::fcntl(fd, F_GET_SEALS);
  if (::fstat(fd, &st) != 0 || st.st_size != sizeof(Page) || seals < 0 || !(seals & F_SEAL_SHRINK))
    return fail(Errc::ipc_protocol, "not a statistics page");
  void* at = ::mmap(nullptr, sizeof(Page), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (at == MAP_FAILED) return fail_errno("map the statistics page");
  return Mapping(static_cast<Page*>(at));
}

Mapping::~Mapping() {
  if (page_ != nullptr) ::munmap(page_, sizeof(Page));
}

}  // namespace sluice::stats
