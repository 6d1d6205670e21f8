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
      {.user = "", .host = "%", .password_expired = true},
      {.user = "role", .host = "", .is_role = true},
  };
  return contents;
}

/// Reads everything there is; under the sanitizers, and for its result.
std::size_t walk(const Table& table) {
  std::size_t read = table.source().size();
  for (std::size_t i = 0; i < std::min<std::size_t>(table.size(), 100); ++i)
    if (const auto account = table.at(i)) {
      read += account->user.size() + account->host.size() + reason(*account).size();
      for (const auto& proof : account->proofs) read += proof.plugin.size() + proof.text.size();
    }
  for (const char* user : {"", "app", "role"})
    if (const auto account = find(table, user, {"10.1.2.3", ""})) read += account->host.size();
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
  ASSERT_EQ(table.size(), 4u);

  EXPECT_EQ(table.at(0)->user, "") << "sorted by user";
  EXPECT_TRUE(table.at(0)->password_expired);
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
  EXPECT_FALSE(table.at(4));
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
  EXPECT_EQ(row_and_proofs, 40u + 2 * 16u);
}

TEST(Table, TakesOnlyTheFirstProofs) {
  Contents contents;
  contents.rows = {{"app", "%", std::vector<Row::Proof>(20, {"plugin", "text"})}};
  const auto bytes = encode(contents);
  EXPECT_EQ(Table::open(bytes)->at(0)->proofs.size(), ProofList::kMax);
}

TEST(Table, EveryTruncationIsRefusedOrReadSafely) {
  const auto whole = encode(sample());
  for (std::size_t n = 0; n < whole.size(); ++n) {
    const Bytes cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(n));
    const auto table = Table::open(cut);
    if (table) walk(*table);
    if (n < 40 + 4 * 40 + 2 * 16) {
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
            "the table of accounts has format 9, this program knows 1");
  EXPECT_EQ(Table::open({}).error().code, Errc::ipc_protocol);
}

}  // namespace
}  // namespace sluice::accounts
