// From a row of a server's grant table to a row of ours. Pure: no connection, no clock.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/accounts/table.h"

namespace sluice::monitor {

/// A row of MariaDB's mysql.global_priv (10.4 and later): `priv` is its JSON. What the server reads
/// as a default, so do we: no "plugin" is mysql_native_password, no "authentication_string" is no
/// password. Text that is no JSON object gives a row with a problem.
/// Source: MariaDB sql/sql_acl.cc, class User_table_json.
accounts::Row row_from_json(std::string user, std::string host, std::string_view priv);

/// The columns of mysql.user by name, in lower case; every server has others. NULL and absent are
/// the same.
class UserColumns {
 public:
  /// `names` as the server gives them; `values` in the same order.
  UserColumns(const std::vector<std::string>& names,
              const std::vector<std::optional<std::string>>& values)
      : names_(names), values_(values) {}
  /// Empty if there is no such column, or it is NULL.
  std::string_view get(std::string_view name) const;
  bool yes(std::string_view name) const { return get(name) == "Y"; }

 private:
  const std::vector<std::string>& names_;
  const std::vector<std::optional<std::string>>& values_;
};

/// A row of mysql.user: MySQL, and MariaDB before 10.4.
/// Source: MariaDB sql/sql_acl.cc, class User_table_tabular; MySQL manual, "Grant Tables".
accounts::Row row_from_columns(const UserColumns& columns);

/// Fills in why sluice can't use the row: its host part, or proofs that are all unusable.
void judge(accounts::Row& row, accounts::Flavour flavour, bool skip_name_resolve);

}  // namespace sluice::monitor
