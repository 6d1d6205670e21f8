#include "tests/support/split_world.h"

#include <fmt/format.h>

#include <algorithm>
#include <future>
#include <map>
#include <set>

#include "tests/support/eventually.h"
#include "tests/support/test_error.h"

namespace sluice::test {
namespace {

/// Locks are not waited for: a session in lock step with the one that holds them would wait for
/// ever. Statistics are those of the tables as they are, so plans are the same.
const std::vector<std::string> kArguments = {"--log-bin-trust-function-creators=1",
                                             "--innodb-stats-persistent=0",
                                             "--max-allowed-packet=64M",
                                             "--innodb-flush-method=nosync",
                                             "--local-infile=1",
                                             "--debug-no-sync",
                                             "--userstat=1",
                                             "--character-set-server=utf8mb4",
                                             "--slave-parallel-threads=0"};
constexpr std::string_view kNoWaits =
    "SET GLOBAL lock_wait_timeout = 1, GLOBAL innodb_lock_wait_timeout = 0";

constexpr std::string_view kAccounts = R"sql(
CREATE USER other@'%' IDENTIFIED BY 'other-secret';
GRANT ALL ON `d\_%`.* TO app@'%', app@localhost, other@'%';
CREATE ROLE r;
GRANT r TO app@localhost, app@'%';
GRANT ALL ON role_only.* TO r)sql";

/// Programs are made once: they hold nothing of a sequence, but for the table that d_lib.f_write
/// writes.
constexpr std::string_view kLibrary[] = {
    "CREATE DATABASE role_only",
    "CREATE TABLE role_only.t AS SELECT 'role' AS a",
    "CREATE DATABASE d_lib",
    "CREATE TABLE d_lib.log (id INT AUTO_INCREMENT PRIMARY KEY, a INT)",
    "CREATE FUNCTION d_lib.f_pure(n INT) RETURNS INT DETERMINISTIC RETURN n * 2",
    "CREATE FUNCTION d_lib.f_write(n INT) RETURNS INT MODIFIES SQL DATA "
    "BEGIN INSERT INTO d_lib.log (a) VALUES (n); RETURN n; END",
    "CREATE FUNCTION d_lib.f_set(n INT) RETURNS INT BEGIN SET @v = n; RETURN n; END",
    "CREATE FUNCTION d_lib.f_warn() RETURNS INT "
    "BEGIN SIGNAL SQLSTATE '01000' SET MESSAGE_TEXT = 'warned'; RETURN 1; END",
    "CREATE VIEW d_lib.v_set AS SELECT d_lib.f_set(5) AS a",
    "CREATE VIEW d_lib.v_write AS SELECT d_lib.f_write(6) AS a",
    "CREATE VIEW d_lib.v_lock AS SELECT GET_LOCK('view', 0) AS a",
    "CREATE VIEW d_lib.v_found AS SELECT FOUND_ROWS() AS a",
    "CREATE VIEW d_lib.v_id AS SELECT LAST_INSERT_ID() AS a",
    "CREATE PROCEDURE d_lib.p_results(n INT) "
    "BEGIN SELECT n; SELECT n + 1 AS m, 'x' AS x; SELECT 1/0; END",
    "CREATE PROCEDURE d_lib.p_set(n INT) BEGIN SET @v = n; SET @w = 'set'; "
    "SET SESSION group_concat_max_len = 5; END",
    "CREATE PROCEDURE d_lib.p_mode() BEGIN SET SESSION time_zone = '+03:00'; "
    "SET NAMES latin1; END",
    "CREATE PROCEDURE d_lib.p_temporary() BEGIN "
    "CREATE OR REPLACE TEMPORARY TABLE d_lib.temporary AS SELECT 'temporary' AS a; "
    "SELECT * FROM d_lib.temporary; END",
    "CREATE PROCEDURE d_lib.p_begin() BEGIN START TRANSACTION; "
    "INSERT INTO d_lib.log (a) VALUES (1); END",
    "CREATE PROCEDURE d_lib.p_autocommit() BEGIN SET autocommit = 0; END",
    "CREATE PROCEDURE d_lib.p_error() BEGIN SELECT 1; "
    "SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'no', MYSQL_ERRNO = 5000; END",
    "CREATE PROCEDURE d_lib.p_out(OUT n INT) BEGIN SET n = 7; SELECT 'out'; END",
    "CREATE PROCEDURE d_lib.p_found() BEGIN "
    "SELECT SQL_CALC_FOUND_ROWS 1 FROM seq_1_to_9 LIMIT 2; END",
};

constexpr std::string_view kLibraryAgain =
    "DELETE FROM d_lib.log; ALTER TABLE d_lib.log AUTO_INCREMENT = 1;";

constexpr std::string_view kDatabaseAgain = R"sql(
DROP DATABASE IF EXISTS {0};
CREATE DATABASE {0} CHARACTER SET {1};
CREATE TABLE {0}.t (id INT AUTO_INCREMENT PRIMARY KEY, a INT, b VARCHAR(10), c DECIMAL(8,3));
CREATE TABLE {0}.u (k INT PRIMARY KEY, v VARCHAR(20), at TIMESTAMP NULL);
INSERT INTO {0}.t (a, b, c) VALUES (1, 'one', 1.5), (2, 'two', 2), (2, '', NULL), (NULL, 'x', 0);
INSERT INTO {0}.u VALUES (1, 'a', '2024-03-01 12:00:00'), (2, 'B', NULL), (3, '{0}', NULL);
CREATE SEQUENCE {0}.s;
CREATE VIEW {0}.w AS SELECT id, b FROM {0}.t WHERE a IS NOT NULL;)sql";

/// What makes a database another one than it was; rows are left as they are.
constexpr std::string_view kDefinitions[] = {"CREATE", "ALTER", "DROP", "RENAME"};

MariadbOptions named(const char* name, bool read_only = false) {
  MariadbOptions out{.name = name, .extra_args = kArguments};
  if (read_only) out.extra_args.emplace_back("--read-only=1");
  return out;
}

constexpr auto kLaunched = MariadbServer::Start::Launched;

constexpr std::string_view kSessions =
    "SELECT COUNT(*) FROM information_schema.processlist WHERE user IN ('app', 'other')";

constexpr std::size_t kMostSessions = 3;

std::string service_for(std::size_t sessions) {
  return fmt::format("shop{}", sessions);
}

/// What a session is told that asks about what only a connection knew that it had before
/// (sluice.toml(5), "pool"), or a replica's; empty: it is told nothing of that.
std::string refused(const std::string& got) {
  for (const char* text : {"sluice: how many rows the statement before had is not known",
                           "sluice: what the statement before warned of is not known",
                           "sluice: the last value of the sequence is not known any more",
                           "sluice: its columns have changed"})
    if (got.find(text) != std::string::npos) return text;
  return {};
}

/// A variable that has no value and was mentioned before has another length than one that was not;
/// in a connection that was lent it was not.
std::string as_if_unknown(std::string result) {
  constexpr std::string_view kMentioned = "length 16777215,", kUnknown = "length 16777216,";
  for (auto at = result.find(kMentioned); at != std::string::npos; at = result.find(kMentioned, at))
    result.replace(at, kMentioned.size(), kUnknown);
  return result;
}

/// A transaction that was prepared outlives its session, and holds its locks.
void roll_prepared_back(MariadbServer& server) {
  for (const auto& row : server.query("XA RECOVER"))
    (void)server.root().query(fmt::format("XA ROLLBACK '{}'", row[3].value_or("")));
}

}  // namespace

std::set<int> sessions_of(const SplitSequence& sequence) {
  std::set<int> out;
  for (const auto& step : sequence.steps)
    if (step.session != SplitStep::kWorld) out.insert(step.session);
  return out;
}

SplitWorld::SplitWorld(Connections connections)
    : single_(named("db0"), kLaunched),
      primary_(named("db1"), kLaunched),
      connections_(connections) {
  write_file(file(), "1\tone\n2\ttwo\n3\tfar too long for the column\nx\ty\n");
  for (std::size_t i = 0; i < replicas_.size(); ++i)
    replicas_[i] = std::make_unique<MariadbServer>(named(i == 0 ? "db2" : "db3", true), kLaunched);
  for (auto* server : {&single_, &primary_}) {
    server->wait_ready();
    server->exec(kNoWaits);
    server->exec(kAccounts);
    server->exec(SplitBystanders::kTables);
    for (const auto statement : kLibrary) server->exec(statement);
  }
  for (auto& replica : replicas_) {
    replica->wait_ready();
    replica->replicate_from(primary_);
    replica->catch_up_with(primary_);
  }
  SluiceConfig config;
  config
      .add_cluster("shop", "replication",
                   std::vector<MariadbServer*>{&primary_, replicas_[0].get(), replicas_[1].get()})
      .interval = "50ms";
  for (std::size_t sessions = 1; sessions <= kMostSessions; ++sessions) {
    auto& service = config.add_service(service_for(sessions), "shop");
    service.router = "read-write-split";
    service.extra =
        "causal_reads = \"session\"\ncausal_reads_timeout = \"10ms\"\ncompression = true\n";
    if (connections_ == Connections::own) break;
    service.extra += fmt::format("pool = {}\n", sessions + 1);
  }
  config.workers = 1;
  sluice_ = std::make_unique<Sluice>(std::move(config));
  if (!eventually(10s, [&] {
        int replicas = 0;
        for (const auto& server : sluice_->ctl_json({"list", "servers"}))
          replicas += server.at("role") == "replica";
        return replicas == 2;
      }))
    throw TestError("sluice does not see two replicas");
}

void SplitWorld::make_new() {
  std::string sql;
  if (dirty_.library) sql += kLibraryAgain;
  if (dirty_.first) sql += fmt::format(kDatabaseAgain, "d_0", "utf8mb4");
  if (dirty_.second) sql += fmt::format(kDatabaseAgain, "d_1", "latin1");
  if (dirty_.third) sql += "DROP DATABASE IF EXISTS d_2;";
  dirty_ = {false, false, false, false};
  runs_on_it_ = 0;
  if (!sql.empty()) {
    sql = "SET lock_wait_timeout = 20, innodb_lock_wait_timeout = 20;" + sql;
    auto other = std::async(std::launch::async, [&] { single_.exec(sql); });
    primary_.exec(sql);
    other.get();
  }
  keep_in_step();
}

void SplitWorld::note_dirt(const SplitSequence& sequence) {
  for (const auto& step : sequence.steps) {
    if (step.text.find("TEMPORARY") != std::string::npos) continue;
    const auto has = [&](std::string_view part) {
      return step.text.find(part) != std::string::npos;
    };
    dirty_.library |= has("d_lib");
    dirty_.second |= has("d_1");
    dirty_.third |= has("d_2");
    dirty_.first |= std::ranges::any_of(kDefinitions, has);
  }
}

void SplitWorld::keep_in_step() {
  const auto now = primary_.value("SELECT @@gtid_binlog_pos");
  if (now == written_) return;
  written_ = now;
  for (auto& replica : replicas_)
    if (replica->value(fmt::format("SELECT MASTER_GTID_WAIT('{}', 30)", now)) != "0")
      throw TestError(fmt::format("{} does not follow: {} {}", replica->name(),
                                  replica->replica_status("Last_SQL_Error"),
                                  replica->replica_status("Last_IO_Error")));
}

void SplitWorld::run_world(const std::string& what) {
  if (what == "borrow primary") {
    if (bystanders_) bystanders_->borrow("primary");
    return;
  }
  auto& replica = *replicas_.at(static_cast<std::size_t>(what.back() - '0'));
  if (what.starts_with("borrow ")) {
    if (bystanders_) bystanders_->borrow("server " + replica.name());
    return;
  }
  static const std::map<std::string, const char*> kOrders = {
      {"stop", "UNLOCK TABLES; STOP SLAVE"},
      {"start", "UNLOCK TABLES; START SLAVE"},
      {"hold", "FLUSH TABLES WITH READ LOCK"},
      {"release", "UNLOCK TABLES"},
  };
  replica.exec(kOrders.at(what.substr(0, what.find(' '))));
}

void SplitWorld::catch_up() {
  for (auto& replica : replicas_) replica->exec("UNLOCK TABLES; START SLAVE");
  keep_in_step();
}

void SplitWorld::clean_up() {
  for (auto& replica : replicas_) replica->exec("UNLOCK TABLES; START SLAVE");
  for (auto* server : {&single_, &primary_})
    if (!eventually(20s, [&] { return server->value(kSessions) == "0"; }))
      throw TestError("a session does not end");
  for (auto* server : {&single_, &primary_}) roll_prepared_back(*server);
}

ClientOptions SplitWorld::service(std::size_t sessions) const {
  if (connections_ == Connections::own) sessions = 1;
  return sluice_->endpoint(service_for(sessions));
}

SplitWorld::Pair SplitWorld::connect(std::string_view how, ClientOptions through) const {
  const auto has = [&](std::string_view word) { return how.find(word) != std::string_view::npos; };
  auto direct = single_.endpoint();
  direct.io_timeout_seconds = 20;
  direct.compressed = through.compressed;  // the client does some things in another way then
  if (!has("no_database")) direct.database = "d_0";
  if (has("found_rows")) direct.capabilities |= CLIENT_FOUND_ROWS;
  if (has("ignore_space")) direct.capabilities |= CLIENT_IGNORE_SPACE;
  if (has("interactive")) direct.capabilities |= CLIENT_INTERACTIVE;
  through.io_timeout_seconds = direct.io_timeout_seconds;
  through.database = direct.database;
  through.capabilities = direct.capabilities;
  return {SplitSession(direct), SplitSession(through)};
}

std::optional<SplitDifference> SplitWorld::run(const SplitSequence& sequence, Tables tables) {
  constexpr int kRunsOnTheSame = 20;
  if (tables == Tables::new_ones || ++runs_on_it_ > kRunsOnTheSame) dirty_ = {};
  if (dirty_.any()) make_new();
  note_dirt(sequence);
  keep_in_step();
  const auto sessions = sessions_of(sequence).size();
  auto through = service(std::clamp<std::size_t>(sessions, 1, kMostSessions));
  // As many as there are connections: each step of theirs can take all that may be lent.
  if (connections_ == Connections::pooled)
    bystanders_ = std::make_unique<SplitBystanders>(through, sessions + 1, sequence.seed % 2 != 0);
  std::map<int, Pair> pairs;
  std::optional<SplitDifference> out;
  int last = 0;
  for (std::size_t i = 0; i < sequence.steps.size() && !out; ++i) {
    const auto& step = sequence.steps[i];
    if (step.session == SplitStep::kWorld) {
      run_world(step.text);
      continue;
    }
    if (sequence.in_step && step.session != last) keep_in_step();
    last = step.session;
    const bool connects = step.text.starts_with("\\connect");
    if (connects) {
      pairs.erase(step.session);
      catch_up();  // a new session need not see what an earlier one has written
    }
    auto found = pairs.find(step.session);
    if (found == pairs.end()) {
      through.compressed = (sequence.seed / 2 + static_cast<uint64_t>(step.session)) % 2 != 0;
      found = pairs.emplace(step.session, connect(connects ? step.text : "", through)).first;
    }
    if (connects) continue;
    auto expected = found->second.direct.run(step.text);
    auto got = found->second.through.run(step.text);
    if (connections_ == Connections::pooled) got = as_if_unknown(std::move(got));
    if (connections_ == Connections::pooled) expected = as_if_unknown(std::move(expected));
    if (expected == got) continue;
    if (expected.starts_with("error 2013")) break;  // the server itself has failed
    if (const auto why = refused(got); !why.empty()) {
      ++refusals_[why];
      dirty_ = {};
      break;
    }
    out = {i, std::move(expected), std::move(got)};
  }
  if (out) dirty_ = {};
  pairs.clear();
  bystanders_.reset();
  clean_up();
  return out;
}

std::string SplitWorld::logs() {
  std::string out;
  const auto add = [&](MariadbServer& server) {
    for (const char* sql :
         {"SHOW PROCESSLIST", "XA RECOVER",
          "SELECT trx_state, trx_mysql_thread_id FROM information_schema.innodb_trx"})
      if (const auto rows = server.root().query(sql); rows)
        for (const auto& row : *rows) {
          for (const auto& value : row) out += value.value_or("NULL") + " ";
          out += "\n";
        }
    out += fmt::format("{}:\n{}\n", server.name(), tail(server.log(), 15));
  };
  add(single_);
  add(primary_);
  for (const auto& replica : replicas_) add(*replica);
  return out;
}

uint64_t SplitWorld::loans() const {
  uint64_t sum = 0;
  for (const auto& [name, spec] : sluice_->config.services)
    sum += sluice_->ctl_json({"show", "service", name}).at("pool_lent").get<uint64_t>();
  return sum;
}

uint64_t SplitWorld::replica_reads() {
  uint64_t sum = 0;
  for (auto& replica : replicas_)
    sum += std::stoull(
        replica->value("SELECT COALESCE(SUM(SELECT_COMMANDS), 0) FROM "
                       "information_schema.user_statistics WHERE USER IN ('app', 'other')"));
  return sum;
}

}  // namespace sluice::test
