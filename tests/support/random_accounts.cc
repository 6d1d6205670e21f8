#include "tests/support/random_accounts.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <set>

#include "common/accounts/host.h"

namespace sluice::test {
namespace {

constexpr const char* kRoles[] = {"r1", "r2"};

std::string dotted(uint32_t n) {
  return fmt::format("{}.{}.{}.{}", n >> 24, n >> 16 & 255, n >> 8 & 255, n & 255);
}

/// The server takes '' and '%' for one host, in no defined order.
std::string identity_of(const AccountRow& row) {
  return row.user + "@" + (row.host.empty() ? "%" : row.host);
}

}  // namespace

std::string sql_text(std::string_view text) {
  std::string out = "'";
  for (const char c : text) {
    if (c == '\'' || c == '\\') out += '\\';
    out += c;
  }
  return out + "'";
}

std::string fill_tables_sql(const AccountSet& set, const std::vector<std::string>& kept) {
  std::vector<std::string> names;
  for (const auto& user : kept) names.push_back(sql_text(user));
  std::string sql = fmt::format(
      "DELETE FROM mysql.global_priv WHERE User NOT IN ({});\n"
      "DELETE FROM mysql.db; DELETE FROM mysql.roles_mapping;\n",
      fmt::join(names, ", "));
  for (const auto& row : set.rows)
    sql += fmt::format("INSERT INTO mysql.global_priv (User, Host, Priv) VALUES ({}, {}, {});\n",
                       sql_text(row.user), sql_text(row.host), sql_text(row.priv));
  for (const auto& grant : set.grants)
    sql += fmt::format(
        "INSERT IGNORE INTO mysql.db (User, Host, Db, Select_priv) VALUES ({}, {}, {}, 'Y');\n",
        sql_text(grant.user), sql_text(grant.host), sql_text(grant.database));
  for (const auto& grant : set.roles)
    sql += fmt::format(
        "INSERT IGNORE INTO mysql.roles_mapping (User, Host, Role) VALUES ({}, {}, {});\n",
        sql_text(grant.user), sql_text(grant.host), sql_text(grant.role));
  return sql + "FLUSH PRIVILEGES";
}

// Hosts.

std::string RandomAccounts::host(std::string address) {
  switch (random_.below(12)) {
    case 0:
      return "%";
    case 1:
      return "";
    case 2:
      return random_.any_of<std::string>(
          {"localhost", "LocalHost", "local%", "_ocalhost", "%host"});
    case 3:
      return random_.any_of<std::string>({"no.such.host", "%.example.com", "local\\host", "1.2.x"});
    case 4:
      return address;
    case 5:
    case 6:
      return network(address);
    default:
      return pattern(std::move(address));
  }
}

/// The address with one to three places replaced.
std::string RandomAccounts::pattern(std::string text) {
  for (int left = 1 + random_.below(3); left > 0; --left) {
    const auto at = static_cast<std::size_t>(random_.below(static_cast<int>(text.size())));
    const auto length = static_cast<std::size_t>(random_.below(4));
    switch (random_.below(8)) {
      case 0:
      case 1:
        text.replace(at, 1, "_");
        break;
      case 2:
        text.replace(at, std::string::npos, "%");
        break;
      case 3:
        text.insert(at, "\\");
        break;
      case 4:
        text.insert(at, random_.any_of<std::string>({"%%", "_%", "%_", "0", "/"}));
        break;
      default:
        text.replace(at, length, "%");
        break;
    }
  }
  return text;
}

std::string RandomAccounts::network(const std::string& address) {
  const auto number = accounts::parse_ipv4(address);
  if (!number) return address + "/" + std::to_string(random_.below(129));
  const int bits = random_.below(33);
  const uint32_t mask = bits == 0 ? 0 : UINT32_MAX << (32 - bits);
  const uint32_t base = random_.one_in(4) ? *number : *number & mask;
  if (random_.one_in(6)) return fmt::format("{}/{}", dotted(base), bits);
  if (random_.one_in(6)) return fmt::format("{}/ {}", dotted(base), dotted(mask | 1));
  return fmt::format("{}/{}", dotted(base), dotted(mask));
}

// Rows for the choice of the account alone.

std::vector<AccountRow> RandomAccounts::rows(const std::vector<std::string>& addresses) {
  std::vector<AccountRow> rows;
  std::set<std::string> taken;
  for (int left = 1 + random_.below(14); left > 0; --left) {
    AccountRow row{.user = user(), .host = host(random_.any_of(addresses))};
    if (!taken.insert(identity_of(row)).second) continue;
    if (random_.one_in(12)) row.priv = R"({"account_locked": true})";
    if (random_.one_in(12)) row.priv = R"({"auth_or": [{"plugin": "ed25519"}, {}], "access": 0})";
    if (random_.one_in(12)) row = odd(row);
    if (random_.one_in(25) && row.host.empty() && !row.user.empty())
      row.priv = R"({"is_role": true})";
    rows.push_back(std::move(row));
  }
  return rows;
}

AccountRow RandomAccounts::odd(AccountRow row) {
  row.unreadable = random_.one_in(3);
  row.priv = row.unreadable
                 ? random_.any_of<std::string>(
                       {R"({"auth_or": [7]})", R"({"auth_or": [{"plugin": 7}]})", "[]"})
                 : random_.any_of<std::string>(
                       {R"({"ssl_type": -1})", R"({"ssl_type": 1})", R"({"ssl_type": 2})",
                        R"({"ssl_type": 3, "ssl_cipher": "AES256-SHA"})",
                        R"({"ssl_type": 3, "x509_issuer": "/CN=ca"})", R"({"ssl_type": 4})",
                        R"({"ssl_type": 1, "account_locked": true})", R"({"ssl_type": "1"})"});
  return row;
}

// Whole sets.

AccountSet RandomAccounts::set(const AccountPalette& palette) {
  AccountSet set;
  std::set<std::string> taken;
  const int most = random_.one_in(3) ? 40 : 12;
  for (int left = 1 + random_.below(most); left > 0; --left) {
    auto made = row(palette);
    if (taken.insert(identity_of(made)).second) set.rows.push_back(std::move(made));
  }
  add_roles(set);
  add_grants(set, palette);
  return set;
}

std::string RandomAccounts::any_host(const AccountPalette& palette) {
  if (!palette.names.empty() && random_.one_in(4)) return random_.any_of(palette.names);
  return host(random_.any_of(palette.addresses));
}

AccountRow RandomAccounts::row(const AccountPalette& palette) {
  AccountRow row{.user = user(), .host = any_host(palette)};
  if (random_.one_in(40)) return odd(row);
  std::vector<std::string> members{proof(palette)};
  if (random_.one_in(6)) members.push_back(random_.any_of(palette.tls_demands));
  if (random_.one_in(15)) members.push_back(R"("account_locked": true)");
  if (random_.one_in(15)) members.push_back(R"("password_last_changed": 0)");
  if (random_.one_in(15))
    members.push_back(R"("password_last_changed": 1000, "password_lifetime": 1)");
  if (random_.one_in(6))
    members.push_back(fmt::format(R"("default_role": "{}")",
                                  random_.any_of<std::string>({kRoles[0], kRoles[1], "r3"})));
  if (random_.one_in(15)) members.push_back(R"("max_user_connections": 5000)");
  if (random_.one_in(20)) members.push_back(R"("access": 1)");
  row.priv = fmt::format("{{{}}}", fmt::join(members, ", "));
  return row;
}

/// One way to prove who one is, or several (VIA a OR b).
std::string RandomAccounts::proof(const AccountPalette& palette) {
  const auto one = [&] {
    auto password = palette.proofs.begin();
    std::advance(password, random_.below(static_cast<int>(palette.proofs.size())));
    return random_.any_of(password->second);
  };
  if (!random_.one_in(8)) return one();
  std::vector<std::string> ways;
  for (int left = 1 + random_.below(3); left > 0; --left)
    ways.push_back(fmt::format("{{{}}}", one()));
  ways.insert(ways.begin() + random_.below(static_cast<int>(ways.size()) + 1), "{}");
  return fmt::format(R"({}, "auth_or": [{}])", one(), fmt::join(ways, ", "));
}

void RandomAccounts::add_roles(AccountSet& set) {
  const auto accounts = set.rows;
  for (const char* role : kRoles)
    set.rows.push_back({.user = role, .priv = R"({"is_role": true})", .is_role = true});
  for (const auto& row : accounts)
    if (random_.one_in(2)) set.roles.push_back({row.user, row.host, kRoles[random_.below(2)]});
}

void RandomAccounts::add_grants(AccountSet& set, const AccountPalette& palette) {
  for (int left = random_.below(12); left > 0; --left) {
    const bool of_role = random_.one_in(4);
    // For an account's own host, as GRANT does it, or for others, as in tables of old servers:
    // those may hold for one of two addresses that have the same account.
    const auto& row = random_.any_of(set.rows);
    const bool as_granted = random_.one_in(2);
    set.grants.push_back({of_role ? kRoles[random_.below(2)] : row.user,
                          of_role      ? ""
                          : as_granted ? row.host
                                       : any_host(palette),
                          random_.any_of(palette.databases)});
  }
}

}  // namespace sluice::test
