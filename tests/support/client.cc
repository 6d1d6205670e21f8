#include "tests/support/client.h"

#include <fmt/format.h>

#include "tests/support/test_error.h"

namespace sluice::test {
namespace {

SqlError error_of(MYSQL* handle) {
  return {::mysql_errno(handle), ::mysql_sqlstate(handle), ::mysql_error(handle)};
}

const char* or_null(const std::string& text) {
  return text.empty() ? nullptr : text.c_str();
}

/// Throws with what was tried and what came back.
[[noreturn]] void fail(std::string_view what, const SqlError& error) {
  throw TestError(fmt::format("{}: {} ({})", what, error.text, error.code));
}

void apply(MYSQL* handle, const ClientOptions& options) {
  const my_bool off = 0;
  const my_bool tls = options.tls ? 1 : 0;
  const unsigned local_infile = 1;
  ::mysql_options(handle, MYSQL_OPT_CONNECT_TIMEOUT, &options.connect_timeout_seconds);
  ::mysql_options(handle, MYSQL_OPT_READ_TIMEOUT, &options.io_timeout_seconds);
  ::mysql_options(handle, MYSQL_OPT_WRITE_TIMEOUT, &options.io_timeout_seconds);
  ::mysql_options(handle, MYSQL_OPT_LOCAL_INFILE, &local_infile);
  ::mysql_options(handle, MYSQL_OPT_RECONNECT, &off);
  if (options.compressed) ::mysql_options(handle, MYSQL_OPT_COMPRESS, nullptr);
  ::mysql_options(handle, MYSQL_OPT_SSL_VERIFY_SERVER_CERT, &off);
  ::mysql_options(handle, MYSQL_OPT_SSL_ENFORCE, &tls);
  if (!options.tls_ca.empty()) ::mysql_options(handle, MYSQL_OPT_SSL_CA, options.tls_ca.c_str());
  if (!options.bind_address.empty())
    ::mysql_options(handle, MYSQL_OPT_BIND, options.bind_address.c_str());
}

/// Fetches one result set whole.
Rows fetch(MYSQL_RES* result) {
  Rows rows;
  const unsigned columns = ::mysql_num_fields(result);
  while (MYSQL_ROW values = ::mysql_fetch_row(result)) {
    const unsigned long* lengths = ::mysql_fetch_lengths(result);
    Row row;
    for (unsigned i = 0; i < columns; ++i)
      row.push_back(values[i] ? std::optional(std::string(values[i], lengths[i])) : std::nullopt);
    rows.push_back(std::move(row));
  }
  return rows;
}

}  // namespace

SqlResult<Client> Client::connect(const ClientOptions& options) {
  // The library's one-time set-up is not safe in two threads at once.
  [[maybe_unused]] static const int library = ::mysql_library_init(0, nullptr, nullptr);
  Client client(::mysql_init(nullptr));
  MYSQL* handle = client.handle();
  apply(handle, options);
  const bool local = !options.socket.empty();
  if (!::mysql_real_connect(
          handle, local ? "localhost" : options.host.c_str(), options.user.c_str(),
          options.password.c_str(), or_null(options.database), local ? 0 : options.port,
          or_null(options.socket), options.capabilities | CLIENT_MULTI_STATEMENTS))
    return tl::unexpected(error_of(handle));
  return client;
}

Client::Client(const ClientOptions& options) {
  auto client = connect(options);
  if (!client)
    fail(fmt::format("connect {}@{}", options.user,
                     options.socket.empty() ? fmt::format("{}:{}", options.host, options.port)
                                            : options.socket),
         client.error());
  *this = std::move(*client);
}

SqlError Client::last_error() const {
  return error_of(handle_.get());
}

SqlResult<Rows> Client::query(std::string_view sql) {
  MYSQL* handle = handle_.get();
  if (::mysql_real_query(handle, sql.data(), sql.size()) != 0) return tl::unexpected(last_error());
  Rows rows;
  for (;;) {
    if (MYSQL_RES* result = ::mysql_store_result(handle)) {
      rows = fetch(result);
      ::mysql_free_result(result);
    } else if (::mysql_errno(handle) != 0) {
      return tl::unexpected(last_error());
    }
    const int next = ::mysql_next_result(handle);
    if (next < 0) return rows;
    if (next > 0) return tl::unexpected(last_error());
  }
}

Rows Client::rows(std::string_view sql) {
  auto result = query(sql);
  if (!result) fail(sql, result.error());
  return std::move(*result);
}

std::string Client::value(std::string_view sql) {
  const auto result = rows(sql);
  if (result.empty() || result[0].empty()) throw TestError(fmt::format("{}: no row", sql));
  return result[0][0].value_or("NULL");
}

SqlError Client::error(std::string_view sql) {
  auto result = query(sql);
  if (result) throw TestError(fmt::format("{}: worked, an error was expected", sql));
  return result.error();
}

SqlResult<void> Client::change_user(const std::string& user, const std::string& password,
                                    const std::string& database) {
  if (::mysql_change_user(handle(), user.c_str(), password.c_str(), or_null(database)) != 0)
    return tl::unexpected(last_error());
  return {};
}

}  // namespace sluice::test
