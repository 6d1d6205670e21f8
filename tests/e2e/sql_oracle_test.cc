/// The classifier against servers: what it calls a read is run in a read-only session, must be
/// accepted there and leave nothing behind. What any other statement leaves behind in its session
/// must be among the effects that the classifier names.
///
/// SLUICE_SEED and SLUICE_STATEMENTS choose the random ones.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <set>

#include "tests/support/mariadb_server.h"
#include "tests/support/mysql_server.h"
#include "tests/support/random.h"
#include "worker/sql/assignments.h"
#include "worker/sql/classify.h"

namespace sluice::test {
namespace {

using sql::Charset;
using sql::Flavour;
using sql::Mode;

/// Refusals of a write: read-only transaction or server, privileges, files.
const std::set<unsigned> kRefusals = {1792, 1290, 1836, 1142, 1143, 1227, 1044, 1045, 1370, 1086};

constexpr const char* kTables = R"(
  CREATE TABLE t (id INT PRIMARY KEY AUTO_INCREMENT, a INT, b VARCHAR(20), j JSON, g GEOMETRY,
                  KEY ib (b), FULLTEXT (b)) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;
  CREATE TABLE u (id INT PRIMARY KEY, x INT);
  CREATE TABLE log_of_writes (a INT);
  CREATE TABLE p (a INT) PARTITION BY HASH (a) PARTITIONS 2;
  INSERT INTO t VALUES (1, 1, 'x', '{"a": 1}', ST_GeomFromText('POINT(1 2)')),
                       (2, 2, 'y', '{"a": [1]}', ST_GeomFromText('POINT(3 4)'));
  INSERT INTO u VALUES (1, 1), (3, 3);
  INSERT INTO p VALUES (1), (2);
  CREATE PROCEDURE p() SELECT 1;
  CREATE FUNCTION writes(x INT) RETURNS INT BEGIN INSERT INTO log_of_writes VALUES (x); RETURN x; END)";
constexpr const char* kMariadbTables = R"(
  CREATE TABLE v (a INT) WITH SYSTEM VERSIONING;
  CREATE SEQUENCE s;
  CREATE TABLE q (n INT DEFAULT NEXTVAL(s));
  INSERT INTO v VALUES (1);
  INSERT INTO q VALUES (1))";

/// A stored function that sets a user variable, under a name that a built-in function has too.
std::string assigning(const char* name, const char* parameters) {
  return fmt::format("CREATE FUNCTION {}({}) RETURNS INT BEGIN SET @a = 77; RETURN 1; END", name,
                     parameters);
}

struct Case {
  std::string expected, servers, text;
};

std::vector<Case> cases() {
  std::ifstream file(SLUICE_TEST_DATA "/sql/statements.cases");
  std::vector<Case> all;
  for (std::string line; std::getline(file, line);) {
    if (line.empty() || line.front() == '#') continue;
    const auto first = line.find(" | "), second = line.find(" | ", first + 3);
    all.push_back({line.substr(0, first), line.substr(first + 3, second - first - 3),
                   line.substr(second + 3)});
  }
  return all;
}

/// One way for a session to read text.
struct Dialect {
  const char* names;
  const char* sql_mode;
  Mode mode;
};

/// The columns of trace(), and the effects of which one must be named when they change.
struct Traced {
  const char* expression;
  sql::Effects effects;
};
using sql::Effect;
constexpr sql::Effects kAnything =
    Effect::CallsUnknownFunction | Effect::RunsProgram | Effect::InDoubt;
constexpr sql::Effects kVariable =
    kAnything | Effect::SetsUserVariable | Effect::WritesUserVariable;
const std::vector<Traced> kTraced = {
    {"@a", kVariable},
    {"@b", kVariable},
    {"@x", kVariable},
    {"LAST_INSERT_ID()", kAnything | Effect::WritesInsertId},
    {"IFNULL(IS_USED_LOCK(0x6C) = CONNECTION_ID(), 0)", kAnything | Effect::TakesNamedLock},
    {"@@autocommit", Effect::SetsAutocommit | Effect::InDoubt},
    {"@@sql_mode", Effect::SetsSqlMode | Effect::InDoubt},
    {"@@character_set_client", Effect::SetsCharset | Effect::InDoubt},
    {"@@time_zone", Effect::SetsSession | Effect::InDoubt},
    {"DATABASE()", Effect::UsesDatabase | Effect::InDoubt},
};

class Oracle {
 public:
  Oracle(DatabaseServer& server, Flavour flavour, uint32_t version)
      : server_(server), flavour_(flavour), version_(version) {
    server.exec("SET GLOBAL log_bin_trust_function_creators=1");
    server.exec("USE test");
    for (const auto& statement : split(kTables)) server.exec(statement);
    if (flavour == Flavour::Mariadb)
      for (const auto& statement : split(kMariadbTables)) server.exec(statement);
    for (const auto& [name, parameters] : {std::pair{"assigns", "x INT"},
                                           {"`abs`", "x INT"},
                                           {"`count`", "x INT"},
                                           {"`max`", "x INT"},
                                           {"`now`", ""},
                                           {"`1f`", "x INT"},
                                           {"f", "x INT"}})
      server.exec(assigning(name, parameters));
  }

  void run_cases() {
    auto client = session({"utf8mb4", "", {}});
    const auto before = trace(client);
    for (const auto& [expected, servers, text] : cases()) {
      if (servers != "all" && (servers == "mariadb") != (flavour_ == Flavour::Mariadb)) continue;
      const auto statement = sql::classify(text, mode({}));
      EXPECT_EQ(statement.read(), expected == "read")
          << text << ": " << enum_name(statement.reason);
      if (!statement.read()) continue;
      const auto result = client.query(text);
      EXPECT_TRUE(result.has_value()) << text << ": " << result.error().text;
      EXPECT_EQ(trace(client), before) << text;
    }
  }

  void run_random(const std::vector<Dialect>& dialects, uint64_t count, uint64_t seed) {
    Random random(seed);
    uint64_t reads = 0, accepted = 0, changes = 0;
    std::vector<Client> clients;
    std::vector<Rows> before;
    for (const auto& dialect : dialects) {
      clients.push_back(session(dialect));
      before.push_back(trace(clients.back()));
    }
    for (uint64_t i = 0; i < count; ++i) {
      const auto which = static_cast<std::size_t>(random.below(static_cast<int>(dialects.size())));
      const auto text = statement(random);
      const auto said = sql::classify(text, mode(dialects[which].mode));
      const auto result = clients[which].query(text);
      const auto after = trace(clients[which]);
      SCOPED_TRACE(fmt::format("{} {} {}", testing::PrintToString(text), dialects[which].names,
                               dialects[which].sql_mode));
      if (said.read()) {
        ++reads;
        accepted += result ? 1 : 0;
        ASSERT_TRUE(result || !kRefusals.contains(result.error().code)) << result.error().text;
        ASSERT_EQ(after, before[which]);
      } else if (after != before[which]) {
        ++changes;
        expect_named(before[which][0], after[0], said.effects);
        if (testing::Test::HasFailure()) return;
        clients[which] = session(dialects[which]);
        before[which] = trace(clients[which]);
      }
    }
    fmt::print(
        "seed {}: of {} statements {} were called reads, {} of those accepted; {} others "
        "changed their session\n",
        seed, count, reads, accepted, changes);
    EXPECT_GT(accepted, count / 50);
    EXPECT_GT(changes, count / 100);
  }

 private:
  /// At semicolons that end lines, but for the body of a function.
  static std::vector<std::string> split(std::string_view text) {
    std::vector<std::string> all;
    for (std::size_t from = 0; from < text.size();) {
      auto to = text.find(";\n", from);
      if (to == text.npos) to = text.size();
      all.emplace_back(text.substr(from, to - from));
      from = to + 2;
    }
    return all;
  }

  Mode mode(Mode mode) const {
    mode.multi_statements = true;
    mode.flavour = flavour_;
    mode.version = version_;
    return mode;
  }

  /// As sluice prepares a connection to a replica.
  Client session(const Dialect& dialect) {
    auto options = server_.endpoint();
    options.database = "test";
    Client client(options);
    client.exec(fmt::format("SET SESSION sql_mode='{}'", dialect.sql_mode));
    client.exec("SET SESSION TRANSACTION READ ONLY");
    client.exec("SET @a=1, @b=2");
    client.exec(fmt::format("SET NAMES {}", dialect.names));
    return client;
  }

  /// What a statement may leave behind, in the session and in the data.
  Rows trace(Client& client) {
    std::string sql = "SELECT ";
    for (const auto& [expression, effects] : kTraced) sql += fmt::format("{}, ", expression);
    return client.rows(sql + (flavour_ == Flavour::Mariadb
                                  ? "@@global.gtid_binlog_pos, @@in_transaction, @@tx_isolation"
                                  : "@@global.gtid_executed, @@transaction_isolation"));
  }

  static void expect_named(const Row& before, const Row& after, sql::Effects effects) {
    for (std::size_t i = 0; i < kTraced.size(); ++i) {
      if (before[i] == after[i]) continue;
      EXPECT_TRUE(effects.any(kTraced[i].effects)) << kTraced[i].expression;
    }
  }

  static std::string statement(Random& random);

  DatabaseServer& server_;
  Flavour flavour_;
  uint32_t version_;
};

const std::vector<std::string> kBlanks = {
    " ",     " ",     " ",      "",       "",     "\n",     "/**/",     "/* x */",      "-- x\n",
    "# x\n", "/*!*/", "\v\f\r", "\xA0",   "\xA0", "\xA0",   "\xC2\xA0", "\xE3\x80\x80", "\x81\x40",
    "\x9A",  "\xFF",  "\t",     "/*M!*/", "--\n", "/* ' */"};
const std::vector<std::string> kHarmless = {"1",
                                            "1.",
                                            "1.5",
                                            "1e5",
                                            ".5",
                                            "'s'",
                                            "'a''b'",
                                            "'a\\'b'",
                                            "a",
                                            "`a`",
                                            "\"d\"",
                                            "@b",
                                            "t.a",
                                            "0x1F",
                                            "x'41'",
                                            "N'n'",
                                            "abs(1)",
                                            "count(*)",
                                            "\\N",
                                            "'\\\\'",
                                            "t . a",
                                            "-1",
                                            "(1)",
                                            "b'01'",
                                            "0b1",
                                            "1--1",
                                            "max(a)",
                                            "now()",
                                            "abs (1)",
                                            "'\xBF\x5C'",
                                            "'\xA1\x5C\x27",
                                            "`a``b`",
                                            "_utf8'x'",
                                            "'\xE4\xB8\xAD'",
                                            "\"a\"\"b\"",
                                            "'\x81\x5C' ",
                                            "a$",
                                            "1+1",
                                            "t.`a`"};
const std::vector<std::string> kHarmful = {"@a:=9",
                                           "@a := 9",
                                           "assigns(1)",
                                           "writes(1)",
                                           "test.abs(1)",
                                           "count (1)",
                                           "now ()",
                                           "test . max(1)",
                                           "test . abs(1)",
                                           "max (1)",
                                           "test.now()",
                                           "GET_LOCK(0x6C,0)",
                                           "GET_LOCK (0x6C,0)",
                                           "LAST_INSERT_ID(77)",
                                           "LAST_INSERT_ID (77)",
                                           "f(1)",
                                           "`f`(1)",
                                           "1f(1)",
                                           "`assigns` (1)",
                                           "\"assigns\"(1)",
                                           "nextval(s)",
                                           "NEXT VALUE FOR s",
                                           "max/**/(1)",
                                           "count#\n(1)",
                                           "1.5INTO @a",
                                           "1e5INTO @a",
                                           "1.INTO @a",
                                           ".5INTO @b",
                                           "1.5e-3INTO @a",
                                           "@'a':=9",
                                           "@`a`:=9"};
const std::vector<std::string> kTails = {"",
                                         "FROM t",
                                         "FROM t",
                                         "FROM t FOR UPDATE",
                                         "FROM t LIMIT 1 INTO @a",
                                         "INTO @a",
                                         "FROM t LOCK IN SHARE MODE",
                                         "; SET @a=8",
                                         ";SET autocommit=0",
                                         "INTO @a,@b",
                                         "FROM t WHERE a=assigns(1)",
                                         "; SET time_zone='+01:00'",
                                         "UNION SELECT assigns(1)",
                                         "FROM t LIMIT 1FOR UPDATE",
                                         ";DO assigns(1)",
                                         "FROM t ORDER BY f(a)",
                                         "; SET NAMES latin1, @b='x;y'",
                                         "; SET STATEMENT lock_wait_timeout=1 FOR SET @a=3",
                                         "; SET @x=(SELECT 1 AS y), @a=9",
                                         "; SET sql_mode='ORACLE'",
                                         "; SET @@autocommit=0, @c=assigns(1)",
                                         "; USE test; SET @a:=5 -- x",
                                         "; SET SESSION sql_mode=ANSI, @b=3"};
/// Around what a server may see or not: before and behind it.
const std::vector<std::pair<std::string, std::string>> kCovers = {{"/* ", " */"},
                                                                  {"-- ", "\n"},
                                                                  {"# ", "\n"},
                                                                  {"--", "\n"},
                                                                  {"/*! ", " */"},
                                                                  {"/*!50000 ", " */"},
                                                                  {"/*!50700 ", " */"},
                                                                  {"/*!80000 ", " */"},
                                                                  {"/*!99999 ", " */"},
                                                                  {"/*!100000 ", " */"},
                                                                  {"/*M!100000 ", " */"},
                                                                  {"/*M! ", " */"},
                                                                  {"/*!080000 ", " */"},
                                                                  {"/*!5000 ", " */"},
                                                                  {"/*+ ", " */"},
                                                                  {"'", "'"},
                                                                  {"\"", "\""},
                                                                  {"`", "`"},
                                                                  {"'\\", " -- '"},
                                                                  {"'\\', ", " -- '"},
                                                                  {"'\xBF\x5C', ", " -- '"},
                                                                  {"\"\\\", ", " -- \""},
                                                                  {"'\xBF\x5C'', ", " -- '"},
                                                                  {"'\\\xBF\x5C', ", " -- '"},
                                                                  {"`\xBF\x5C`, ", ""},
                                                                  {"1 AS `\xC3`, ", " -- `"},
                                                                  {"x'4\\', ", " -- '"},
                                                                  {"1 AS \"\\\", ", " -- \""},
                                                                  {"1 AS `\\`, ", " -- `"},
                                                                  {"N'\\', ", " -- '"},
                                                                  {"/*!80000 /* */ ", " */"},
                                                                  {"/*!80000 /* */ ' */ ", " -- '"},
                                                                  {"/* /* */ ' */ ", " -- '"},
                                                                  {"/* /* */ ", ""},
                                                                  {"/*!50000 /* */ ", " */"},
                                                                  {"_gbk'\xBF\x5C', ", " -- '"},
                                                                  {"'\x81\x5C', ", " -- '"},
                                                                  {"\"'\", ", " -- '"},
                                                                  {"@`\x81`, ", " -- `"},
                                                                  {"1 AS `\x81`, ", " -- `"},
                                                                  {"1 a\x81\x5C, ", ""},
                                                                  {"'\xFE\x5C', ", " -- '"}};

std::string Oracle::statement(Random& random) {
  const auto blank = [&] { return random.any_of(kBlanks); };
  const auto vary = [&](const std::string& text) {  // its blanks
    std::string varied;
    for (const char c : text) varied += c == ' ' && random.one_in(4) ? blank() : std::string(1, c);
    return varied;
  };
  const auto item = [&] {
    auto text = vary(random.one_in(4) ? random.any_of(kHarmful) : random.any_of(kHarmless));
    if (!random.one_in(3)) return text;
    const auto& [before, behind] = random.any_of(kCovers);
    return before + text + behind;
  };
  std::string text = "SELECT" + (random.one_in(8) ? blank() : " ") + item();
  while (random.one_in(3)) text += blank() + "," + blank() + item();
  const auto tail = vary(random.any_of(kTails));
  if (!random.one_in(4)) return text + blank() + tail;
  const auto& [before, behind] = random.any_of(kCovers);
  return text + blank() + before + tail + behind;
}

std::vector<Dialect> dialects(Flavour flavour) {
  std::vector<Dialect> all;
  std::vector<std::pair<const char*, Charset>> charsets = {
      {"utf8mb4", Charset::Utf8},    {"latin1", Charset::SingleByte}, {"gbk", Charset::Gbk},
      {"big5", Charset::Big5},       {"sjis", Charset::Sjis},         {"cp932", Charset::Sjis},
      {"euckr", Charset::SingleByte}};
  if (flavour == Flavour::Mysql) charsets.emplace_back("gb18030", Charset::Gb18030);
  for (const auto& [names, charset] : charsets)
    for (const auto& [sql_mode, mode] :
         {std::pair<const char*, Mode>{"", {}},
          {"ANSI_QUOTES", {.ansi_quotes = true}},
          {"NO_BACKSLASH_ESCAPES", {.no_backslash_escapes = true}},
          {"IGNORE_SPACE", {.ignore_space = true}},
          {"ANSI_QUOTES,NO_BACKSLASH_ESCAPES,IGNORE_SPACE",
           {.no_backslash_escapes = true, .ansi_quotes = true, .ignore_space = true}}}) {
      all.push_back({names, sql_mode, mode});
      all.back().mode.charset = charset;
    }
  return all;
}

void compare(DatabaseServer& server, Flavour flavour, uint32_t version) {
  Oracle oracle(server, flavour, version);
  oracle.run_cases();
  oracle.run_random(dialects(flavour), from_environment("SLUICE_STATEMENTS", 5000),
                    from_environment("SLUICE_SEED", 1));
}

/// The items of a SET, as statements of their own.
std::vector<std::string> apart(const std::string& text, const Mode& mode) {
  using Kind = sql::Assignment::Kind;
  std::vector<std::string> all;
  sql::Assignments items(text, mode);
  while (const auto item = items.next()) {
    const auto quoted = fmt::format("`{}`", item->name.text);
    if (item->kind == Kind::UserVariable)
      all.push_back(fmt::format("SET @{} = {}", quoted, item->value));
    else if (item->kind == Kind::SystemVariable)
      all.push_back(fmt::format("SET SESSION {} = {}", quoted, item->value));
    else if (item->kind == Kind::CharacterSet)
      all.push_back(fmt::format("SET CHARACTER SET {}", item->value));
    else if (item->kind == Kind::Names)
      all.push_back(fmt::format("SET NAMES {}{}{}", item->value,
                                item->collation.empty() ? "" : " COLLATE ", item->collation));
    else if (item->kind == Kind::Transaction)
      all.push_back(fmt::format("SET SESSION TRANSACTION {}", item->value));
    else
      ADD_FAILURE() << text;
  }
  // How text is read changes last, or the values would be read in another way than they were.
  std::stable_partition(all.begin(), all.end(), [](const std::string& one) {
    return one.find("SET NAMES") == one.npos && one.find("CHARACTER SET") == one.npos &&
           one.find("character_set_results") == one.npos && one.find("sql_mode") == one.npos;
  });
  return all;
}

/// A SET by its items, one by one, leaves the same session as the SET itself.
void compare_assignments(DatabaseServer& server, Flavour flavour, uint64_t count, uint64_t seed) {
  Random random(seed);
  const std::vector<std::string> items = {"@a = 1",
                                          "@a:=-2.5e3",
                                          "@`b` = 'x,y'",
                                          "@'c' := \"it's\"",
                                          "@d = (SELECT 1 + 2)",
                                          "@d = CONCAT('a', ',', \"b\")",
                                          "@c = NULL",
                                          "@b = x'41'",
                                          "@a = N'n'",
                                          "@b = 'it''s'",
                                          "@c = 'a\\'b'",
                                          "@d = IF(1, (2), ',')",
                                          "sql_mode = ANSI",
                                          "@@sql_mode = 'STRICT_ALL_TABLES'",
                                          "SESSION sql_select_limit = 100",
                                          "@@session.sql_select_limit := 5 + 5",
                                          "time_zone='+01:00'",
                                          "LOCAL time_zone = DEFAULT",
                                          "@@local.lock_wait_timeout = 7",
                                          "foreign_key_checks = OFF",
                                          "`unique_checks` = 0",
                                          "NAMES latin1",
                                          "NAMES utf8mb4 COLLATE utf8mb4_bin",
                                          "NAMES 'gbk'",
                                          "CHARACTER SET latin1",
                                          "character_set_results = NULL",
                                          "autocommit = 0",
                                          "@@autocommit=ON",
                                          "group_concat_max_len = 2048",
                                          "@@session.net_write_timeout = 9"};
  const std::vector<std::string> blanks = {" ", "", "\n", "/* , */", " -- , @a=9\n", " /*! */ "};
  const std::string traced =
      "SELECT @a, @b, @c, @d, @@sql_mode, @@sql_select_limit, @@time_zone, @@lock_wait_timeout, "
      "@@foreign_key_checks, @@unique_checks, @@character_set_client, @@collation_connection, "
      "@@character_set_results, @@autocommit, @@group_concat_max_len, @@net_write_timeout";
  Mode mode;
  mode.flavour = flavour;
  for (uint64_t i = 0; i < count; ++i) {
    std::string text = "SET " + random.any_of(items);
    while (!random.one_in(3))
      text += random.any_of(blanks) + "," + random.any_of(blanks) + random.any_of(items);
    Client whole(server.endpoint()), pieces(server.endpoint());
    ASSERT_TRUE(whole.query(text).has_value()) << text;
    for (const auto& one : apart(text, mode)) ASSERT_TRUE(pieces.query(one)) << text << "\n" << one;
    ASSERT_EQ(whole.rows(traced), pieces.rows(traced)) << text;
  }
}

TEST(SqlOracle, AssignmentsOfMariadb) {
  MariadbServer server;
  compare_assignments(server, Flavour::Mariadb, 300, from_environment("SLUICE_SEED", 1));
}

TEST(SqlOracle, Mariadb) {
  MariadbServer server;
  compare(server, Flavour::Mariadb, 101100);
}

TEST(SqlOracle, NewerMariadb) {
  if (const auto can = MariadbServer::available(MariadbRelease::Newer); !can)
    GTEST_SKIP() << can.error();
  MariadbServer server({}, DatabaseServer::Start::Ready, MariadbRelease::Newer);
  compare(server, Flavour::Mariadb, 110800);
}

TEST(SqlOracle, Mysql) {
  if (const auto can = MysqlServer::available(); !can) GTEST_SKIP() << can.error();
  MysqlServer server;
  compare(server, Flavour::Mysql, 90000);
}

}  // namespace
}  // namespace sluice::test
