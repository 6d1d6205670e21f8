#include "master/config/parse.h"

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>

#include "master/config/load.h"
#include "tests/master/config/fixture.h"

namespace sluice::config {
namespace {

ipc::ParsedConfig parse_case(const std::string& name) {
  std::ifstream in(SLUICE_TEST_DATA "/config/" + name + ".toml", std::ios::binary);
  return test::parse_text({std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()});
}

TEST(Parse, ALocalProxy) {
  const auto parsed = parse_case("good_local");
  ASSERT_TRUE(usable(parsed));
  Config expected;
  expected.clusters = {{.name = "shop", .user = "sluice", .password = Secret("s3cret")}};
  expected.clusters[0].servers = {{.name = "db1", .address = {"10.0.0.11", 3306, ""}},
                                  {.name = "db2", .address = {"10.0.0.12", 3306, ""}}};
  expected.services = {{.name = "shop", .cluster = "shop", .router = RouterKind::connection}};
  expected.services[0].listen = {
      {"127.0.0.1", 3306, ""}, {"::1", 3306, ""}, {"", 0, "/run/sluice/shop.sock"}};
  EXPECT_EQ(parsed.config, expected);
}

TEST(Parse, EveryKeyIsStored) {
  const auto parsed = parse_case("good_every_key");
  ASSERT_TRUE(usable(parsed));

  Process process{.user = "proxy",
                  .group = "proxy",
                  .workers = 4,
                  .drain_timeout_ms = 90'000,
                  .control_socket = "/run/other/control.sock",
                  .log = {LogTarget::file, log::Level::info, "local3", "/var/log/sluice.log"},
                  .sandbox = Sandbox::best_effort,
                  .secrets_key = "/etc/sluice/other.key",
                  .max_worker_memory = 1U << 30};
  EXPECT_EQ(parsed.config.sluice, process);

  const auto& pem = test::pem_files();
  const int64_t not_after_s = test::kNow + 1000 * test::kDay;
  const Tls of_cluster{.mode = TlsMode::required,
                       .verify = TlsVerify::identity,
                       .ca = "/etc/sluice/chain.pem",
                       .certificate = "/etc/sluice/other.pem",
                       .key = "/etc/sluice/other.key",
                       .min_version = "1.3",
                       .ciphers = "TLS_AES_256_GCM_SHA384",
                       .ca_pem = pem.at("/etc/sluice/chain.pem"),
                       .certificate_pem = pem.at("/etc/sluice/other.pem"),
                       .key_pem = Secret(pem.at("/etc/sluice/other.key")),
                       .not_after_s = not_after_s};
  const Tls of_db2{.mode = TlsMode::preferred,
                   .verify = TlsVerify::ca,
                   .ca = "/etc/sluice/other.pem",
                   .certificate = "/etc/sluice/shop.pem",
                   .key = "/etc/sluice/shop.key",
                   .ciphers = "HIGH",
                   .ca_pem = pem.at("/etc/sluice/other.pem"),
                   .certificate_pem = pem.at("/etc/sluice/shop.pem"),
                   .key_pem = Secret(pem.at("/etc/sluice/shop.key")),
                   .not_after_s = not_after_s};
  Cluster cluster{.name = "shop",
                  .topology = Topology::galera,
                  .user = "watcher",
                  .password = Secret("credential")};
  cluster.interval_ms = 250;
  cluster.max_lag_ms = 10'000;
  cluster.accounts_interval_ms = 300'000;
  cluster.servers = {{"db2", {"db2.example.org", 3307, ""}, 2, 50, false, 500, of_db2},
                     {"db1", {"fd00::11", 3306, ""}, 1, 100, true, 2000, of_cluster}};
  cluster.servers[1].clear_passwords = ClearPasswords::anywhere;
  cluster.servers[1].public_key_retrieval = true;
  ASSERT_EQ(parsed.config.clusters.size(), 1u);
  EXPECT_EQ(parsed.config.clusters[0], cluster);

  Service service{.name = "shop", .cluster = "shop", .router = RouterKind::connection};
  service.listen = {{"0.0.0.0", 3306, ""}, {"::", 3306, ""}};
  service.target = Target::replica;
  service.identity = IdentityMode::as_connected;
  service.account_mismatch = AccountMismatch::allow;
  service.max_connections = 500;
  service.login_timeout_ms = 30'000;
  service.socket_mode = 0660;
  service.proxy_protocol_from = {"10.0.0.5", "fd00::/64"};
  service.clear_passwords = ClearPasswords::anywhere;
  service.compression = true;
  service.tls = {.mode = TlsMode::preferred,
                 .ca = "/etc/sluice/other.pem",
                 .certificate = "/etc/sluice/both.pem",
                 .key = "/etc/sluice/both.pem",
                 .min_version = "1.3",
                 .ciphers = "HIGH",
                 .ca_pem = pem.at("/etc/sluice/other.pem"),
                 .certificate_pem = pem.at("/etc/sluice/shop.pem"),
                 .key_pem = Secret(pem.at("/etc/sluice/shop.key")),
                 .not_after_s = not_after_s};
  ASSERT_EQ(parsed.config.services.size(), 1u);
  EXPECT_EQ(parsed.config.services[0], service);
}

/// One TLS of a whole configuration: `[service.shop.tls]` with these lines.
Tls service_tls(const std::string& lines, int64_t now_s = test::kNow) {
  auto inputs = test::inputs_of(
      "sluice.toml", std::string(kMinimalConfiguration) + "\n[service.shop.tls]\n" + lines);
  inputs.now_s = now_s;
  return parse(inputs).config.service("shop")->tls;
}

TEST(ParseTls, WhereItIsOffNoFileIsRead) {
  const auto tls = service_tls("certificate = \"shop.pem\"\nkey = \"shop.key\"\n");
  EXPECT_EQ(tls.certificate, "/etc/sluice/shop.pem");
  EXPECT_EQ(tls.certificate_pem, "");
  EXPECT_TRUE(tls.key_pem.empty());
  EXPECT_EQ(tls.not_after_s, 0);
}

TEST(ParseTls, WithoutACertificateThereIsNothingToRead) {
  const auto tls = service_tls("mode = \"required\"\n");
  EXPECT_EQ(tls, (Tls{.mode = TlsMode::required}));
}

TEST(ParseTls, WarningsBeginThirtyDaysBeforeTheEnd) {
  const std::string text = std::string(kMinimalConfiguration) +
                           "\n[service.shop.tls]\nmode = \"required\"\n"
                           "certificate = \"shop.pem\"\nkey = \"shop.key\"\n";
  auto inputs = test::inputs_of("sluice.toml", text);
  const auto end = test::kNow + 1000 * test::kDay;
  inputs.now_s = end - 30 * test::kDay;
  EXPECT_TRUE(parse(inputs).problems.empty());
  inputs.now_s = end - 30 * test::kDay + 1;
  const auto soon = parse(inputs);
  ASSERT_EQ(soon.problems.size(), 1u);
  EXPECT_TRUE(usable(soon));
  EXPECT_EQ(soon.problems[0].text,
            "/etc/sluice/shop.pem expires soon: 2029-08-20, 29 days from now");
  inputs.now_s = end + 1;
  const auto over = parse(inputs);
  EXPECT_TRUE(usable(over));
  EXPECT_EQ(over.problems[0].text, "/etc/sluice/shop.pem has expired: 2029-08-20");
}

TEST(Parse, TablesMayBeSpreadOverFiles) {
  const auto parsed = parse_case("good_spread");
  ASSERT_TRUE(usable(parsed));
  EXPECT_EQ(parsed.config.sluice.workers, 2u);
  EXPECT_EQ(parsed.config.sluice.log.level, log::Level::debug);
  const Cluster* shop = parsed.config.cluster("shop");
  ASSERT_TRUE(shop);
  EXPECT_EQ(shop->user, "sluice");
  ASSERT_EQ(shop->servers.size(), 2u);
  EXPECT_EQ(shop->servers[0].name, "db1");
  EXPECT_EQ(shop->servers[1].name, "db2");
}

TEST(Parse, FallbackFollowsTheTarget) {
  const auto parsed = parse_case("fallback");
  ASSERT_TRUE(usable(parsed));
  EXPECT_EQ(parsed.config.service("c")->fallback, Fallback::primary);
  const auto explicit_none = parse_case("good_every_key");
  EXPECT_EQ(explicit_none.config.service("shop")->fallback, Fallback::none);
}

TEST(Parse, ClustersAndServicesAreSortedServersStayAsWritten) {
  const auto parsed = test::parse_text(R"(
    [service]
    z = { cluster = "b", router = "connection", listen = ["127.0.0.1:1"] }
    a = { cluster = "a", router = "connection", listen = ["127.0.0.1:2"] }
    [cluster.b]
    servers = { y = "10.0.0.2", x = "10.0.0.1" }
    account = { user = "u", password = "p" }
    [cluster.a]
    servers = { x = "10.0.0.1" }
    account = { user = "u", password = "p" }
  )");
  ASSERT_TRUE(usable(parsed));
  EXPECT_EQ(parsed.config.services[0].name, "a");
  EXPECT_EQ(parsed.config.clusters[0].name, "a");
  EXPECT_EQ(parsed.config.clusters[1].servers[0].name, "y");
}

TEST(Parse, TheMinimalConfigurationIsOne) {
  const auto parsed = test::parse_text(std::string(kMinimalConfiguration));
  EXPECT_TRUE(parsed.problems.empty());
}

TEST(Parse, TheDeepestThatTheLibraryTakesDoesNotExhaustTheStack) {
  std::string key = "a";
  for (int i = 0; i < 500; ++i) key += ".a";
  std::string text = "[" + key + "]\n" + key;
  for (int i = 0; i < 7; ++i) text += " = [\n{ " + key;  // 7 arrays and 7 tables of the 16
  text += " = 1";
  for (int i = 0; i < 7; ++i) text += " }\n]";
  EXPECT_EQ(test::parse_text(text + "\n").problems.front().text, "nested deeper than 32 levels");
}

TEST(Parse, InputThatToml33IsUnsureAbout) {
  EXPECT_FALSE(usable(test::parse_text("[=]\n")));  // an assertion of the library
  // A letter beyond ASCII and a byte order mark inside: "unreachable" in the library.
  const auto parsed = test::parse_text("[sluice]\nuser = \"f\u00fcr\ufeff\" # \u00e4\n");
  EXPECT_EQ(parsed.config.sluice.user, "f\u00fcr\ufeff");
}

TEST(Parse, NestingWithoutEndIsRefused) {
  std::string dots = "a";
  for (int i = 0; i < 100'000; ++i) dots += ".a";
  for (const auto& text : {dots + " = 1", "[" + dots + "]", "x = " + std::string(100'000, '['),
                           "x = " + std::string(100'000, '{')}) {
    const auto parsed = test::parse_text(text);
    ASSERT_FALSE(usable(parsed));
    EXPECT_EQ(parsed.problems.front().line, 1u);
  }
}

}  // namespace
}  // namespace sluice::config
