#include "monitor/accounts_loader.h"

#include <gtest/gtest.h>

namespace sluice::monitor {
namespace {

using accounts::Flavour;

ServerFacts facts(std::string_view version, bool mariadb) {
  ServerFacts facts;
  facts.note("version", version);
  if (mariadb) facts.note("aria_page_checksum", "ON");
  return facts;
}

TEST(ServerFacts, WhoseRulesHold) {
  const auto flavour = [](std::string_view version) {
    return facts(version, false).rules().flavour;
  };
  EXPECT_EQ(flavour("5.7.44-log"), Flavour::mysql_old);
  EXPECT_EQ(flavour("8.0.22"), Flavour::mysql_old);
  EXPECT_EQ(flavour("8.0.23"), Flavour::mysql);
  EXPECT_EQ(flavour("8.4.3"), Flavour::mysql);
  EXPECT_EQ(flavour("9.5.0"), Flavour::mysql);
  EXPECT_EQ(flavour("8.0.mysql_aurora.3.05.2"), Flavour::mysql);
  EXPECT_EQ(flavour(""), Flavour::mysql);
  EXPECT_EQ(facts("5.7.44", true).rules().flavour, Flavour::mariadb) << "a version may be faked";
}

TEST(ServerFacts, WhereTheAccountsAre) {
  EXPECT_TRUE(facts("10.4.0-MariaDB", true).has_global_priv());
  EXPECT_TRUE(facts("12.1.2-MariaDB-ubu2404", true).has_global_priv());
  EXPECT_TRUE(facts("8.0.35", true).has_global_priv()) << "faked: says nothing";
  EXPECT_FALSE(facts("10.3.39-MariaDB", true).has_global_priv());
  EXPECT_FALSE(facts("5.5.68-MariaDB", true).has_global_priv());
  EXPECT_FALSE(facts("9.5.0", false).has_global_priv());
}

TEST(ServerFacts, Variables) {
  auto server = facts("10.11.4-MariaDB", true);
  EXPECT_FALSE(server.rules().skip_name_resolve);
  server.note("skip_name_resolve", "ON");
  server.note("require_secure_transport", "ON");
  server.note("default_password_lifetime", "90");
  EXPECT_TRUE(server.rules().skip_name_resolve);
  EXPECT_TRUE(server.rules().require_secure_transport);
  EXPECT_EQ(server.rules().default_password_lifetime, 90u);
}

}  // namespace
}  // namespace sluice::monitor
