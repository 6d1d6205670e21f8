/// The PROXY protocol on both sides: what servers are told, whose headers are believed, and what
/// becomes of those that should not be. That accounts follow the carried address in every case is
/// in login_differential_test.cc.
#include <arpa/inet.h>
#include <fmt/format.h>
#include <gmock/gmock.h>

#include "tests/support/free_port.h"
#include "tests/support/login_attempt.h"
#include "tests/support/sluice.h"
#include "tests/support/test_error.h"

namespace sluice::test {
namespace {

using testing::AnyOf;

constexpr unsigned kAccessDenied = 1045;
constexpr const char *kTrusted = "127.0.0.2", *kUntrusted = "127.0.0.3";
const std::string kSignature("\r\n\r\n\0\r\nQUIT\n", 12);

/// A header of version 2: its command and family, and what follows.
std::string binary(const std::string& kind, const std::string& rest) {
  const auto size = static_cast<uint16_t>(rest.size());
  return kSignature + kind + static_cast<char>(size >> 8) + static_cast<char>(size & 0xFF) + rest;
}
/// The addresses of such a header.
std::string ends(int family, const char* from, const char* to, uint16_t port) {
  std::string out;
  char raw[sizeof(in6_addr)];
  for (const char* ip : {from, to}) {
    ::inet_pton(family, ip, raw);
    out.append(raw, family == AF_INET ? sizeof(in_addr) : sizeof(in6_addr));
  }
  for (const uint16_t number : {uint16_t{40000}, port})
    out += {static_cast<char>(number >> 8), static_cast<char>(number & 0xFF)};
  return out;
}
const std::string kProxy = "\x21", kLocal = "\x20", kTcp4 = "\x11", kTcp6 = "\x21", kUnix = "\x31",
                  kUnspecified("\0", 1);

/// A server that believes headers, and services that send them, take them or do both.
class ProxyProtocol : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    server_ = std::make_unique<MariadbServer>(MariadbOptions{
        .extra_args = {"--proxy-protocol-networks=127.0.0.0/8,localhost", "--skip-name-resolve"}});
    // Whom an address may be, it may be with no other.
    for (const char* host :
         {"10.1.2.3", "10.1.2.4", "2001:db8::17", "127.0.0.1", "127.0.0.5", "localhost"})
      server_->exec(fmt::format("CREATE USER who@'{}' IDENTIFIED BY 'x'", host));
    sluice_ = std::make_unique<Sluice>(SluiceConfig{}, Sluice::Start::Stopped);
    auto& config = sluice_->config;
    config.add_cluster("shop", "single", {server_.get()}).extra = "proxy_protocol = true";
    config.add_service("outgoing", "shop");
    config.add_service("connected", "shop").extra = "identity = \"as-connected\"";
    config.add_service("behind", "shop").extra =
        fmt::format("login_timeout = \"2s\"\nproxy_protocol_from = [\"{}\"]", kTrusted);
    for (const char* service : {"outgoing", "connected"})
      config.services[service].listen.push_back(sluice_->path(service));
    sluice_->start();
    EXPECT_TRUE(eventually(10s, [] {
      return sluice_->ctl({"reload", "accounts"}).exit_code == 0;
    })) << sluice_->log();
  }
  static void TearDownTestSuite() {
    sluice_.reset();
    server_.reset();
  }

  static LoginAttempt attempt(const std::string& service, const std::string& from) {
    LoginAttempt attempt;
    attempt.port = sluice_->port(service);
    attempt.bind_address = from;
    attempt.user = "who";
    attempt.password = "x";
    return attempt;
  }
  /// The account that a client with this header gets, or the error.
  static std::string behind(const std::string& header, const std::string& from = kTrusted) {
    auto trial = attempt("behind", from);
    trial.header = header;
    const auto outcome = try_login(trial, {});
    return outcome.accepted() ? outcome.account : std::to_string(outcome.error);
  }
  static LoginWire connect(const char* from) {
    auto wire = LoginWire::connect(attempt("behind", from));
    if (!wire) throw TestError("nobody is there");
    return std::move(*wire);
  }
  /// What the log has said since `start` about one of these.
  static testing::AssertionResult logged(std::size_t start, std::string_view what) {
    if (eventually(5s, [&] { return sluice_->log().find(what, start) != std::string::npos; }))
      return testing::AssertionSuccess();
    return testing::AssertionFailure() << "not logged: " << what << "\n"
                                       << sluice_->log().substr(start);
  }

  static inline std::unique_ptr<MariadbServer> server_;
  static inline std::unique_ptr<Sluice> sluice_;
};

TEST_F(ProxyProtocol, ServersAreToldWhoTheClientIs) {
  const auto who = [](const std::string& service, bool by_socket) {
    auto trial = attempt(service, by_socket ? "" : "127.0.0.5");
    if (by_socket) trial.socket = sluice_->path(service);
    const auto outcome = try_login(trial, {});
    return outcome.accepted() ? outcome.account : outcome.describe();
  };
  EXPECT_EQ(who("outgoing", false), "who@127.0.0.1") << "this host's own address";
  EXPECT_EQ(who("outgoing", true), "who@127.0.0.1");
  EXPECT_EQ(who("connected", false), "who@127.0.0.5");
  EXPECT_EQ(who("connected", true), "who@localhost");
}

TEST_F(ProxyProtocol, HeadersOfBothVersionsAreTaken) {
  const auto port = sluice_->port("behind");
  const auto tcp4 = ends(AF_INET, "10.1.2.3", "127.0.0.1", port);
  const auto tcp6 = ends(AF_INET6, "2001:db8::17", "::1", port);
  const std::string tlv("\x04\0\x03xyz", 6);
  EXPECT_EQ(behind(fmt::format("PROXY TCP4 10.1.2.3 127.0.0.1 40000 {}\r\n", port)),
            "who@10.1.2.3");
  EXPECT_EQ(behind(fmt::format("PROXY TCP6 2001:db8::17 ::1 40000 {}\r\n", port)),
            "who@2001:db8::17");
  EXPECT_EQ(behind(binary(kProxy + kTcp4, tcp4)), "who@10.1.2.3");
  EXPECT_EQ(behind(binary(kProxy + kTcp4, tcp4 + tlv)), "who@10.1.2.3");
  EXPECT_EQ(behind(binary(kProxy + kTcp6, tcp6)), "who@2001:db8::17");
  // Who speaks for itself is judged by its own address, which is this host's.
  EXPECT_EQ(behind("PROXY UNKNOWN\r\n"), "who@127.0.0.1");
  EXPECT_EQ(behind(binary(kLocal + kUnspecified, "")), "who@127.0.0.1");
  EXPECT_EQ(behind(binary(kLocal + kTcp4, tcp4)), "who@127.0.0.1") << "of its own health check";
  // No account for that address; and the password proves nothing for another one.
  EXPECT_THAT(behind(binary(kProxy + kTcp4, ends(AF_INET, "10.9.9.9", "127.0.0.1", port))),
              AnyOf("1045", "1130"));
}

TEST_F(ProxyProtocol, AHeaderMayComeInPieces) {
  const auto port = sluice_->port("behind");
  for (const auto& header :
       {fmt::format("PROXY TCP4 10.1.2.4 127.0.0.1 40000 {}\r\n", port),
        binary(kProxy + kTcp4, ends(AF_INET, "10.1.2.4", "127.0.0.1", port))}) {
    auto wire = connect(kTrusted);
    for (const char byte : header) ASSERT_TRUE(wire.send_raw({&byte, 1}));
    const auto greeting = wire.read_packet();
    ASSERT_TRUE(greeting);
    EXPECT_EQ(greeting->at(0), '\x0a');
    bool shown = false;
    for (const auto& session : sluice_->ctl_json({"list", "sessions"}))
      shown = shown || session.at("client") == "10.1.2.4:40000";
    EXPECT_TRUE(shown) << sluice_->ctl({"list", "sessions"}).out;
  }
}

/// All of them end before a server was chosen, and the log says why.
TEST_F(ProxyProtocol, WhatIsNoHeaderEndsTheConnection) {
  const auto workers = sluice_->worker_pids();
  Client good(sluice_->endpoint("outgoing"));
  const auto port = sluice_->port("behind");
  const auto tcp4 = ends(AF_INET, "10.1.2.3", "127.0.0.1", port);
  const auto line = fmt::format("PROXY TCP4 10.1.2.3 127.0.0.1 40000 {}\r\n", port);
  auto newer = binary(kProxy + kTcp4, tcp4);
  newer[12] = '\x31';
  for (const auto& bytes :
       {std::string("\x05\0\0\1hello", 9), std::string("GET / HTTP/1.1\r\n\r\n"),
        std::string("PROXY TCP4 10.1.2.3\r\n"), std::string("PROXY TCP4 1.2.3.400 1.2.3.4 1 2\r\n"),
        std::string("PROXY TCP4 10.1.2.3 127.0.0.1 99999 3306\r\n"),
        std::string("PROXY TCP5 10.1.2.3 127.0.0.1 1 2\r\n"), "PROXY " + std::string(200, 'x'),
        std::string("PROXY\r\n"), newer, binary(kProxy + kUnix, std::string(216, '\0')),
        binary(kProxy + kTcp4, tcp4.substr(0, 7)), binary(kProxy + kTcp4, std::string(4000, '\0')),
        binary(kProxy + kTcp4, tcp4 + std::string("\x04\0\x09xyz", 6)), line + "\x01",
        binary(kProxy + kTcp4, tcp4) + line}) {
    const auto start = sluice_->log().size();
    const auto began = Clock::now();
    auto wire = connect(kTrusted);
    EXPECT_TRUE(wire.send_raw(bytes));
    EXPECT_FALSE(wire.read_packet()) << bytes;
    EXPECT_LT(Clock::now() - began, 1s) << bytes;
    EXPECT_TRUE(logged(start, "PROXY header"));
  }
  EXPECT_EQ(good.value("SELECT 1"), "1");
  EXPECT_EQ(behind(line), "who@10.1.2.3");
  EXPECT_EQ(sluice_->worker_pids(), workers);
}

/// A header that is absent, or stops half way, is waited for as long as a login may take.
TEST_F(ProxyProtocol, ALateHeaderEndsTheConnection) {
  const auto start = sluice_->log().size();
  auto silent = connect(kTrusted), half = connect(kTrusted);
  EXPECT_TRUE(half.send_raw("PROXY TCP4 10.1"));
  EXPECT_FALSE(silent.read_packet());
  EXPECT_FALSE(half.read_packet());
  EXPECT_TRUE(logged(start, "no PROXY header came from a trusted address"));
}

TEST_F(ProxyProtocol, OthersAreNotBelieved) {
  const auto port = sluice_->port("behind");
  for (const auto& header : {fmt::format("PROXY TCP4 10.1.2.3 127.0.0.1 40000 {}\r\n", port),
                             std::string("PROXY UNKNOWN\r\n"),
                             binary(kProxy + kTcp4, ends(AF_INET, "10.1.2.3", "127.0.0.1", port)),
                             binary(kLocal + kUnspecified, "")}) {
    const auto start = sluice_->log().size();
    auto wire = connect(kUntrusted);
    EXPECT_TRUE(wire.send_raw(header));
    EXPECT_TRUE(wire.read_packet()) << "the greeting";
    const auto error = wire.read_packet();
    ASSERT_TRUE(error);
    EXPECT_EQ(error->at(0), '\xff');
    EXPECT_FALSE(wire.read_packet());
    EXPECT_TRUE(logged(start, "a PROXY header from an address that is not trusted"));
  }
  EXPECT_EQ(behind("", kUntrusted), "who@127.0.0.1") << "it needs none";
}

/// Client, sluice, sluice, server: each tells the next, over TLS, and the first one watches its
/// "server" through the second.
TEST_F(ProxyProtocol, OneSluiceBehindAnother) {
  const auto listen = free_address();
  auto& second = sluice_->config.services["second"];
  second = {.cluster = "shop",
            .listen = {listen},
            .extra =
                "identity = \"as-connected\"\n"
                "proxy_protocol_from = [\"127.0.0.1\"]\ntls.mode = \"required\""};
  ASSERT_EQ(sluice_->reload().exit_code, 0);
  SluiceConfig config;
  config.extra = fmt::format(
      "[cluster.next]\nservers = {{ second = \"{}\" }}\ntopology = \"single\"\n"
      "interval = \"200ms\"\naccount = {{ user = \"{}\", password = \"{}\" }}\n"
      "proxy_protocol = true\ntls.mode = \"required\"\n",
      listen, kWatchUser, kWatchPassword);
  config.add_service("first", "next").extra =
      "identity = \"as-connected\"\ntls.mode = \"preferred\"";
  Sluice first(config);
  ASSERT_TRUE(eventually(10s, [&] {
    return first.ctl({"reload", "accounts"}).exit_code == 0;
  })) << first.ctl({"show", "server", "next/second"}).out;
  for (const bool tls : {false, true})
    for (const char* from : {"127.0.0.5", "127.0.0.1", "127.0.0.6"}) {
      auto trial = attempt("outgoing", from);
      trial.port = first.port("first");
      trial.tls.on = tls;
      const auto outcome = try_login(trial, {});
      if (from == std::string("127.0.0.6"))
        EXPECT_EQ(outcome.error, kAccessDenied) << outcome.describe();
      else
        EXPECT_EQ(outcome.account, fmt::format("who@{}", from)) << outcome.describe();
    }
}

}  // namespace
}  // namespace sluice::test
