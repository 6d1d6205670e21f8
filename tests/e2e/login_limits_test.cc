/// What a server counts and gives with each login: connections of an account, broken-off logins of
/// a host, roles. Through sluice it counts and gives the same as without it, on MariaDB and on
/// MySQL.
#include <arpa/inet.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <mysqld_error.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <memory>
#include <optional>
#include <vector>

#include "common/mysql/packets.h"
#include "tests/support/certificates.h"
#include "tests/support/mariadb_server.h"
#include "tests/support/mysql_server.h"
#include "tests/support/own_namespace.h"
#include "tests/support/raw_client.h"
#include "tests/support/sluice.h"
#include "tests/support/temp_dir.h"
#include "tests/support/test_error.h"

namespace sluice::test {
namespace {

/// One of each kind, and the oldest MySQL.
enum class Kind { Mariadb, Mysql, OldMysql };

MysqlRelease release(Kind kind) {
  return kind == Kind::Mysql ? MysqlRelease::V9 : MysqlRelease::V8_0;
}

std::unique_ptr<DatabaseServer> make_server(Kind kind, ServerOptions options) {
  if (kind == Kind::Mariadb) return std::make_unique<MariadbServer>(std::move(options));
  return std::make_unique<MysqlServer>(std::move(options), DatabaseServer::Start::Ready,
                                       release(kind));
}

std::string text_of(const SqlError& error) {
  return fmt::format("{} ({}): {}", error.code, error.state, error.text);
}

/// Every cell of every row, or the error.
std::string answer_of(Client& client, std::string_view sql) {
  const auto rows = client.query(sql);
  if (!rows) return text_of(rows.error());
  std::string text;
  for (const auto& row : *rows)
    for (const auto& cell : row) text += cell.value_or("NULL") + "\n";
  return text;
}

class LoginLimits : public testing::TestWithParam<Kind> {
 protected:
  /// Services "shop" (connection by connection), "split" and "pooled".
  void start(ServerOptions options) {
    server_ = make_server(GetParam(), std::move(options));
    SluiceConfig config;
    config.add_cluster("shop", "single", std::vector{server_.get()}).extra =
        GetParam() == Kind::Mariadb ? "" : "public_key_retrieval = true";
    config.add_service("shop", "shop");
    config.add_service("split", "shop").router = "read-write-split";
    config.add_service("pooled", "shop").router = "read-write-split";
    config.services.at("pooled").extra = "pool = 8";
    serve(std::move(config));
  }
  void serve(SluiceConfig config) {
    for (auto& [name, service] : config.services) service.extra += "\nmax_failed_logins = 0";
    sluice_.emplace(std::move(config));
    ASSERT_TRUE(eventually(10s, [&] {
      return sluice_->ctl({"reload", "accounts"}).exit_code == 0;
    })) << sluice_->log();
  }
  void SetUp() override {
    if (GetParam() == Kind::Mariadb) return;
    if (const auto can = MysqlServer::available(release(GetParam())); !can)
      GTEST_SKIP() << can.error();
  }

  std::unique_ptr<DatabaseServer> server_;
  std::optional<Sluice> sluice_;
};
INSTANTIATE_TEST_SUITE_P(Servers, LoginLimits,
                         testing::Values(Kind::Mariadb, Kind::Mysql, Kind::OldMysql));

// Connections of an account.

/// How many sessions are let in, and what the next one is told; again after one has left, which the
/// server takes a moment to see.
std::string crowd(const ClientOptions& endpoint, std::chrono::seconds patience = 10s) {
  constexpr std::size_t kMost = 10;
  std::vector<Client> sessions;
  std::string told;
  const auto fill = [&] {
    while (sessions.size() < kMost) {
      auto client = Client::connect(endpoint);
      if (!client) {
        told += fmt::format("{}, then {}\n", sessions.size(), text_of(client.error()));
        return;
      }
      sessions.push_back(std::move(*client));
    }
    told += "no end\n";
  };
  fill();
  if (sessions.empty()) return told;
  sessions.pop_back();
  const auto let_in = eventually(patience, [&] {
    auto client = Client::connect(endpoint);
    if (client) sessions.push_back(std::move(*client));
    return client.has_value();
  });
  told += let_in ? "and another\n" : "and nobody\n";
  fill();
  return told;
}

TEST_P(LoginLimits, ConnectionsOfAnAccountAreCountedByTheServer) {
  start({.extra_args = {"--max-user-connections=6"}});
  server_->exec(
      "CREATE USER few@'%' IDENTIFIED BY 'x' WITH MAX_USER_CONNECTIONS 2;"
      "CREATE USER global@'%' IDENTIFIED BY 'x';"
      "CREATE USER zero@'%' IDENTIFIED BY 'x' WITH MAX_USER_CONNECTIONS 0;"
      "CREATE USER hourly@'%' IDENTIFIED BY 'x' WITH MAX_CONNECTIONS_PER_HOUR 3");
  if (GetParam() == Kind::Mariadb)
    server_->exec("CREATE USER none@'%' IDENTIFIED BY 'x' WITH MAX_USER_CONNECTIONS -1");
  for (const std::string user : {"few", "global", "zero", "none"}) {
    SCOPED_TRACE(user);
    const auto direct = crowd(server_->endpoint(user, "x"));
    const std::string_view expected = user == "few"    ? "2, then 1226"
                                      : user == "none" ? "0, "
                                                       : "6, then 1203";
    EXPECT_TRUE(direct.starts_with(expected)) << direct;
    for (const char* service : {"shop", "split"}) {
      std::string through;
      // Sessions of the round before may still be counted.
      EXPECT_TRUE(eventually(5s,
                             [&] {
                               through = crowd(sluice_->endpoint(service, user, "x"));
                               return through == direct;
                             }))
          << service << ": " << through << "instead of " << direct;
    }
  }
  const auto direct = crowd(server_->endpoint("hourly", "x"), 1s);  // none is let in for an hour
  server_->exec("FLUSH USER_RESOURCES");
  EXPECT_EQ(crowd(sluice_->endpoint("shop", "hourly", "x"), 1s), direct);
}

// Roles.

std::string roles_of(Client& client) {
  std::string told;
  for (const char* sql : {"SELECT CURRENT_ROLE()", "SHOW GRANTS", "SELECT a FROM test.t",
                          "INSERT INTO test.t SELECT 2 FROM DUAL WHERE FALSE"})
    told += answer_of(client, sql) + "; ";
  return told + "\n";
}

/// The roles of a fresh login, with a database that perhaps only a role opens; after those of
/// others, and back again.
std::string roles_story(const ClientOptions& endpoint) {
  auto in_test = endpoint;
  in_test.database = "test";
  auto session = Client::connect(in_test);
  std::string told = session ? roles_of(*session) : text_of(session.error()) + "\n";
  Client client(endpoint);
  told += roles_of(client);
  for (const char* user : {"reading", "writing", "idle", "reading"}) {
    const auto changed = client.change_user(user, "x");
    told += changed ? roles_of(client) : text_of(changed.error()) + "\n";
  }
  for (const char* sql : {"SET ROLE NONE", "SELECT CURRENT_ROLE()", "SELECT a FROM test.t",
                          "SET ROLE reader", "SELECT CURRENT_ROLE()", "SET ROLE writer"})
    told += answer_of(client, sql) + "; ";
  return told;
}

constexpr const char* kRoleAccounts =
    "CREATE TABLE test.t (a INT); INSERT INTO test.t VALUES (1);"
    "CREATE ROLE reader, writer, everyone;"
    "GRANT SELECT ON test.* TO reader; GRANT INSERT ON test.* TO writer;"
    "CREATE USER reading@'%' IDENTIFIED BY 'x', writing@'%' IDENTIFIED BY 'x',"
    " idle@'%' IDENTIFIED BY 'x', double_role@'%' IDENTIFIED BY 'x';"
    "GRANT reader TO reading@'%', double_role@'%'; GRANT writer TO writing@'%', idle@'%', "
    "double_role@'%';";

TEST_P(LoginLimits, RolesAreThoseOfADirectLogin) {
  start({});
  server_->exec(kRoleAccounts);
  const bool mariadb = GetParam() == Kind::Mariadb;
  server_->exec(mariadb ? "SET DEFAULT ROLE reader FOR reading@'%';"
                          "SET DEFAULT ROLE writer FOR writing@'%';"
                          "SET DEFAULT ROLE reader FOR double_role@'%'"
                        : "SET DEFAULT ROLE reader TO reading@'%';"
                          "SET DEFAULT ROLE writer TO writing@'%';"
                          "SET DEFAULT ROLE ALL TO double_role@'%'");
  const auto compare = [&] {
    std::vector<std::string> stories;
    for (const char* user : {"reading", "writing", "idle", "double_role"}) {
      const auto direct = roles_story(server_->endpoint(user, "x"));
      for (const char* service : {"shop", "split", "pooled"})
        EXPECT_EQ(roles_story(sluice_->endpoint(service, user, "x")), direct)
            << user << " by " << service;
      stories.push_back(direct);
    }
    return stories;
  };
  const auto stories = compare();
  EXPECT_NE(stories[0].find("reader"), std::string::npos) << stories[0];
  EXPECT_TRUE(stories[2].starts_with("1044")) << "no default role, no database: " << stories[2];
  if (mariadb) {  // the role is gone, the account still names it
    server_->exec("DROP ROLE writer");
    compare();
    return;
  }
  server_->exec("SET GLOBAL mandatory_roles = 'everyone'");
  compare();
  server_->exec("SET GLOBAL activate_all_roles_on_login = ON");
  const auto active = compare();
  EXPECT_NE(active[2].find("everyone"), std::string::npos) << active[2];
}

// Broken-off logins.

constexpr const char *kProxy = "127.0.0.5", *kDatabase = "127.0.0.77";
constexpr int kMostErrors = 3, kTimes = 15;

std::string handshake_response() {
  const auto bytes = mysql::encode_handshake_response("app");
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// Leaves at each point of a login.
void break_off(uint16_t port) {
  const auto greeted = [&] {
    RawClient client(port);
    EXPECT_TRUE(client.read_packet());
    return client;
  };
  for (int i = 0; i < kTimes; ++i) {
    RawClient mute(port);
    greeted();
    greeted().reset();
    greeted().send(handshake_response().substr(0, 20));
    greeted().send_packet(1, "nonsense");
    auto answering = greeted();
    answering.send_packet(1, handshake_response());
    answering.read_packet();  // in the middle of the proof, or refused
    answering.reset();
  }
}

UniqueFd connect_to_database(uint16_t port) {
  UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  ::inet_pton(AF_INET, kDatabase, &address.sin_addr);
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    throw TestError("connect to the database");
  return fd;
}

/// A server that resolves names counts the logins that a host breaks off, and refuses that host
/// after `max_connect_errors`. Not for loopback's 127.0.0.1, so sluice comes from another address.
TEST_P(LoginLimits, BrokenOffLoginsOfAClientDontBlockTheProxysHost) {
  if (const auto why = no_namespaces(); !why.empty()) GTEST_SKIP() << why;
  const OwnFiles files({{"/etc/hosts", "127.0.0.1 localhost\n127.0.0.5 proxy.test\n"},
                        {"/etc/nsswitch.conf", "hosts: files\npasswd: files\ngroup: files\n"}});
  const OwnNetwork network;
  ASSERT_EQ(run_command({"ip", "route", "add", "local", kDatabase, "dev", "lo", "table", "local",
                         "src", kProxy})
                .exit_code,
            0);
  const TempDir dir;
  const CertificateAuthority authority;
  write_file(dir / "ca.pem", authority.pem());
  const auto certificate = write_files(dir, "server", authority.issue());
  server_ = make_server(
      GetParam(),
      {.host = kDatabase,
       .bind_address = kDatabase,
       .extra_args = {fmt::format("--max-connect-errors={}", kMostErrors),
                      "--ssl-ca=" + dir / "ca.pem", "--ssl-cert=" + certificate.certificate,
                      "--ssl-key=" + certificate.key}});
  SluiceConfig config;
  for (const std::string name : {"plain", "encrypted"}) {
    config.add_cluster(name, "single", std::vector{server_.get()}).extra =
        name == "encrypted"           ? "tls.mode = \"required\""
        : GetParam() == Kind::Mariadb ? ""
                                      : "public_key_retrieval = true";
    config.add_service(name, name).extra = "tls.mode = \"preferred\"";
  }
  serve(std::move(config));
  auto direct = server_->endpoint();
  direct.bind_address = kProxy;
  for (const std::string name : {"plain", "encrypted"}) {
    SCOPED_TRACE(name);
    break_off(sluice_->port(name));
    const auto through = Client::connect(sluice_->endpoint(name));
    EXPECT_TRUE(through) << text_of(through.error());
    const auto own = Client::connect(direct);
    EXPECT_TRUE(own) << text_of(own.error());
  }
  // Without sluice it is as it is feared.
  for (int i = 0; i < kTimes; ++i) RawClient(connect_to_database(server_->port())).read_packet();
  const auto blocked = Client::connect(direct);
  ASSERT_FALSE(blocked);
  EXPECT_EQ(blocked.error().code, unsigned{ER_HOST_IS_BLOCKED});
}

}  // namespace
}  // namespace sluice::test
