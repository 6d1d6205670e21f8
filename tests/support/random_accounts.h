#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "tests/support/random.h"

namespace sluice::test {

/// A row of mysql.global_priv.
struct AccountRow {
  std::string user, host;
  std::string priv = "{}";  ///< mysql_native_password without a password
  bool unreadable = false;  ///< the server leaves such a row out
  bool is_role = false;
};
/// A row of mysql.db that opens the databases of that pattern for reading.
struct DatabaseGrant {
  std::string user, host, database;
};
/// A row of mysql.roles_mapping.
struct RoleGrant {
  std::string user, host, role;
};
struct AccountSet {
  std::vector<AccountRow> rows;
  std::vector<DatabaseGrant> grants;
  std::vector<RoleGrant> roles;

  std::size_t size() const { return rows.size() + grants.size() + roles.size(); }
};

/// `text` as an SQL string.
std::string sql_text(std::string_view text);
/// Fills MariaDB's tables with the set, which replaces all accounts but those of `kept` users, and
/// all grants for databases.
std::string fill_tables_sql(const AccountSet& set, const std::vector<std::string>& kept);

/// What accounts are made of: see AccountSet.
struct AccountPalette {
  std::vector<std::string> addresses;  ///< of clients; hosts are close to them
  std::vector<std::string> names;      ///< host names and patterns of such
  std::vector<std::string> databases;  ///< patterns
  /// JSON members of a row by the password that they are for ("": none).
  std::map<std::string, std::vector<std::string>> proofs;
  /// JSON members that demand something of TLS.
  std::vector<std::string> tls_demands;
};

/// Makes hosts that are close to the addresses of its clients, so that many rows compete.
class RandomAccounts {
 public:
  explicit RandomAccounts(uint64_t seed) : random_(seed) {}

  Random& random() { return random_; }
  std::string user() { return random_.any_of<std::string>({"u1", "u1", "u2", "U1", ""}); }
  /// A pattern that is likely to cover `address`, and others.
  std::string host(std::string address);
  /// One to 14 rows, most of them without a password.
  std::vector<AccountRow> rows(const std::vector<std::string>& addresses);
  /// One to 40 rows with all that can decide a login, and what they may do.
  AccountSet set(const AccountPalette& palette);

 private:
  std::string pattern(std::string text);
  std::string network(const std::string& address);
  /// REQUIRE in all its forms, and what the server can't read.
  AccountRow odd(AccountRow row);
  std::string any_host(const AccountPalette& palette);
  AccountRow row(const AccountPalette& palette);
  std::string proof(const AccountPalette& palette);
  void add_roles(AccountSet& set);
  void add_grants(AccountSet& set, const AccountPalette& palette);

  Random random_;
};

}  // namespace sluice::test
