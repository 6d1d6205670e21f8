// Unix sockets with a path: services' listeners and the control socket.
#pragma once

#include <string>

#include "common/base/result.h"
#include "common/base/unique_fd.h"

namespace sluice::master {

struct UnixSocket {
  UniqueFd fd;
  uint64_t inode = 0;
};

/// Binds and listens. A file that a dead process left is replaced; one that somebody listens on, or
/// that is no socket, is an error. The directory is made if only it is missing. `type`: SOCK_STREAM
/// or SOCK_SEQPACKET.
Result<UnixSocket> bind_unix(const std::string& path, int type, uint32_t mode);

/// Whether bind_unix() would work there, as far as can be told without doing it.
Result<> could_bind_unix(const std::string& path, int type);

/// Removes the file if it is still the one with this inode.
void remove_unix(const std::string& path, uint64_t inode);

}  // namespace sluice::master
