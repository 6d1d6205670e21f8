#include "monitor/connection.h"

#include <fmt/format.h>
#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <utility>

#include "common/base/log.h"
#include "common/proxy_protocol/header.h"
#include "monitor/tls.h"

// As in <mysql/client_plugin.h>, which includes a header that Debian's libmariadb-dev does not
// have.
extern "C" struct st_mysql_client_plugin* mysql_load_plugin(MYSQL*, const char* name, int type,
                                                            int argc, ...);

namespace sluice::monitor {
namespace {

constexpr int kAuthenticationPlugin = 2;  // MYSQL_CLIENT_AUTHENTICATION_PLUGIN
constexpr unsigned kMinAnswerSeconds =
    3;  // beyond that a connection is given up; lateness shows earlier

// The server's errors (mysqld_error.h of MySQL 8 and of MariaDB) that mean "not you".
constexpr unsigned kDenied[] = {1044, 1045, 1130, 1227, 1251, 1275, 1698,
                                1820, 1862, 2059, 3118, 3955, 4151};

const char* or_null(const std::string& text) {
  return text.empty() ? nullptr : text.c_str();
}

unsigned connect_seconds(const config::Server& server) {
  return std::max(1u, (server.connect_timeout_ms + 999) / 1000);
}

void set_options(MYSQL* handle, const config::Cluster& cluster, const config::Server& server) {
  const unsigned connect = connect_seconds(server);
  const unsigned answer = std::max(kMinAnswerSeconds, (2 * cluster.interval_ms + 999) / 1000);
  ::mysql_options(handle, MYSQL_OPT_CONNECT_TIMEOUT, &connect);
  ::mysql_options(handle, MYSQL_OPT_READ_TIMEOUT, &answer);
  ::mysql_options(handle, MYSQL_OPT_WRITE_TIMEOUT, &answer);
  const unsigned no = 0;  // a hostile server must not read our files
  ::mysql_options(handle, MYSQL_OPT_LOCAL_INFILE, &no);
  ::mysql_options(handle, MYSQL_SET_CHARSET_NAME, "utf8mb4");
  ::mysql_options4(handle, MYSQL_OPT_CONNECT_ATTR_ADD, "program_name", "sluice-monitor");
}

/// Set while a connection is opened on which a PROXY header has to come first.
thread_local bool header_due = false;

/// Waits, with errno set where there is nothing to wait for any more: libmariadb itself forgets why
/// a connection did not come about (pvio_socket.c, pvio_socket_internal_connect()).
int wait_ready(int fd, short events, int timeout_ms) {
  pollfd ready{.fd = fd, .events = events, .revents = 0};
  int result = 0;
  do {
    result = ::poll(&ready, 1, timeout_ms);
  } while (result < 0 && errno == EINTR);
  if (result == 0) errno = ETIMEDOUT;
  if (result < 1 || events != POLLOUT || !(ready.revents & POLLERR)) return result;
  int error = 0;
  socklen_t size = sizeof error;
  if (::getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0 || error == 0) return result;
  errno = error;
  return -1;
}

/// libmariadb waits for readiness by this, first of all for the connection itself. Its own way of
/// sending a header (MARIADB_OPT_PROXY_HEADER) waits for the greeting, and so does who wants one.
int wait_and_announce(my_socket fd, my_bool is_read, int timeout_ms) {
  const bool writes = !is_read || header_due;
  const int result = wait_ready(fd, writes ? POLLOUT : POLLIN, timeout_ms);
  if (result < 1 || !std::exchange(header_due, false)) return result;
  const auto header = proxy_protocol::encode_local();
  ::send(fd, header.data(), header.size(), MSG_NOSIGNAL);  // where that fails the next read says so
  return is_read ? wait_and_announce(fd, is_read, timeout_ms) : result;
}

/// What the library leaves in brackets: "Can't connect to server on '10.0.0.1' (115)".
std::optional<int> errno_in(std::string_view text) {
  const auto open = text.rfind('(');
  if (open == std::string_view::npos || !text.ends_with(')')) return std::nullopt;
  int number = 0;
  const char* end = text.data() + text.size() - 1;
  const auto [rest, code] = std::from_chars(text.data() + open + 1, end, number);
  if (code != std::errc() || rest != end) return std::nullopt;
  return number;
}

/// Errors that a server answers with, or none at all, which takes a PROXY header for something
/// else.
bool may_be_for_the_header(const SqlError& error) {
  constexpr unsigned kCauses[] = {1043, 1130, 1156, 1158, 2006, 2012, 2013, 2027};
  return std::ranges::count(kCauses, error.number) > 0;
}

/// The library's words, with what an operator needs to know beside them.
SqlError explained(SqlError error, const config::Server& server) {
  constexpr unsigned kNoConnection[] = {2002, 2003};
  if (std::ranges::count(kNoConnection, error.number) > 0) {
    const auto cause = errno_in(error.text);
    if (cause == ETIMEDOUT)
      error.text = fmt::format("can't connect to {}: no answer within {} s", server.address.text(),
                               connect_seconds(server));
    else if (cause)
      error.text =
          fmt::format("can't connect to {}: {}", server.address.text(), std::strerror(*cause));
  } else if (server.proxy_protocol && may_be_for_the_header(error)) {
    error.text +=
        "; it is sent a PROXY header (proxy_protocol = true): is sluice among its "
        "proxy_protocol_networks?";
  }
  return error;
}

/// A handle whose options are set; null if there is no memory.
MYSQL* make_handle(const config::Cluster& cluster, const config::Server& server,
                   const cluster::Address& address, const ConnectionTls& tls) {
  MYSQL* handle = ::mysql_init(nullptr);
  if (handle == nullptr) return nullptr;
  set_options(handle, cluster, server);
  tls.apply(handle);
  header_due = server.proxy_protocol;
  ::mysql_optionsv(handle, MARIADB_OPT_IO_WAIT, &wait_and_announce);
  const unsigned protocol = address.path.empty() ? MYSQL_PROTOCOL_TCP : MYSQL_PROTOCOL_SOCKET;
  ::mysql_options(handle, MYSQL_OPT_PROTOCOL, &protocol);
  return handle;
}

}  // namespace

const std::optional<std::string>* ResultSet::cell(std::size_t row, std::string_view column) const {
  const auto it = std::ranges::find(columns, column);
  if (it == columns.end() || row >= rows.size()) return nullptr;
  return &rows[row][static_cast<std::size_t>(it - columns.begin())];
}

std::string ResultSet::text(std::size_t row, std::string_view column) const {
  const auto* value = cell(row, column);
  return value && *value ? **value : std::string();
}

std::optional<uint64_t> ResultSet::number(std::size_t row, std::string_view column) const {
  const auto value = text(row, column);
  uint64_t out = 0;
  const auto [end, code] = std::from_chars(value.data(), value.data() + value.size(), out);
  if (value.empty() || code != std::errc() || end != value.data() + value.size())
    return std::nullopt;
  return out;
}

bool SqlError::denied() const {
  return std::ranges::count(kDenied, number) > 0;
}

SqlError Connection::error() const {
  return {::mysql_errno(handle_.get()), ::mysql_error(handle_.get())};
}

SqlResult<Connection> Connection::open(const config::Cluster& cluster, const config::Server& server,
                                       const cluster::Address& address) {
  const auto tls = ConnectionTls::make(server);
  if (!tls) return tl::unexpected(SqlError{2026, tls.error().message});
  Connection connection(make_handle(cluster, server, address, *tls));
  if (!connection.handle_) return tl::unexpected(SqlError{2008, "no memory for a connection"});
  if (::mysql_real_connect(connection.handle_.get(), or_null(address.ip), cluster.user.c_str(),
                           cluster.password.reveal().c_str(), nullptr, address.port,
                           or_null(address.path), 0) == nullptr)
    return tl::unexpected(explained(connection.error(), server));
  return connection;
}

SqlResult<ResultSet> Connection::query(std::string_view sql) {
  MYSQL* handle = handle_.get();
  if (::mysql_real_query(handle, sql.data(), sql.size()) != 0) return tl::unexpected(error());
  ResultSet out;
  const std::unique_ptr<MYSQL_RES, decltype([](MYSQL_RES* r) { ::mysql_free_result(r); })> result(
      ::mysql_store_result(handle));
  if (!result) {
    if (::mysql_errno(handle) != 0) return tl::unexpected(error());
    return out;
  }
  const unsigned columns = ::mysql_num_fields(result.get());
  const MYSQL_FIELD* fields = ::mysql_fetch_fields(result.get());
  for (unsigned i = 0; i < columns; ++i) out.columns.emplace_back(fields[i].name);
  while (MYSQL_ROW row = ::mysql_fetch_row(result.get())) {
    const unsigned long* lengths = ::mysql_fetch_lengths(result.get());
    auto& cells = out.rows.emplace_back(columns);
    for (unsigned i = 0; i < columns; ++i)
      if (row[i] != nullptr) cells[i].emplace(row[i], lengths[i]);
  }
  return out;
}

Greeting Connection::greeting() const {
  // libmariadb keeps what the server sent as it is, but for the prefix of the version.
  MYSQL* handle = handle_.get();
  Greeting greeting;
  std::string_view version = handle->server_version ? handle->server_version : "";
  if (version.starts_with("5.5.5-")) version.remove_prefix(6);
  greeting.version = version;
  greeting.capabilities = handle->server_capabilities & UINT32_MAX;
  greeting.collation = static_cast<uint8_t>(handle->server_language);
  unsigned long extended = 0;
  if (greeting.is_mariadb() &&
      ::mariadb_get_infov(handle, MARIADB_CONNECTION_EXTENDED_SERVER_CAPABILITIES, &extended) == 0)
    greeting.capabilities |= uint64_t{extended & UINT32_MAX} << 32;
  return greeting;
}

std::optional<std::string> Connection::outgoing_ip() const {
  sockaddr_storage storage{};
  socklen_t size = sizeof storage;
  auto* address = reinterpret_cast<sockaddr*>(&storage);
  if (::getsockname(fd(), address, &size) != 0) return std::nullopt;
  if (storage.ss_family == AF_UNIX) return "";
  std::array<char, NI_MAXHOST> text{};
  if (::getnameinfo(address, size, text.data(), text.size(), nullptr, 0, NI_NUMERICHOST) != 0)
    return std::nullopt;
  return text.data();
}

void preload_client_library() {
  ::mysql_library_init(0, nullptr, nullptr);
  MYSQL* handle = ::mysql_init(nullptr);
  for (const char* plugin : {"mysql_native_password", "caching_sha2_password", "client_ed25519",
                             "parsec", "dialog", "mysql_clear_password", "sha256_password"})
    if (::mysql_load_plugin(handle, plugin, kAuthenticationPlugin, 0) == nullptr)
      log::debug("monitor", "client plugin not available", log::kv("plugin", plugin));
  register_tls_gate(handle);
  ::mysql_close(handle);

  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (::getaddrinfo("localhost", "3306", &hints, &found) != 0) return;
  std::array<char, NI_MAXHOST> name{};  // and back: no name service is asked for this one
  ::getnameinfo(found->ai_addr, found->ai_addrlen, name.data(), name.size(), nullptr, 0, 0);
  ::freeaddrinfo(found);
}

}  // namespace sluice::monitor
