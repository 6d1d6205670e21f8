#include "master/unix_socket.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "common/base/log.h"

namespace sluice::master {
namespace {

sockaddr_un address_of(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  return address;
}

/// Whether somebody listens on the path.
bool is_alive(const std::string& path, int type) {
  const UniqueFd probe(::socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const auto address = address_of(path);
  if (::connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0)
    return true;
  return errno != ECONNREFUSED && errno != ENOENT;  // EAGAIN: a full queue is a live one
}

/// An error if what is there belongs to somebody.
Result<> check_way(const std::string& path, int type) {
  if (path.size() >= sizeof(sockaddr_un::sun_path))
    return fail(Errc::config, "listen on " + path + ": longer than a Unix socket's path may be");
  struct stat st {};
  if (::lstat(path.c_str(), &st) != 0) return {};
  if (!S_ISSOCK(st.st_mode))
    return fail(Errc::config, "listen on " + path + ": the file exists and is no socket");
  if (is_alive(path, type))
    return fail(Errc::config, "listen on " + path + ": Address already in use");
  return {};
}

Result<> make_way(const std::string& path, int type) {
  SLUICE_TRY(check_way(path, type));
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) return fail_errno("replace " + path);
  return {};
}

/// Of the file or the directory; "/" at least.
std::string directory_of(const std::string& path) {
  const auto slash = path.rfind('/');
  return slash == 0 || slash == std::string::npos ? "/" : path.substr(0, slash);
}

/// Usually it is there. What is wrong with it bind() tells.
void make_directory_of(const std::string& path) {
  const auto directory = directory_of(path);
  if (::mkdir(directory.c_str(), 0755) != 0) return;
  ::chmod(directory.c_str(), 0755);  // whatever the umask is: applications have to get in
  log::notice("listener", "the directory of a socket was made", log::kv("directory", directory));
}

}  // namespace

Result<UnixSocket> bind_unix(const std::string& path, int type, uint32_t mode) {
  make_directory_of(path);
  SLUICE_TRY(make_way(path, type));
  UnixSocket out;
  out.fd.reset(::socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!out.fd) return fail_errno("socket");
  const auto address = address_of(path);
  const mode_t old_mask = ::umask(0777);  // nobody gets in before the mode is right
  const int bound =
      ::bind(out.fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
  const int saved = errno;
  ::umask(old_mask);
  errno = saved;
  if (bound != 0) return fail_errno("listen on " + path);
  struct stat st {};
  if (::chmod(path.c_str(), mode) != 0 || ::stat(path.c_str(), &st) != 0 ||
      ::listen(out.fd.get(), 1024) != 0)
    return fail_errno("listen on " + path);
  out.inode = st.st_ino;
  return out;
}

Result<> could_bind_unix(const std::string& path, int type) {
  SLUICE_TRY(check_way(path, type));
  auto directory = directory_of(path);
  if (::access(directory.c_str(), F_OK) != 0) directory = directory_of(directory);
  if (::access(directory.c_str(), W_OK | X_OK) != 0) return fail_errno("listen on " + path);
  return {};
}

void remove_unix(const std::string& path, uint64_t inode) {
  struct stat st {};
  if (::lstat(path.c_str(), &st) == 0 && S_ISSOCK(st.st_mode) && st.st_ino == inode)
    ::unlink(path.c_str());
}

}  // namespace sluice::master
