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
