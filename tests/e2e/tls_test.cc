/// TLS on both legs, with a real server: who has to use it and who can, what a certificate that is
/// no good does, resumption, large data, ends, and what is shown of it. The files of TLS and their
/// reload are in tls_reload_test.cc, the monitor's connections in tls_monitor_test.cc, accounts
/// that demand TLS also in login_differential_test.cc.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <sys/socket.h>

#include <set>

#include "tests/support/certificates.h"
#include "tests/support/login_attempt.h"
#include "tests/support/sluice.h"

namespace sluice::test {
namespace {

using testing::AnyOf;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

constexpr unsigned kAccessDenied = 1045, kSecureTransportRequired = 3159, kServerLost = 2013;
constexpr std::size_t kMebibyte = 1 << 20;

/// Certificates of a shop, in files.
class Papers {
 public:
  Papers() : shop("Shop CA"), stranger("Stranger") {
    write_file(path("ca.pem"), shop.pem());
    write_file(path("stranger.pem"), stranger.pem());
    put("server", shop.issue({.common_name = "db", .addresses = {"127.0.0.1"}}));
    put("anna", shop.issue({.common_name = "anna"}));
    put("berta", shop.issue({.common_name = "berta"}));
    put("carla", stranger.issue({.common_name = "carla"}));
    put("proxy", shop.issue({.common_name = "anna"}));  // servers see it in place of Anna's
  }
  CertificateFiles put(const std::string& name, const Certificate& certificate) const {
    return write_files(directory_, name, certificate);
  }
  std::string path(const std::string& name) const { return directory_ / name; }
  CertificateFiles files(const std::string& name) const {
    return {path(name + ".pem"), path(name + ".key")};
  }
  /// A table of TLS settings, with the certificate called `name` unless that is empty.
  std::string settings(const std::string& rules, const std::string& name) const {
    const auto pair = name.empty() ? ""
                                   : fmt::format(", certificate = \"{}\", key = \"{}\"",
                                                 files(name).certificate, files(name).key);
    return fmt::format("tls = {{ {}{} }}\n", rules, pair);
  }
  std::string with_ca(const std::string& rules) const {
    return fmt::format("{}, ca = \"{}\"", rules, path("ca.pem"));
  }
  std::vector<std::string> server_arguments() const {
    return {"--ssl-ca=" + path("ca.pem"), "--ssl-cert=" + path("server.pem"),
            "--ssl-key=" + path("server.key"), "--max-allowed-packet=64M"};
  }

  const CertificateAuthority shop, stranger;

 private:
  TempDir directory_;
};

/// One server behind two clusters, "plain" and "encrypted", each behind a service for every mode
/// towards clients: "off-plain", "preferred-plain" ...
class Tls : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    papers_ = std::make_unique<Papers>();
    server_ =
        std::make_unique<MariadbServer>(MariadbOptions{.extra_args = papers_->server_arguments()});
    sluice_ = std::make_unique<Sluice>(SluiceConfig{.workers = 3}, Sluice::Start::Stopped);
    auto& config = sluice_->config;
    config.add_cluster("plain", "single", {server_.get()});
    config.add_cluster("encrypted", "single", {server_.get()}).extra =
        papers_->settings(papers_->with_ca("mode = \"required\", verify = \"identity\""), "proxy");
    for (const std::string cluster : {"plain", "encrypted"})
      for (const std::string mode : {"off", "preferred", "required"}) {
        auto& service = config.add_service(mode + "-" + cluster, cluster);
        service.listen.push_back(sluice_->path(mode + cluster));
        service.extra = "max_failed_logins = 0\n";
        const auto rules = fmt::format("mode = \"{}\"", mode);
        if (mode == "preferred")
          service.extra += papers_->settings(papers_->with_ca(rules), "server");
        if (mode == "required") service.extra += papers_->settings(rules, "");
      }
    sluice_->start();
    for (const char* cluster : {"plain", "encrypted"})
      EXPECT_TRUE(eventually(10s, [&] {
        return sluice_->ctl({"reload", "accounts", cluster}).exit_code == 0;
      })) << sluice_->log();
  }
  static void TearDownTestSuite() {
    sluice_.reset();
    server_.reset();
    papers_.reset();
  }

  static ClientOptions endpoint(const std::string& service, bool tls) {
    auto options = sluice_->endpoint(service);
    options.tls = tls;
    return options;
  }
  static LoginAttempt attempt(const std::string& service, AttemptTls tls, bool by_socket = false) {
    LoginAttempt attempt;
    attempt.port = sluice_->port(service);
    if (by_socket) attempt.socket = sluice_->config.services.at(service).listen.back();
    attempt.user = "app";
    attempt.password = "app-secret";
    attempt.tls = std::move(tls);
    return attempt;
  }
  static LoginOutcome login(const std::string& service, AttemptTls tls, bool by_socket = false) {
    return try_login(attempt(service, std::move(tls), by_socket), {});
  }
  AttemptTls as(const std::string& name) const {
    return {.on = true, .certificate = papers_->files(name)};
  }
  /// The record of the session that the server knows by this id.
  static nlohmann::json session_of(const Client& client) {
    for (const auto& session : sluice_->ctl_json({"list", "sessions"}))
      if (session.at("server_connection_id") == client.thread_id()) return session;
    return {};
  }

  static inline std::unique_ptr<Papers> papers_;
  static inline std::unique_ptr<MariadbServer> server_;
  static inline std::unique_ptr<Sluice> sluice_;
};

/// The cipher of the server's leg, as the server names it; empty where there is none.
std::string server_leg(Client& client) {
  const auto rows = client.rows("SHOW STATUS LIKE 'Ssl_cipher'");
  return rows.at(0).at(1).value_or("");
}

/// A client that has got as far as TLS.
std::optional<LoginWire> secured(const WireEnds& ends, const AttemptTls& tls) {
  const std::string request = std::string("\0\x8a\x08\0\0\0\0\1\x2d", 9) + std::string(23, '\0');
  auto wire = LoginWire::connect(ends);
  if (!wire || !wire->read_packet() || !wire->send_packet(request) || !wire->encrypt(tls))
    return std::nullopt;
  return wire;
}

TEST_F(Tls, ModesOfBothLegs) {
  for (const std::string cluster : {"plain", "encrypted"})
    for (const bool by_socket : {false, true}) {
      const auto outcome = [&](const std::string& mode, bool tls) {
        return login(mode + "-" + cluster, {.on = tls}, by_socket).error;
      };
      EXPECT_EQ(outcome("off", false), 0u);
      EXPECT_EQ(outcome("off", true), kTlsFailed);
      EXPECT_EQ(outcome("preferred", false), 0u);
      EXPECT_EQ(outcome("preferred", true), 0u);
      EXPECT_EQ(outcome("required", true), 0u);
      // Nobody can listen on a Unix socket.
      EXPECT_EQ(outcome("required", false), by_socket ? 0u : kSecureTransportRequired);
    }
  for (const bool tls : {false, true}) {
    Client plain(endpoint("preferred-plain", tls)), encrypted(endpoint("preferred-encrypted", tls));
    EXPECT_EQ(server_leg(plain), "");
    EXPECT_THAT(server_leg(encrypted), StartsWith("TLS_"));
    EXPECT_EQ(::mysql_get_ssl_cipher(encrypted.handle()) != nullptr, tls);
  }
}

/// An account demands of the client's own connection what it demands. The server sees sluice's
/// certificate, which says the same as Anna's.
TEST_F(Tls, AccountsThatDemandCertificates) {
  server_->exec(
      "CREATE USER ssl_@'%' IDENTIFIED BY 'x' REQUIRE SSL;"
      "CREATE USER x509@'%' IDENTIFIED BY 'x' REQUIRE X509;"
      "CREATE USER subject@'%' IDENTIFIED BY 'x' REQUIRE SUBJECT '/CN=anna';"
      "CREATE USER issuer@'%' IDENTIFIED BY 'x' REQUIRE ISSUER '/CN=Shop CA' AND SUBJECT "
      "'/CN=anna';"
      "CREATE USER cipher@'%' IDENTIFIED BY 'x' REQUIRE CIPHER 'TLS_AES_256_GCM_SHA384'");
  struct Case {
    const char* user;
    std::string expected;  // without TLS, without a certificate, with Berta's, with Anna's
  };
  const std::vector<Case> cases{{"ssl_", "-+++"},
                                {"x509", "--++"},
                                {"subject", "---+"},
                                {"issuer", "---+"},
                                {"cipher", "-+++"}};
  std::vector<LoginAttempt> attempts;
  for (const auto& [user, expected] : cases)
    for (const bool by_socket : {false, true})
      for (const auto& tls : {AttemptTls{}, AttemptTls{.on = true}, as("berta"), as("anna")}) {
        auto& trial = attempts.emplace_back(attempt("preferred-encrypted", tls, by_socket));
        trial.user = user;
        trial.password = "x";
      }
  const auto outcomes = try_logins(attempts, {}, 40);  // those that are refused wait for a second
  for (std::size_t i = 0; i < outcomes.size(); ++i) {
    const auto& [user, expected] = cases.at(i / 8);
    EXPECT_EQ(outcomes[i].error, expected[i % 4] == '+' ? 0u : kAccessDenied)
        << user << ", " << i % 8 << ": " << outcomes[i].describe();
  }
  EXPECT_EQ(login("preferred-encrypted", as("carla")).error, kTlsFailed) << "signed by a stranger";
}

// Resumption.

/// Ids of workers that sessions had which are in the log.
std::set<std::string> workers_in(const std::string& log) {
  std::set<std::string> out;
  for (auto at = log.find("session="); at != std::string::npos; at = log.find("session=", at + 1))
    out.insert(log.substr(at + 8, log.find('-', at) - at - 8));
  return out;
}

TEST_F(Tls, ClientsResumeAtEveryWorkerAndAfterAReload) {
  for (const char* cipher : {"", "ECDHE-ECDSA-AES256-GCM-SHA384"}) {
    auto tls = as("anna");
    tls.cipher = cipher;
    const auto first = login("preferred-plain", tls);
    ASSERT_TRUE(first.accepted()) << first.describe();
    EXPECT_FALSE(first.resumed);
    tls.session = first.session;
    const auto resumes = [&] {
      const auto again = login("preferred-plain", tls);
      return again.accepted() && again.resumed;
    };
    const auto before = sluice_->log().size();
    for (int i = 0; i < 30; ++i) ASSERT_TRUE(resumes()) << cipher;
    EXPECT_GT(workers_in(sluice_->log().substr(before)).size(), 1u);
    ++sluice_->config.workers;
    EXPECT_EQ(sluice_->reload().exit_code, 0);
    EXPECT_TRUE(resumes());
    // What was proved to one service is no proof to another.
    const auto elsewhere = login("preferred-encrypted", tls);
    EXPECT_TRUE(elsewhere.accepted());
    EXPECT_FALSE(elsewhere.resumed);
  }
}

TEST_F(Tls, ServersAreResumed) {
  const auto resumed = [] {
    const Client client(endpoint("off-encrypted", false));
    return session_of(client).at("server_tls").get<std::string>().ends_with("(resumed)");
  };
  EXPECT_TRUE(eventually(10s, [&] { return resumed() && resumed() && resumed(); }));
}

// Certificates that are no good, and servers that offer no TLS any more.

/// A server whose certificate changes under an open connection of the monitor, so that it stays up
/// and the worker has to judge.
TEST_F(Tls, NoServerIsBelievedThatShouldNotBe) {
  MariadbServer server({.extra_args = papers_->server_arguments()});
  SluiceConfig config;
  config.add_cluster("shop", "single", {&server}).extra =
      papers_->settings(papers_->with_ca("mode = \"required\", verify = \"identity\""), "");
  config.add_cluster("lax", "single", {&server}).extra = "tls.mode = \"preferred\"";
  for (const char* service : {"shop", "lax"}) config.add_service(service, service);
  Sluice sluice(config);
  const auto outcome = [&](const char* service) {
    auto client = Client::connect(sluice.endpoint(service));
    if (!client) return fmt::format("{} {}", client.error().code, client.error().text);
    return "by " + server_leg(*client).substr(0, 4);
  };
  for (const char* service : {"shop", "lax"})
    ASSERT_TRUE(eventually(10s, [&] { return outcome(service) == "by TLS_"; })) << outcome(service);

  const auto& [ca, stranger] = std::tie(papers_->shop, papers_->stranger);
  const auto good = ca.issue({.common_name = "db", .addresses = {"127.0.0.1"}});
  struct Case {
    Certificate certificate;
    const char* why;
  };
  for (const auto& [certificate, why] :
       {Case{stranger.issue({.addresses = {"127.0.0.1"}}), "certificate"},
        {ca.issue({.common_name = "db", .addresses = {"127.0.0.2"}}), "IP address mismatch"},
        {ca.issue({.addresses = {"127.0.0.1"}, .ends = -1min}), "expired"},
        {self_signed({.addresses = {"127.0.0.1"}}), "certificate"}}) {
    papers_->put("server", certificate);
    server.exec("FLUSH SSL");
    EXPECT_THAT(outcome("shop"), AllOf(StartsWith("1429 "), HasSubstr("TLS"), HasSubstr(why)));
    EXPECT_EQ(outcome("lax"), "by TLS_") << "it does not ask who it is";
  }
  papers_->put("server", good);
  server.exec("FLUSH SSL");
  EXPECT_EQ(outcome("shop"), "by TLS_");
  EXPECT_THAT(sluice.log(), HasSubstr("TLS with the server"));

  server.extra_args() = {"--skip-ssl"};
  server.restart();
  EXPECT_TRUE(eventually(10s, [&] { return outcome("lax") == "by "; })) << outcome("lax");
  EXPECT_THAT(outcome("shop"), AllOf(StartsWith("1429 "), HasSubstr("does not offer TLS")));
}

// Much at once.

/// Which of the legs are encrypted.
class TlsData : public Tls, public testing::WithParamInterface<std::pair<bool, bool>> {
 protected:
  ClientOptions here() const {
    const auto [client, server] = GetParam();
    auto options = endpoint(server ? "preferred-encrypted" : "preferred-plain", client);
    options.capabilities = CLIENT_LOCAL_FILES;
    options.database = "test";
    return options;
  }
};
INSTANTIATE_TEST_SUITE_P(Legs, TlsData,
                         testing::Values(std::pair(true, false), std::pair(false, true),
                                         std::pair(true, true)),
                         [](const auto& info) {
                           return std::string(info.param.first ? "Client" : "") +
                                  (info.param.second ? "Server" : "");
                         });

TEST_P(TlsData, TwentyMebibytesEitherWay) {
  Client client(here());
  const std::string text(20 * kMebibyte, 'x');
  EXPECT_EQ(client.value("SELECT REPEAT('x', 20 * 1048576)"), text);
  EXPECT_EQ(client.value("SELECT MD5('" + text + "') = MD5(REPEAT('x', 20 * 1048576))"), "1");
  EXPECT_EQ(client.value("SELECT 7"), "7");
}

/// As long as nobody reads, no more comes than fits into sockets.
TEST_P(TlsData, ASlowReaderGetsEverything) {
  Client client(here());
  const std::string_view sql = "SELECT REPEAT('y', 1048576) FROM seq_1_to_20";
  ASSERT_EQ(::mysql_send_query(client.handle(), sql.data(), sql.size()), 0);
  uint64_t sent = 0;
  ASSERT_TRUE(eventually(10s, [&] {
    const uint64_t now = session_of(client).at("bytes_out");
    return std::exchange(sent, now) == now && now > kMebibyte / 4;
  })) << sent;
  EXPECT_LT(sent, 20 * kMebibyte);
  ASSERT_EQ(::mysql_read_query_result(client.handle()), 0);
  const std::unique_ptr<MYSQL_RES, decltype(&::mysql_free_result)> result(
      ::mysql_use_result(client.handle()), &::mysql_free_result);
  std::size_t rows = 0;
  while (MYSQL_ROW row = ::mysql_fetch_row(result.get())) {
    EXPECT_EQ(std::string_view(row[0]), std::string(kMebibyte, 'y'));
    ++rows;
  }
  EXPECT_EQ(rows, 20u);
}

TEST_P(TlsData, LoadDataLocal) {
  Client client(here());
  const TempDir directory;
  std::string lines;
  for (int i = 0; lines.size() < 20 * kMebibyte; ++i) lines += fmt::format("{},{:>1000}\n", i, i);
  write_file(directory / "lines", lines);
  client.exec("CREATE OR REPLACE TABLE t (a INT, b VARCHAR(1000)) ENGINE = MyISAM");
  client.exec(fmt::format("LOAD DATA LOCAL INFILE '{}' INTO TABLE t FIELDS TERMINATED BY ','",
                          directory / "lines"));
  EXPECT_EQ(client.value("SELECT SUM(LENGTH(a) + LENGTH(b) + 2) FROM t"),
            std::to_string(lines.size()));
  EXPECT_EQ(client.value("SELECT SUM(TRIM(b) <> a) FROM t"), "0");
}

// Ends.

/// What ends a session reaches its other side, announced or not, and is announced by us.
TEST_F(Tls, EndsAreAnnouncedAndTruncationIsAnEnd) {
  auto refused = secured(attempt("preferred-encrypted", {}), {.on = true});
  ASSERT_TRUE(refused);
  EXPECT_TRUE(refused->send_packet("no answer"));
  EXPECT_TRUE(refused->ends_properly()) << "after an error";

  const auto at_server = [](unsigned long id) {
    return server_->value(
        fmt::format("SELECT COUNT(*) FROM information_schema.processlist WHERE id = {}", id));
  };
  Client cut(endpoint("preferred-encrypted", true));
  ASSERT_EQ(at_server(cut.thread_id()), "1");
  ::shutdown(static_cast<int>(::mysql_get_socket(cut.handle())), SHUT_WR);
  EXPECT_TRUE(eventually(5s, [&] { return at_server(cut.thread_id()) == "0"; }))
      << "a close without close_notify";

  Client killed(endpoint("preferred-encrypted", true));
  server_->exec(fmt::format("KILL {}", killed.thread_id()));
  EXPECT_THAT(killed.error("SELECT 1").code, AnyOf(1927u, 2006u, kServerLost));

  Client idle(endpoint("preferred-encrypted", true));
  const std::string id = session_of(idle).at("session");
  EXPECT_EQ(sluice_->ctl({"kill", "session", id}).exit_code, 0);
  EXPECT_EQ(idle.error("SELECT 1").code, 1927u);
}

/// A server that dies in the middle of a result: the client sees that it is not whole.
TEST_F(Tls, AServerThatDiesIsAnError) {
  MariadbServer server({.extra_args = papers_->server_arguments()});
  SluiceConfig config;
  config.add_cluster("shop", "single", {&server}).extra = "tls.mode = \"required\"";
  config.add_service("shop", "shop").extra = "tls.mode = \"required\"";
  Sluice sluice(config);
  auto options = sluice.endpoint("shop");
  options.database = "test";
  options.tls = true;
  ASSERT_TRUE(eventually(10s, [&] { return Client::connect(options).has_value(); }));
  Client client(options);
  const std::string_view sql = "SELECT REPEAT('y', 1048576) FROM seq_1_to_1000";
  ASSERT_EQ(::mysql_send_query(client.handle(), sql.data(), sql.size()), 0);
  ASSERT_EQ(::mysql_read_query_result(client.handle()), 0);
  const std::unique_ptr<MYSQL_RES, decltype(&::mysql_free_result)> result(
      ::mysql_use_result(client.handle()), &::mysql_free_result);
  ASSERT_NE(::mysql_fetch_row(result.get()), nullptr);
  server.kill9();
  while (::mysql_fetch_row(result.get()) != nullptr) continue;
  EXPECT_EQ(::mysql_errno(client.handle()), kServerLost) << ::mysql_error(client.handle());
}

// What is shown, and reloads.

TEST_F(Tls, IsShown) {
  const Client client(endpoint("preferred-encrypted", true));
  const std::string id = session_of(client).at("session");
  const auto session = sluice_->ctl_json({"show", "session", id});
  EXPECT_THAT(session.at("client_tls"), StartsWith("TLSv1.3 TLS_"));
  EXPECT_THAT(session.at("server_tls"), StartsWith("TLSv1.3 TLS_"));
  const auto server = sluice_->ctl_json({"show", "server", "encrypted/db1"});
  EXPECT_EQ(server.at("tls"), "required");
  EXPECT_EQ(server.at("tls_verify"), "identity");
  EXPECT_NE(server.at("tls_certificate_expires"), "");
  const auto service = sluice_->ctl_json({"show", "service", "preferred-encrypted"});
  EXPECT_EQ(service.at("tls_client_ca"), true);
  EXPECT_NE(service.at("tls_certificate_expires"), "");
}

TEST_F(Tls, TheCertificateThatSluiceMadeOutlivesReloads) {
  const auto shown = [] {
    const auto wire = secured(attempt("required-plain", {}), {.on = true});
    return wire ? wire->peer_certificate() : "";
  };
  const auto first = shown();
  EXPECT_NE(first, "");
  const auto workers = sluice_->config.workers;
  for (const unsigned number : {workers + 1, workers}) {
    sluice_->config.workers = number;
    EXPECT_EQ(sluice_->reload().exit_code, 0);
    EXPECT_EQ(shown(), first);
  }
}

TEST_F(Tls, BadCiphersAreRefusedAndChangeNothing) {
  Client open(endpoint("preferred-plain", true));
  const int generation = sluice_->ctl_json({"status"}).at("generation");
  auto& service = sluice_->config.services.at("preferred-plain");
  const auto good = service.extra;
  service.extra = "tls = { mode = \"preferred\", ciphers = \"NO-SUCH-CIPHER\" }\n";
  const auto refused = sluice_->reload();
  service.extra = good;
  EXPECT_EQ(refused.exit_code, 1);
  EXPECT_THAT(refused.err, HasSubstr("NO-SUCH-CIPHER"));
  EXPECT_EQ(sluice_->ctl_json({"status"}).at("generation"), generation);
  EXPECT_EQ(open.value("SELECT 5"), "5");
  EXPECT_TRUE(login("preferred-plain", as("anna")).accepted());
  EXPECT_EQ(sluice_->reload().exit_code, 0);
}

}  // namespace
}  // namespace sluice::test
