#pragma once

#include <mysql.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <vector>

namespace sluice::test {

/// An error as the client library reports it: the server's, or its own (2002, 2013, ...).
struct SqlError {
  unsigned code = 0;
  std::string state;  ///< SQLSTATE
  std::string text;
};

template <class T>
using SqlResult = tl::expected<T, SqlError>;

/// A result row; NULL is nullopt.
using Row = std::vector<std::optional<std::string>>;
using Rows = std::vector<Row>;

/// Where and as whom to connect. TLS is off unless `tls`.
struct ClientOptions {
  std::string host = "127.0.0.1";
  uint16_t port = 0;
  std::string socket{};  ///< a Unix socket; `host` and `port` do not count then
  std::string user = "app";
  std::string password = "app-secret";
  std::string database{};
  std::string bind_address{};  ///< the local address to connect from
  unsigned connect_timeout_seconds = 10;
  unsigned io_timeout_seconds = 60;  ///< for each read and write: a lost answer fails the test
  bool compressed = false;           ///< the compressed protocol, where it is offered
  bool tls = false;
  std::string tls_ca{};  ///< a file; without one the library reads those of the system, each time
  unsigned long capabilities = 0;  ///< CLIENT_* on top of CLIENT_MULTI_STATEMENTS
};

/// One session over Connector/C. What throws, throws TestError; connect() and query() report.
class Client {
 public:
  /// Connects, or throws.
  explicit Client(const ClientOptions& options);
  /// Connects, or says what the server (or the library) answered.
  static SqlResult<Client> connect(const ClientOptions& options);

  /// Runs the statement(s): the rows of the last result set (empty for an OK).
  SqlResult<Rows> query(std::string_view sql);
  /// The same for statements that must work: throws with statement and error.
  Rows rows(std::string_view sql);
  void exec(std::string_view sql) { rows(sql); }
  /// First column of the first row; "NULL" for NULL. Throws when there is no row.
  std::string value(std::string_view sql);
  /// The error of a statement that must fail; throws when it works.
  SqlError error(std::string_view sql);

  /// COM_CHANGE_USER.
  SqlResult<void> change_user(const std::string& user, const std::string& password,
                              const std::string& database = {});
  bool ping() { return ::mysql_ping(handle_.get()) == 0; }
  unsigned long thread_id() const { return ::mysql_thread_id(handle_.get()); }
  MYSQL* handle() { return handle_.get(); }
  /// Ends the session with COM_QUIT.
  void close() { handle_.reset(); }

 private:
  struct Close {
    void operator()(MYSQL* handle) const noexcept { ::mysql_close(handle); }
  };
  explicit Client(MYSQL* handle) : handle_(handle) {}
  SqlError last_error() const;

  std::unique_ptr<MYSQL, Close> handle_;
};

}  // namespace sluice::test
