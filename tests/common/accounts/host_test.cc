#include "common/accounts/host.h"

#include <gtest/gtest.h>

namespace sluice::accounts {
namespace {

TEST(Like, FollowsTheServersWildcards) {
  const auto fits = [](std::string_view pattern, std::string_view text) {
    return like(pattern, text, Case::exact);
  };
  EXPECT_TRUE(fits("", ""));
  EXPECT_FALSE(fits("", "a"));
  EXPECT_TRUE(fits("%", ""));
  EXPECT_TRUE(fits("%%", ""));
  EXPECT_FALSE(fits("_", ""));
  EXPECT_TRUE(fits("a%b%c", "a-b-b-c"));
  EXPECT_FALSE(fits("a%b%c", "a-b-b-"));
  EXPECT_TRUE(fits("%ab", "aab"));
  EXPECT_TRUE(fits("%_b", "aab"));
  EXPECT_FALSE(fits("%__b", "ab"));
  EXPECT_TRUE(fits("\\%", "%"));
  EXPECT_FALSE(fits("\\%", "a"));
  EXPECT_TRUE(fits("\\\\", "\\"));
  EXPECT_TRUE(fits("a\\", "a\\")) << "an escape at the end is a plain backslash";
  EXPECT_TRUE(fits("\\a", "a"));
  EXPECT_FALSE(fits("ABC", "abc"));
  EXPECT_TRUE(like("A%c", "abC", Case::fold));
  EXPECT_FALSE(like("\xc3\x84", "\xc3\xa4", Case::fold)) << "only ASCII is folded";
}

TEST(Like, ManyPercentsStayCheap) {
  std::string pattern, text(255, 'a');
  for (int i = 0; i < 100; ++i) pattern += "a%";
  EXPECT_FALSE(like(pattern + "b", text, Case::exact));
}

TEST(ParseIpv4, TakesWhatTheServerTakes) {
  EXPECT_EQ(parse_ipv4("10.1.2.3"), 0x0a010203u);
  EXPECT_EQ(parse_ipv4("010.001.02.3"), 0x0a010203u);
  EXPECT_EQ(parse_ipv4("255.255.255.255"), 0xffffffffu);
  for (const char* bad : {"", "10", "10.1.2", "10.1.2.", "10.1.2.256", "10.1.2.3.4", "10.1.2.3 ",
                          "::1", "10.1.2.-3", "99999999999.1.2.3", "a.b.c.d"})
    EXPECT_FALSE(parse_ipv4(bad)) << bad;
}

TEST(ParseNetwork, KnowsTheFormsOfEachServer) {
  EXPECT_FALSE(parse_network(Flavour::mariadb, "10.1.2.3"));
  EXPECT_FALSE(parse_network(Flavour::mariadb, "10.1.0.0/16"));
  EXPECT_EQ(parse_network(Flavour::mariadb, "10.1.0.0/255.255.0.0")->mask, 0xffff0000u);
  EXPECT_EQ(parse_network(Flavour::mysql, "10.1.2.3")->kind, Network::Kind::address);
  EXPECT_EQ(parse_network(Flavour::mysql, "10.1.0.0/16")->mask, 0xffff0000u);
  EXPECT_EQ(parse_network(Flavour::mysql, "10.1.2.3/32")->mask, 0xffffffffu);
  EXPECT_FALSE(parse_network(Flavour::mysql_old, "10.1.2.3"));
  EXPECT_FALSE(parse_network(Flavour::mysql_old, "10.1.0.0/16"));
  EXPECT_EQ(parse_network(Flavour::mysql_old, "10.1.0.0/255.255.0.0")->mask, 0xffff0000u);
  for (const char* bad : {"10.1.0.0/", "10.1.0.0/0", "10.1.0.0/33", "10.1.0.0/16x", "::1/128",
                          "10.1.0.0/0.0.0.0", "10.1.0.0/255.255.0.0/", "10.1.%/16"})
    EXPECT_FALSE(parse_network(Flavour::mysql, bad)) << bad;
}

TEST(NeedsResolving, OnlyNamesDo) {
  for (const char* plain : {"", "localhost", "LocalHost", "10.1.2.3", "%", "web%", "we_b", "::1",
                            "a:b", "10.1.0.0/16", "10."})
    EXPECT_FALSE(needs_resolving(plain)) << plain;
  for (const char* name : {"web1", "web1.example.com", "12.ab", "localhost.", "local\\host"})
    EXPECT_TRUE(needs_resolving(name)) << name;
}

TEST(HostProblem, SaysWhyARowCoversNobody) {
  for (const char* good : {"", "%", "10.1.%", "10.1.2.3", "localhost", "local%", "%host", "::1",
                           "fe80::%", "10.1.0.0/255.255.0.0"}) {
    EXPECT_EQ(host_problem(Flavour::mariadb, true, good), "") << good;
    EXPECT_EQ(host_problem(Flavour::mysql, false, good), "") << good;
  }
  EXPECT_EQ(host_problem(Flavour::mysql, true, "10.1.0.0/16"), "");
  EXPECT_NE(host_problem(Flavour::mariadb, true, "10.1.0.0/16"), "");
  EXPECT_NE(host_problem(Flavour::mariadb, true, "10.1.2.0/255.255.0.0"), "");
  for (const char* name : {"web1.example.com", "%.example.com"}) {
    EXPECT_EQ(host_problem(Flavour::mariadb, false, name), "");
    EXPECT_EQ(host_problem(Flavour::mariadb, true, name),
              "host names are ignored: the server has skip_name_resolve on");
  }
}

TEST(LooksLikeAddress, ANumberAndADotInFront) {
  for (const char* bad : {"1.2.3.4", "12.example.com", "1."})
    EXPECT_TRUE(looks_like_address(bad)) << bad;
  for (const char* good : {"", "web1", "1web.example.com", "12", ".12", "web.1.2"})
    EXPECT_FALSE(looks_like_address(good)) << good;
}

}  // namespace
}  // namespace sluice::accounts
