/// Authentication plugins of MariaDB beside the native one. The two ends settle the proof between
/// them, so through sluice each ends as it does over TCP without it.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <pwd.h>
#include <unistd.h>

#include "tests/support/sluice.h"

namespace sluice::test {
namespace {

/// Every way to log in, tried on a service with a TCP and a Unix listener.
class LoginPlugins : public testing::Test {
 protected:
  void serve(MariadbServer& server) {
    SluiceConfig config;
    config.add_cluster("shop", "single", {&server});
    config.add_service("shop", "shop");
    sluice_ = std::make_unique<Sluice>(std::move(config), Sluice::Start::Stopped);
    sluice_->config.services.at("shop").listen.push_back(sluice_->path("shop.sock"));
    sluice_->start();
    ASSERT_TRUE(eventually(10s, [&] {
      return Client::connect(sluice_->endpoint("shop")).has_value();
    })) << sluice_->log();
  }

  static std::string outcome(const ClientOptions& endpoint) {
    auto client = Client::connect(endpoint);
    if (!client) return fmt::format("{} {}", client.error().code, client.error().text);
    return "as " + client->value("SELECT CURRENT_USER()");
  }
  /// The same through both listeners as directly over TCP, and that is `expected`.
  void expect(const MariadbServer& server, const std::string& user, const std::string& password,
              const std::string& expected) {
    EXPECT_EQ(outcome(server.endpoint(user, password)), expected);
    auto through = sluice_->endpoint("shop", user, password);
    EXPECT_EQ(outcome(through), expected);
    through.socket = sluice_->path("shop.sock");
    EXPECT_EQ(outcome(through), expected);
  }
  static std::string denied(const std::string& user, const char* password = "YES") {
    return fmt::format("1045 Access denied for user '{}'@'localhost' (using password: {})", user,
                       password);
  }

  std::unique_ptr<Sluice> sluice_;
};

TEST_F(LoginPlugins, Ed25519) {
  MariadbServer server({.extra_args = {"--plugin-load-add=auth_ed25519"}});
  server.exec("CREATE USER signs@'%' IDENTIFIED VIA ed25519 USING PASSWORD('x')");
  serve(server);
  expect(server, "signs", "x", "as signs@%");
  expect(server, "signs", "wrong", denied("signs"));
  expect(server, "signs", "", denied("signs"));

  auto client = sluice_->connect("shop");
  EXPECT_TRUE(client.change_user("signs", "x"));
  EXPECT_EQ(client.value("SELECT CURRENT_USER()"), "signs@%");
}

/// What the server offers as alternatives it tries one after the other.
TEST_F(LoginPlugins, OneOfSeveral) {
  MariadbServer server({.extra_args = {"--plugin-load-add=auth_ed25519"}});
  server.exec(
      "CREATE USER either@'%' IDENTIFIED VIA ed25519 USING PASSWORD('first') "
      "OR mysql_native_password USING PASSWORD('second')");
  serve(server);
  expect(server, "either", "first", "as either@%");
  expect(server, "either", "second", "as either@%");
  expect(server, "either", "third", denied("either"));
}

/// unix_socket asks the kernel who is at the other end. Behind sluice that is nobody: the server is
/// reached over TCP, and refuses as it refuses everybody who comes that way.
TEST_F(LoginPlugins, UnixSocketIsRefused) {
  const std::string user = ::getpwuid(::geteuid())->pw_name;
  MariadbServer server;
  server.exec(
      fmt::format("CREATE OR REPLACE USER '{0}'@localhost IDENTIFIED VIA unix_socket;"
                  "CREATE USER '{0}'@'%' IDENTIFIED VIA unix_socket",
                  user));
  serve(server);
  auto locally = server.endpoint(user, "");
  locally.socket = server.socket_path();
  EXPECT_EQ(outcome(locally), fmt::format("as {}@localhost", user));
  const auto over_tcp = outcome(server.endpoint(user, ""));
  EXPECT_TRUE(over_tcp.starts_with("1698 Access denied for user")) << over_tcp;
  expect(server, user, "", over_tcp);
}

/// PARSEC needs a newer client than the tests' own library.
TEST_F(LoginPlugins, Parsec) {
  if (const auto can = MariadbServer::available(MariadbRelease::Newer); !can)
    GTEST_SKIP() << can.error();
  MariadbServer server({.extra_args = {"--plugin-load-add=auth_parsec"}},
                       MariadbServer::Start::Ready, MariadbRelease::Newer);
  server.exec("CREATE USER proves@'%' IDENTIFIED VIA parsec USING PASSWORD('x')");
  serve(server);
  const auto ask = [](uint16_t port, const char* password) {
    return MariadbServer::run_newer_client({"-h127.0.0.1", fmt::format("-P{}", port), "-uproves",
                                            fmt::format("-p{}", password), "--skip-ssl", "-NBe",
                                            "SELECT CURRENT_USER()"});
  };
  const auto through = ask(sluice_->port("shop"), "x");
  EXPECT_EQ(through.out, "proves@%\n") << through.err;
  EXPECT_EQ(ask(sluice_->port("shop"), "wrong").err, ask(server.port(), "wrong").err);
  EXPECT_NE(ask(server.port(), "wrong").err.find("ERROR 1045"), std::string::npos);
}

}  // namespace
}  // namespace sluice::test
