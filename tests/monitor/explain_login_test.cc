#include "monitor/explain_login.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/accounts/match.h"

namespace sluice::monitor {
namespace {

using testing::HasSubstr;

constexpr const char* kHash = "*6BB4837EB74329105EE4568DDA7DC67ED2CA2AD9";

accounts::Contents shop() {
  accounts::Contents contents;
  const auto add = [&](std::string user, std::string host) -> accounts::Row& {
    auto& row = contents.rows.emplace_back();
    row.user = std::move(user);
    row.host = std::move(host);
    row.proofs = {{"mysql_native_password", kHash}};
    return row;
  };
  add("app", "%");
  add("app", "10.0.0.%").locked = true;
  add("app", "10.0.0.7").tls = accounts::TlsRule::any;
  add("app", "%.example.com");
  add("other", "%");
  add("", "10.0.9.%");
  return contents;
}

/// One explanation and what it says.
class Explained {
 public:
  Explained(const accounts::Contents& contents, const Login& login, WayToServer way = {},
            const Names& names = {})
      : table_(explain_login_table()) {
    const auto bytes = accounts::encode(contents);
    const auto table = accounts::Table::open(bytes).value();
    if (const auto ok = explain_login("shop", table, login, way, names, 1000, table_); !ok)
      error = ok.error().message;
  }

  std::string cell(std::size_t row, std::string_view column) const {
    for (std::size_t i = 0; i < table_.columns.size(); ++i)
      if (table_.columns[i].name == column) return table_.rows.at(row).cells.at(i);
    return "no such column";
  }
  /// "10.0.0.7 10.0.0.% %": the candidates in their order.
  std::string hosts() const {
    std::string text;
    for (std::size_t i = 0; i + 1 < table_.rows.size(); ++i)
      text += (i == 0 ? "" : " ") + cell(i, "host");
    return text;
  }
  /// Host of the row that has "true" in this column; empty if none has.
  std::string marked(std::string_view column) const {
    for (std::size_t i = 0; i < table_.rows.size(); ++i)
      if (cell(i, column) == "true") return cell(i, "host");
    return {};
  }
  std::string about(std::string_view host, std::string_view column) const {
    for (std::size_t i = 0; i < table_.rows.size(); ++i)
      if (cell(i, "host") == host) return cell(i, column);
    return "no such row";
  }
  std::string outcome() const { return cell(table_.rows.size() - 1, "state"); }
  std::string outcome_text() const { return cell(table_.rows.size() - 1, "reason"); }
  std::string text() const {
    std::string all;
    for (const auto& row : table_.rows)
      for (const auto& value : row.cells) all += value + "\n";
    return all;
  }

  std::string error;

 private:
  ipc::Table table_;
};

TEST(ExplainLogin, ShowsTheCandidatesInTheServersOrderAndWhy) {
  const Explained e(shop(), {"app", "10.0.0.9"});
  EXPECT_EQ(e.hosts(), "10.0.0.7 %.example.com 10.0.0.% 10.0.9.% %");
  EXPECT_EQ(e.marked("chosen"), "10.0.0.%");
  EXPECT_EQ(e.about("10.0.0.%", "reason"), "the first that covers this client, but: locked");
  EXPECT_EQ(e.about("10.0.0.%", "state"), "locked");
  EXPECT_EQ(e.about("10.0.0.7", "reason"), "the host does not cover this client");
  EXPECT_EQ(e.about("10.0.0.7", "tls"), "SSL");
  EXPECT_EQ(e.about("10.0.0.7", "plugins"), "mysql_native_password");
  EXPECT_THAT(e.about("%", "reason"), HasSubstr("a more specific one comes first"));
  EXPECT_EQ(e.text().find(kHash), std::string::npos);
}

TEST(ExplainLogin, AnExpiredPasswordIsSaid) {
  auto contents = shop();
  contents.rows[0].expires_s = 1000;
  const Explained e(contents, {"app", "192.168.0.1"});
  EXPECT_EQ(e.about("%", "state"), "expired");
  EXPECT_THAT(e.about("%", "reason"), HasSubstr("expired"));
}

TEST(ExplainLogin, NobodyMatches) {
  EXPECT_THAT(Explained(shop(), {"stranger", "10.0.0.9"}).outcome_text(), HasSubstr("1045"));
  auto contents = shop();
  std::erase_if(contents.rows, [](const auto& row) { return row.host == "%"; });
  const Explained e(contents, {"stranger", "192.168.0.1"});
  EXPECT_EQ(e.outcome(), "no account");
  EXPECT_THAT(e.outcome_text(), HasSubstr("1130"));
}

TEST(ExplainLogin, NamesCount) {
  const Names names = {{"192.168.0.1", "web1.example.com"}};
  EXPECT_EQ(Explained(shop(), {"app", "192.168.0.1"}, {}, names).marked("chosen"), "%.example.com");
  EXPECT_EQ(Explained(shop(), {"app", "web1.example.com"}).marked("chosen"), "%.example.com");
  EXPECT_EQ(Explained(shop(), {"app", "web1.example.org"}).marked("chosen"), "%");
  EXPECT_EQ(Explained(shop(), {"app", "192.168.0.2"}, {}, names).marked("chosen"), "%");
}

TEST(ExplainLogin, AHostThatNoServerCouldSeeIsRefused) {
  EXPECT_THAT(Explained(shop(), {"app", "10.0.0"}).error, HasSubstr("no IP address"));
  EXPECT_THAT(Explained(shop(), {"app", ""}).error, HasSubstr("no IP address"));
  auto contents = shop();
  contents.skip_name_resolve = true;
  EXPECT_THAT(Explained(contents, {"app", "web1.example.com"}).error,
              HasSubstr("skip_name_resolve"));
}

// Through sluice.

TEST(ExplainLogin, TheSameAccountThroughSluice) {
  const Explained e(shop(), {"app", "192.168.0.1"}, {"db1", "192.168.0.2"});
  EXPECT_EQ(e.outcome(), "same account");
  EXPECT_EQ(e.outcome_text(), "db1 sees sluice as 192.168.0.2 and takes the same account");
  EXPECT_EQ(e.marked("through_sluice"), "%");
}

TEST(ExplainLogin, AnotherAccountThroughSluiceAndWhatToDo) {
  const Explained e(shop(), {"app", "192.168.0.1"}, {"db1", "10.0.0.7"});
  EXPECT_EQ(e.outcome(), "other account");
  EXPECT_EQ(e.marked("chosen"), "%");
  EXPECT_EQ(e.marked("through_sluice"), "10.0.0.7");
  EXPECT_THAT(e.outcome_text(), HasSubstr("would take 'app'@'10.0.0.7'"));
  EXPECT_THAT(e.outcome_text(), HasSubstr("proxy_protocol"));
  const Names names = {{"10.0.1.1", "proxy.example.com"}};
  const Explained named(shop(), {"app", "192.168.0.1"}, {"db1", "10.0.1.1"}, names);
  EXPECT_THAT(named.outcome_text(), HasSubstr("sees sluice as 10.0.1.1 (proxy.example.com)"));
  EXPECT_EQ(named.marked("through_sluice"), "%.example.com");
}

TEST(ExplainLogin, NoAccountThroughSluice) {
  auto contents = shop();
  contents.rows.erase(contents.rows.begin());
  const Explained e(contents, {"app", "10.0.0.7"}, {"db1", "192.168.0.1"});
  EXPECT_EQ(e.outcome(), "other account");
  EXPECT_THAT(e.outcome_text(), HasSubstr("would take none"));
}

TEST(ExplainLogin, OtherGrantsThroughSluice) {
  auto contents = shop();
  contents.grant_hosts = {{"app", "192.168.%"}, {"app", "192.168.0.1"}};
  const Explained e(contents, {"app", "192.168.0.1"}, {"db1", "192.168.0.2"});
  EXPECT_EQ(e.outcome(), "other grants");
  EXPECT_THAT(e.outcome_text(), HasSubstr("'app'@'192.168.0.1'"));
}

TEST(ExplainLogin, WithProxyProtocolNothingIsInTheWay) {
  const WayToServer way{"db1", "10.0.0.7", true};
  const Explained e(shop(), {"app", "192.168.0.1"}, way);
  EXPECT_EQ(e.outcome(), "same account");
  EXPECT_THAT(e.outcome_text(), HasSubstr("proxy_protocol"));
  EXPECT_EQ(e.marked("through_sluice"), "%");
}

TEST(ExplainLogin, DemandsOfTlsThatCantBeMet) {
  auto contents = shop();
  for (auto& row : contents.rows) row.tls = accounts::TlsRule::any;
  config::Server server{.name = "db1"};
  const WayToServer way{"db1", "192.168.0.2", false, &server};
  const Explained refused(contents, {"app", "192.168.0.1"}, way);
  EXPECT_EQ(refused.outcome(), "no TLS");
  EXPECT_THAT(refused.outcome_text(), HasSubstr("tls.mode is \"off\""));
  server.tls.mode = config::TlsMode::required;
  EXPECT_EQ(Explained(contents, {"app", "192.168.0.1"}, way).outcome(), "same account");
}

TEST(ExplainLogin, WithoutAPrimaryItIsNotKnown) {
  EXPECT_EQ(Explained(shop(), {"app", "192.168.0.1"}).outcome(), "not known");
}

TEST(ExplainLogin, AClientOnTheSameHostIsJudgedBySluicesAddress) {
  for (const char* host : {"localhost", "127.0.0.1", "::1"}) {
    const Explained e(shop(), {"app", host}, {"db1", "192.168.0.2"});
    EXPECT_THAT(e.text(), HasSubstr("judged by the address 192.168.0.2")) << host;
    EXPECT_EQ(e.outcome(), "same account") << host;
  }
}

TEST(ExplainLogin, AnAccountOfLocalhostIsNotTheOneOfAClientThatIsJudgedByAnAddress) {
  auto contents = shop();
  contents.rows.push_back({.user = "app", .host = "localhost"});
  EXPECT_EQ(Explained(contents, {"app", "localhost"}, {"db1", "192.168.0.2"}).outcome(),
            "same account");
}

TEST(ExplainLogin, WhatMySqlLeavesToChanceIsSaid) {
  auto contents = shop();
  contents.flavour = accounts::Flavour::mysql;
  contents.rows.push_back({.user = "app", .host = "192.168.%"});
  contents.rows.push_back({.user = "app", .host = "192.168._%"});
  const Explained e(contents, {"app", "192.168.0.1"}, {"db1", "192.168.0.2"});
  EXPECT_EQ(e.outcome(), "undecided");
}

}  // namespace
}  // namespace sluice::monitor
