/// Sessions move to the workers of the next generation: whatever they are in the middle of goes on,
/// on the same connections, and the old workers leave.
#include <fmt/format.h>
#include <gmock/gmock.h>

#include <future>
#include <set>

#include "tests/support/certificates.h"
#include "tests/support/eventually.h"
#include "tests/support/load.h"
#include "tests/support/prepared.h"
#include "tests/support/sluice.h"
#include "tests/support/topologies.h"

namespace sluice::test {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

struct Manner {
  const char* name;
  const char* router;
  bool tls;  ///< towards clients and servers
};

/// Sessions of either router, in clear and encrypted.
class Handoff : public testing::TestWithParam<Manner> {
 protected:
  static void SetUpTestSuite() {
    files_ = std::make_unique<TempDir>();
    const CertificateAuthority shop("Shop CA");
    write_file(*files_ / "ca.pem", shop.pem());
    const auto papers = write_files(*files_, "server",
                                    shop.issue({.common_name = "db", .addresses = {"127.0.0.1"}}));
    pair_ = std::make_unique<ReplicationPair>(
        std::vector<std::string>{"--ssl-cert=" + papers.certificate, "--ssl-key=" + papers.key});
    pair_->primary.exec(
        "CREATE TABLE test.t (n INT PRIMARY KEY, text VARCHAR(20)); CREATE TABLE test.big (n INT);"
        "INSERT INTO test.big SELECT seq FROM test.seq_1_to_1000;");
    pair_->replica.catch_up_with(pair_->primary);
  }
  static void TearDownTestSuite() {
    pair_.reset();
    files_.reset();
  }

  Handoff() : sluice_(shop()) {
    pair_->primary.exec("DELETE FROM test.t");
    EXPECT_TRUE(eventually(20s, [&] { return is_whole(); })) << "roles and accounts are known";
  }
  static SluiceConfig shop() {
    SluiceConfig config;
    config.add_cluster("shop", "replication", pair_->servers());
    auto& service = config.add_service("shop", "shop");
    service.router = GetParam().router;
    if (GetParam().tls) {
      config.clusters.at("shop").extra = "tls = { mode = \"required\", verify = \"none\" }\n";
      service.extra = required();
    }
    config.settings = "drain_timeout = \"30s\"\n";
    return config;
  }
  bool is_whole() const {
    auto client = Client::connect(endpoint());
    if (!client || !client->query("SELECT COUNT(*) FROM test.big")) return false;
    const auto session = session_of(*client);
    EXPECT_EQ(session.at("client_tls") != "" && session.at("server_tls") != "", GetParam().tls);
    return std::string_view(GetParam().router) == "connection" || session.at("reader") == "db2";
  }
  ClientOptions endpoint() const {
    auto options = sluice_.endpoint("shop");
    options.tls = GetParam().tls;
    options.tls_ca = *files_ / "ca.pem";
    return options;
  }
  Client connect() const { return Client(endpoint()); }
  nlohmann::json session_of(const Client& client) const {
    for (const auto& session : sluice_.ctl_json({"list", "sessions"}))
      if (session.at("server_connection_id") == client.thread_id()) return session;
    throw TestError("no such session");
  }
  /// Every worker is replaced by one that is configured otherwise.
  void roll() {
    auto& service = sluice_.config.services.at("shop");
    service.extra =
        fmt::format("max_connections = {}\n{}", 5000 + ++rolls_, GetParam().tls ? required() : "");
    const auto reloaded = sluice_.reload();
    ASSERT_EQ(reloaded.exit_code, 0) << reloaded.err;
  }
  bool old_workers_leave() {
    return eventually(5s, [&] {
      std::set<int> generations;
      for (const auto& worker : sluice_.ctl_json({"list", "workers"}))
        generations.insert(worker.at("generation").get<int>());
      return generations.size() == 1;
    });
  }
  void roll_and_wait() {
    roll();
    EXPECT_TRUE(old_workers_leave())
        << sluice_.ctl({"list", "workers"}).out << sluice_.ctl({"--json", "list", "sessions"}).out;
  }

  static std::string required() {
    return fmt::format(
        "tls = {{ mode = \"required\", certificate = \"{0}.pem\", key = \"{0}.key\" }}\n",
        std::string(*files_ / "server"));
  }
  static inline std::unique_ptr<TempDir> files_;
  static inline std::unique_ptr<ReplicationPair> pair_;
  Sluice sluice_;
  int rolls_ = 0;
};

TEST_P(Handoff, WhatASessionHasMovesWithIt) {
  auto client = connect();
  const auto id = client.value("SELECT CONNECTION_ID()");
  client.exec("SET @kept = 'a value', SESSION sql_mode = 'ANSI_QUOTES', time_zone = '+03:00'");
  client.exec("CREATE TEMPORARY TABLE test.mine (n INT); INSERT INTO test.mine VALUES (7)");
  EXPECT_EQ(client.value("SELECT GET_LOCK('handoff', 0)"), "1");
  client.exec("USE test");
  Prepared prepared(client, "SELECT text FROM test.t WHERE n = ?");
  client.exec("BEGIN");
  client.exec("INSERT INTO test.t VALUES (1, 'one')");
  for (int i = 0; i < 3; ++i) {
    roll_and_wait();
    EXPECT_EQ(prepared.value(1), "one");
    EXPECT_EQ(client.value("SELECT CONNECTION_ID()"), id);
    EXPECT_EQ(client.value("SELECT @kept"), "a value");
    EXPECT_EQ(client.value("SELECT @@sql_mode"), "ANSI_QUOTES");
    EXPECT_EQ(client.value("SELECT @@time_zone"), "+03:00");
    EXPECT_EQ(client.value("SELECT DATABASE()"), "test");
    EXPECT_EQ(client.value("SELECT n FROM mine"), "7");
    EXPECT_EQ(client.value("SELECT IS_USED_LOCK('handoff')"), id);
    EXPECT_EQ(pair_->primary.value("SELECT COUNT(*) FROM test.t"), "0") << "it is not committed";
    client.exec(fmt::format("INSERT INTO test.t VALUES ({}, 'more')", i + 2));
  }
  client.exec("COMMIT");
  EXPECT_EQ(pair_->primary.value("SELECT COUNT(*) FROM test.t"), "4");
}

TEST_P(Handoff, LockedTablesStayLocked) {
  auto client = connect(), other = connect();
  client.exec("LOCK TABLES test.t WRITE");
  roll_and_wait();
  client.exec("INSERT INTO test.t VALUES (1, 'one')");
  other.exec("SET SESSION lock_wait_timeout = 1");
  EXPECT_EQ(other.error("INSERT INTO test.t VALUES (2, 'two')").code, 1205u);
  client.exec("UNLOCK TABLES");
  other.exec("INSERT INTO test.t VALUES (2, 'two')");
}

TEST_P(Handoff, InTheMiddleOfAStatement) {
  auto writer = connect(), reader = connect();
  auto written = std::async(std::launch::async,
                            [&] { return writer.query("INSERT INTO test.t SELECT 1, SLEEP(3)"); });
  auto read = std::async(std::launch::async,
                         [&] { return reader.query("SELECT n, SLEEP(0.003) FROM test.big"); });
  EXPECT_TRUE(eventually(10s, [&] {
    return pair_->primary.value(
               "SELECT COUNT(*) FROM information_schema.processlist WHERE info "
               "LIKE '%SLEEP(3)%' AND info NOT LIKE '%processlist%'") == "1";
  }));
  for (int i = 0; i < 3; ++i) roll_and_wait();
  const auto wrote = written.get();
  EXPECT_TRUE(wrote) << wrote.error().text;
  const auto rows = read.get();
  ASSERT_TRUE(rows) << rows.error().text;
  EXPECT_EQ(rows->size(), 1000u);
  EXPECT_EQ(writer.value("SELECT text FROM test.t"), "0");
}

/// Much more than sockets hold: unsent bytes of both directions move as well.
TEST_P(Handoff, InTheMiddleOfALargeResult) {
  auto client = connect();
  const std::string sql = "SELECT a.n, REPEAT('x', 400) FROM test.big a, test.big b LIMIT 300000";
  ASSERT_EQ(::mysql_real_query(client.handle(), sql.data(), sql.size()), 0);
  MYSQL_RES* result = ::mysql_use_result(client.handle());
  ASSERT_NE(result, nullptr);
  int rows = 0;
  for (MYSQL_ROW row; (row = ::mysql_fetch_row(result)) != nullptr; ++rows) {
    ASSERT_EQ(::mysql_fetch_lengths(result)[1], 400u);
    if (rows % 60000 == 100) roll_and_wait();
  }
  EXPECT_EQ(::mysql_errno(client.handle()), 0u) << ::mysql_error(client.handle());
  ::mysql_free_result(result);
  EXPECT_EQ(rows, 300000);
  EXPECT_EQ(client.value("SELECT 1"), "1");
}

TEST_P(Handoff, ACursorInTheMiddle) {
  auto client = connect();
  MYSQL_STMT* statement = ::mysql_stmt_init(client.handle());
  const unsigned long cursor = CURSOR_TYPE_READ_ONLY;
  ::mysql_stmt_attr_set(statement, STMT_ATTR_CURSOR_TYPE, &cursor);
  const std::string sql = "SELECT n FROM test.big";
  ASSERT_EQ(::mysql_stmt_prepare(statement, sql.data(), sql.size()), 0);
  ASSERT_EQ(::mysql_stmt_execute(statement), 0) << ::mysql_stmt_error(statement);
  int n = 0, rows = 0;
  MYSQL_BIND out{};
  out.buffer_type = MYSQL_TYPE_LONG;
  out.buffer = &n;
  ::mysql_stmt_bind_result(statement, &out);
  for (; ::mysql_stmt_fetch(statement) == 0; ++rows)
    if (rows % 400 == 0) roll_and_wait();
  EXPECT_EQ(::mysql_stmt_errno(statement), 0u) << ::mysql_stmt_error(statement);
  EXPECT_EQ(rows, 1000);
  ::mysql_stmt_close(statement);
}

TEST_P(Handoff, AMovedSessionIsKilledByTheIdThatItsClientKnows) {
  auto victim = connect();
  roll_and_wait();
  auto killer = connect();
  killer.exec(fmt::format("KILL {}", victim.thread_id()));
  EXPECT_TRUE(eventually(5s, [&] { return !victim.query("SELECT 1 FROM test.t FOR UPDATE"); }));
}

TEST_P(Handoff, AnOperatorFindsItOnceAndEndsIt) {
  std::vector<Client> clients;
  for (int i = 0; i < 40; ++i) clients.push_back(connect());
  auto listing = std::async(std::launch::async, [&] {
    for (int i = 0; i < 60; ++i) {
      std::multiset<std::string> names;
      for (const auto& session : sluice_.ctl_json({"list", "sessions"}))
        names.insert(session.at("session").get<std::string>());
      EXPECT_EQ(names.size(), 40u);
      EXPECT_EQ(std::set<std::string>(names.begin(), names.end()).size(), names.size());
    }
  });
  for (int i = 0; i < 5; ++i) roll_and_wait();
  listing.get();
  const auto name = session_of(clients[7]).at("session").get<std::string>();
  EXPECT_EQ(sluice_.ctl_json({"show", "session", name}).at("session"), name);
  EXPECT_EQ(sluice_.ctl({"kill", "session", name}).exit_code, 0);
  EXPECT_FALSE(clients[7].query("SELECT 1"));
}

TEST_P(Handoff, NobodyNoticesUnderLoad) {
  Load load({.endpoint = endpoint(), .connecting = 4, .holding = 20, .pace = 3ms});
  load.wait_flowing();
  for (int i = 0; i < 10; ++i) roll_and_wait();
  EXPECT_TRUE(load.advance(200));
  const auto report = load.stop();
  EXPECT_TRUE(report.clean()) << report.text();
}

TEST_P(Handoff, FewerWorkersTakeTheSessionsOfThoseThatGo) {
  std::vector<Client> clients;
  sluice_.config.workers = 4;
  ASSERT_EQ(sluice_.reload().exit_code, 0);
  for (int i = 0; i < 30; ++i) {
    clients.push_back(connect());
    clients.back().exec(fmt::format("SET @me = {}", i));
  }
  for (const unsigned workers : {1U, 3U, 2U}) {
    sluice_.config.workers = workers;
    ASSERT_EQ(sluice_.reload().exit_code, 0);
    EXPECT_TRUE(old_workers_leave());
    EXPECT_EQ(sluice_.worker_pids().size(), workers);
    for (int i = 0; i < 30; ++i) EXPECT_EQ(clients[i].value("SELECT @me"), std::to_string(i));
  }
}

/// It goes on as it is, and the reason why is shown; others move.
TEST_P(Handoff, ASessionWhoseServiceIsGoneStaysUntilTheTimeIsUp) {
  sluice_.config.services["gone"] = sluice_.config.services.at("shop");
  sluice_.config.services.at("gone").listen = {"127.0.0.1:0"};
  auto& gone = sluice_.config.services.at("gone");
  gone.listen = {sluice_.path("gone.sock")};
  sluice_.config.settings = "drain_timeout = \"3s\"\n";
  ASSERT_EQ(sluice_.reload().exit_code, 0);
  auto options = endpoint();
  options.socket = sluice_.path("gone.sock");
  Client stays(options);
  auto moves = connect();
  sluice_.config.services.erase("gone");
  ASSERT_EQ(sluice_.reload().exit_code, 0);
  EXPECT_EQ(stays.value("SELECT 1"), "1");
  EXPECT_TRUE(eventually(2s, [&] {
    return session_of(stays).at("not_movable").get<std::string>().find("service gone is not") == 0;
  })) << session_of(stays);
  EXPECT_EQ(session_of(moves).at("not_movable"), "");
  std::string end;
  EXPECT_TRUE(eventually(8s, [&] {
    const auto alive = stays.query("SELECT 1");
    if (!alive) end = alive.error().text;
    return !alive;
  }));
  EXPECT_THAT(end, HasSubstr("drain timeout"));
  EXPECT_EQ(moves.value("SELECT 1"), "1");
}

/// Under the same name: what goes to that server from now on goes elsewhere.
TEST_P(Handoff, ASessionWhoseServerHasMovedStays) {
  auto client = connect();
  auto text = sluice_.config.text();
  const auto address = pair_->primary.address();
  for (auto at = text.find(address); at != text.npos; at = text.find(address))
    text.replace(at, address.size(), "localhost" + address.substr(address.find(':')));
  const auto reloaded = sluice_.reload(text);
  ASSERT_EQ(reloaded.exit_code, 0) << reloaded.err;
  EXPECT_TRUE(eventually(5s, [&] {
    return session_of(client).at("not_movable") == "its server has another address by now";
  })) << session_of(client);
  EXPECT_EQ(client.value("SELECT 1"), "1");
}

/// What the counters say of services and servers neither jumps nor goes back.
TEST_P(Handoff, CountersGoOn) {
  std::vector<Client> clients;
  for (int i = 0; i < 10; ++i) {
    clients.push_back(connect());
    clients.back().exec("SELECT 1");
  }
  const auto before = sluice_.ctl_json({"show", "service", "shop"});
  for (int i = 0; i < 3; ++i) roll_and_wait();
  const auto after = sluice_.ctl_json({"show", "service", "shop"});
  for (const auto& [name, value] : before.items()) {
    if (name == "max_connections") continue;
    EXPECT_EQ(after.at(name), value) << name;
  }
}

INSTANTIATE_TEST_SUITE_P(Of, Handoff,
                         testing::Values(Manner{"Connection", "connection", false},
                                         Manner{"Split", "read-write-split", false},
                                         Manner{"ConnectionTls", "connection", true},
                                         Manner{"SplitTls", "read-write-split", true}),
                         [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace sluice::test
