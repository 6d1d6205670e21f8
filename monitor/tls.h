// TLS of the watching account's connections, by the rules that workers follow for their own: what
// is required but not offered, or can't be verified, gets not a word of the account.
#pragma once

#include <mysql.h>

#include <string>
#include <vector>

#include "common/base/result.h"
#include "common/base/unique_fd.h"
#include "common/config/config.h"

namespace sluice::monitor {

/// What libmariadb is told about TLS for one connection. It reads certificates and keys from files
/// only, so each is lent to it as one in memory: this has to live until the connection is open. So
/// has the server.
class ConnectionTls {
 public:
  static Result<ConnectionTls> make(const config::Server& server);
  /// Sets the options of a handle. Over a Unix socket there is no TLS: nobody can listen there.
  void apply(MYSQL* handle) const;

 private:
  explicit ConnectionTls(const config::Server& server) : server_(&server) {}
  Result<std::string> lend(std::string_view pem);

  const config::Server* server_;
  std::vector<UniqueFd> lent_;
  std::string ca_, certificate_, key_;  ///< paths; empty where there is none
};

/// Once a process, before any connection is opened.
void register_tls_gate(MYSQL* handle);

}  // namespace sluice::monitor
