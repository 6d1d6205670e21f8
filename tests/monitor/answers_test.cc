#include "monitor/answers.h"

#include <gtest/gtest.h>

#include "common/accounts/table.h"

namespace sluice::monitor {
namespace {

constexpr const char* kHash = "*6BB4837EB74329105EE4568DDA7DC67ED2CA2AD9";

KnownAccounts known_accounts() {
  accounts::Contents contents;
  contents.source = "db1";
  const auto add = [&](std::string user, std::string host, std::string problem = "") {
    accounts::Row row;
    row.user = std::move(user);
    row.host = std::move(host);
    row.proofs = {{"mysql_native_password", kHash}};
    row.problem = std::move(problem);
    contents.rows.push_back(std::move(row));
  };
  add("app", "%");
  add("app", "10.0.0.%");
  add("app", "10.0.0.7");
  add("app", "nowhere.example", "host name can't be resolved");
  add("other", "%");
  contents.rows[1].locked = true;
  KnownAccounts known;
  known.encoded = accounts::encode(contents);
  return known;
}

std::string cell(const ipc::Table& table, std::size_t row, std::string_view column) {
  for (std::size_t i = 0; i < table.columns.size(); ++i)
    if (table.columns[i].name == column) return table.rows[row].cells[i];
  return "no such column";
}

ipc::Table explain(const std::string& user, const std::string& host) {
  ipc::Table table;
  for (const char* name : {"cluster", "user", "host", "chosen", "reason"})
    table.columns.push_back({name, ipc::Kind::text});
  EXPECT_TRUE(explain_login("shop", known_accounts(), user, host, table));
  return table;
}

TEST(ListAccounts, ShowsEveryRowAndItsReasonAndNeverAHash) {
  ipc::Table table;
  list_accounts("shop", known_accounts(), table);
  ASSERT_EQ(table.rows.size(), 5u);
  std::string all;
  for (const auto& row : table.rows)
    for (const auto& text : row.cells) all += text + "\n";
  EXPECT_EQ(all.find(kHash), std::string::npos);
  EXPECT_NE(all.find("host name can't be resolved"), std::string::npos);
  EXPECT_NE(all.find("mysql_native_password"), std::string::npos);
}

TEST(ListAccounts, SaysWhyNothingIsLoaded) {
  ipc::Table table;
  KnownAccounts none;
  none.error = "grant SELECT on mysql.*";
  list_accounts("shop", none, table);
  ASSERT_EQ(table.rows.size(), 1u);
  EXPECT_NE(table.rows[0].cells.back().find("grant SELECT"), std::string::npos);
}

TEST(ExplainLogin, TheFirstThatCoversIsChosenAndTheOthersSayWhyNot) {
  const auto table = explain("app", "10.0.0.9");
  std::string chosen;
  for (std::size_t row = 0; row < table.rows.size(); ++row)
    if (cell(table, row, "chosen") == "true") {
      chosen = cell(table, row, "host");
      EXPECT_NE(cell(table, row, "reason").find("but:"), std::string::npos) << "it is locked";
    }
  EXPECT_EQ(chosen, "10.0.0.%");
  for (std::size_t row = 0; row < table.rows.size(); ++row) {
    if (cell(table, row, "host") == "10.0.0.7") {
      EXPECT_NE(cell(table, row, "reason").find("does not cover"), std::string::npos);
    }
    if (cell(table, row, "host") == "%") {
      EXPECT_NE(cell(table, row, "reason").find("more specific"), std::string::npos);
    }
  }
}

TEST(ExplainLogin, NobodyMatches) {
  const auto table = explain("stranger", "10.0.0.9");
  ASSERT_FALSE(table.rows.empty());
  EXPECT_NE(cell(table, table.rows.size() - 1, "reason").find("1045"), std::string::npos);
}

TEST(ExplainLogin, AHostThatIsNoAddressIsRefused) {
  ipc::Table table;
  EXPECT_FALSE(explain_login("shop", known_accounts(), "app", "10.0.0", table));
}

TEST(Answer, UnknownThingsAreErrorsForPeople) {
  Clusters none;
  EXPECT_FALSE(answer(none, {1, "make coffee", {}}));
  EXPECT_FALSE(answer(none, {1, "show server", {}}));
  const auto missing = answer(none, {1, "show server", {"shop/db1"}});
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().message, "no cluster \"shop\"");
}

}  // namespace
}  // namespace sluice::monitor
