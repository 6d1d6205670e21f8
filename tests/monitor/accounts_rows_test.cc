#include "monitor/accounts_rows.h"

#include <gtest/gtest.h>

namespace sluice::monitor {
namespace {

using accounts::Flavour;
using accounts::Row;
using accounts::TlsRule;

constexpr const char* kHash = "*14E65567ABDB5135D0CFD9A70B3032C179A49EE7";

Row from_json(std::string_view priv) {
  auto row = row_from_json("app", "10.1.%", priv);
  judge(row, Flavour::mariadb, true);
  return row;
}

TEST(RowFromJson, AnEmptyObjectIsANativeAccountWithoutPassword) {
  const auto row = from_json("{}");
  ASSERT_EQ(row.proofs.size(), 1u);
  EXPECT_EQ(row.proofs[0].plugin, "mysql_native_password");
  EXPECT_EQ(row.proofs[0].text, "");
  EXPECT_EQ(row.problem, "");
}

TEST(RowFromJson, TheTopLevelTakesItsPlaceAmongTheAlternatives) {
  const auto row = from_json(R"({"plugin": "unix_socket", "authentication_string": "x", "auth_or":
      [{"plugin": "ed25519", "authentication_string": "e"}, {}, {"plugin": "pam"}]})");
  ASSERT_EQ(row.proofs.size(), 3u);
  EXPECT_EQ(row.proofs[0].plugin, "ed25519");
  EXPECT_EQ(row.proofs[0].text, "e");
  EXPECT_EQ(row.proofs[1].plugin, "unix_socket");
  EXPECT_EQ(row.proofs[1].text, "x");
  EXPECT_EQ(row.proofs[2].plugin, "pam");
  EXPECT_EQ(row.proofs[2].text, "");
}

TEST(RowFromJson, OnlyTheRightTypesCount) {
  const auto yes = from_json(
      R"({"account_locked": true, "is_role": false, "password_last_changed": 0, "ssl_type": 2})");
  EXPECT_TRUE(yes.locked);
  EXPECT_FALSE(yes.is_role);
  EXPECT_TRUE(yes.password_expired);
  EXPECT_EQ(yes.tls, TlsRule::x509);
  const auto no = from_json(
      R"({"account_locked": 1, "is_role": "true", "password_last_changed": "0", "plugin": 7})");
  EXPECT_FALSE(no.locked);
  EXPECT_FALSE(no.is_role);
  EXPECT_FALSE(no.password_expired);
  EXPECT_EQ(no.proofs[0].plugin, "mysql_native_password");
  EXPECT_EQ(from_json(R"({"ssl_type": 9})").tls, TlsRule::specified) << "unknown: the strictest";
}

TEST(RowFromJson, WhatCantBeReadIsAProblemAndNoWayIn) {
  for (const char* bad :
       {"", "{", "[]", "7", "null", R"({"auth_or": [7]})", "{\"plugin\": \"\xff\"}"}) {
    const auto row = from_json(bad);
    EXPECT_NE(row.problem, "") << bad;
    EXPECT_TRUE(row.proofs.empty()) << bad;
  }
}

TEST(RowFromJson, ARoleHasNoProofs) {
  const auto row = from_json(R"({"is_role": true})");
  EXPECT_TRUE(row.is_role);
  EXPECT_TRUE(row.proofs.empty());
  EXPECT_EQ(row.problem, "");
}

TEST(Judge, OldAndMalformedHashesAreProblemsUnlessThereIsAnotherWay) {
  EXPECT_NE(from_json(R"({"plugin": "mysql_old_password", "authentication_string": "0123"})")
                .problem.find("before MySQL 4.1"),
            std::string::npos);
  EXPECT_NE(from_json(R"({"authentication_string": "606717496665bcba"})")
                .problem.find("before MySQL 4.1"),
            std::string::npos);
  EXPECT_NE(from_json(R"({"authentication_string": "invalid"})").problem, "");
  EXPECT_EQ(from_json(R"({"authentication_string": "invalid", "auth_or":
                          [{}, {"plugin": "unix_socket"}]})")
                .problem,
            "");
}

TEST(Judge, TheHostComesFirst) {
  auto row = row_from_json("app", "web1.example.com", "{}");
  judge(row, Flavour::mariadb, false);
  EXPECT_EQ(row.problem, "host names are not resolved yet");
}

TEST(RowFromColumns, MySql8) {
  const std::vector<std::string> names = {
      "host",          "user", "ssl_type", "plugin", "authentication_string", "password_expired",
      "account_locked"};
  const std::vector<std::optional<std::string>> values = {
      "%", "app", "ANY", "caching_sha2_password", "$A$005$abc", "N", "Y"};
  const auto row = row_from_columns({names, values});
  EXPECT_EQ(row.user, "app");
  EXPECT_EQ(row.host, "%");
  EXPECT_EQ(row.tls, TlsRule::any);
  EXPECT_TRUE(row.locked);
  EXPECT_FALSE(row.password_expired);
  ASSERT_EQ(row.proofs.size(), 1u);
  EXPECT_EQ(row.proofs[0].plugin, "caching_sha2_password");
  EXPECT_EQ(row.proofs[0].text, "$A$005$abc");
}

TEST(RowFromColumns, OldMariaDbKeepsHashesInThePasswordColumn) {
  const std::vector<std::string> names = {
      "host", "user", "password", "plugin", "authentication_string", "is_role"};
  const auto proofs_of = [&](std::string password, std::string plugin, std::string text) {
    const std::vector<std::optional<std::string>> values = {"%",    "app", password,
                                                            plugin, text,  std::nullopt};
    return row_from_columns({names, values}).proofs;
  };
  EXPECT_EQ(proofs_of(kHash, "", "")[0].plugin, "mysql_native_password");
  EXPECT_EQ(proofs_of(kHash, "", "")[0].text, kHash);
  EXPECT_EQ(proofs_of("606717496665bcba", "", "")[0].plugin, "mysql_old_password");
  EXPECT_EQ(proofs_of(kHash, "ed25519", "e")[0].text, "e") << "no hash of another plugin";
  EXPECT_EQ(proofs_of(kHash, "ed25519", "")[0].text, "");
}

}  // namespace
}  // namespace sluice::monitor
