/// Plugins that want the password itself, on every combination of legs: the client's by TCP, by TLS
/// or by a Unix socket, the server's with and without TLS. A password that one leg may carry as it
/// is, is encrypted on the other.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "tests/support/certificates.h"
#include "tests/support/mysql_server.h"
#include "tests/support/pam_server.h"
#include "tests/support/sluice.h"

namespace sluice::test {
namespace {

enum class Way { Tcp, Tls, Socket };

std::string outcome(const ClientOptions& endpoint) {
  auto client = Client::connect(endpoint);
  if (!client) return fmt::format("{} {}", client.error().code, client.error().text);
  return "as " + client->value("SELECT CURRENT_USER()");
}

/// Services "plain" and "encrypted" in front of one server, named after their legs to it.
class LoginLegs : public testing::Test {
 protected:
  void serve(const DatabaseServer& server, const std::string& cluster = "") {
    sluice_ = std::make_unique<Sluice>(SluiceConfig{}, Sluice::Start::Stopped);
    auto& config = sluice_->config;
    for (const std::string name : {"plain", "encrypted"}) {
      const bool encrypted = name == "encrypted";
      config.add_cluster(name, "single", {&server}).extra =
          encrypted ? "tls.mode = \"required\"" : cluster;
      auto& service = config.add_service(name, name);
      service.listen.push_back(sluice_->path(name));
      service.extra = "max_failed_logins = 0\ntls.mode = \"preferred\"";
    }
    sluice_->start();
    for (const char* name : {"plain", "encrypted"})
      ASSERT_TRUE(eventually(10s, [&] {
        return Client::connect(sluice_->endpoint(name)).has_value() &&
               sluice_->ctl({"reload", "accounts", name}).exit_code == 0;
      })) << sluice_->log();
  }
  ClientOptions at(const std::string& service, Way way, const std::string& user,
                   const std::string& password) const {
    auto options = sluice_->endpoint(service, user, password);
    options.tls = way == Way::Tls;
    if (way == Way::Socket) options.socket = sluice_->path(service);
    return options;
  }
  std::unique_ptr<Sluice> sluice_;
};

/// FLUSH PRIVILEGES makes the server forget what it has seen, so that it wants the whole password.
/// Its key is believed where the configuration says so, and not else.
TEST_F(LoginLegs, CachingSha2AndSha256OfMysql) {
  if (const auto can = MysqlServer::available(); !can) GTEST_SKIP() << can.error();
  MysqlServer server;
  server.exec(
      "CREATE USER caching@'%' IDENTIFIED WITH caching_sha2_password BY 'x';"
      "CREATE USER sha@'%' IDENTIFIED WITH sha256_password BY 'x'");
  serve(server, "public_key_retrieval = true");
  for (const std::string service : {"plain", "encrypted"})
    for (const auto way : {Way::Tcp, Way::Tls, Way::Socket})
      for (const std::string user : {"caching", "sha"}) {
        const auto where = fmt::format("{} by way {} to {}", user, static_cast<int>(way), service);
        server.exec("FLUSH PRIVILEGES");
        EXPECT_EQ(outcome(at(service, way, user, "x")), "as " + user + "@%") << where;
        EXPECT_EQ(outcome(at(service, way, user, "x")), "as " + user + "@%") << where << " again";
        if (service == "encrypted" && way != Way::Tls) continue;  // who is refused has to wait
        EXPECT_EQ(outcome(at(service, way, user, "wrong")).substr(0, 5), "1045 ") << where;
      }

  sluice_->config.clusters.at("plain").extra.clear();
  EXPECT_EQ(sluice_->reload().exit_code, 0);
  server.exec("FLUSH PRIVILEGES");
  const auto refused = outcome(at("plain", Way::Tls, "caching", "x"));
  EXPECT_NE(refused.find("public_key_retrieval"), std::string::npos) << refused;
}

/// What makes a MariaDB offer TLS.
class TlsArguments {
 public:
  std::vector<std::string> with(std::vector<std::string> others = {}) const {
    others.push_back("--ssl-cert=" + files_.certificate);
    others.push_back("--ssl-key=" + files_.key);
    return others;
  }

 private:
  TempDir directory_;
  CertificateFiles files_ = write_files(directory_, "server", self_signed());
};

TEST_F(LoginLegs, Ed25519) {
  const TlsArguments tls;
  MariadbServer server({.extra_args = tls.with({"--plugin-load-add=auth_ed25519"})});
  server.exec("CREATE USER signs@'%' IDENTIFIED VIA ed25519 USING PASSWORD('x')");
  serve(server);
  for (const std::string service : {"plain", "encrypted"})
    for (const auto way : {Way::Tcp, Way::Tls, Way::Socket}) {
      EXPECT_EQ(outcome(at(service, way, "signs", "x")), "as signs@%");
      if (service == "encrypted" && way != Way::Tls) continue;
      EXPECT_EQ(outcome(at(service, way, "signs", "wrong")).substr(0, 5), "1045 ");
    }
}

/// A password as it is crosses no leg by TCP without TLS.
TEST_F(LoginLegs, ClearPasswordsNeedEncryptedLegs) {
  if (const auto can = PamServer::available(); !can) GTEST_SKIP() << can.error();
  const TlsArguments tls;
  for (const auto kind : {PamClient::Dialog, PamClient::ClearPassword}) {
    PamServer server(kind);
    for (auto& argument : tls.with()) server.extra_args().push_back(argument);
    server.restart();
    serve(server);
    const auto try_as = [&](const char* service, Way way, const char* password) {
      return outcome(at(service, way, "pam_user", password));
    };
    for (const auto way : {Way::Tls, Way::Socket}) {
      EXPECT_EQ(try_as("encrypted", way, kPamPassword), "as pam_user@%");
      EXPECT_EQ(try_as("encrypted", way, "wrong").substr(0, 5), "1045 ");
    }
    for (const auto& refused :
         {try_as("encrypted", Way::Tcp, kPamPassword), try_as("plain", Way::Tcp, kPamPassword),
          try_as("plain", Way::Tls, kPamPassword), try_as("plain", Way::Socket, kPamPassword)})
      EXPECT_NE(refused.find("without TLS"), std::string::npos) << refused;
    EXPECT_EQ(sluice_->log().find(kPamPassword), std::string::npos);
    sluice_.reset();
  }
}

}  // namespace
}  // namespace sluice::test
