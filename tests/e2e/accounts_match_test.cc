/// Our choice of the account against MariaDB's own: the tables are filled, clients log in directly
/// from many addresses, and CURRENT_USER() must be the row that find() names. Clients in
/// 127.0.0.0/8 are bound to their address, all others are told to the server by a PROXY header.
///
/// SLUICE_SEED repeats a run, SLUICE_PAIRS makes it longer.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <mysqld_error.h>

#include <random>
#include <set>

#include "common/accounts/match.h"
#include "monitor/accounts_loader.h"
#include "tests/common/accounts/cases.h"
#include "tests/support/mariadb_server.h"
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

/// A row as it is written into mysql.global_priv.
struct TestRow {
  std::string user, host;
  std::string priv = "{}";  ///< mysql_native_password without a password
};

std::string sql_text(std::string_view text) {
  std::string out = "'";
  for (const char c : text) {
    if (c == '\'' || c == '\\') out += '\\';
    out += c;
  }
  return out + "'";
}

/// Replaces all accounts but the server's own.
void set_accounts(MariadbServer& server, const std::vector<TestRow>& rows) {
  std::string sql =
      "DELETE FROM mysql.global_priv WHERE User NOT IN ('root', 'sluice', 'mariadb.sys');";
  for (const auto& row : rows)
    sql += fmt::format("INSERT INTO mysql.global_priv (User, Host, Priv) VALUES ({}, {}, {});",
                       sql_text(row.user), sql_text(row.host), sql_text(row.priv));
  server.exec(sql + "FLUSH PRIVILEGES");
}

/// The account that the server gives, "none", or "locked".
std::string ask_server(MariadbServer& server, const std::string& user, const Peer& client) {
  const std::unique_ptr<MYSQL, decltype(&::mysql_close)> handle(::mysql_init(nullptr),
                                                                &::mysql_close);
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
  if (!::mysql_real_connect(handle.get(), local ? "localhost" : "127.0.0.1", name.c_str(), "",
                            nullptr, local ? 0 : port, local ? socket.c_str() : nullptr, 0)) {
    switch (::mysql_errno(handle.get())) {
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
  if (::mysql_query(handle.get(), "SELECT CURRENT_USER()") != 0)
    throw TestError(::mysql_error(handle.get()));
  MYSQL_RES* result = ::mysql_store_result(handle.get());
  std::string answer = ::mysql_fetch_row(result)[0];
  ::mysql_free_result(result);
  return answer;
}

/// The same from our table. The server shows an empty host as %.
std::string ask_us(const Table& table, const std::string& user, const Peer& client) {
  const auto account = accounts::find(table, user, client);
  if (!account) return kNobody;
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
    std::vector<TestRow> rows;
    for (const auto& account : test.accounts) {
      const auto [user, host] = accounts::split_account(account);
      rows.push_back({user, host});
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

/// Makes hosts that are close to the addresses of its clients, so that many rows compete.
class Generator {
 public:
  explicit Generator(uint64_t seed) : random_(seed) {}

  int below(int limit) { return static_cast<int>(random_() % static_cast<uint64_t>(limit)); }
  bool one_in(int n) { return below(n) == 0; }
  template <class T>
  const T& any_of(const std::vector<T>& list) {
    return list[static_cast<std::size_t>(below(static_cast<int>(list.size())))];
  }

  std::string user() { return any_of<std::string>({"u1", "u1", "u2", "U1", ""}); }

  std::vector<TestRow> rows(const std::vector<std::string>& addresses) {
    std::vector<TestRow> rows;
    std::set<std::string> taken;  // '' and '%' are one host to the server, in no defined order
    for (int left = 1 + below(14); left > 0; --left) {
      TestRow row{user(), host(any_of(addresses))};
      if (!taken.insert(row.user + "@" + (row.host.empty() ? "%" : row.host)).second) continue;
      if (one_in(12)) row.priv = R"({"account_locked": true})";
      if (one_in(12)) row.priv = R"({"auth_or": [{"plugin": "ed25519"}, {}], "access": 0})";
      if (one_in(25) && row.host.empty() && !row.user.empty()) row.priv = R"({"is_role": true})";
      rows.push_back(std::move(row));
    }
    return rows;
  }

 private:
  std::string host(std::string address) {
    switch (below(12)) {
      case 0:
        return "%";
      case 1:
        return "";
      case 2:
        return any_of<std::string>({"localhost", "LocalHost", "local%", "_ocalhost", "%host"});
      case 3:
        return any_of<std::string>({"no.such.host", "%.example.com", "local\\host", "1.2.x"});
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
  std::string pattern(std::string text) {
    for (int left = 1 + below(3); left > 0; --left) {
      const auto at = static_cast<std::size_t>(below(static_cast<int>(text.size())));
      const auto length = static_cast<std::size_t>(below(4));
      switch (below(8)) {
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
          text.insert(at, any_of<std::string>({"%%", "_%", "%_", "0", "/"}));
          break;
        default:
          text.replace(at, length, "%");
          break;
      }
    }
    return text;
  }

  std::string network(const std::string& address) {
    const auto number = accounts::parse_ipv4(address);
    if (!number) return address + "/" + std::to_string(below(129));
    const int bits = below(33);
    const uint32_t mask = bits == 0 ? 0 : UINT32_MAX << (32 - bits);
    const uint32_t base = one_in(4) ? *number : *number & mask;
    if (one_in(6)) return fmt::format("{}/{}", dotted(base), bits);
    if (one_in(6)) return fmt::format("{}/ {}", dotted(base), dotted(mask | 1));
    return fmt::format("{}/{}", dotted(base), dotted(mask));
  }
  static std::string dotted(uint32_t n) {
    return fmt::format("{}.{}.{}.{}", n >> 24, n >> 16 & 255, n >> 8 & 255, n & 255);
  }

  std::mt19937_64 random_;
};

uint64_t from_environment(const char* name, uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text != nullptr ? std::strtoull(text, nullptr, 10) : otherwise;
}

/// One set of accounts after the other until enough pairs of (accounts, client) were compared.
void run_random(bool skip_name_resolve, const std::vector<std::string>& addresses, uint64_t pairs) {
  const uint64_t seed = from_environment("SLUICE_SEED", std::random_device{}());
  pairs = from_environment("SLUICE_PAIRS", pairs);
  fmt::print("SLUICE_SEED={} SLUICE_PAIRS={}\n", seed, pairs);
  MariadbServer server(server_options(skip_name_resolve));
  Generator generator(seed);
  uint64_t compared = 0, matched = 0;
  for (int differences = 0; compared < pairs && differences < 3;) {
    set_accounts(server, generator.rows(addresses));
    const auto bytes = accounts::encode(load(server));
    const auto table = Table::open(bytes).value();
    for (int left = 25; left > 0; --left, ++compared) {
      const auto user = generator.user();
      const Peer client{generator.one_in(8) ? "" : generator.any_of(addresses), ""};
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

// The loader.

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

TEST(AccountsLoader, NamesTheGrantThatIsMissing) {
  MariadbServer server;
  server.exec("CREATE USER blind@'127.%'");
  Client blind(server.endpoint("blind", ""));
  const auto contents = monitor::load_accounts(blind.handle(), "db1");
  ASSERT_FALSE(contents);
  EXPECT_EQ(contents.error().code, Errc::denied);
  EXPECT_THAT(contents.error().message,
              testing::HasSubstr("GRANT SELECT ON mysql.global_priv TO 'blind'@'127.%'"));

  server.exec("GRANT SELECT ON mysql.global_priv TO 'blind'@'127.%'");
  EXPECT_TRUE(monitor::load_accounts(blind.handle(), "db1"));
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
