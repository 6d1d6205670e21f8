#include "common/accounts/match.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <random>

#include "tests/common/accounts/cases.h"

namespace sluice::accounts {
namespace {

std::string found(const Contents& contents, std::string_view user, const Peer& client) {
  const auto bytes = encode(contents);
  const auto table = Table::open(bytes);
  if (!table) return table.error().message;
  const auto account = find(*table, user, client);
  return account ? name_of(account->user, account->host) : "none";
}

TEST(Match, EveryCaseGetsItsAccount) {
  const auto cases = read_match_cases(SLUICE_TEST_DATA "/accounts.cases");
  ASSERT_GT(cases.size(), 100u);
  for (const auto& test : cases)
    EXPECT_EQ(found(contents_of(test), test.user, test.client), test.expected)
        << "accounts.cases:" << test.line;
}

TEST(Match, TheOrderInWhichRowsAreReadDoesNotMatter) {
  std::mt19937 random(20260729);
  for (const auto& test : read_match_cases(SLUICE_TEST_DATA "/accounts.cases")) {
    auto contents = contents_of(test);
    for (int round = 0; round < 5; ++round) {
      std::ranges::shuffle(contents.rows, random);
      EXPECT_EQ(found(contents, test.user, test.client), test.expected)
          << "accounts.cases:" << test.line;
    }
  }
}

TEST(Match, RowsOfOthersNeverMatter) {
  for (const auto& test : read_match_cases(SLUICE_TEST_DATA "/accounts.cases")) {
    auto contents = contents_of(test);
    for (const char* user : {"a", "ap", "apple", "zoe", "APP"})
      for (const char* host : {"%", "10.1.2.3", "localhost", "no.such.host", "10.1.0.0/24", ""})
        contents.rows.push_back({user, host});
    EXPECT_EQ(found(contents, test.user, test.client), test.expected)
        << "accounts.cases:" << test.line;
  }
}

TEST(Match, ARoleIsNoAccountAndALockedOneIs) {
  Contents contents;
  contents.rows = {{.user = "app", .host = "", .is_role = true},
                   {.user = "app", .host = "10.%"},
                   {.user = "app", .host = "10.1.%", .locked = true}};
  EXPECT_EQ(found(contents, "app", {"10.2.3.4", ""}), "app@10.%");
  EXPECT_EQ(found(contents, "app", {"10.1.3.4", ""}), "app@10.1.%") << "and the server refuses it";
  EXPECT_EQ(found(contents, "app", {"11.1.3.4", ""}), "none") << "the role's empty host is no host";
}

TEST(Match, ARowThatTheServerLeavesOutIsNoRow) {
  Contents contents;
  contents.rows = {{.user = "app", .host = "%"},
                   {.user = "app", .host = "10.1.%", .left_out = true}};
  EXPECT_EQ(found(contents, "app", {"10.1.3.4", ""}), "app@%");
}

/// A table that lives as long as its bytes.
struct Encoded {
  explicit Encoded(const Contents& contents)
      : bytes(encode(contents)), table(Table::open(bytes).value()) {}
  Bytes bytes;
  Table table;
};

TEST(Match, MySqlLeavesTheOrderOfEqualRowsToChance) {
  Contents contents;
  contents.rows = {{.user = "app", .host = "10.1.%"},
                   {.user = "app", .host = "10.1._%"},
                   {.user = "app", .host = "10.1.2.3"},
                   {.user = "app", .host = "10.1.2.0/255.255.255.0"}};
  const Peer exact{"10.1.2.3", ""}, far{"10.1.7.7", ""}, outside{"10.2.0.0", ""};
  for (const auto flavour : {Flavour::mysql, Flavour::mysql_old, Flavour::mariadb}) {
    contents.flavour = flavour;
    const Encoded encoded(contents);
    EXPECT_EQ(undecided(encoded.table, "app", exact), flavour == Flavour::mysql_old);
    EXPECT_EQ(undecided(encoded.table, "app", far), flavour != Flavour::mariadb);
    EXPECT_FALSE(undecided(encoded.table, "app", outside));
    EXPECT_FALSE(undecided(encoded.table, "other", far));
  }
}

TEST(Match, WhichHostsAreAllowedAtAll) {
  Contents contents;
  contents.skip_name_resolve = true;
  contents.rows = {{.user = "app", .host = "10.1.%"},
                   {.user = "", .host = "web1.example.com"},
                   {.user = "role", .host = "", .is_role = true}};
  const auto bytes = encode(contents);
  const auto table = Table::open(bytes).value();
  EXPECT_TRUE(host_allowed(table, {"10.1.2.3", ""}));
  EXPECT_FALSE(host_allowed(table, {"10.2.2.3", ""}));
  EXPECT_FALSE(host_allowed(table, {"10.2.2.3", "web1.example.com"}));
  EXPECT_FALSE(host_allowed(table, {}));
}

TEST(Match, PlainHostsAreLookedUpWhateverTheirLetters) {
  Contents contents;
  for (const char* host : {"b.example.com", "A.example.com", "a.Example.com", "10.0.0.7", "Fe80::1",
                           "fe80::2", "10.01.0.9", "10.9.0.0/255.255.0.0", "c\\_d"})
    contents.rows.push_back({.user = "app", .host = host});
  const auto bytes = encode(contents);
  const auto table = Table::open(bytes).value();
  EXPECT_EQ(table.hosts(), 9u);
  EXPECT_EQ(table.patterns(), 3u);
  for (const char* name : {"a.example.com", "B.EXAMPLE.com", "C_D"})
    EXPECT_TRUE(host_allowed(table, {"192.0.2.1", name})) << name;
  for (const char* ip : {"10.0.0.7", "fe80::2", "10.9.8.7"})
    EXPECT_TRUE(host_allowed(table, {ip, ""})) << ip;
  // MariaDB compares addresses as text, and to the letter.
  for (const char* ip : {"10.0.0.8", "fe80::1", "10.1.0.9"})
    EXPECT_FALSE(host_allowed(table, {ip, ""})) << ip;
  EXPECT_FALSE(host_allowed(table, {"192.0.2.1", "aa.example.com"}));
}

// Names.

Contents with_row(std::string user, std::string host) {
  Contents contents;
  contents.rows = {{.user = "app", .host = "10.%"},
                   {.user = "app", .host = "%"},
                   {.user = "app", .host = "localhost"},
                   {.user = "named", .host = "%.example.com"},
                   {.user = std::move(user), .host = std::move(host)}};
  return contents;
}

TEST(NamesMatter, OnlyWhereAPatternOfTheUserOrAnAnonymousOneMayCoverOne) {
  for (const char* host : {"%.example.com", "web1", "web_", "1%", "_0.1.2.3", "%1", "local%"}) {
    EXPECT_TRUE(names_matter(Encoded(with_row("app", host)).table, "app")) << host;
    EXPECT_TRUE(names_matter(Encoded(with_row("", host)).table, "app")) << host;
    EXPECT_FALSE(names_matter(Encoded(with_row("other", host)).table, "app")) << host;
  }
  for (const char* host : {"", "%", "%%", "10.1.2.3", "10.1.%", "10.1.0.0/255.255.0.0", "fe80::%",
                           "::1", "LocalHost", "1.%.example.com"})
    EXPECT_FALSE(names_matter(Encoded(with_row("app", host)).table, "app")) << host;
  EXPECT_TRUE(names_matter(Encoded(with_row("x", "%")).table, "'named'")) << "quotes come off";
}

TEST(NamesMatter, NotOnAServerThatResolvesNoneAndNotForRoles) {
  auto contents = with_row("app", "web1.example.com");
  contents.skip_name_resolve = true;
  EXPECT_FALSE(names_matter(Encoded(contents).table, "app"));
  contents.skip_name_resolve = false;
  contents.rows.back().is_role = true;
  EXPECT_FALSE(names_matter(Encoded(contents).table, "app"));
}

TEST(NamesMatter, AGrantHostIsEnough) {
  Contents contents;
  contents.rows = {{.user = "app", .host = "%"}};
  contents.grant_hosts = {{"app", "10.%"}, {"other", "%.example.com"}};
  EXPECT_FALSE(names_matter(Encoded(contents).table, "app"));
  EXPECT_TRUE(names_matter(Encoded(contents).table, "other"));
  contents.grant_hosts.push_back({"", "web1"});
  EXPECT_TRUE(names_matter(Encoded(contents).table, "app"));
}

// Grants.

TEST(SameGrants, EachGrantHostCoversBothOrNeither) {
  Contents contents;
  contents.rows = {{.user = "app", .host = "%"}};
  contents.grant_hosts = {{"app", "10.1.%"}, {"app", "%"}, {"other", "10.1.2.3"}, {"app", ""}};
  const Peer a{"10.1.2.3", ""}, b{"10.1.9.9", ""}, c{"10.2.0.1", ""}, d{"10.2.0.2", ""};
  {
    const Encoded encoded(contents);
    EXPECT_TRUE(same_grants(encoded.table, "app", a, b));
    EXPECT_TRUE(same_grants(encoded.table, "app", c, d)) << "covered by neither";
    EXPECT_FALSE(same_grants(encoded.table, "app", a, c));
    EXPECT_FALSE(same_grants(encoded.table, "other", a, b));
    EXPECT_TRUE(same_grants(encoded.table, "nobody", a, c));
  }
  contents.grant_hosts.push_back({"", "10.1.2.3"});
  EXPECT_FALSE(same_grants(Encoded(contents).table, "app", a, b)) << "anonymous ones are for all";
}

TEST(SameGrants, SeesClientsAsTheServerDoes) {
  Contents contents;
  contents.grant_hosts = {{"app", "web1.example.com"}, {"app", "localhost"}};
  const Peer named{"10.1.2.3", "web1.example.com"}, unnamed{"10.1.2.3", ""};
  EXPECT_FALSE(same_grants(Encoded(contents).table, "app", named, unnamed));
  EXPECT_TRUE(same_grants(Encoded(contents).table, "app", {"127.0.0.1", ""}, {}));
  contents.skip_name_resolve = true;
  EXPECT_TRUE(same_grants(Encoded(contents).table, "app", named, unnamed));
  EXPECT_FALSE(same_grants(Encoded(contents).table, "app", {"127.0.0.1", ""}, {}));
}

// TLS.

TEST(TlsSatisfied, EachRuleAsTheServerHasIt) {
  const ClientTls plain, socket{.unix_socket = true}, tls{.encrypted = true, .cipher = "AES"};
  const ClientTls bad{.encrypted = true, .cipher = "AES", .bad_certificate = true};
  const ClientTls good{.encrypted = true,
                       .verified_certificate = true,
                       .subject = "/CN=app",
                       .issuer = "/CN=ca",
                       .cipher = "AES"};
  const auto verdicts = [&](const Account& account) {
    std::string text;
    for (const auto& client : {plain, socket, tls, bad, good})
      text += tls_satisfied(account, client) ? 'y' : 'n';
    return text;
  };
  EXPECT_EQ(verdicts({.tls = TlsRule::none}), "yyyyy");
  EXPECT_EQ(verdicts({.tls = TlsRule::secure}), "nyyyy");
  EXPECT_EQ(verdicts({.tls = TlsRule::any}), "nnyyy");
  EXPECT_EQ(verdicts({.tls = TlsRule::x509}), "nnnny");
  EXPECT_EQ(verdicts({.tls = TlsRule::cipher}), "nnyny");
  EXPECT_EQ(verdicts({.tls = TlsRule::cipher, .tls_cipher = "AES"}), "nnyny");
  EXPECT_EQ(verdicts({.tls = TlsRule::cipher, .tls_cipher = "aes"}), "nnnnn");
  EXPECT_EQ(verdicts({.tls = TlsRule::specified}), "nnnny");
  EXPECT_EQ(verdicts({.tls = TlsRule::specified, .tls_cipher = "AES"}), "nnnny");
  EXPECT_EQ(verdicts({.tls = TlsRule::specified, .tls_cipher = "DES"}), "nnnnn");
  EXPECT_EQ(verdicts({.tls = TlsRule::specified, .tls_issuer = "/CN=ca"}), "nnnny");
  EXPECT_EQ(verdicts({.tls = TlsRule::specified, .tls_issuer = "/CN=c"}), "nnnnn");
  EXPECT_EQ(verdicts({.tls = TlsRule::specified, .tls_subject = "/CN=app"}), "nnnny");
  EXPECT_EQ(verdicts({.tls = TlsRule::specified, .tls_subject = "/CN=APP"}), "nnnnn");
  EXPECT_EQ(verdicts({.tls = TlsRule::unknown}), "nnnnn");
}

TEST(Match, AHundredThousandAccountsAreFast) {
  Contents contents;
  for (int i = 0; i < 100'000; ++i)
    contents.rows.push_back({"user" + std::to_string(i), i % 2 != 0 ? "10.1.%" : "%"});
  const auto bytes = encode(contents);
  const auto table = Table::open(bytes).value();
  const auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < 10'000; ++i) {
    const auto account = find(table, "user" + std::to_string(i * 7), {"10.1.2.3", ""});
    ASSERT_TRUE(account || i * 7 >= 100'000);
  }
  // Microseconds each; a walk over the table would take a thousand times as long.
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(2));
}

}  // namespace
}  // namespace sluice::accounts
