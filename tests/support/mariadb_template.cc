#include "tests/support/mariadb_template.h"

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

/// Run by the installer after the system tables exist; `sluice` holds what the manual tells an
/// administrator to grant to the watching account.
constexpr std::string_view kAccounts = R"sql(
DELETE FROM mysql.global_priv WHERE User = '' OR (User = 'root' AND Host <> 'localhost');
DELETE FROM mysql.db;
FLUSH PRIVILEGES;
CREATE DATABASE IF NOT EXISTS test;
CREATE USER sluice@'%' IDENTIFIED BY 'sluice-secret';
CREATE USER sluice@localhost IDENTIFIED BY 'sluice-secret';
GRANT SELECT, PROCESS, RELOAD, SHOW DATABASES, BINLOG MONITOR, SLAVE MONITOR ON *.* TO sluice@'%';
GRANT SELECT, PROCESS, RELOAD, SHOW DATABASES, BINLOG MONITOR, SLAVE MONITOR ON *.*
  TO sluice@localhost;
CREATE USER repl@'%' IDENTIFIED BY 'repl-secret', repl@localhost IDENTIFIED BY 'repl-secret';
GRANT REPLICATION SLAVE ON *.* TO repl@'%';
GRANT REPLICATION SLAVE ON *.* TO repl@localhost;
CREATE USER app@'%' IDENTIFIED BY 'app-secret', app@localhost IDENTIFIED BY 'app-secret';
GRANT ALL ON test.* TO app@'%';
GRANT ALL ON test.* TO app@localhost;
)sql";

void install(const fs::path& directory) {
  const auto accounts = directory / "accounts.sql";
  write_file(accounts, kAccounts);
  give_to_mariadb(directory);
  std::vector<std::string> argv{"mariadb-install-db",
                                "--no-defaults",
                                fmt::format("--datadir={}", (directory / "data").string()),
                                "--auth-root-authentication-method=normal",
                                "--skip-test-db",
                                "--skip-name-resolve",
                                fmt::format("--tmpdir={}", directory.string()),
                                fmt::format("--extra-file={}", accounts.string())};
  if (mariadb_account()) argv.push_back("--user=mysql");
  for (const auto& option : mariadb_storage_args()) argv.push_back(option);
  const auto result = run_command(argv, 120s);
  if (result.exit_code != 0)
    throw TestError(fmt::format("mariadb-install-db: {}{}", result.out, result.err));
}

/// $SLUICE_TEST_CACHE, or a directory of this process.
const fs::path& cache_directory() {
  if (const char* shared = ::getenv("SLUICE_TEST_CACHE"); shared && *shared) {
    static const fs::path named(shared);
    return named;
  }
  static const TempDir own;
  return own.path();
}

/// The directory that holds the template, installed whole. Shared by all processes of a run when
/// tests/run names one; a lock lets the first process make it while the others wait.
fs::path installed_template() {
  const fs::path root = cache_directory();
  const auto lock_path = (root / "mariadb.lock").string();
  const UniqueFd lock(::open(lock_path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644));
  if (!lock || ::flock(lock.get(), LOCK_EX) != 0)
    throw TestError(fmt::format("lock {}: {}", lock_path, ::strerror(errno)));
  const auto directory = root / "mariadb";
  const auto done = root / "mariadb.done";
  if (!fs::exists(done)) {
    fs::remove_all(directory);
    fs::create_directories(directory);
    install(directory);
    write_file(done, "");
  }
  return directory / "data";
}

}  // namespace

std::optional<Account> mariadb_account() {
  if (::geteuid() != 0) return std::nullopt;
  const auto account = find_account("mysql");
  if (!account) throw TestError("there is no user mysql; is mariadb-server installed?");
  return account;
}

const std::vector<std::string>& mariadb_storage_args() {
  static const std::vector<std::string> args{
      "--innodb-log-file-size=4M", "--innodb-undo-tablespaces=0",
      "--innodb-data-file-path=ibdata1:5M:autoextend",
      "--innodb-temp-data-file-path=ibtmp1:4M:autoextend", "--aria-log-file-size=8M"};
  return args;
}

void copy_template_datadir(const fs::path& datadir) {
  static const fs::path source = installed_template();
  const auto result = run_command(
      {"cp", "-a", "--reflink=auto", "--sparse=auto", source.string(), datadir.string()});
  if (result.exit_code != 0) throw TestError("copy of the template: " + result.err);
}

void give_to_mariadb(const fs::path& path) {
  const auto account = mariadb_account();
  if (account && ::chown(path.c_str(), account->uid, account->gid) != 0)
    throw TestError(fmt::format("chown {}: {}", path.string(), ::strerror(errno)));
}

}  // namespace sluice::test
