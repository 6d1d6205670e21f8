#include "common/accounts/table.h"

#include <gtest/gtest.h>

#include <random>

#include "common/accounts/match.h"

namespace sluice::accounts {
namespace {

Contents sample() {
  Contents contents;
  contents.flavour = Flavour::mysql;
  contents.skip_name_resolve = true;
  contents.loaded_s = 1785312000;
  contents.source = "db1";
  contents.rows = {
      {"app", "10.1.%", {{"ed25519", "abc"}, {"mysql_native_password", "*6BB4837E"}}, true},
      {.user = "app", .host = "%", .problem = "a problem", .tls = TlsRule::x509},
      {.user = "", .host = "%", .password_expired = true, .more_factors = "webauthn"},
      {.user = "role", .host = "", .is_role = true},
      {.user = "tls",
       .host = "%",
       .tls = TlsRule::specified,
       .tls_cipher = "AES",
       .tls_issuer = "/CN=ca",
       .tls_subject = "/CN=app",
       .expires_s = 1785312000,
       .left_out = true},
  };
  contents.grant_hosts = {{"app", "10.%"}, {"", "%.example.com"}, {"app", "10.1.2.3"}};
  return contents;
}

/// Reads everything there is; under the sanitizers, and for its result.
std::size_t walk(const Table& table) {
  std::size_t read = table.source().size();
  for (std::size_t i = 0; i < std::min<std::size_t>(table.hosts(), 100); ++i)
    read += table.host(i).value_or("").size();
  for (std::size_t i = 0; i < std::min<std::size_t>(table.grant_hosts(), 100); ++i)
    if (const auto grant = table.grant_host(i)) read += grant->user.size() + grant->host.size();
  for (std::size_t i = 0; i < std::min<std::size_t>(table.size(), 100); ++i)
    if (const auto account = table.at(i)) {
      read += account->user.size() + account->host.size() + reason(*account).size();
      read += account->tls_cipher.size() + account->tls_issuer.size() +
              account->tls_subject.size() + account->more_factors.size();
      for (const auto& proof : account->proofs) read += proof.plugin.size() + proof.text.size();
    }
  for (const char* user : {"", "app", "role"})
    if (const auto account = find(table, user, {"10.1.2.3", ""})) read += account->host.size();
  for (const char* user : {"", "app", "role"})
    read += undecided(table, user, {}) + names_matter(table, user) +
            same_grants(table, user, {}, {"10.1.2.3", ""});
  return read + (host_allowed(table, {}) ? 1 : 0);
}

TEST(Table, HasWhatWasEncoded) {
  const auto bytes = encode(sample());
  const auto opened = Table::open(bytes);
  ASSERT_TRUE(opened) << opened.error().message;
  const Table& table = *opened;
  EXPECT_EQ(table.flavour(), Flavour::mysql);
  EXPECT_TRUE(table.skip_name_resolve());
  EXPECT_EQ(table.loaded_s(), 1785312000u);
  EXPECT_EQ(table.source(), "db1");
  ASSERT_EQ(table.size(), 5u);

  EXPECT_EQ(table.at(0)->user, "") << "sorted by user";
  EXPECT_TRUE(table.at(0)->password_expired);
  EXPECT_EQ(table.at(0)->more_factors, "webauthn");
  const auto app = *table.at(1);
  EXPECT_EQ(app.host, "10.1.%") << "the more specific row first";
  EXPECT_TRUE(app.locked);
  EXPECT_EQ(reason(app), "locked");
  ASSERT_EQ(app.proofs.size(), 2u);
  EXPECT_EQ(app.proofs[0].plugin, "ed25519");
  EXPECT_EQ(app.proofs[1].text, "*6BB4837E");
  EXPECT_EQ(table.at(2)->tls, TlsRule::x509);
  EXPECT_EQ(reason(*table.at(2)), "a problem");
  EXPECT_TRUE(table.at(3)->is_role);
  EXPECT_FALSE(reason(*table.at(3)).empty());
  EXPECT_FALSE(table.at(5));
}

TEST(Table, HasWhatIsDemandedOfTls) {
  const auto bytes = encode(sample());
  const auto account = Table::open(bytes)->at(4).value();
  EXPECT_EQ(account.tls, TlsRule::specified);
  EXPECT_EQ(account.tls_cipher, "AES");
  EXPECT_EQ(account.tls_issuer, "/CN=ca");
  EXPECT_EQ(account.tls_subject, "/CN=app");
  EXPECT_TRUE(account.left_out);
  EXPECT_EQ(Table::open(bytes)->at(2)->tls_cipher, "");
}

TEST(Table, AnAccountExpiresWhenItsTimeHasCome) {
  Account account;
  EXPECT_FALSE(expired(account, 2000));
  account.expires_s = 2000;
  EXPECT_FALSE(expired(account, 1999));
  EXPECT_TRUE(expired(account, 2000));
  account = {.password_expired = true};
  EXPECT_TRUE(expired(account, 0));
}

TEST(Table, HasTheHostsOfEligibleRowsOnce) {
  auto contents = sample();
  contents.rows.push_back({.user = "other", .host = "%"});
  contents.rows.push_back({.user = "role2", .host = "role host", .is_role = true});
  contents.rows.push_back({.user = "broken", .host = "left out host", .left_out = true});
  const auto bytes = encode(contents);
  const auto table = Table::open(bytes).value();
  ASSERT_EQ(table.hosts(), 2u);
  EXPECT_EQ(table.host(0), "%");
  EXPECT_EQ(table.host(1), "10.1.%");
  EXPECT_FALSE(table.host(2));
}

TEST(Table, HasTheGrantHostsByUser) {
  const auto bytes = encode(sample());
  const auto table = Table::open(bytes).value();
  ASSERT_EQ(table.grant_hosts(), 3u);
  EXPECT_EQ(table.grant_host(0)->user, "");
  EXPECT_EQ(table.grant_host(0)->host, "%.example.com");
  EXPECT_EQ(table.grant_host(1)->host, "10.%");
  EXPECT_EQ(table.grant_host(2)->host, "10.1.2.3");
  EXPECT_FALSE(table.grant_host(3));
}

TEST(Table, TheFingerprintIsOfWhatTheTableSays) {
  auto contents = sample();
  const auto same = fingerprint(encode(contents));
  contents.loaded_s += 60;
  contents.source = "db2, the replica";
  EXPECT_EQ(fingerprint(encode(contents)), same);
  contents.source = "app";  // is among the texts already
  EXPECT_EQ(fingerprint(encode(contents)), same);
  contents.grant_hosts.pop_back();
  EXPECT_NE(fingerprint(encode(contents)), same);
  contents = sample();
  contents.skip_name_resolve = false;
  EXPECT_NE(fingerprint(encode(contents)), same);
  contents = sample();
  contents.rows[4].expires_s = 0;
  EXPECT_NE(fingerprint(encode(contents)), same);
  EXPECT_EQ(fingerprint({}), 0u);
}

TEST(Table, AnEmptyOneKnowsNobody) {
  EXPECT_FALSE(find(Table(), "app", {"10.1.2.3", ""}));
  const auto bytes = encode({});
  EXPECT_EQ(Table::open(bytes)->size(), 0u);
}

TEST(Table, KeepsEachStringOnce) {
  Contents once = sample(), often = sample();
  for (int i = 0; i < 10; ++i) often.rows.push_back(often.rows[0]);
  const auto row_and_proofs = (encode(often).size() - encode(once).size()) / 10;
  EXPECT_EQ(row_and_proofs, sizeof(RowRecord) + 2 * sizeof(ProofRecord));
}

TEST(Table, TakesOnlyTheFirstProofs) {
  Contents contents;
  contents.rows = {{"app", "%", std::vector<Row::Proof>(20, {"plugin", "text"})}};
  const auto bytes = encode(contents);
  EXPECT_EQ(Table::open(bytes)->at(0)->proofs.size(), ProofList::kMax);
}

TEST(Table, EveryTruncationIsRefusedOrReadSafely) {
  const auto whole = encode(sample());
  const auto records_end = Layout(record<Header>(whole, 0)->counts).text;
  for (std::size_t n = 0; n < whole.size(); ++n) {
    const Bytes cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(n));
    const auto table = Table::open(cut);
    if (table) walk(*table);
    if (n < records_end) {
      EXPECT_FALSE(table) << "cut at " << n;
    }
  }
}

TEST(Table, NoDamageReadsOutside) {
  const auto whole = encode(sample());
  std::mt19937 random(1);
  for (int round = 0; round < 20'000; ++round) {
    Bytes damaged = whole;  // exactly as large as its bytes: the sanitizer sees every step outside
    for (int hits = 0; hits < 3; ++hits)
      damaged[random() % damaged.size()] = static_cast<std::byte>(random());
    if (const auto table = Table::open(damaged)) walk(*table);
  }
}

TEST(Table, AnotherFormatIsNamed) {
  auto bytes = encode(sample());
  bytes[8] = std::byte{9};
  EXPECT_EQ(Table::open(bytes).error().message,
            "the table of accounts has format 9, this program knows 3");
  EXPECT_EQ(Table::open({}).error().code, Errc::ipc_protocol);
}

}  // namespace
}  // namespace sluice::accounts
