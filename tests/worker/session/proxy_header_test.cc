// Sessions that begin with a PROXY header.
#include "tests/worker/session/engine_fixture.h"

namespace sluice::worker {
namespace {

using namespace engine_tests;

// PROXY headers.

class HeaderTest : public EngineTest {
 protected:
  static Bytes text(std::string_view header) {
    const auto bytes = as_bytes(header);
    return {bytes.begin(), bytes.end()};
  }
  static Bytes v1() { return text("PROXY TCP4 10.1.2.3 10.0.0.9 4711 3306\r\n"); }
  static Bytes v2() {
    return *proxy_protocol::encode_tcp({.ip = "10.1.2.3", .port = 4711}, {"10.0.0.9", 3306});
  }
  void again() {
    s = {.id = 1, .service = "shop", .client_ip = "127.0.0.1"};
    reach(Phase::announced);
  }
  void expect_arrived(const std::string& ip, uint16_t port) {
    EXPECT_THAT(connects, testing::ElementsAre("db1"));
    EXPECT_EQ(s.client_ip, ip);
    EXPECT_EQ(s.client_port, port);
    EXPECT_EQ(s.phase, Phase::connecting);
    EXPECT_EQ(warned, "");
  }
  void expect_closed(std::string_view why) {
    EXPECT_EQ(s.phase, Phase::over);
    EXPECT_TRUE(closed_client);
    EXPECT_TRUE(to_client.empty() && to_server.empty() && connects.empty());
    EXPECT_THAT(warned, HasSubstr(why));
  }
};

TEST_F(HeaderTest, TheAddressItCarriesIsTheClients) {
  for (const auto& header : {v1(), v2()}) {
    again();
    EXPECT_TRUE(connects.empty());
    client(header);
    expect_arrived("10.1.2.3", 4711);
  }
}

TEST_F(HeaderTest, CutAtEveryByteItIsTheSame) {
  for (const auto& header : {v1(), v2()})
    for (std::size_t n = 1; n < header.size(); ++n) {
      again();
      client(Bytes(header.begin(), header.begin() + static_cast<std::ptrdiff_t>(n)));
      ASSERT_EQ(s.phase, Phase::announced) << n;
      ASSERT_TRUE(connects.empty() && warned.empty());
      client(Bytes(header.begin() + static_cast<std::ptrdiff_t>(n), header.end()));
      expect_arrived("10.1.2.3", 4711);
    }
}

TEST_F(HeaderTest, OneThatSpeaksForNobodyLeavesTheAddress) {
  for (const auto& header : {text("PROXY UNKNOWN\r\n"), proxy_protocol::encode_local()}) {
    again();
    client(header);
    expect_arrived("127.0.0.1", 0);
  }
}

TEST_F(HeaderTest, WhatIsNoneEndsTheConnection) {
  for (const auto& bad : {login(), ssl_request(), text("PROXY TCP4 nonsense\r\n"), Bytes(600),
                          proxy_protocol::encode_unix(), text("GET / HTTP/1.1\r\n")}) {
    again();
    client(bad);
    expect_closed("no PROXY header from a trusted address");
  }
}

TEST_F(HeaderTest, NothingMayFollowIt) {
  for (const auto& header : {v1(), v2()})
    for (const auto& more : {v1(), v2(), login(), Bytes{std::byte{0}}}) {
      again();
      client(joined({header, more}));
      expect_closed("bytes behind the PROXY header");
    }
}

TEST_F(HeaderTest, ASecondOneIsNoAnswer) {
  for (const auto& header : {v1(), v2()})
    for (const auto& second : {v1(), v2()}) {
      again();
      client(header);
      server(greeting());
      client(second);
      EXPECT_THAT(error(2), testing::StartsWith("1043 "));
      EXPECT_THAT(warned, HasSubstr("not trusted"));
      EXPECT_EQ(s.client_ip, "10.1.2.3");
      EXPECT_TRUE(excused());
    }
}

TEST_F(HeaderTest, OneOfAnAddressThatIsNotTrustedIsNoAnswer) {
  for (const auto& header : {v1(), v2()}) {
    s = {.id = 1, .service = "shop", .client_ip = "127.0.0.1"};
    reach(Phase::greeted);
    client(header);
    EXPECT_THAT(error(2), HasSubstr("PROXY header"));
    EXPECT_THAT(warned, HasSubstr("a PROXY header from an address that is not trusted"));
    EXPECT_EQ(s.client_ip, "127.0.0.1");
    EXPECT_TRUE(excused());
  }
}

TEST_F(HeaderTest, ItIsNotAwaitedForEver) {
  again();
  client(text("PROXY "));
  late();
  expect_closed("no PROXY header came");
}

TEST_F(HeaderTest, WhoIsCarriedIsJudgedByThatAddress) {
  world.load_accounts({{"app", "10.1.%"}, {"app", "127.%"}});
  again();
  on_connected(s, "10.9.9.9");
  client(v2());
  server(greeting());
  client(login());
  EXPECT_EQ(s.phase, Phase::judging);
  accounts();
  EXPECT_THAT(error(2), HasSubstr("'app'@'10.1.%'"));
}

TEST_F(HeaderTest, AServerThatTakesHeadersGetsOneFirst) {
  world.configured[0].proxy_protocol = true;
  again();
  client(v1());
  EXPECT_EQ(to_server,
            *proxy_protocol::encode_tcp({.ip = "10.1.2.3", .port = 4711}, {"10.0.0.1", 3306}));
  s = {.id = 1, .service = "shop", .client_ip = "127.0.0.1"};
  world.announced_from = {};
  reach(Phase::connecting);
  EXPECT_EQ(to_server, proxy_protocol::encode_local()) << "one of this host";
  world.service.identity = config::IdentityMode::as_connected;
  s = {.id = 1, .service = "shop"};
  reach(Phase::connecting);
  EXPECT_EQ(to_server, proxy_protocol::encode_unix());
}

}  // namespace
}  // namespace sluice::worker
