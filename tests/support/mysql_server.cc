#include "tests/support/mysql_server.h"

#include <fmt/format.h>

#include "tests/support/server_template.h"
#include "tests/support/test_error.h"

namespace sluice::test {
namespace {

/// As small as in MariadbServer. What a commit wrote is with the kernel, so it outlives kill -9.
constexpr const char* kFixedArgs[] = {
    "--gtid-mode=ON",
    "--enforce-gtid-consistency=ON",
    "--log-bin=binlog",
    "--sync-binlog=0",
    "--replica-net-timeout=10",
    "--max-connections=1000",
    "--performance-schema=0",
    "--mysqlx=OFF",
    "--secure-file-priv=NULL",  // Debian's directory is not there
    "--innodb-buffer-pool-size=16M",
    "--innodb-flush-log-at-trx-commit=2",
    "--innodb-buffer-pool-dump-at-shutdown=0",
    "--innodb-buffer-pool-load-at-startup=0",
};

/// The same for the template and for every server that starts from a copy of it.
constexpr const char* kStorageArgs[] = {"--innodb-doublewrite=0", "--innodb-redo-log-capacity=32M",
                                        "--innodb-autoextend-increment=1"};

constexpr std::string_view kAccounts = R"sql(
CREATE DATABASE test;
CREATE USER sluice@'%' IDENTIFIED BY 'sluice-secret';
GRANT SELECT ON mysql.* TO sluice@'%';
GRANT REPLICATION CLIENT ON *.* TO sluice@'%';
CREATE USER repl@'%' IDENTIFIED BY 'repl-secret';
GRANT REPLICATION SLAVE ON *.* TO repl@'%';
CREATE USER app@'%' IDENTIFIED BY 'app-secret';
GRANT ALL ON test.* TO app@'%';
)sql";

const FetchedServer& fetched(MysqlRelease release) {
  static const FetchedServer v9("mysql"), v8_4("mysql-8.4"), v8_0("mysql-8.0");
  return release == MysqlRelease::V9 ? v9 : release == MysqlRelease::V8_4 ? v8_4 : v8_0;
}

std::vector<std::string> command(MysqlRelease release) {
  const auto& root = fetched(release);
  std::vector<std::string> argv{root / "usr/sbin/mysqld", "--no-defaults",
                                "--basedir=" + root / "usr"};
  argv.insert(argv.end(), std::begin(kStorageArgs), std::end(kStorageArgs));
  return argv;
}

void install(MysqlRelease release, const std::filesystem::path& directory) {
  const auto accounts = directory / "accounts.sql";
  write_file(accounts, kAccounts);
  auto argv = command(release);
  argv.push_back("--initialize-insecure");
  argv.push_back(fmt::format("--datadir={}", (directory / "data").string()));
  argv.push_back(fmt::format("--init-file={}", accounts.string()));
  const auto log = (directory / "install.log").string();
  Process installer({.argv = std::move(argv), .output = log, .account = server_account()});
  if (installer.wait(120s) != 0)
    throw TestError(fmt::format("mysqld --initialize:\n{}", tail(read_file(log), 20)));
  std::filesystem::remove(directory / "data" / "auto.cnf");  // every copy gets a UUID of its own
}

}  // namespace

MysqlServer::MysqlServer(ServerOptions options, Start start, MysqlRelease release)
    : DatabaseServer(std::move(options)), release_(release) {
  if (const auto can = available(release); !can) throw TestError(can.error());
  copy_template(
      fetched(release).name(),
      [&](const std::filesystem::path& directory) { install(release, directory); },
      data_directory());
  begin(start);
}

Available MysqlServer::available(MysqlRelease release) {
  return fetched(release).available();
}

CommandResult MysqlServer::run_client(std::vector<std::string> args, Milliseconds deadline) {
  args.insert(args.begin(), {fetched(MysqlRelease::V9) / "usr/bin/mysql", "--no-defaults"});
  return run_command(args, deadline);
}

std::string MysqlServer::replica_status(std::string_view column) {
  return column_of("SHOW REPLICA STATUS", column);
}

void MysqlServer::replicate_from(const DatabaseServer& primary) {
  exec(
      fmt::format("STOP REPLICA; CHANGE REPLICATION SOURCE TO SOURCE_HOST = '127.0.0.1', "
                  "SOURCE_PORT = {}, SOURCE_USER = 'repl', SOURCE_PASSWORD = 'repl-secret', "
                  "SOURCE_AUTO_POSITION = 1, GET_SOURCE_PUBLIC_KEY = 1, SOURCE_CONNECT_RETRY = 1; "
                  "START REPLICA",
                  primary.port()));
  const auto both_run = [&] {
    return replica_status("Replica_IO_Running") == "Yes" &&
           replica_status("Replica_SQL_Running") == "Yes";
  };
  if (!eventually(20s, both_run))
    throw TestError(fmt::format("{} does not follow {}: {} {}", name(), primary.name(),
                                replica_status("Last_IO_Error"), replica_status("Last_SQL_Error")));
}

void MysqlServer::catch_up_with(DatabaseServer& primary, Milliseconds deadline) {
  const auto position = primary.value("SELECT @@gtid_executed");
  const auto seconds = static_cast<double>(deadline.count()) / 1000;
  if (value(fmt::format("SELECT WAIT_FOR_EXECUTED_GTID_SET('{}', {})", position, seconds)) != "0")
    throw TestError(fmt::format("{} did not reach {} of {}: {}", name(), position, primary.name(),
                                replica_status("Last_SQL_Error")));
}

std::vector<std::string> MysqlServer::program() const {
  auto argv = command(release_);
  argv.insert(argv.end(), std::begin(kFixedArgs), std::end(kFixedArgs));
  return argv;
}

}  // namespace sluice::test
