/// The watching account's own connections follow the TLS settings of their cluster: they are
/// encrypted where that is asked for, believe no certificate that they should not, and a server
/// that can't be reached that way is down, with the reason.
#include <fmt/format.h>
#include <gmock/gmock.h>

#include "tests/support/certificates.h"
#include "tests/support/sluice.h"

namespace sluice::test {
namespace {

using testing::HasSubstr;

/// One server, which calls itself "localhost" and nothing else, and one without TLS; a cluster for
/// every way to watch one of them.
class TlsMonitor : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    const CertificateAuthority ca("Shop CA"), stranger("Stranger");
    dir_ = std::make_unique<TempDir>();
    write_file(*dir_ / "ca.pem", ca.pem());
    write_file(*dir_ / "stranger.pem", stranger.pem());
    const auto server = write_files(*dir_, "server", ca.issue({.common_name = "localhost"}));
    write_files(*dir_, "watcher", ca.issue({.common_name = "watcher"}));
    secure_ = start({.name = "secure",
                     .extra_args = {"--ssl-ca=" + *dir_ / "ca.pem", "--ssl-key=" + server.key,
                                    "--ssl-cert=" + server.certificate}});
    bare_ = start({.name = "bare", .extra_args = {"--skip-ssl"}});
    for (auto* one : {secure_.get(), bare_.get()}) {
      one->wait_ready();
      one->exec(
          "CREATE USER encrypted@'%' IDENTIFIED BY 'x' REQUIRE SSL;"
          "CREATE USER proved@'%' IDENTIFIED BY 'x' REQUIRE X509;"
          "CREATE USER chosen@'%' IDENTIFIED BY 'x' REQUIRE CIPHER 'TLS_CHACHA20_POLY1305_SHA256'");
    }
  }
  static void TearDownTestSuite() {
    secure_.reset();
    bare_.reset();
    dir_.reset();
  }

  void watch(const std::string& cluster, const std::string& user, const MariadbServer& server,
             const std::string& tls, const std::string& host = "127.0.0.1") {
    config_.add_service(cluster, cluster);
    config_.extra += fmt::format(
        "[cluster.{}]\nservers = {{ db = \"{}:{}\" }}\ntopology = \"single\"\n"
        "interval = \"200ms\"\ntls = {{ {} }}\n"
        "account = {{ user = \"{}\", password = \"{}\" }}\n",
        cluster, host, server.port(), tls, user, user == kWatchUser ? kWatchPassword : "x");
  }
  void start() { sluice_ = std::make_unique<Sluice>(config_); }
  std::string shown(const std::string& cluster, const char* column) const {
    return sluice_->ctl_json({"show", "server", cluster + "/db"}).at(column);
  }
  void expect(const std::string& cluster, const std::string& health, const std::string& why = "") {
    EXPECT_TRUE(eventually(10s, [&] { return shown(cluster, "health") == health; }))
        << cluster << ": " << sluice_->ctl_json({"show", "server", cluster + "/db"});
    EXPECT_THAT(shown(cluster, "reason"), HasSubstr(why)) << cluster;
  }
  static std::string file(const char* key, const char* name) {
    return fmt::format(", {} = \"{}\"", key, *dir_ / name);
  }

  static inline std::unique_ptr<TempDir> dir_;
  static inline std::unique_ptr<MariadbServer> secure_, bare_;
  SluiceConfig config_;
  std::unique_ptr<Sluice> sluice_;

 private:
  static std::unique_ptr<MariadbServer> start(MariadbOptions options) {
    options.bind_address = "127.0.0.1,::1";
    return std::make_unique<MariadbServer>(std::move(options), DatabaseServer::Start::Launched);
  }
};

/// Whether a connection is encrypted the server tells by whom it lets in.
TEST_F(TlsMonitor, Modes) {
  watch("off", "encrypted", *secure_, "mode = \"off\"");
  watch("preferred", "encrypted", *secure_, "mode = \"preferred\"");
  watch("required", "encrypted", *secure_, "mode = \"required\"");
  watch("preferred-bare", kWatchUser, *bare_, "mode = \"preferred\"");
  watch("required-bare", kWatchUser, *bare_, "mode = \"required\"");
  watch("verified-bare", kWatchUser, *bare_,
        "mode = \"required\", verify = \"ca\"" + file("ca", "ca.pem"));
  start();
  expect("off", "access denied");
  expect("preferred", "up");
  expect("required", "up");
  expect("preferred-bare", "up");
  expect("required-bare", "down", "does not offer TLS, which is required");
  expect("verified-bare", "down", "does not offer TLS, which is required");
}

TEST_F(TlsMonitor, Verification) {
  const auto ca = "mode = \"required\", verify = \"ca\"",
             identity = "mode = \"preferred\", verify = \"identity\"";
  watch("trusted", "encrypted", *secure_, ca + file("ca", "ca.pem"));
  watch("untrusted", kWatchUser, *secure_, ca + file("ca", "stranger.pem"));
  watch("named", "encrypted", *secure_, identity + file("ca", "ca.pem"), "localhost");
  watch("by-address", kWatchUser, *secure_, identity + file("ca", "ca.pem"));
  watch("named-untrusted", kWatchUser, *secure_, identity + file("ca", "stranger.pem"),
        "localhost");
  start();
  expect("trusted", "up");
  expect("untrusted", "down", "certificate");
  expect("named", "up");
  expect("by-address", "down", "certificate");
  expect("named-untrusted", "down", "certificate");
}

TEST_F(TlsMonitor, CertificateAndCiphers) {
  const auto shown_by_us = file("certificate", "watcher.pem") + file("key", "watcher.key");
  watch("proved", "proved", *secure_, "mode = \"required\"" + shown_by_us);
  watch("unproved", "proved", *secure_, "mode = \"required\"");
  const std::string suite = "mode = \"required\", ciphers = \"TLS_CHACHA20_POLY1305_SHA256\"";
  watch("chosen", "chosen", *secure_, suite + ", min_version = \"1.3\"");
  watch("not-chosen", "chosen", *secure_, "mode = \"required\"");
  start();
  expect("proved", "up");
  expect("unproved", "access denied");
  expect("chosen", "up");
  expect("not-chosen", "access denied");
}

/// What an open connection was encrypted with is no longer good for the next one.
TEST_F(TlsMonitor, AReloadReconnects) {
  watch("shop", kWatchUser, *secure_,
        "mode = \"required\", verify = \"ca\"" + file("ca", "ca.pem"));
  start();
  expect("shop", "up");
  auto changed = config_.extra;
  changed.replace(changed.find("ca.pem"), 6, "stranger.pem");
  sluice_->config.extra = changed;
  EXPECT_EQ(sluice_->reload().exit_code, 0);
  expect("shop", "down", "certificate");
  sluice_->config.extra = config_.extra;
  EXPECT_EQ(sluice_->reload().exit_code, 0);
  expect("shop", "up");
}

}  // namespace
}  // namespace sluice::test
