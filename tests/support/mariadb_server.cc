#include "tests/support/mariadb_server.h"

#include <fmt/format.h>

#include "tests/support/server_template.h"
#include "tests/support/test_error.h"

namespace sluice::test {
namespace {

/// Small and quick to start. What a commit wrote is with the kernel, so it outlives kill -9.
constexpr const char* kFixedArgs[] = {
    "--log-bin=binlog",
    "--log-slave-updates=1",
    "--gtid-strict-mode=0",
    "--sync-binlog=0",
    "--slave-net-timeout=10",
    "--max-connections=1000",
    "--performance-schema=0",
    "--key-buffer-size=1M",
    "--aria-pagecache-buffer-size=1M",
    "--innodb-buffer-pool-size=16M",
    "--innodb-flush-log-at-trx-commit=2",
    "--innodb-doublewrite=0",
    "--innodb-buffer-pool-dump-at-shutdown=0",
    "--innodb-buffer-pool-load-at-startup=0",
};

/// Options that decide how the files in a data directory look: the same for the template and for
/// every server that starts from a copy of it.
constexpr const char* kStorageArgs[] = {"--innodb-log-file-size=4M", "--innodb-undo-tablespaces=0",
                                        "--innodb-data-file-path=ibdata1:5M:autoextend",
                                        "--innodb-temp-data-file-path=ibtmp1:4M:autoextend",
                                        "--aria-log-file-size=8M"};

/// Run in a bootstrap after the system tables exist, so these first have to be looked at; `sluice`
/// holds what the manual tells an administrator to grant to the watching account.
constexpr std::string_view kAccounts = R"sql(
FLUSH PRIVILEGES;
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

const FetchedServer& fetched(MariadbRelease release) {
  static const FetchedServer newer("mariadb"), older("mariadb-10.5");
  return release == MariadbRelease::Newer ? newer : older;
}

const char* template_name(MariadbRelease release) {
  switch (release) {
    case MariadbRelease::Installed:
      return "mariadb";
    case MariadbRelease::Newer:
      return "mariadb-newer";
    case MariadbRelease::Older:
      return "mariadb-older";
  }
  return "";
}

/// `program` and where it finds the rest of itself.
std::vector<std::string> command(MariadbRelease release, const std::string& program) {
  if (release == MariadbRelease::Installed)
    return {program.substr(program.rfind('/') + 1), "--no-defaults"};
  const auto& root = fetched(release);
  return {root / program, "--no-defaults", "--basedir=" + root / "usr"};
}

void run(std::vector<std::string> argv, const std::filesystem::path& directory,
         std::string_view input) {
  argv.push_back(fmt::format("--datadir={}", (directory / "data").string()));
  argv.push_back(fmt::format("--tmpdir={}", directory.string()));
  if (server_account()) argv.push_back("--user=mysql");
  argv.insert(argv.end(), std::begin(kStorageArgs), std::end(kStorageArgs));
  const auto result = run_command(argv, 120s, input);
  if (result.exit_code != 0)
    throw TestError(fmt::format("{}: {}{}", argv[0], result.out, result.err));
}

/// The installer of 10.5 takes no SQL, so the accounts come as a bootstrap of their own.
void install(MariadbRelease release, const std::filesystem::path& directory) {
  auto installer = command(release, "usr/bin/mariadb-install-db");
  for (const char* option :
       {"--auth-root-authentication-method=normal", "--skip-test-db", "--skip-name-resolve"})
    installer.emplace_back(option);
  run(std::move(installer), directory, "");
  auto bootstrap = command(release, "usr/sbin/mariadbd");
  bootstrap.emplace_back("--bootstrap");
  run(std::move(bootstrap), directory, kAccounts);
}

}  // namespace

MariadbServer::MariadbServer(MariadbOptions options, Start start, MariadbRelease release)
    : DatabaseServer(std::move(options)), release_(release) {
  if (const auto can = available(release); !can) throw TestError(can.error());
  copy_template(
      template_name(release),
      [&](const std::filesystem::path& directory) { install(release, directory); },
      data_directory());
  begin(start);
}

Available MariadbServer::available(MariadbRelease release) {
  if (release == MariadbRelease::Installed) return {};
  return fetched(release).available();
}

CommandResult MariadbServer::run_newer_client(std::vector<std::string> args,
                                              Milliseconds deadline) {
  const auto& newer = fetched(MariadbRelease::Newer);
  args.insert(args.begin(), {newer / "usr/bin/mariadb", "--no-defaults",
                             "--plugin-dir=" + newer.library("libmariadb3/plugin")});
  return run_command(args, deadline);
}

std::string MariadbServer::replica_status(std::string_view column) {
  return column_of("SHOW SLAVE STATUS", column);
}

void MariadbServer::replicate_from(const DatabaseServer& primary) {
  exec(
      fmt::format("STOP SLAVE; CHANGE MASTER TO master_host = '127.0.0.1', master_port = {}, "
                  "master_user = 'repl', master_password = 'repl-secret', "
                  "master_use_gtid = slave_pos, master_connect_retry = 1; START SLAVE",
                  primary.port()));
  const auto both_run = [&] {
    return replica_status("Slave_IO_Running") == "Yes" &&
           replica_status("Slave_SQL_Running") == "Yes";
  };
  if (!eventually(20s, both_run))
    throw TestError(fmt::format("{} does not follow {}: {} {}", name(), primary.name(),
                                replica_status("Last_IO_Error"), replica_status("Last_SQL_Error")));
}

void MariadbServer::catch_up_with(DatabaseServer& primary, Milliseconds deadline) {
  const auto position = primary.value("SELECT @@gtid_binlog_pos");
  const auto seconds = static_cast<double>(deadline.count()) / 1000;
  if (value(fmt::format("SELECT MASTER_GTID_WAIT('{}', {})", position, seconds)) != "0")
    throw TestError(fmt::format("{} did not reach {} of {}: {}", name(), position, primary.name(),
                                replica_status("Last_SQL_Error")));
}

std::vector<std::string> MariadbServer::program() const {
  auto argv = command(release_, "usr/sbin/mariadbd");
  argv.insert(argv.end(), std::begin(kFixedArgs), std::end(kFixedArgs));
  argv.insert(argv.end(), std::begin(kStorageArgs), std::end(kStorageArgs));
  return argv;
}

}  // namespace sluice::test
