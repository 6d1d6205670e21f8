#include "common/base/networks.h"

#include <gtest/gtest.h>

namespace sluice {
namespace {

TEST(IpAddress, TextIsCanonical) {
  EXPECT_EQ(IpAddress::parse("10.0.0.1").value().text(), "10.0.0.1");
  EXPECT_EQ(IpAddress::parse("FD00:0:0::1").value().text(), "fd00::1");
  EXPECT_EQ(IpAddress::parse("::").value().text(), "::");
  EXPECT_EQ(IpAddress::parse("::ffff:10.0.0.1").value().text(), "::ffff:10.0.0.1");
  for (const std::string_view text :
       {"", "10.0.0", "10.0.0.01", "10.0.0.256", "1.2.3.4.5", " 10.0.0.1", "[::1]", "fe80::1%lo",
        ":::", "x", "::ffff:255.255.255.255:1111:2222:3333:4444:5555"})
    EXPECT_FALSE(IpAddress::parse(text)) << text;
  EXPECT_FALSE(IpAddress::parse(std::string_view("10.0.0.1\0", 9)));
}

TEST(IpAddress, MappedIsIpv4) {
  const auto plain = IpAddress::parse("10.0.0.1").value();
  const auto mapped = IpAddress::parse("::ffff:10.0.0.1").value();
  const auto other = IpAddress::parse("::fffe:10.0.0.1").value();
  EXPECT_EQ(mapped.unmapped(), plain);
  EXPECT_EQ(plain.mapped(), mapped);
  EXPECT_EQ(plain.unmapped(), plain);
  EXPECT_EQ(mapped.mapped(), mapped);
  EXPECT_EQ(other.unmapped(), other);
}

TEST(IpNetwork, IsReadAndWritten) {
  EXPECT_EQ(IpNetwork::parse("10.1.2.3/8").value().text(), "10.1.2.3/8");
  EXPECT_EQ(IpNetwork::parse("10.1.2.3/8").value().base().text(), "10.0.0.0/8");
  EXPECT_EQ(IpNetwork::parse("10.1.2.3/0").value().base().text(), "0.0.0.0/0");
  EXPECT_EQ(IpNetwork::parse("10.1.2.3").value().text(), "10.1.2.3/32");
  EXPECT_EQ(IpNetwork::parse("FD12:3456::/20").value().base().text(), "fd12:3000::/20");
  EXPECT_EQ(IpNetwork::parse("::1").value().text(), "::1/128");
  EXPECT_EQ(IpNetwork::parse("::ffff:10.0.0.0/104").value().text(), "10.0.0.0/8");
  EXPECT_EQ(IpNetwork::parse("::ffff:10.0.0.0/95").value().text(), "::ffff:10.0.0.0/95");
}

TEST(IpNetwork, WhatIsNoneSaysWhy) {
  EXPECT_EQ(IpNetwork::parse("10/8").error().message, "\"10/8\" is not a network");
  EXPECT_EQ(IpNetwork::parse("10.0.0.0/33").error().message,
            "\"10.0.0.0/33\": the length of the prefix is a number from 0 to 32");
  for (const std::string_view text : {"", "/", "10.0.0.0/", "10.0.0.0/-1", "10.0.0.0/+1",
                                      "10.0.0.0/8/8", "10.0.0.0/8 ", "::/129", "localhost"})
    EXPECT_FALSE(IpNetwork::parse(text)) << text;
}

TEST(Networks, ContainWhatLiesInOneOfThem) {
  const std::vector<std::string> texts = {"10.0.0.0/8", "192.168.7.128/25",
                                          "172.16.0.1", "fd00:1::/32",
                                          "::1",        "::ffff:198.51.100.0/120"};
  const auto networks = Networks::from(texts);
  ASSERT_TRUE(networks);
  EXPECT_FALSE(networks->empty());
  for (const std::string_view ip :
       {"10.0.0.0", "10.255.255.255", "::ffff:10.1.1.1", "192.168.7.128", "192.168.7.255",
        "172.16.0.1", "fd00:1::", "fd00:1:ffff::1", "::1", "198.51.100.77"})
    EXPECT_TRUE(networks->contain(ip)) << ip;
  for (const std::string_view ip :
       {"9.255.255.255", "11.0.0.0", "192.168.7.127", "192.168.8.0", "172.16.0.2",
        "fd00:2::", "::2", "::", "a0a::", "198.51.101.0", "", "localhost", "10.0.0.0/8"})
    EXPECT_FALSE(networks->contain(ip)) << ip;
}

TEST(Networks, OfAFamilyHoldNothingOfTheOther) {
  const auto v4 = Networks::from(std::vector<std::string>{"0.0.0.0/0"}).value();
  const auto v6 = Networks::from(std::vector<std::string>{"::/0"}).value();
  EXPECT_TRUE(v4.contain("255.255.255.255"));
  EXPECT_TRUE(v4.contain("::ffff:1.2.3.4"));
  EXPECT_FALSE(v4.contain("::1"));
  EXPECT_TRUE(v6.contain("::1"));
  EXPECT_FALSE(v6.contain("1.2.3.4"));
  EXPECT_FALSE(v6.contain("::ffff:1.2.3.4"));
}

TEST(Networks, EmptyContainNothing) {
  EXPECT_TRUE(Networks().empty());
  EXPECT_FALSE(Networks().contain("10.0.0.1"));
  EXPECT_TRUE(Networks::from({}).value().empty());
}

TEST(Networks, OneWrongTextIsAnError) {
  const std::vector<std::string> texts = {"10.0.0.0/8", "10.0.0/8"};
  EXPECT_EQ(Networks::from(texts).error().message, "\"10.0.0/8\" is not a network");
}

}  // namespace
}  // namespace sluice
