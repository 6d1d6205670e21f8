// Reads the accounts of a cluster from one of its servers. Blocking; runs in the thread that owns
// the connection.
#pragma once

#include <mysql.h>

#include <string>

#include "common/accounts/table.h"
#include "common/base/result.h"
#include "monitor/accounts_rows.h"

namespace sluice::monitor {

/// More than this is no set of accounts: a broken or hostile server must not fill the memory.
inline constexpr std::size_t kMaxAccounts = 1'000'000;
inline constexpr std::size_t kMaxAccountBytes = 256u << 20;

/// All accounts of the server: mysql.global_priv of MariaDB 10.4 and later, else mysql.user; and
/// the hosts of mysql.db, tables_priv, columns_priv, procs_priv and proxies_priv. Rows that can't
/// be used are there too, with their problem. MariaDB's mysql.host, which only very old
/// installations still have, is not looked at. Sets sql_mode, time zone and character set of the
/// connection and leaves them so; its time-outs are the caller's. Errors: Errc::denied when the
/// account that is connected lacks a privilege (the message has the GRANTs to give),
/// Errc::bad_input when the answer can't be a grant table, Errc::unavailable for everything else. A
/// load that stops half-way is an error: never a partial table.
Result<accounts::Contents> load_accounts(MYSQL* connection, const std::string& server_name);

/// What SHOW GLOBAL VARIABLES says that matters, from the server's version on: "8.0.22-log",
/// "10.11.4-MariaDB". The version alone decides only between releases of one make: MariaDB's can be
/// faked, the engine behind its system tables can't be.
class ServerFacts {
 public:
  /// The names that note() knows, as a list for IN (…).
  static constexpr const char* kVariables =
      "'skip_name_resolve', 'version', 'aria_page_checksum', 'require_secure_transport', "
      "'default_password_lifetime'";

  void note(std::string_view name, std::string_view value);
  ServerRules rules() const;
  /// MariaDB 10.4 and later. It decides wherever it is: the view mysql.user beside it shows neither
  /// locks nor alternatives.
  bool has_global_priv() const;

 private:
  bool older_than(unsigned major, unsigned minor, unsigned patch) const;

  ServerRules rules_{.flavour = accounts::Flavour::mysql};
  std::string version_;
};

}  // namespace sluice::monitor
