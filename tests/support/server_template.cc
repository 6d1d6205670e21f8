#include "tests/support/server_template.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "common/base/unique_fd.h"
#include "tests/support/temp_dir.h"
#include "tests/support/test_error.h"

namespace sluice::test {
namespace {

namespace fs = std::filesystem;

/// $SLUICE_TEST_CACHE, or a directory of this process.
const fs::path& run_directory() {
  if (const char* shared = ::getenv("SLUICE_TEST_CACHE"); shared && *shared) {
    static const fs::path named(shared);
    return named;
  }
  static const TempDir own;
  return own.path();
}

/// The directory of a template, installed whole: a lock lets the first process make it while the
/// others wait.
fs::path installed_template(const std::string& name,
                            const std::function<void(const fs::path&)>& install) {
  const auto lock_path = (run_directory() / (name + ".lock")).string();
  const UniqueFd lock(::open(lock_path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644));
  if (!lock || ::flock(lock.get(), LOCK_EX) != 0)
    throw TestError(fmt::format("lock {}: {}", lock_path, ::strerror(errno)));
  const auto directory = run_directory() / name;
  const auto done = run_directory() / (name + ".done");
  if (!fs::exists(done)) {
    fs::remove_all(directory);
    fs::create_directories(directory);
    give_to_server(directory);
    install(directory);
    write_file(done, "");
  }
  return directory / "data";
}

}  // namespace

std::optional<Account> server_account() {
  if (::geteuid() != 0) return std::nullopt;
  const auto account = find_account("mysql");
  if (!account) throw TestError("there is no user mysql; is mariadb-server installed?");
  return account;
}

void give_to_server(const fs::path& path) {
  const auto account = server_account();
  if (account && ::chown(path.c_str(), account->uid, account->gid) != 0)
    throw TestError(fmt::format("chown {}: {}", path.string(), ::strerror(errno)));
}

void copy_template(const std::string& name, const std::function<void(const fs::path&)>& install,
                   const fs::path& datadir) {
  const auto source = installed_template(name, install);
  const auto result = run_command(
      {"cp", "-a", "--reflink=auto", "--sparse=auto", source.string(), datadir.string()});
  if (result.exit_code != 0) throw TestError("copy of the template: " + result.err);
}

}  // namespace sluice::test
