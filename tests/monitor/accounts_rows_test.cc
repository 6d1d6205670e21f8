#include "monitor/accounts_rows.h"

#include <gtest/gtest.h>

namespace sluice::monitor {
namespace {

using accounts::Flavour;
using accounts::Row;
using accounts::TlsRule;

constexpr const char* kHash = "*14E65567ABDB5135D0CFD9A70B3032C179A49EE7";

Row from_json(std::string_view priv, const ServerRules& rules = {}) {
  auto row = row_from_json("app", "10.1.%", priv, rules);
  judge(row, rules);
  return row;
}

TEST(RowFromJson, AnEmptyObjectIsANativeAccountWithoutPassword) {
  const auto row = from_json("{}");
  ASSERT_EQ(row.proofs.size(), 1u);
  EXPECT_EQ(row.proofs[0].plugin, "mysql_native_password");
  EXPECT_EQ(row.proofs[0].text, "");
  EXPECT_EQ(row.problem, "");
}

/// One class of the server's reads and writes these objects in 10.4 and all later releases
/// (sql/sql_acl.cc, User_table_json); what a release adds stands beside what was there. Those from
/// 10.5 on were also seen as real servers (tests/e2e/foreign_servers_test.cc).
TEST(RowFromJson, TheSameAccountInEachRelease) {
  const std::string how = R"("plugin": "mysql_native_password", "authentication_string": ")" +
                          std::string(kHash) + R"(", "ssl_type": 1, "account_locked": true)";
  const std::string releases[] = {
      R"("access": 1073741823, "password_last_changed": 1600000000)",                        // 10.4
      R"("access": 2147483647, "version_id": 100508, "password_last_changed": 1600000000)",  // 10.5
      R"("access": 549755813887, "version_id": 100621, "password_last_changed": 1700000000,
          "default_role": "r")",                                                             // 10.6
      R"("access": 1099511627775, "version_id": 110803, "password_lifetime": -1)",           // 11.8
      R"("access": 18446744073709551615, "version_id": 120102, "max_statement_time": 0.0)"};  // 12
  for (const auto& release : releases) {
    const auto row = from_json("{" + release + ", " + how + "}");
    ASSERT_EQ(row.proofs.size(), 1u);
    EXPECT_EQ(row.proofs[0].plugin, "mysql_native_password");
    EXPECT_EQ(row.proofs[0].text, kHash);
    EXPECT_TRUE(row.locked) << release;
    EXPECT_EQ(row.tls, TlsRule::any);
    EXPECT_EQ(row.problem, "");
    EXPECT_FALSE(row.is_role || row.password_expired);
  }
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
  EXPECT_TRUE(from_json(R"({"password_last_changed": 0.9})").password_expired) << "its whole part";
}

TEST(RowFromJson, WhatIsDemandedOfTls) {
  const auto tls = [](std::string_view priv) { return from_json(priv).tls; };
  EXPECT_EQ(tls("{}"), TlsRule::none);
  EXPECT_EQ(tls(R"({"ssl_type": -1})"), TlsRule::none);
  EXPECT_EQ(tls(R"({"ssl_type": "1"})"), TlsRule::none);
  EXPECT_EQ(tls(R"({"ssl_type": 1.0})"), TlsRule::any);
  EXPECT_EQ(tls(R"({"ssl_type": 3})"), TlsRule::cipher);
  EXPECT_EQ(tls(R"({"ssl_type": 3, "ssl_cipher": "AES"})"), TlsRule::cipher);
  EXPECT_EQ(tls(R"({"ssl_type": 3, "ssl_cipher": "AES", "x509_issuer": "/CN=ca"})"),
            TlsRule::specified);
  const auto row = from_json(R"({"ssl_type": 3, "ssl_cipher": "AES", "x509_subject": "/CN=a\/b"})");
  EXPECT_EQ(row.tls, TlsRule::specified);
  EXPECT_EQ(row.tls_cipher, "AES");
  EXPECT_EQ(row.tls_issuer, "");
  EXPECT_EQ(row.tls_subject, "/CN=a/b");
  const auto unknown = from_json(R"({"ssl_type": 9})");
  EXPECT_EQ(unknown.tls, TlsRule::unknown);
  EXPECT_NE(unknown.problem, "");
}

TEST(RowFromJson, AServerThatWantsSecureTransportWantsItOfEverybody) {
  const ServerRules rules{.require_secure_transport = true};
  EXPECT_EQ(from_json("{}", rules).tls, TlsRule::secure);
  EXPECT_EQ(from_json(R"({"ssl_type": 1})", rules).tls, TlsRule::any);
}

TEST(RowFromJson, WhenThePasswordGetsTooOld) {
  const auto expires = [](std::string_view priv, uint32_t otherwise = 0) {
    return from_json(priv, {.default_password_lifetime = otherwise}).expires_s;
  };
  constexpr uint64_t kDay = 86'400;
  EXPECT_EQ(expires("{}"), 0u);
  EXPECT_EQ(expires(R"({"password_last_changed": 1700000000})"), 0u);
  EXPECT_EQ(expires(R"({"password_last_changed": 1700000000, "password_lifetime": 3})"),
            1'700'000'000 + 3 * kDay);
  EXPECT_EQ(expires(R"({"password_last_changed": 1700000000, "password_lifetime": 0})", 5), 0u);
  EXPECT_EQ(expires(R"({"password_last_changed": 1700000000, "password_lifetime": -1})", 5),
            1'700'000'000 + 5 * kDay);
  EXPECT_EQ(expires("{}", 5), 5 * kDay) << "no date is 1970";
}

// Each of these was tried on MariaDB 10.11.
TEST(RowFromJson, WhatIsNoObjectIsAnAccountWithoutPassword) {
  for (const char* odd : {"", "{", "[]", "7", "null", "{\"plugin\": \"\xff\"}", R"({"auth_or": 7})",
                          R"({"plugin": 7})"}) {
    const auto row = from_json(odd);
    ASSERT_EQ(row.proofs.size(), 1u) << odd;
    EXPECT_EQ(row.proofs[0].plugin, "mysql_native_password") << odd;
    EXPECT_EQ(row.proofs[0].text, "") << odd;
    EXPECT_FALSE(row.left_out) << odd;
    EXPECT_EQ(row.problem, "") << odd;
  }
}

TEST(RowFromJson, AlternativesThatCantBeReadLeaveTheRowOut) {
  for (const char* bad : {R"({"auth_or": [7]})", R"({"auth_or": [{}, {"plugin": 7}]})",
                          R"({"auth_or": [{"plugin": "a", "authentication_string": 7}]})"}) {
    const auto row = from_json(bad);
    EXPECT_TRUE(row.left_out) << bad;
    EXPECT_NE(row.problem, "") << bad;
    EXPECT_TRUE(row.proofs.empty()) << bad;
  }
  const auto none = from_json(R"({"auth_or": []})");
  EXPECT_FALSE(none.left_out);
  EXPECT_NE(none.problem, "") << "chosen, and nobody gets in";
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
  const ServerRules rules{.skip_name_resolve = true};
  auto row = row_from_json("app", "web1.example.com", R"({"authentication_string": "x"})", rules);
  judge(row, rules);
  EXPECT_EQ(row.problem, "host names are ignored: the server has skip_name_resolve on");
}

TEST(Judge, HexDigitsMayBeSmall) {
  EXPECT_EQ(from_json(R"({"authentication_string": "*14e65567abdb5135d0cfd9a70b3032c179a49ee7"})")
                .problem,
            "");
}

using Columns = std::vector<std::pair<std::string, std::optional<std::string>>>;

Row from_columns(const Columns& columns, const ServerRules& rules) {
  std::vector<std::string> names = {"host", "user"};
  std::vector<std::optional<std::string>> values = {"%", "app"};
  for (const auto& [name, value] : columns) {
    names.push_back(name);
    values.push_back(value);
  }
  auto row = row_from_columns({names, values}, rules);
  judge(row, rules);
  return row;
}

constexpr ServerRules kMySql{.flavour = Flavour::mysql};

/// 70 bytes, as the server writes them: "$A$005$", salt, digest.
std::string sha2_hash() {
  return "$A$005$" + std::string(63, 'x');
}

TEST(RowFromColumns, MySql8) {
  const auto row = from_columns({{"ssl_type", "ANY"},
                                 {"plugin", "caching_sha2_password"},
                                 {"authentication_string", sha2_hash()},
                                 {"password_expired", "N"},
                                 {"account_locked", "Y"}},
                                kMySql);
  EXPECT_EQ(row.user, "app");
  EXPECT_EQ(row.host, "%");
  EXPECT_EQ(row.tls, TlsRule::any);
  EXPECT_TRUE(row.locked);
  EXPECT_FALSE(row.password_expired);
  ASSERT_EQ(row.proofs.size(), 1u);
  EXPECT_EQ(row.proofs[0].plugin, "caching_sha2_password");
  EXPECT_EQ(row.proofs[0].text, sha2_hash());
  EXPECT_EQ(row.problem, "");
}

TEST(RowFromColumns, MySqlWantsACertificateForACipherToo) {
  const Columns columns = {{"ssl_type", "SPECIFIED"}, {"ssl_cipher", "AES"}, {"plugin", "p"}};
  EXPECT_EQ(from_columns(columns, kMySql).tls, TlsRule::specified);
  EXPECT_EQ(from_columns(columns, {.flavour = Flavour::mysql_old}).tls, TlsRule::specified);
  EXPECT_EQ(from_columns(columns, {}).tls, TlsRule::cipher);
}

TEST(RowFromColumns, ASecondPasswordAndFurtherFactors) {
  const auto row =
      from_columns({{"plugin", "caching_sha2_password"},
                    {"authentication_string", sha2_hash()},
                    {"user_attributes",
                     R"({"metadata": {"comment": "x"}, "additional_password": ")" + sha2_hash() +
                         R"(", "Restrictions": [], "multi_factor_authentication": [
              {"plugin": "authentication_webauthn", "authentication_string": ""},
              {"plugin": "authentication_ldap_simple"}, 7]})"}},
                   kMySql);
  ASSERT_EQ(row.proofs.size(), 2u);
  EXPECT_EQ(row.proofs[1].plugin, "caching_sha2_password");
  EXPECT_EQ(row.proofs[1].text, sha2_hash());
  EXPECT_EQ(row.more_factors, "authentication_webauthn, authentication_ldap_simple");
  EXPECT_EQ(row.problem, "");
  EXPECT_EQ(from_columns({{"plugin", "p"}, {"user_attributes", "[]"}}, kMySql).proofs.size(), 1u);
  EXPECT_EQ(from_columns({{"plugin", "p"}, {"user_attributes", "{"}}, kMySql).proofs.size(), 1u);
}

TEST(RowFromColumns, WhatMySqlLeavesOut) {
  const auto left_out = [](std::string plugin, std::string text, const char* expired = "N") {
    const auto row = from_columns({{"plugin", std::move(plugin)},
                                   {"authentication_string", std::move(text)},
                                   {"password_expired", expired}},
                                  kMySql);
    EXPECT_EQ(row.problem.starts_with("the server leaves it out"), row.left_out);
    return row.left_out;
  };
  EXPECT_TRUE(left_out("", ""));
  EXPECT_TRUE(left_out("mysql_native_password", "606717496665bcba"));
  EXPECT_TRUE(left_out("caching_sha2_password", "$A$005$short"));
  EXPECT_TRUE(left_out("sha256_password", "*"));
  EXPECT_TRUE(left_out("auth_socket", "", "Y"));
  EXPECT_FALSE(left_out("mysql_native_password", ""));
  EXPECT_FALSE(left_out("mysql_native_password", "*THISISNOTAVALIDPASSWORDTHATCANBEUSEDHERE"));
  EXPECT_FALSE(left_out("caching_sha2_password", sha2_hash(), "Y"));
  EXPECT_FALSE(left_out("sha256_password", "$5$salt$hash"));
  EXPECT_FALSE(left_out("auth_socket", ""));
}

TEST(RowFromColumns, WhenMySqlThinksThePasswordTooOld) {
  const auto expires = [](std::optional<std::string> changed, std::optional<std::string> days,
                          const char* plugin = "caching_sha2_password") {
    return from_columns({{"plugin", plugin},
                         {"password_last_changed", std::move(changed)},
                         {"password_lifetime", std::move(days)}},
                        {.flavour = Flavour::mysql, .default_password_lifetime = 7})
        .expires_s;
  };
  constexpr uint64_t kDay = 86'400, kChanged = 1'795'536'036;  // date -ud '2026-11-24 16:00:36' +%s
  EXPECT_EQ(expires("2026-11-24 16:00:36", "3"), kChanged + 3 * kDay + 1);
  EXPECT_EQ(expires("2026-11-24 16:00:36", std::nullopt), kChanged + 7 * kDay + 1);
  EXPECT_EQ(expires("2026-11-24 16:00:36", "0"), 0u);
  EXPECT_EQ(expires(std::nullopt, "3"), 0u);
  EXPECT_EQ(expires("0000-00-00 00:00:00", "3"), 0u);
  EXPECT_EQ(expires("2026-11-24 16:00:36", "3", "auth_socket"), 0u);
  EXPECT_EQ(
      from_columns({{"plugin", "sha256_password"}}, {.default_password_lifetime = 7}).expires_s, 0u)
      << "a server that knows no lifetime";
}

TEST(RowFromColumns, OldMariaDbKeepsHashesInThePasswordColumn) {
  const auto row = [&](std::string password, std::string plugin, std::string text) {
    return from_columns({{"password", std::move(password)},
                         {"plugin", std::move(plugin)},
                         {"authentication_string", std::move(text)},
                         {"is_role", std::nullopt}},
                        {});
  };
  EXPECT_EQ(row(kHash, "", "").proofs[0].plugin, "mysql_native_password");
  EXPECT_EQ(row(kHash, "", "").proofs[0].text, kHash);
  EXPECT_EQ(row("606717496665bcba", "", "").proofs[0].plugin, "mysql_old_password");
  EXPECT_EQ(row(kHash, "ed25519", "e").proofs[0].text, "e") << "no hash of another plugin";
  EXPECT_EQ(row(kHash, "ed25519", "").proofs[0].text, "");
  EXPECT_FALSE(row(kHash, "", "").left_out);
  EXPECT_TRUE(row("*14E65567", "", "").left_out);
}

}  // namespace
}  // namespace sluice::monitor
