/// Our choice of the account against MariaDB's own: the tables are filled, clients log in directly
/// from many addresses, and CURRENT_USER() must be the row that find() names. Clients in
/// 127.0.0.0/8 are bound to their address, all others are told to the server by a PROXY header.
/// None of them has TLS: what demands it must refuse. Where same_grants() says that two clients
/// have the same privileges, both must see the same databases.
///
/// SLUICE_SEED repeats a run, SLUICE_PAIRS makes it longer.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <mysqld_error.h>

#include <map>

#include "common/accounts/match.h"
#include "monitor/accounts_loader.h"
#include "tests/common/accounts/cases.h"
#include "tests/support/mariadb_server.h"
#include "tests/support/random_accounts.h"
#include "tests/support/test_error.h"

namespace sluice::test {
namespace {

using accounts::Contents;
using accounts::MatchCase;
using accounts::Peer;
using accounts::Table;

constexpr const char* kNobody = "none";
constexpr const char* kLocked = "locked";

MariadbOptions server_options(bool skip_name_resolve) {
  MariadbOptions options;
  options.extra_args = {"--proxy-protocol-networks=127.0.0.0/8",
                        fmt::format("--skip-name-resolve={}", skip_name_resolve ? 1 : 0)};
  options.bind_address = "0.0.0.0";
  return options;
}

/// Replaces all accounts but the server's own.
void set_accounts(MariadbServer& server, const std::vector<AccountRow>& rows) {
  std::string sql =
      "DELETE FROM mysql.global_priv WHERE User NOT IN ('root', 'sluice', 'mariadb.sys');";
  for (const auto& row : rows)
    sql += fmt::format("INSERT INTO mysql.global_priv (User, Host, Priv) VALUES ({}, {}, {});",
                       sql_text(row.user), sql_text(row.host), sql_text(row.priv));
  server.exec(sql + "FLUSH PRIVILEGES");
}

using Handle = std::unique_ptr<MYSQL, decltype(&::mysql_close)>;

/// A login from the client's address; look at mysql_errno() for what came of it.
Handle log_in(MariadbServer& server, const std::string& user, const Peer& client) {
  Handle handle(::mysql_init(nullptr), &::mysql_close);
  const auto port = server.port();
  const bool local = client.ip.empty();
  if (client.ip.starts_with("127.")) {
    ::mysql_options(handle.get(), MYSQL_OPT_BIND, client.ip.c_str());
  } else if (!local) {
    const bool v6 = client.ip.find(':') != std::string::npos;
    const auto header = fmt::format("PROXY {} {} {} 40000 {}\r\n", v6 ? "TCP6" : "TCP4", client.ip,
                                    v6 ? "::1" : "127.0.0.1", port);
    ::mysql_optionsv(handle.get(), MARIADB_OPT_PROXY_HEADER, header.c_str(), header.size());
  }
  // The library would take the name of the process's user for an empty one; the server takes quotes
  // off.
  const std::string name = user.empty() ? "''" : user;
  const auto socket = server.socket_path();
  ::mysql_real_connect(handle.get(), local ? "localhost" : "127.0.0.1", name.c_str(), "", nullptr,
                       local ? 0 : port, local ? socket.c_str() : nullptr, 0);
  return handle;
}

std::string value(const Handle& handle, const char* sql) {
  if (::mysql_query(handle.get(), sql) != 0) throw TestError(::mysql_error(handle.get()));
  MYSQL_RES* result = ::mysql_store_result(handle.get());
  const char* cell = ::mysql_fetch_row(result)[0];
  std::string answer = cell != nullptr ? cell : "";
  ::mysql_free_result(result);
  return answer;
}

/// The account that the server gives, "none", or "locked".
std::string ask_server(MariadbServer& server, const std::string& user, const Peer& client) {
  const auto handle = log_in(server, user, client);
  switch (::mysql_errno(handle.get())) {
    case 0:
      return value(handle, "SELECT CURRENT_USER()");
    case ER_ACCESS_DENIED_ERROR:
    case ER_ACCESS_DENIED_NO_PASSWORD_ERROR:
    case ER_HOST_NOT_PRIVILEGED:
      return kNobody;
    case ER_ACCOUNT_HAS_BEEN_LOCKED:
      return kLocked;
    default:
      throw TestError(::mysql_error(handle.get()));
  }
}

/// The same from our table. The server shows an empty host as %.
std::string ask_us(const Table& table, const std::string& user, const Peer& client) {
  const auto account = accounts::find(table, user, client);
  if (!account || !tls_satisfied(*account, {.unix_socket = client.ip.empty()})) return kNobody;
  if (account->locked) return kLocked;
  return accounts::name_of(account->user, account->host.empty() ? "%" : account->host);
}

Contents load(MariadbServer& server) {
  auto contents = monitor::load_accounts(server.root().handle(), server.name());
  if (!contents) throw TestError(contents.error().message);
  return *std::move(contents);
}

std::string client_text(const std::string& user, const Peer& client) {
  return fmt::format("'{}' from {}", user, client.ip.empty() ? "the socket" : client.ip);
}

// The cases of the unit test.

void run_cases(bool skip_name_resolve) {
  MariadbServer server(server_options(skip_name_resolve));
  int tried = 0;
  for (const auto& test : accounts::read_match_cases(SLUICE_TEST_DATA "/accounts.cases")) {
    if (test.flavour != accounts::Flavour::mariadb) continue;
    if (test.skip_name_resolve != skip_name_resolve) continue;
    const bool local = test.client.ip.empty() || test.client.ip == "127.0.0.1" ||
                       test.client.ip == "::1";  // the server asks no DNS for these
    if (!test.client.name.empty() || (!skip_name_resolve && !local)) continue;
    std::vector<AccountRow> rows;
    for (const auto& account : test.accounts) {
      const auto [user, host] = accounts::split_account(account);
      rows.push_back({.user = user, .host = host});
    }
    set_accounts(server, rows);
    const auto expected = test.expected.ends_with("@") ? test.expected + "%" : test.expected;
    EXPECT_EQ(ask_server(server, test.user, test.client), expected)
        << "MariaDB disagrees with accounts.cases:" << test.line;
    ++tried;
  }
  EXPECT_GT(tried, skip_name_resolve ? 80 : 5);
}

TEST(AccountsMatch, CasesHoldOnARealServer) {
  run_cases(true);
}
TEST(AccountsMatch, CasesHoldOnARealServerThatResolvesNames) {
  run_cases(false);
}

// Random accounts and clients.

/// One set of accounts after the other until enough pairs of (accounts, client) were compared.
void run_random(bool skip_name_resolve, const std::vector<std::string>& addresses, uint64_t pairs) {
  const uint64_t seed = from_environment("SLUICE_SEED", 508000);
  pairs = from_environment("SLUICE_PAIRS", pairs);
  fmt::print("SLUICE_SEED={} SLUICE_PAIRS={}\n", seed, pairs);
  MariadbServer server(server_options(skip_name_resolve));
  RandomAccounts generator(seed);
  uint64_t compared = 0, matched = 0;
  for (int differences = 0; compared < pairs && differences < 3;) {
    set_accounts(server, generator.rows(addresses));
    const auto bytes = accounts::encode(load(server));
    const auto table = Table::open(bytes).value();
    for (int left = 25; left > 0; --left, ++compared) {
      const auto user = generator.user();
      const Peer client{generator.random().one_in(8) ? "" : generator.random().any_of(addresses),
                        ""};
      const auto theirs = ask_server(server, user, client), ours = ask_us(table, user, client);
      if (theirs != kNobody) ++matched;
      if (ours == theirs) continue;
      ++differences;
      std::string rows;
      for (std::size_t i = 0; i < table.size(); ++i)
        rows += " " + accounts::name_of(table.at(i)->user, table.at(i)->host);
      ADD_FAILURE() << client_text(user, client) << ": MariaDB gives " << theirs << ", we " << ours
                    << "\nof" << rows << "\nseed " << seed;
    }
  }
  EXPECT_GT(matched, compared / 4) << "the generator's clients seldom match anything";
}

TEST(AccountsMatch, RandomAccountsGiveWhatTheServerGives) {
  run_random(true,
             {"127.0.0.1", "127.0.0.2", "127.0.0.10", "127.0.0.100", "127.1.2.3", "10.1.2.3",
              "10.1.2.33", "10.11.2.3", "192.168.100.200", "2001:db8::17", "fe80::1", "::1"},
             1500);
}

TEST(AccountsMatch, RandomAccountsOnAServerThatResolvesNames) {
  run_random(false, {"127.0.0.1", "127.0.0.1", "::1"}, 500);
}

// Grants.

/// Replaces all that u1 and the anonymous may do: each row opens a database to some hosts.
void set_grants(MariadbServer& server, RandomAccounts& generator,
                const std::vector<std::string>& addresses) {
  std::string sql =
      "DELETE FROM mysql.db WHERE Db LIKE 'd_'; DELETE FROM mysql.tables_priv WHERE Db LIKE 'd_';";
  for (int left = 1 + generator.random().below(4); left > 0; --left) {
    const auto user = generator.random().any_of<std::string>({"u1", "u1", "u2", ""});
    const auto host = sql_text(generator.host(generator.random().any_of(addresses)));
    sql += generator.random().one_in(3)
               ? fmt::format(
                     "INSERT IGNORE INTO mysql.tables_priv (Host, Db, User, Table_name, "
                     "Grantor, Table_priv, Column_priv) VALUES ({}, 'd{}', '{}', 't', '', "
                     "'Select', '');",
                     host, generator.random().below(4), user)
               : fmt::format(
                     "INSERT IGNORE INTO mysql.db (Host, Db, User, Select_priv) VALUES "
                     "({}, 'd{}', '{}', 'Y');",
                     host, generator.random().below(4), user);
  }
  server.exec(sql + "FLUSH PRIVILEGES");
}

/// The databases that u1 sees from each address.
std::vector<std::string> visible(MariadbServer& server, const std::vector<std::string>& addresses) {
  std::vector<std::string> out;
  for (const auto& ip : addresses)
    out.push_back(value(log_in(server, "u1", {ip, ""}),
                        "SELECT GROUP_CONCAT(schema_name ORDER BY schema_name) "
                        "FROM information_schema.schemata WHERE schema_name LIKE 'd_'"));
  return out;
}

TEST(AccountsMatch, WhereGrantsAgreeTheSameDatabasesAreVisible) {
  const uint64_t seed = from_environment("SLUICE_SEED", 508000);
  fmt::print("SLUICE_SEED={}\n", seed);
  MariadbServer server(server_options(true));
  RandomAccounts generator(seed);
  const std::vector<std::string> addresses = {"127.0.0.1", "127.0.0.2", "127.0.0.10",
                                              "10.1.2.3",  "10.1.2.33", "2001:db8::17"};
  set_accounts(server, {{.user = "u1", .host = "%"}});
  for (int i = 0; i < 4; ++i)
    server.exec(fmt::format("CREATE DATABASE d{0}; CREATE TABLE d{0}.t (i INT)", i));
  int agreed = 0, differed = 0, differ_visibly = 0;
  for (int round = 0; round < 60; ++round) {
    set_grants(server, generator, addresses);
    const auto bytes = accounts::encode(load(server));
    const auto table = Table::open(bytes).value();
    const auto seen = visible(server, addresses);
    for (std::size_t a = 0; a < addresses.size(); ++a)
      for (std::size_t b = a + 1; b < addresses.size(); ++b) {
        const bool same =
            accounts::same_grants(table, "u1", {addresses[a], ""}, {addresses[b], ""});
        ++(same ? agreed : differed);
        if (!same) differ_visibly += seen[a] != seen[b];
        EXPECT_TRUE(!same || seen[a] == seen[b])
            << addresses[a] << " sees " << seen[a] << ", " << addresses[b] << " sees " << seen[b]
            << "\nseed " << seed;
      }
  }
  EXPECT_GT(agreed, 100);
  EXPECT_GT(differ_visibly, differed / 3) << "same_grants() finds differences where there are none";
}

// The loader.

TEST(AccountsLoader, ReadsWhatIsDemandedOfTls) {
  MariadbServer server(server_options(true));
  set_accounts(server, {});
  server.exec(
      "CREATE USER c@'%' REQUIRE CIPHER 'AES';"
      "CREATE USER s@'%' REQUIRE SUBJECT '/CN=a/O=\"b\"' AND ISSUER '/CN=ca' PASSWORD EXPIRE "
      "INTERVAL "
      "3 DAY;"
      "CREATE USER p@'%'");
  const auto rows = [&] {
    std::map<std::string, accounts::Row> rows;
    for (auto& row : load(server).rows) rows[row.user] = row;
    return rows;
  };
  const auto before = rows();
  EXPECT_EQ(before.at("c").tls, accounts::TlsRule::cipher);
  EXPECT_EQ(before.at("c").tls_cipher, "AES");
  EXPECT_EQ(before.at("s").tls, accounts::TlsRule::specified);
  EXPECT_EQ(before.at("s").tls_subject, "/CN=a/O=\"b\"");
  EXPECT_EQ(before.at("s").tls_issuer, "/CN=ca");
  EXPECT_GT(before.at("s").expires_s, 1'700'000'000u);
  EXPECT_EQ(before.at("p").tls, accounts::TlsRule::none);

  server.exec("SET GLOBAL require_secure_transport = ON, default_password_lifetime = 5");
  const auto after = rows();
  EXPECT_EQ(after.at("p").tls, accounts::TlsRule::secure);
  EXPECT_GT(after.at("p").expires_s, after.at("s").expires_s);
  EXPECT_EQ(ask_server(server, "p", {}), "p@%") << "a Unix socket is secure";
  EXPECT_NE(::mysql_errno(log_in(server, "p", {"127.0.0.1", ""}).get()), 0u);
}

TEST(AccountsLoader, ReadsTheHostsOfGrants) {
  MariadbServer server(server_options(true));
  server.exec(
      "CREATE DATABASE d; CREATE TABLE d.t (i INT); CREATE PROCEDURE d.p() SELECT 1;"
      "CREATE USER u@'%'; CREATE USER u@'10.%'; CREATE USER u@'11.%'; CREATE USER u@'12.%';"
      "CREATE USER u@'13.%'; CREATE USER u@'14.%';"
      "GRANT SELECT ON d.* TO u@'%'; GRANT SELECT ON d.* TO u@'10.%';"
      "GRANT INSERT ON `d_`.* TO u@'10.%'; GRANT SELECT ON d.t TO u@'11.%';"
      "GRANT SELECT (i) ON d.t TO u@'12.%'; GRANT EXECUTE ON PROCEDURE d.p TO u@'13.%';"
      "GRANT PROXY ON u@'10.%' TO u@'14.%'");
  std::vector<std::string> hosts;
  for (const auto& grant : load(server).grant_hosts)
    if (grant.user == "u") hosts.push_back(grant.host);
  EXPECT_THAT(hosts, testing::UnorderedElementsAre("10.%", "11.%", "12.%", "13.%", "14.%"));
}

TEST(AccountsLoader, ReadsWhatSqlWrote) {
  MariadbServer server(server_options(true));
  set_accounts(server, {});
  server.exec(
      "INSTALL SONAME 'auth_ed25519';"
      "CREATE USER plain@'10.1.%' IDENTIFIED BY 'secret';"
      "CREATE USER two@'%' IDENTIFIED VIA ed25519 USING PASSWORD('a') OR unix_socket"
      " OR mysql_native_password USING PASSWORD('b');"
      "CREATE USER locked@'%' REQUIRE X509 ACCOUNT LOCK;"
      "CREATE USER expired@'%' IDENTIFIED BY 'x' PASSWORD EXPIRE;"
      "CREATE USER named@'web1.example.com';"
      "CREATE USER broken@'%' IDENTIFIED VIA mysql_native_password USING 'invalid';"
      "CREATE ROLE r");
  const auto bytes = accounts::encode(load(server));
  const auto table = Table::open(bytes).value();
  const auto row = [&](std::string_view user) {
    for (std::size_t i = 0; i < table.size(); ++i)
      if (table.at(i)->user == user) return *table.at(i);
    throw TestError(fmt::format("no row for {}", user));
  };
  EXPECT_EQ(table.flavour(), accounts::Flavour::mariadb);
  EXPECT_TRUE(table.skip_name_resolve());
  EXPECT_EQ(table.source(), "db1");
  EXPECT_EQ(row("plain").host, "10.1.%");
  EXPECT_EQ(row("plain").proofs[0].text, "*14E65567ABDB5135D0CFD9A70B3032C179A49EE7");
  ASSERT_EQ(row("two").proofs.size(), 3u);
  EXPECT_EQ(row("two").proofs[0].plugin, "ed25519");
  EXPECT_EQ(row("two").proofs[1].plugin, "unix_socket");
  EXPECT_EQ(row("two").proofs[2].plugin, "mysql_native_password");
  EXPECT_EQ(row("two").proofs[2].text.size(), 41u);
  EXPECT_TRUE(row("locked").locked);
  EXPECT_EQ(row("locked").tls, accounts::TlsRule::x509);
  EXPECT_TRUE(row("expired").password_expired);
  EXPECT_EQ(accounts::reason(row("plain")), "");
  EXPECT_NE(accounts::reason(row("named")), "");
  EXPECT_NE(accounts::reason(row("broken")), "");
  EXPECT_TRUE(row("r").is_role);
}

TEST(AccountsLoader, NamesTheGrantsThatAreMissing) {
  MariadbServer server;
  server.exec("CREATE USER blind@'127.%'");
  Client blind(server.endpoint("blind", ""));
  const auto missing = [&] {
    const auto contents = monitor::load_accounts(blind.handle(), "db1");
    if (contents) return std::string();
    EXPECT_EQ(contents.error().code, Errc::denied);
    const auto& message = contents.error().message;
    return message.substr(message.find("needed: ") + 8);
  };
  std::string grants = missing();
  for (const char* table :
       {"global_priv", "db", "tables_priv", "columns_priv", "procs_priv", "proxies_priv"})
    EXPECT_THAT(grants, testing::HasSubstr(
                            fmt::format("GRANT SELECT ON mysql.{} TO 'blind'@'127.%'", table)));
  server.exec("GRANT SELECT ON mysql.global_priv TO 'blind'@'127.%'");
  EXPECT_THAT(missing(), testing::StartsWith("GRANT SELECT ON mysql.db TO 'blind'@'127.%'; "));
  server.exec(missing());
  EXPECT_EQ(missing(), "");
}

TEST(AccountsLoader, ALostConnectionIsAnErrorAndNoPartialTable) {
  MariadbServer server;
  Client client(server.endpoint(kWatchUser, kWatchPassword));
  server.kill9();
  const auto contents = monitor::load_accounts(client.handle(), "db1");
  ASSERT_FALSE(contents);
  EXPECT_EQ(contents.error().code, Errc::unavailable);
}

}  // namespace
}  // namespace sluice::test
