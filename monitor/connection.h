// A connection of the watching account to one server, over libmariadb's blocking calls. Belongs to
// one thread.
#pragma once

#include <mysql.h>

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.h"
#include "common/config/config.h"
#include "monitor/observation.h"

namespace sluice::monitor {

/// A result set whose columns are found by name: servers add columns, and rename them.
class ResultSet {
 public:
  std::vector<std::string> columns;
  std::vector<std::vector<std::optional<std::string>>> rows;

  /// A cell as text; empty for NULL and for columns that are not there.
  std::string text(std::size_t row, std::string_view column) const;
  /// A cell as a number; nothing for NULL, missing columns and what is no number.
  std::optional<uint64_t> number(std::size_t row, std::string_view column) const;

 private:
  const std::optional<std::string>* cell(std::size_t row, std::string_view column) const;
};

/// What the server or the library answered instead of a result.
struct SqlError {
  unsigned number = 0;  ///< 2000..2999: the library's own (the connection is gone)
  std::string text;

  bool connection_lost() const { return number >= 2000 && number < 3000; }
  /// The server is there and does not let the watching account in.
  bool denied() const;
};
template <class T>
using SqlResult = tl::expected<T, SqlError>;

class Connection {
 public:
  /// Connects as the cluster's account to a resolved address. Blocks for at most the server's
  /// connect timeout, rounded up to whole seconds (libmariadb knows no less).
  static SqlResult<Connection> open(const config::Cluster& cluster, const config::Server& server,
                                    const cluster::Address& address);

  SqlResult<ResultSet> query(std::string_view sql);
  Greeting greeting() const;
  /// Our address, as the server sees it; empty for a Unix socket, nothing if it can't be known.
  std::optional<std::string> outgoing_ip() const;
  int fd() const { return static_cast<int>(::mysql_get_socket(handle_.get())); }
  MYSQL* handle() { return handle_.get(); }

 private:
  struct Close {
    void operator()(MYSQL* handle) const noexcept { ::mysql_close(handle); }
  };
  explicit Connection(MYSQL* handle) : handle_(handle) {}
  SqlError error() const;
  std::unique_ptr<MYSQL, Close> handle_;
};

/// Loads what libmariadb would load later by itself, before the process locks itself in: client
/// plugins, and the modules behind name resolution. What is missing is logged at debug level.
void preload_client_library();

}  // namespace sluice::monitor
