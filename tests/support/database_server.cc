#include "tests/support/database_server.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <filesystem>

#include "tests/support/free_port.h"
#include "tests/support/server_template.h"
#include "tests/support/test_error.h"

namespace sluice::test {
namespace {

uint32_t next_server_id() {
  static std::atomic<uint32_t> last{0};
  return ++last;
}

}  // namespace

DatabaseServer::DatabaseServer(ServerOptions options)
    : options_(std::move(options)), port_(free_port()) {
  if (options_.server_id == 0) options_.server_id = next_server_id();
  give_to_server(dir_.path());
}

DatabaseServer::~DatabaseServer() = default;  // ~Process kills; nobody reads the data again

void DatabaseServer::begin(Start start) {
  if (start != Start::Stopped) launch();
  if (start == Start::Ready) wait_ready();
}

std::string DatabaseServer::address() const {
  return fmt::format("{}:{}", options_.host, port_);
}

ClientOptions DatabaseServer::endpoint(std::string user, std::string password) const {
  ClientOptions options;
  options.host = options_.host;
  options.port = port_;
  options.user = std::move(user);
  options.password = std::move(password);
  return options;
}

Client& DatabaseServer::root() {
  if (!root_) {
    ClientOptions options;
    options.socket = socket_path();
    options.user = "root";
    options.password = {};
    root_ = std::make_unique<Client>(options);
  }
  return *root_;
}

void DatabaseServer::set_read_only(bool on) {
  exec(fmt::format("SET GLOBAL read_only = {}", on ? 1 : 0));
}

std::string DatabaseServer::column_of(std::string_view sql, std::string_view column) {
  MYSQL* handle = root().handle();
  if (::mysql_real_query(handle, sql.data(), sql.size()) != 0)
    throw TestError(::mysql_error(handle));
  MYSQL_RES* result = ::mysql_store_result(handle);
  std::string found;
  const MYSQL_ROW row = ::mysql_fetch_row(result);
  const MYSQL_FIELD* fields = ::mysql_fetch_fields(result);
  for (unsigned i = 0; row != nullptr && i < ::mysql_num_fields(result); ++i)
    if (column == fields[i].name && row[i] != nullptr) found = row[i];
  ::mysql_free_result(result);
  return found;
}

void DatabaseServer::launch(const std::vector<std::string>& once) {
  root_.reset();
  auto argv = program();
  argv.push_back(fmt::format("--datadir={}", data_directory()));
  argv.push_back(fmt::format("--tmpdir={}", dir_.path().string()));
  argv.push_back(fmt::format("--socket={}", socket_path()));
  argv.push_back(fmt::format("--pid-file={}", dir_ / "pid"));
  argv.push_back(fmt::format("--port={}", port_));
  argv.push_back(fmt::format("--bind-address={}", options_.bind_address));
  argv.push_back(fmt::format("--server-id={}", options_.server_id));
  argv.insert(argv.end(), options_.extra_args.begin(), options_.extra_args.end());
  argv.insert(argv.end(), once.begin(), once.end());
  process_ = Process({.argv = std::move(argv),
                      .output = dir_ / "error.log",
                      .account = server_account(),
                      .environment = options_.environment,
                      .mounts = options_.mounts});
}

void DatabaseServer::wait_ready(Milliseconds deadline) {
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

int DatabaseServer::stop(Milliseconds deadline) {
  root_.reset();
  return process_.terminate(deadline);
}

void DatabaseServer::kill9() {
  process_.kill9();
  root_.reset();
}

void DatabaseServer::lose_data() {
  for (const auto& entry : std::filesystem::directory_iterator(data_directory()))
    std::filesystem::remove_all(entry);
}

}  // namespace sluice::test
