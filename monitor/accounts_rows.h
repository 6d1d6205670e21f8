// From a row of a server's grant table to a row of ours. Pure: no connection, no clock.
//
// What the releases changed here, as far as logins go:
//   MariaDB 10.4   mysql.global_priv with its JSON; mysql.user became a view. 10.5 to 12 added
//                  "version_id" and privileges only; 13.1 adds "denies", which limits what an
//                  account may do and not who gets in. (mariadb.com, "mysql.global_priv Table";
//                  sql/sql_acl.cc, class User_table_json)
//   MySQL 5.7.6    column Password gone, account_locked came; 8.0.14 and later User_attributes:
//                  additional_password (8.0.14), Password_locking (8.0.19),
//                  multi_factor_authentication (8.0.27). 8.4 does not load mysql_native_password by
//                  default and 9.0 has it no more; the columns of 9 are those of 8.0.
//                  (sql/auth/acl_table_user.cc; manual, "Grant Tables")
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/accounts/table.h"

namespace sluice::monitor {

/// What of a server, beside its tables, decides about its accounts.
struct ServerRules {
  accounts::Flavour flavour = accounts::Flavour::mariadb;
  bool skip_name_resolve = false;
  bool require_secure_transport = false;
  uint32_t default_password_lifetime = 0;  ///< days; 0: for ever
};

/// A row of MariaDB's mysql.global_priv (10.4 and later): `priv` is its JSON. What the server reads
/// as a default, so do we, odd as it is: no JSON object at all is an account without a password.
/// What makes it leave the row out is a row that is left out.
/// Source: MariaDB sql/sql_acl.cc, class User_table_json, acl_load(), check_password_lifetime().
accounts::Row row_from_json(std::string user, std::string host, std::string_view priv,
                            const ServerRules& rules);

/// The columns of mysql.user by name, in lower case; every server has others.
class UserColumns {
 public:
  /// `names` as the server gives them; `values` in the same order.
  UserColumns(const std::vector<std::string>& names,
              const std::vector<std::optional<std::string>>& values)
      : names_(names), values_(values) {}
  /// Whether there is such a column.
  bool has(std::string_view name) const;
  /// Empty if there is no such column, or it is NULL.
  std::string_view get(std::string_view name) const;
  bool yes(std::string_view name) const { return get(name) == "Y"; }

 private:
  const std::vector<std::string>& names_;
  const std::vector<std::optional<std::string>>& values_;
};

/// A row of mysql.user: MySQL, and MariaDB before 10.4. Times must be in UTC. A role of MySQL is a
/// locked account like any other.
/// Source: MySQL sql/auth/acl_table_user.cc, class Acl_table_user_reader, and
/// sql/auth/sql_authentication.cc check_password_lifetime(); MariaDB sql/sql_acl.cc, class
/// User_table_tabular, and before 10.4 acl_load() there.
accounts::Row row_from_columns(const UserColumns& columns, const ServerRules& rules);

/// What an account with REQUIRE `number` (enum SSL_type: 0 none, 1 SSL, 2 X509, 3 what is named)
/// demands of the client. The row has what is named already.
/// Source: acl_check_ssl() (common/accounts/match.h, tls_satisfied()).
accounts::TlsRule tls_rule(int64_t number, const accounts::Row& row, const ServerRules& rules);

/// Fills in why nobody can use the row: its host part, what it demands, or proofs that nobody can
/// give.
void judge(accounts::Row& row, const ServerRules& rules);

}  // namespace sluice::monitor
