#include "tests/support/mariadb_server.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <filesystem>

#include "tests/support/free_port.h"
#include "tests/support/mariadb_template.h"
#include "tests/support/test_error.h"

namespace sluice::test {
namespace {

/// Small and quick to start. What a commit wrote is with the kernel, so it outlives kill -9.
constexpr const char* kFixedArgs[] = {
    "--no-defaults",
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

uint32_t next_server_id() {
  static std::atomic<uint32_t> last{0};
  return ++last;
}

}  // namespace

MariadbServer::MariadbServer(MariadbOptions options, Start start)
    : options_(std::move(options)), port_(free_port()) {
  if (options_.server_id == 0) options_.server_id = next_server_id();
  give_to_mariadb(dir_.path());
  copy_template_datadir(dir_ / "data");
  if (start != Start::Stopped) launch();
  if (start == Start::Ready) wait_ready();
}

MariadbServer::~MariadbServer() = default;  // ~Process kills; nobody reads the data again

std::string MariadbServer::address() const {
  return fmt::format("{}:{}", options_.host, port_);
}

ClientOptions MariadbServer::endpoint(std::string user, std::string password) const {
  ClientOptions options;
  options.host = options_.host;
  options.port = port_;
  options.user = std::move(user);
  options.password = std::move(password);
  return options;
}

Client& MariadbServer::root() {
  if (!root_) {
    ClientOptions options;
    options.socket = socket_path();
    options.user = "root";
    options.password = {};
    root_ = std::make_unique<Client>(options);
  }
  return *root_;
}

std::string MariadbServer::replica_status(std::string_view column) {
  MYSQL* handle = root().handle();
  if (::mysql_query(handle, "SHOW SLAVE STATUS") != 0) throw TestError(::mysql_error(handle));
  MYSQL_RES* result = ::mysql_store_result(handle);
  std::string found;
  const MYSQL_ROW row = ::mysql_fetch_row(result);
  const MYSQL_FIELD* fields = ::mysql_fetch_fields(result);
  for (unsigned i = 0; row != nullptr && i < ::mysql_num_fields(result); ++i)
    if (column == fields[i].name && row[i] != nullptr) found = row[i];
  ::mysql_free_result(result);
  return found;
}

void MariadbServer::set_read_only(bool on) {
  exec(fmt::format("SET GLOBAL read_only = {}", on ? 1 : 0));
}

void MariadbServer::replicate_from(const MariadbServer& primary) {
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

void MariadbServer::catch_up_with(MariadbServer& primary, Milliseconds deadline) {
  const auto position = primary.value("SELECT @@gtid_binlog_pos");
  const auto seconds = static_cast<double>(deadline.count()) / 1000;
  if (value(fmt::format("SELECT MASTER_GTID_WAIT('{}', {})", position, seconds)) != "0")
    throw TestError(fmt::format("{} did not reach {} of {}: {}", name(), position, primary.name(),
                                replica_status("Last_SQL_Error")));
}

std::vector<std::string> MariadbServer::arguments() const {
  std::vector<std::string> args{"mariadbd"};
  args.insert(args.end(), std::begin(kFixedArgs), std::end(kFixedArgs));
  args.insert(args.end(), mariadb_storage_args().begin(), mariadb_storage_args().end());
  args.push_back(fmt::format("--datadir={}", dir_ / "data"));
  args.push_back(fmt::format("--tmpdir={}", dir_.path().string()));
  args.push_back(fmt::format("--socket={}", socket_path()));
  args.push_back(fmt::format("--pid-file={}", dir_ / "pid"));
  args.push_back(fmt::format("--port={}", port_));
  args.push_back(fmt::format("--bind-address={}", options_.bind_address));
  args.push_back(fmt::format("--server-id={}", options_.server_id));
  args.insert(args.end(), options_.extra_args.begin(), options_.extra_args.end());
  return args;
}

void MariadbServer::launch(const std::vector<std::string>& once) {
  root_.reset();
  auto argv = arguments();
  argv.insert(argv.end(), once.begin(), once.end());
  process_ = Process({.argv = std::move(argv),
                      .output = dir_ / "error.log",
                      .account = mariadb_account(),
                      .environment = options_.environment});
}

void MariadbServer::wait_ready(Milliseconds deadline) {
  ClientOptions options = endpoint("root", "");
  options.socket = socket_path();
  bool ended = false;
  const bool done = eventually(deadline, [&] {
    ended = !process_.running();
    return ended || Client::connect(options).has_value();
  });
  if (!done || ended)
    throw TestError(fmt::format("server {} {}:\n{}", name(), ended ? "ended" : "is not ready",
                                tail(log(), 30)));
}

int MariadbServer::stop(Milliseconds deadline) {
  root_.reset();
  return process_.terminate(deadline);
}

void MariadbServer::kill9() {
  process_.kill9();
  root_.reset();
}

void MariadbServer::lose_data() {
  for (const auto& entry : std::filesystem::directory_iterator(dir_ / "data"))
    std::filesystem::remove_all(entry);
}

}  // namespace sluice::test
