#include "monitor/answers.h"

#include <gtest/gtest.h>

#include "common/accounts/table.h"
#include "common/ipc/channel.h"
#include "monitor/account_text.h"

namespace sluice::monitor {
namespace {

constexpr uint64_t kNow = 1'795'536'036;
constexpr const char* kHash = "*6BB4837EB74329105EE4568DDA7DC67ED2CA2AD9";

KnownAccounts known_accounts(const accounts::Contents& contents) {
  const auto bytes = accounts::encode(contents);
  const auto file = ipc::sealed_memfd("test", bytes);
  KnownAccounts known;
  known.table = std::move(*ipc::SealedMap::map(file->get(), bytes.size()));
  return known;
}

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
  return known_accounts(contents);
}

std::string cell(const ipc::Table& table, std::size_t row, std::string_view column) {
  for (std::size_t i = 0; i < table.columns.size(); ++i)
    if (table.columns[i].name == column) return table.rows[row].cells[i];
  return "no such column";
}

TEST(ListAccounts, ShowsEveryRowAndItsReasonAndNeverAHash) {
  ipc::Table table;
  list_accounts({.name = "shop"}, known_accounts(), kNow, table);
  ASSERT_EQ(table.rows.size(), 5u);
  std::string all;
  for (const auto& row : table.rows)
    for (const auto& text : row.cells) all += text + "\n";
  EXPECT_EQ(all.find(kHash), std::string::npos);
  EXPECT_NE(all.find("host name can't be resolved"), std::string::npos);
  EXPECT_NE(all.find("mysql_native_password"), std::string::npos);
}

TEST(ListAccounts, HasAWordForEachState) {
  accounts::Contents contents;
  contents.rows = {
      {.user = "a", .host = "%"},
      {.user = "b", .host = "%", .locked = true},
      {.user = "c", .host = "%", .problem = "a problem"},
      {.user = "d", .host = "%", .password_expired = true},
      {.user = "e", .host = "%", .expires_s = kNow},
      {.user = "f", .host = "%", .expires_s = kNow + 1},
      {.user = "g", .host = "%", .problem = "the server leaves it out", .left_out = true},
      {.user = "r", .host = "", .is_role = true}};
  ipc::Table table;
  table.columns.resize(7);
  table.columns[5].name = "state";
  list_accounts({.name = "shop"}, known_accounts(contents), kNow, table);
  std::vector<std::string> states;
  for (std::size_t i = 0; i < table.rows.size(); ++i) states.push_back(cell(table, i, "state"));
  EXPECT_EQ(states, (std::vector<std::string>{"usable", "locked", "unusable", "expired", "expired",
                                              "usable", "left out", "role"}));
}

/// REQUIRE SSL is about the connection that the server sees: sluice's.
TEST(ListAccounts, TellsWhoseDemandsOfTlsCantBeMet) {
  using accounts::TlsRule;
  accounts::Contents contents;
  contents.rows = {{.user = "any", .host = "%", .tls = TlsRule::any},
                   {.user = "none", .host = "%"},
                   {.user = "x509", .host = "%", .tls = TlsRule::x509}};
  config::Cluster cluster{.name = "shop"};
  auto& tls = cluster.servers.emplace_back(config::Server{.name = "db1"}).tls;
  const auto states = [&] {
    ipc::Table table;
    table.columns.resize(7);
    table.columns[5].name = "state";
    list_accounts(cluster, known_accounts(contents), kNow, table);
    return cell(table, 0, "state") + " " + cell(table, 1, "state") + " " + cell(table, 2, "state");
  };
  EXPECT_EQ(states(), "unusable usable unusable");
  tls.mode = config::TlsMode::preferred;
  EXPECT_EQ(states(), "usable usable unusable");
  tls.certificate = "/etc/sluice/shop.pem";
  EXPECT_EQ(states(), "usable usable usable");
}

TEST(ListAccounts, SaysWhyNothingIsLoaded) {
  ipc::Table table;
  KnownAccounts none;
  none.error = "grant SELECT on mysql.*";
  list_accounts({.name = "shop"}, none, kNow, table);
  ASSERT_EQ(table.rows.size(), 1u);
  EXPECT_NE(table.rows[0].cells.back().find("grant SELECT"), std::string::npos);
}

TEST(AccountText, PluginsAreAlternativesAndFactorsAreNot) {
  accounts::Account account;
  EXPECT_EQ(plugins_text(account), "");
  account.proofs.push_back({"ed25519", "x"});
  account.proofs.push_back({"unix_socket", ""});
  EXPECT_EQ(plugins_text(account), "ed25519 or unix_socket");
  accounts::Account two_passwords;
  two_passwords.proofs.push_back({"caching_sha2_password", "x"});
  two_passwords.proofs.push_back({"caching_sha2_password", "y"});
  two_passwords.more_factors = "authentication_webauthn";
  EXPECT_EQ(plugins_text(two_passwords), "caching_sha2_password and authentication_webauthn");
}

TEST(AccountText, TlsAsRequireSaysIt) {
  using accounts::TlsRule;
  EXPECT_EQ(tls_text({}), "");
  EXPECT_EQ(tls_text({.tls = TlsRule::any}), "SSL");
  EXPECT_EQ(tls_text({.tls = TlsRule::x509}), "X509");
  EXPECT_EQ(tls_text({.tls = TlsRule::cipher}), "SSL");
  EXPECT_EQ(tls_text({.tls = TlsRule::cipher, .tls_cipher = "AES"}), "CIPHER 'AES'");
  EXPECT_EQ(tls_text({.tls = TlsRule::specified}), "X509");
  EXPECT_EQ(tls_text({.tls = TlsRule::specified, .tls_issuer = "/CN=ca", .tls_subject = "/CN=a"}),
            "SUBJECT '/CN=a' AND ISSUER '/CN=ca'");
}

TEST(Answer, UnknownThingsAreErrorsForPeople) {
  Clusters none;
  EXPECT_FALSE(answer(none, {}, {1, "make coffee", {}}));
  EXPECT_FALSE(answer(none, {}, {1, "show server", {}}));
  EXPECT_FALSE(answer(none, {}, {1, "explain login", {"app"}}));
  const auto missing = answer(none, {}, {1, "show server", {"shop/db1"}});
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().message, "no cluster \"shop\"");
  EXPECT_TRUE(names_needed(none, {1, "explain login", {"app", "10.0.0.1", "shop"}}).empty());
}

}  // namespace
}  // namespace sluice::monitor
