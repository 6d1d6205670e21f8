#include "master/config/endpoint.h"

#include <gtest/gtest.h>

namespace sluice::config {
namespace {

TEST(Endpoint, OfServers) {
  EXPECT_EQ(parse_server_address("10.0.0.11").value(), (Endpoint{"10.0.0.11", 3306, ""}));
  EXPECT_EQ(parse_server_address("10.0.0.11:3307").value(), (Endpoint{"10.0.0.11", 3307, ""}));
  EXPECT_EQ(parse_server_address("[FD00:0::1]").value(), (Endpoint{"fd00::1", 3306, ""}));
  EXPECT_EQ(parse_server_address("db-1.example.org:1").value(),
            (Endpoint{"db-1.example.org", 1, ""}));
  EXPECT_EQ(parse_server_address("localhost").value(), (Endpoint{"localhost", 3306, ""}));
  for (const auto text : {"", ":", ":3306", "a:b", "a:", "a:65536", "a b", "-a", ".a", "a..b",
                          "::1", "[::1", "[]:1", "[a]:1", "10.0.0", "1.2.3.4.5", "a:1:2", "/x"})
    EXPECT_FALSE(parse_server_address(text)) << text;
  EXPECT_FALSE(parse_server_address(std::string(254, 'a')));
  EXPECT_FALSE(parse_server_address(std::string_view("10.0.0.1\0x", 10)));
}

TEST(Endpoint, OfListeners) {
  EXPECT_EQ(parse_listen_address("0.0.0.0:3306").value(), (Endpoint{"0.0.0.0", 3306, ""}));
  EXPECT_EQ(parse_listen_address("[::]:3306").value(), (Endpoint{"::", 3306, ""}));
  EXPECT_EQ(parse_listen_address("/run/x.sock").value(), (Endpoint{"", 0, "/run/x.sock"}));
  EXPECT_TRUE(parse_listen_address("/" + std::string(106, 'x')));
  EXPECT_FALSE(parse_listen_address("/" + std::string(107, 'x')));
  EXPECT_FALSE(parse_listen_address("localhost:3306"));
  EXPECT_FALSE(parse_listen_address("127.0.0.1:0"));
  EXPECT_EQ(parse_listen_address("::1").error().hint, "write \"[::1]:3306\"");
}

TEST(Endpoint, TextIsReadBackAsTheSame) {
  for (const auto text : {"127.0.0.1:3306", "[fd00::1]:3306", "/run/x.sock"})
    EXPECT_EQ(parse_listen_address(text).value().text(), text);
}

TEST(Network, IsCanonical) {
  EXPECT_EQ(parse_network("10.0.0.0/8").value(), "10.0.0.0/8");
  EXPECT_EQ(parse_network("0.0.0.0/0").value(), "0.0.0.0/0");
  EXPECT_EQ(parse_network("FD00::/8").value(), "fd00::/8");
  EXPECT_EQ(parse_network("10.1.2.3").value(), "10.1.2.3");
  EXPECT_EQ(parse_network("10.1.2.3/32").value(), "10.1.2.3/32");
  EXPECT_EQ(parse_network("10.1.2.3/9").error().hint, "did you mean \"10.0.0.0/9\"?");
  for (const auto text :
       {"", "/", "10/8", "10.0.0.0/", "10.0.0.0/33", "::/129", "10.0.0.0/-1", "x"})
    EXPECT_FALSE(parse_network(text)) << text;
}

TEST(Overlap, WildcardsTakeEveryAddressOfTheirFamily) {
  const Endpoint all{"0.0.0.0", 1, ""}, all6{"::", 1, ""}, one{"127.0.0.1", 1, ""},
      one6{"::1", 1, ""}, path{"", 0, "/x"};
  EXPECT_TRUE(overlap(all, one));
  EXPECT_TRUE(overlap(one, all));
  EXPECT_TRUE(overlap(all6, one6));
  EXPECT_TRUE(overlap(path, path));
  EXPECT_FALSE(overlap(all, one6));
  EXPECT_FALSE(overlap(all, all6));
  EXPECT_FALSE(overlap(all, Endpoint{"127.0.0.1", 2, ""}));
  EXPECT_FALSE(overlap(path, Endpoint{"", 0, "/y"}));
  EXPECT_TRUE(covers(all, one) && covers(all6, one6));
  EXPECT_FALSE(covers(one, all) || covers(all, one6) || covers(one, one) || covers(path, path));
}

}  // namespace
}  // namespace sluice::config
