/// The hazards of splitting reads from writes, each with what the classifier has to say of it. The
/// numbers are those of the list of read/write hazards that sluice was designed from.
#include <gtest/gtest.h>

#include <vector>

#include "tests/worker/sql/cases.h"

namespace sluice::sql {
namespace {

struct Case {
  std::string_view text, expected;
};

void expect_all(const std::vector<Case>& cases, const Mode& mode = kMariadb) {
  for (const auto& [text, expected] : cases) {
    EXPECT_EQ(said(text, mode), expected) << text;
    const auto statement = classify(text, mode);
    EXPECT_EQ(statement.need == Need::Read, statement.reason == Reason::Read) << text;
  }
}

TEST(Hazard, PlainReadsMayRunAnywhere) {
  expect_all({
      {"SELECT c FROM sbtest1 WHERE id=12345", "read"},
      {"select 1", "read"},
      {"SELECT * FROM a JOIN b USING (id) LEFT JOIN c ON (a.x=c.x) WHERE a.y IN (1,2)", "read"},
      {"SELECT COUNT(*), MAX(x), GROUP_CONCAT(y ORDER BY z SEPARATOR ';') FROM t", "read"},
      {"SELECT CASE WHEN (a) THEN (b) ELSE (c) END, INTERVAL(1,2), NOW() - INTERVAL (1) DAY",
       "read"},
      {"SELECT a, ROW_NUMBER() OVER (PARTITION BY b ORDER BY c) FROM t", "read"},
      {"SELECT CAST(a AS DECIMAL(10,2)), CONVERT(b, CHAR(10)), c->'$.x' FROM t", "read"},
      {"SELECT IFNULL (a, 1), LEFT (b, 2), IF (c, 1, 2) FROM t", "read"},
      {"SELECT * FROM t FORCE INDEX (a) WHERE MATCH (x) AGAINST ('y' IN BOOLEAN MODE)", "read"},
      {"SELECT * FROM t PARTITION (p0) FOR SYSTEM_TIME AS OF '2026-01-01'", "read"},
      {"(SELECT 1) UNION ALL (SELECT 2) ORDER BY 1 LIMIT 1", "read"},
      {"((SELECT 1))", "read"},
      {"VALUES (1,2),(3,4)", "read"},
      {"SELECT t.update, t.`insert`, t.for FROM t", "read"},
      {"SELECT 'for update', `into`, \"@@x\" FROM t -- for update", "read"},
      {"SELECT SLEEP(1), RAND(), UUID(), NOW(), SYSDATE()", "read"},
      {"SELECT replace(a,'x','y'), insert(a,1,2,'z'), truncate(1.5,1), repeat('a',3)", "read"},
      {"SELECT ? + ?", "read"},
      {"SELECT \\N", "read"},
      {"SELECT 1;", "read"},
      {" /* a */ SELECT 1 ; -- b", "read"},
  });
}

TEST(Hazard, ReadsOfMysql) {
  expect_all({{"TABLE t ORDER BY a", "read"},
              {"VALUES ROW(1,2), ROW(3,4)", "read"},
              {"SELECT a FROM t WHERE REGEXP_LIKE(a, 'b')", "read"},
              {"SELECT * FROM JSON_TABLE('[1]', '$[*]' COLUMNS (a INT PATH '$')) AS j", "read"},
              {"TABLE t INTO OUTFILE 'x'", "into"},
              {"TABLE t FOR UPDATE", "locking_read"},
              {"SELECT password('a')", "unknown_function: calls_unknown_function"}},
             kMysql);
  EXPECT_EQ(said("TABLE t"), "not_understood: in_doubt");
  EXPECT_EQ(said("SELECT regexp_like('a','b')"), "unknown_function: calls_unknown_function");
}

TEST(Hazard, N01UserVariables) {
  expect_all({
      {"SET @a := 1", "session_state: sets_user_variable"},
      {"SET @a = 1, @b = @c", "session_state: sets_user_variable reads_user_variable"},
      {"SELECT @a", "read: reads_user_variable"},
      {"SET @a=(SELECT MAX(id) FROM t)", "session_state: sets_user_variable"},
      {"SET @a=NOW()", "session_state: sets_user_variable"},
      {"SET @a = f(@b := 2)",
       "session_state: sets_user_variable writes_user_variable calls_unknown_function"},
      {"SET @a = GET_LOCK('x', 1)", "session_state: sets_user_variable takes_named_lock"},
  });
  EXPECT_EQ(classify("SELECT @a, @`b c`, @'d', @a + 1", kMariadb).user_variables_read, 4u);
}

TEST(Hazard, N02UserVariablesAssignedInReads) {
  expect_all({
      {"SELECT @a:=col FROM t", "variable_written: writes_user_variable"},
      {"SELECT @a /* x */ := 1", "variable_written: writes_user_variable"},
      {"SELECT @'a b' := 1", "variable_written: writes_user_variable"},
      {"SELECT 1 INTO @a", "variable_written: writes_user_variable"},
      {"SELECT 1, 2 INTO @a, @b", "variable_written: writes_user_variable"},
      {"SELECT 1 INTO @a FROM t WHERE x = @b",
       "variable_written: writes_user_variable reads_user_variable"},
      {"SELECT 1 INTO/**/@a", "variable_written: writes_user_variable"},
      {"UPDATE t SET a = @b := a", "write: writes_user_variable"},
      {"INSERT INTO t VALUES (1, @a := 2)", "write: writes_user_variable"},
  });
}

TEST(Hazard, N03TemporaryTables) {
  expect_all({
      {"CREATE TEMPORARY TABLE t (a INT)", "definition: creates_temporary_table"},
      {"CREATE OR REPLACE TEMPORARY TABLE IF NOT EXISTS d.t LIKE x",
       "definition: creates_temporary_table"},
      {"CREATE TEMPORARY TABLE t SELECT f(1)",
       "definition: creates_temporary_table calls_unknown_function"},
      {"DROP TABLE a, b", "definition: implicit_commit drops_table"},
      {"DROP TEMPORARY TABLE IF EXISTS a", "definition: drops_table"},
      {"ALTER TABLE a RENAME TO b", "definition: implicit_commit alters_table"},
      {"RENAME TABLE a TO b", "definition: implicit_commit alters_table"},
  });
  const auto statement = classify("CREATE TEMPORARY TABLE IF NOT EXISTS `d`.`a``b` (x INT)", {});
  EXPECT_EQ(statement.name.value(), "a`b");
  EXPECT_EQ(statement.database.value(), "d");
}

TEST(Hazard, N04LastInsertId) {
  expect_all({
      {"SELECT LAST_INSERT_ID()", "insert_id"},
      {"SELECT last_insert_id ( )", "insert_id"},
      {"SELECT LAST_INSERT_ID(a+1) FROM t", "insert_id: writes_insert_id"},
      {"UPDATE t SET a=LAST_INSERT_ID(a+1)", "write: writes_insert_id"},
      {"SELECT @@identity", "insert_id"},
      {"SELECT @@session.last_insert_id", "insert_id"},
      {"SELECT @@`last_insert_id`", "insert_id"},
      {"SET insert_id=5", "session_state: sets_session writes_insert_id"},
      {"SELECT * FROM t WHERE id = LAST_INSERT_ID()", "insert_id"},
  });
}

TEST(Hazard, N05FoundRows) {
  expect_all({
      {"SELECT SQL_CALC_FOUND_ROWS * FROM t LIMIT 1", "read: counts_found_rows"},
      {"SELECT FOUND_ROWS()", "diagnostics: reads_diagnostics"},
      {"SELECT found_rows ( )", "diagnostics: reads_diagnostics"},
  });
}

TEST(Hazard, N06Diagnostics) {
  expect_all({
      {"SELECT ROW_COUNT()", "diagnostics: reads_diagnostics"},
      {"SHOW WARNINGS", "diagnostics: reads_diagnostics"},
      {"SHOW ERRORS LIMIT 1", "diagnostics: reads_diagnostics"},
      {"SHOW COUNT(*) WARNINGS", "diagnostics: reads_diagnostics"},
      {"show count ( * ) errors", "diagnostics: reads_diagnostics"},
      {"GET DIAGNOSTICS @n = NUMBER", "diagnostics: writes_user_variable reads_diagnostics"},
      {"SELECT @@warning_count", "diagnostics: reads_diagnostics"},
      {"SELECT @@session.error_count", "diagnostics: reads_diagnostics"},
  });
}

TEST(Hazard, N07NamedLocks) {
  expect_all({
      {"SELECT GET_LOCK('a', 10)", "named_lock: takes_named_lock"},
      {"SELECT 1 WHERE GET_LOCK ('a', 10)", "named_lock: takes_named_lock"},
      {"SELECT RELEASE_LOCK('a')", "named_lock: releases_named_lock"},
      {"SELECT RELEASE_ALL_LOCKS()", "named_lock: releases_named_lock"},
      {"SELECT IS_USED_LOCK('a'), IS_FREE_LOCK('b')", "named_lock"},
      {"DO GET_LOCK('a', 10)", "do: takes_named_lock"},
      {"INSERT INTO t SELECT GET_LOCK('a', 1)", "write: takes_named_lock"},
      {"INSERT INTO t VALUES (1.5, 1e3,GET_LOCK('a', 1))", "write: takes_named_lock"},
  });
}

TEST(Hazard, N08TableLocks) {
  expect_all({
      {"LOCK TABLES t WRITE", "table_lock: implicit_commit locks_tables"},
      {"LOCK INSTANCE FOR BACKUP", "table_lock: implicit_commit locks_tables"},
      {"UNLOCK TABLES", "table_lock: implicit_commit unlocks_tables"},
      {"FLUSH TABLES WITH READ LOCK", "administration: implicit_commit locks_tables"},
      {"FLUSH TABLES a, b FOR EXPORT", "administration: implicit_commit locks_tables"},
      {"FLUSH STATUS", "administration: implicit_commit"},
      {"BACKUP STAGE START", "table_lock: locks_tables"},
      {"BACKUP STAGE END", "table_lock: unlocks_tables"},
      {"BACKUP LOCK t", "table_lock: locks_tables"},
      {"BACKUP UNLOCK", "table_lock: unlocks_tables"},
      {"HANDLER t OPEN", "handler: opens_handler"},
      {"HANDLER d.t READ FIRST", "handler"},
      {"HANDLER t CLOSE", "handler: closes_handler"},
  });
}

TEST(Hazard, N09SetOfTheSession) {
  expect_all({
      {"SET sql_mode='ANSI'", "session_state: sets_session sets_sql_mode"},
      {"SET SESSION time_zone='UTC', @@sql_select_limit=5", "session_state: sets_session"},
      {"SET NAMES utf8mb4", "session_state: sets_session sets_charset"},
      {"SET CHARACTER SET latin1", "session_state: sets_session sets_charset"},
      {"SET CHARSET latin1", "session_state: sets_session sets_charset"},
      {"SET character_set_results=NULL", "session_state: sets_session sets_charset"},
      {"SET GLOBAL max_connections=5", "administration: sets_global"},
      {"SET PERSIST max_connections=5", "administration: sets_global"},
      {"SET @@global.max_connections=5", "session_state: sets_global"},
      {"SET sql_mode='', GLOBAL x=1", "session_state: sets_session sets_global sets_sql_mode"},
      {"SET PASSWORD = PASSWORD('x')", "definition: implicit_commit"},
      {"SET PASSWORD FOR u@h = 'x'", "definition: implicit_commit"},
      {"SET STATEMENT max_statement_time=1 FOR SELECT 1", "read"},
      {"SET STATEMENT max_statement_time=1, sort_buffer_size=f(1) FOR SELECT 1",
       "unknown_function: calls_unknown_function"},
      {"SET STATEMENT sql_mode='' FOR SELECT 1", "session_state"},
      {"SET STATEMENT max_statement_time=1 FOR INSERT INTO t VALUES (1)", "write"},
      {"SET STATEMENT max_statement_time=1 FOR SET @a=1", "session_state: sets_user_variable"},
      {"SET STATEMENT max_statement_time=1", "not_understood: in_doubt"},
      {"SET STATEMENT max_statement_time=1 FOR SET STATEMENT max_statement_time=2 FOR SELECT 1",
       "not_understood: in_doubt"},
      {"/*!40101 SET NAMES utf8 */", "session_state: sets_session sets_charset"},
      {"/*!40103 SET TIME_ZONE='+00:00' */;", "session_state: sets_session"},
      {"/*!40101 SET @OLD=@@CHARACTER_SET_CLIENT */;", "session_state: sets_user_variable"},
  });
}

TEST(Hazard, N10Autocommit) {
  expect_all({
      {"SET autocommit=0", "session_state: sets_session sets_autocommit implicit_commit"},
      {"SET @@autocommit=ON", "session_state: sets_session sets_autocommit implicit_commit"},
      {"SET @x=1, autocommit=0",
       "session_state: sets_session sets_autocommit sets_user_variable implicit_commit"},
      {"EXECUTE IMMEDIATE 'SET autocommit=0'", "prepared_text: executes_immediate"},
  });
}

TEST(Hazard, N11BeginningOfTransactions) {
  expect_all({
      {"BEGIN", "transaction: begins_transaction implicit_commit"},
      {"begin work;", "transaction: begins_transaction implicit_commit"},
      {"START TRANSACTION", "transaction: begins_transaction implicit_commit"},
      {"START TRANSACTION READ ONLY",
       "transaction: begins_transaction read_only_transaction implicit_commit"},
      {"START TRANSACTION WITH CONSISTENT SNAPSHOT, READ WRITE",
       "transaction: begins_transaction read_write_transaction snapshot implicit_commit"},
      {"BEGIN NOT ATOMIC SELECT 1; END", "compound: runs_program"},
      {"START SLAVE", "administration: implicit_commit"},
  });
}

TEST(Hazard, N12SetTransaction) {
  expect_all({
      {"SET TRANSACTION ISOLATION LEVEL SERIALIZABLE", "transaction: sets_next_transaction"},
      {"SET TRANSACTION ISOLATION LEVEL SERIALIZABLE, READ ONLY",
       "transaction: sets_next_transaction"},
      {"SET SESSION TRANSACTION READ ONLY", "session_state: sets_transaction"},
      {"SET LOCAL TRANSACTION READ ONLY", "session_state: sets_transaction"},
      {"SET GLOBAL TRANSACTION READ ONLY", "administration: sets_global"},
      {"SET tx_isolation='SERIALIZABLE'", "session_state: sets_session sets_transaction"},
      {"SET @@tx_isolation='SERIALIZABLE'", "session_state: sets_next_transaction"},
      {"SET @@session.tx_read_only=1", "session_state: sets_session sets_transaction"},
  });
}

TEST(Hazard, N13EndOfTransactions) {
  expect_all({
      {"COMMIT", "transaction: commits"},
      {"COMMIT WORK AND CHAIN", "transaction: commits chains"},
      {"COMMIT AND NO CHAIN NO RELEASE", "transaction: commits"},
      {"COMMIT RELEASE", "transaction: commits releases"},
      {"ROLLBACK", "transaction: rolls_back"},
      {"ROLLBACK WORK AND CHAIN", "transaction: rolls_back chains"},
      {"ROLLBACK AND NO CHAIN RELEASE", "transaction: rolls_back releases"},
      {"SAVEPOINT a", "transaction: savepoint"},
      {"ROLLBACK TO a", "transaction: savepoint"},
      {"ROLLBACK WORK TO SAVEPOINT a", "transaction: savepoint"},
      {"RELEASE SAVEPOINT a", "transaction: savepoint"},
  });
}

TEST(Hazard, N13Savepoints) {
  for (const auto text : {"SAVEPOINT `a b`", "ROLLBACK TO `a b`",
                          "ROLLBACK WORK TO SAVEPOINT `a b`", "RELEASE SAVEPOINT `a b`;"})
    EXPECT_EQ(classify(text, kMariadb).name.value(), "a b") << text;
  for (const auto text :
       {"SAVEPOINT", "ROLLBACK TO", "RELEASE", "RELEASE;", "ROLLBACK TO SAVEPOINT"})
    EXPECT_EQ(classify(text, kMariadb).need, Need::Primary) << text;
}

TEST(Hazard, N14ImplicitCommits) {
  for (const auto text : {"CREATE TABLE t (a INT)",
                          "ALTER TABLE t ADD b INT",
                          "DROP TABLE t",
                          "TRUNCATE t",
                          "RENAME TABLE a TO b",
                          "CREATE INDEX i ON t (a)",
                          "GRANT SELECT ON d.* TO u",
                          "REVOKE ALL ON d.* FROM u",
                          "CREATE USER u",
                          "ANALYZE TABLE t",
                          "CHECK TABLE t",
                          "OPTIMIZE TABLE t",
                          "REPAIR TABLE t",
                          "FLUSH TABLES",
                          "LOCK TABLES t READ",
                          "BEGIN",
                          "SET autocommit=1",
                          "CREATE DATABASE d",
                          "DROP DATABASE d",
                          "INSTALL SONAME 'x'",
                          "CACHE INDEX t IN k",
                          "LOAD INDEX INTO CACHE t",
                          "CREATE VIEW v AS SELECT 1",
                          "CREATE PROCEDURE p() SELECT 1",
                          "DROP PROCEDURE p",
                          "CHANGE MASTER TO MASTER_PORT=1"}) {
    const auto statement = classify(text, kMariadb);
    EXPECT_TRUE(statement.effects.has(Effect::ImplicitCommit)) << text;
    EXPECT_EQ(statement.need, Need::Primary) << text;
  }
}

TEST(Hazard, N15Xa) {
  for (const auto text : {"XA START 'a'", "XA END 'a'", "XA PREPARE 'a'", "XA COMMIT 'a' ONE PHASE",
                          "XA ROLLBACK 'a'", "XA RECOVER"})
    EXPECT_EQ(said(text), "xa: xa") << text;
}

TEST(Hazard, N16PreparedText) {
  expect_all({
      {"PREPARE p FROM 'SELECT 1'", "prepared_text: prepares"},
      {"PREPARE p FROM @sql", "prepared_text: reads_user_variable prepares"},
      {"EXECUTE p USING @a, @b", "prepared_text: reads_user_variable executes"},
      {"DEALLOCATE PREPARE p", "prepared_text: deallocates"},
      {"DROP PREPARE p", "prepared_text: deallocates"},
      {"EXECUTE IMMEDIATE CONCAT('SELECT ', '1')", "prepared_text: executes_immediate"},
  });
  EXPECT_EQ(classify("PREPARE `p q` FROM 'SELECT 1'", {}).prepared_text, "'SELECT 1'");
  EXPECT_EQ(classify("PREPARE `p q` FROM 'SELECT 1'", {}).name.text, "p q");
  EXPECT_EQ(classify("EXECUTE IMMEDIATE 'SELECT ?' USING 1", {}).prepared_text, "'SELECT ?'");
  EXPECT_EQ(classify("EXECUTE IMMEDIATE 'SELECT ' 'x'", {}).prepared_text, "");
  EXPECT_EQ(classify("DROP PREPARE p", {}).name.text, "p");
}

TEST(Hazard, N19Use) {
  EXPECT_EQ(said("USE d"), "use: uses_database");
  EXPECT_EQ(classify("USE `a``b`;", {}).name.value(), "a`b");
  EXPECT_EQ(said("DROP DATABASE IF EXISTS d"), "definition: implicit_commit drops_database");
  EXPECT_EQ(classify("DROP SCHEMA IF EXISTS d", {}).name.value(), "d");
}

TEST(Hazard, N20Roles) {
  expect_all({
      {"SET ROLE r", "session_state: sets_role"},
      {"SET DEFAULT ROLE r FOR u", "definition: implicit_commit"},
      {"SET SESSION AUTHORIZATION 'u'@'h'", "session_state: sets_user reads_user_variable"},
  });
}

TEST(Hazard, N21LockingReads) {
  for (const auto text : {"SELECT a FROM t FOR UPDATE",
                          "SELECT a FROM t for /**/ update skip locked",
                          "SELECT a FROM t FOR UPDATE NOWAIT",
                          "SELECT a FROM t FOR UPDATE WAIT 3",
                          "SELECT a FROM t FOR SHARE",
                          "SELECT a FROM t FOR SHARE OF t SKIP LOCKED",
                          "SELECT a FROM t LOCK IN SHARE MODE",
                          "SELECT * FROM (SELECT a FROM t FOR UPDATE) x",
                          "SELECT 1 UNION (SELECT a FROM t FOR UPDATE)",
                          "WITH x AS (SELECT a FROM t FOR UPDATE) SELECT * FROM x",
                          "SELECT (SELECT a FROM t LIMIT 1 FOR UPDATE)",
                          "SELECT 1.5FOR UPDATE",
                          "SELECT 1e5FOR UPDATE",
                          "SELECT .5FOR UPDATE",
                          "SELECT 'x'FOR UPDATE",
                          "SELECT 1 FOR# comment\nUPDATE",
                          "SELECT `a`FOR UPDATE",
                          "SELECT @a FOR UPDATE",
                          "SELECT 1 /*!FOR UPDATE*/",
                          "SELECT 1 /*!100000 FOR*/ UPDATE",
                          "SELECT 0x1F FOR UPDATE",
                          "SELECT 1./**/FOR UPDATE",
                          "SELECT 1. FOR UPDATE",
                          "SELECT @a. FOR UPDATE",
                          "SELECT a, 1.FOR UPDATE",

                          "SELECT (1.)FOR UPDATE",
                          "SELECT a.b FOR UPDATE"})
    EXPECT_EQ(enum_name(classify(text, kMariadb).reason), "locking_read") << text;
}

TEST(Hazard, N22Into) {
  expect_all({
      {"SELECT 1 INTO OUTFILE '/tmp/x'", "into"},
      {"SELECT 1 INTO DUMPFILE '/tmp/x'", "into"},
      {"SELECT 1.INTO OUTFILE '/tmp/x'", "into"},
      {"SELECT LOAD_FILE('/etc/passwd')", "server_function"},
  });
}

TEST(Hazard, N23UnknownFunctions) {
  const std::string expected = "unknown_function: calls_unknown_function";
  for (const auto text : {"SELECT f()",
                          "SELECT f ( )",
                          "SELECT f/**/()",
                          "SELECT f-- x\n()",
                          "SELECT `f`(1)",
                          "SELECT `abs`(1)",
                          "SELECT d.f(1)",
                          "SELECT d . f (1)",
                          "SELECT d.count(1)",
                          "SELECT `d`.abs(1)",
                          "SELECT d . /**/ abs(1)",
                          "SELECT count (1)",
                          "SELECT now ()",
                          "SELECT now/*!*/()",
                          "SELECT max\n(1)",
                          "SELECT 1f(2)",
                          "SELECT 1.5f(2)",
                          "SELECT 1e5f(2)",
                          "SELECT a FROM t WHERE f(a)",
                          "SELECT a FROM t ORDER BY f(a)",
                          "SELECT $f(1)",
                          "SELECT f\xC3\xA4(1)",
                          "SELECT nextval_(1)",
                          "VALUES (f(1))",
                          "WITH x AS (SELECT 1) SELECT f(1) FROM x",
                          "WITH x(a) AS (SELECT f(1)) SELECT * FROM x"})
    EXPECT_EQ(said(text), expected) << text;
  EXPECT_EQ(said("SELECT \"f\"(1)", Mode{.ansi_quotes = true}), expected);
  EXPECT_EQ(said("SELECT count (1)", Mode{.ignore_space = true}), "read");
  EXPECT_EQ(said("SELECT count/**/(1)", Mode{.ignore_space = true}), expected);
  // A list of columns is no call.
  EXPECT_EQ(said("INSERT INTO t (a) VALUES (1)"), "write");
  EXPECT_EQ(said("INSERT IGNORE d.t (a) VALUES (f(1))"), "write: calls_unknown_function");
  EXPECT_EQ(said("CREATE TABLE t (a INT, KEY k (a))"), "definition: implicit_commit");
  EXPECT_EQ(said("WITH x(a) AS (SELECT 1), `y` (b) AS (SELECT 2) SELECT * FROM x, y"), "read");
  EXPECT_EQ(said("WITH RECURSIVE x (a) AS (SELECT 1) (SELECT * FROM x)"), "read");
}

TEST(Hazard, N24Sequences) {
  for (const auto text :
       {"SELECT NEXTVAL(s)", "SELECT nextval ( s )", "SELECT NEXT VALUE FOR s",
        "SELECT next /**/ value for s", "SELECT PREVIOUS VALUE FOR s", "SELECT LASTVAL(s)",
        "SELECT SETVAL(s, 5)", "SELECT s.nextval", "SELECT s . currval"})
    EXPECT_EQ(said(text), "sequence") << text;
  // A column's default may be one.
  EXPECT_EQ(classify("SELECT DEFAULT(a) FROM t", {}).need, Need::Primary);
}

TEST(Hazard, N25WhatExecutesOrExplains) {
  expect_all({
      {"CALL p(1)", "call: calls_unknown_function runs_program"},
      {"DO f()", "do: calls_unknown_function"},
      {"DO 1", "do"},
      {"INSERT INTO t VALUES (1) RETURNING a", "write"},
      {"DELETE FROM t RETURNING f(a)", "write: calls_unknown_function"},
      {"REPLACE INTO t SET a=1", "write"},
      {"ANALYZE UPDATE t SET a=1", "explain"},
      {"ANALYZE FORMAT=JSON SELECT 1", "explain"},
      {"EXPLAIN ANALYZE SELECT 1", "explain"},
      {"EXPLAIN DELETE FROM t", "explain"},
      {"EXPLAIN FOR CONNECTION 5", "explain"},
      {"DESC t", "explain"},
      {"DESCRIBE t a", "explain"},
      {"CHECK TABLE t", "administration: implicit_commit"},
      {"CHECKSUM TABLE t", "administration: implicit_commit"},
      {"RESET MASTER", "administration: implicit_commit"},
      {"PURGE BINARY LOGS TO 'x'", "administration: implicit_commit"},
      {"KILL 5", "kill"},
      {"SELECT * FROM t PROCEDURE ANALYSE()", "call: calls_unknown_function"},
  });
}

TEST(Hazard, N26WhatBelongsToAServer) {
  expect_all({
      {"SELECT @@server_id", "system_variable"},
      {"SELECT @@global.hostname", "system_variable"},
      {"SELECT CONNECTION_ID()", "server_function"},
      {"SELECT UUID_SHORT()", "server_function"},
      {"SELECT MASTER_POS_WAIT('x', 4)", "server_function"},
      {"SELECT MASTER_GTID_WAIT('0-1-1', 1)", "server_function"},
      {"SELECT BENCHMARK(10, 1)", "server_function"},
      {"SHOW MASTER STATUS", "show"},
      {"SHOW PROCESSLIST", "show"},
      {"SHOW TABLES", "show"},
      {"HELP 'x'", "show"},
      {"SELECT * FROM information_schema.tables", "server_schema"},
      {"SELECT * FROM `performance_schema`.threads", "server_schema"},
      {"SELECT * FROM mysql . user", "server_schema"},
      {"SELECT * FROM `Mysql`.user", "server_schema"},
      {"SELECT * FROM sys.version", "server_schema"},
      {"SELECT mysql FROM sys", "read"},
  });
  EXPECT_TRUE(is_server_schema("Information_Schema"));
  EXPECT_FALSE(is_server_schema("shop"));
}

TEST(Hazard, N27WritesThatBeginOddly) {
  expect_all({
      {"WITH x AS (SELECT 1) UPDATE t SET a=1", "write"},
      {"WITH x AS (SELECT 1) DELETE FROM t", "write"},
      {"WITH x AS (SELECT 1) INSERT INTO t SELECT * FROM x", "write"},
      {"(((SELECT 1 FOR UPDATE)))", "locking_read"},
      {"/* SELECT */ INSERT INTO t VALUES (1)", "write"},
      {"-- SELECT 1\nDELETE FROM t", "write"},
      {"LOAD DATA INFILE 'x' INTO TABLE t", "load"},
      {"LOAD DATA LOCAL INFILE 'x' INTO TABLE t (a, @b) SET c=@b",
       "load: writes_user_variable loads_local_file"},
      {"LOAD DATA LOW_PRIORITY LOCAL INFILE 'x' INTO TABLE t", "load: loads_local_file"},
      {"LOAD XML LOCAL INFILE 'x' INTO TABLE t", "load: loads_local_file"},
  });
}

TEST(Hazard, N28Blocks) {
  for (const auto text :
       {"IF 1 THEN INSERT INTO t VALUES (1); END IF", "CASE 1 WHEN 1 THEN DELETE FROM t; END CASE",
        "LOOP SET @a=1; END LOOP", "WHILE 1 DO SET autocommit=0; END WHILE",
        "REPEAT SELECT 1; UNTIL 1 END REPEAT", "FOR i IN 1..3 DO SELECT 1; END FOR",
        "a: LOOP LEAVE a; END LOOP", "`a` : BEGIN NOT ATOMIC SELECT 1; END", "BEGIN SELECT 1; END",
        "DECLARE x INT"}) {
    const auto statement = classify(text, kMulti);
    EXPECT_EQ(enum_name(statement.reason), "compound") << text;
    EXPECT_TRUE(statement.effects.has(Effect::RunsProgram)) << text;
    EXPECT_EQ(statement.statements, 1u) << text;
  }
}

TEST(Hazard, N29ExecutableComments) {
  const auto mariadb = [](std::string_view text) { return said(text, kMariadb); };
  EXPECT_EQ(mariadb("/*! INSERT */ INTO t VALUES (1)"), "write");
  EXPECT_EQ(mariadb("/*!50000 INSERT */ INTO t VALUES (1)"), "write");
  EXPECT_EQ(mariadb("/*M! INSERT INTO t VALUES (1) */"), "write");
  EXPECT_EQ(mariadb("/*M!100100 INSERT INTO t VALUES (1) */"), "write");
  EXPECT_EQ(mariadb("SELECT /*!40001 SQL_NO_CACHE */ * FROM t"), "read");
  EXPECT_EQ(mariadb("SELECT 1 /*!50000 INTO @a */"), "variable_written: writes_user_variable");
  // MySQL's versions, which no MariaDB follows.
  EXPECT_EQ(mariadb("SELECT 1 /*!50700 INTO @a */"), "read");
  EXPECT_EQ(mariadb("SELECT 1 /*!80000 INTO @a */"), "read");
  EXPECT_EQ(mariadb("SELECT 1 /*!99999 ' */"), "read");
  EXPECT_EQ(mariadb("SELECT 1 /*!80000 a /* b */ c */"), "read");
  EXPECT_EQ(mariadb("SELECT 1 /*!99997 x */"), "executable_comment: in_doubt");
  // A newer server may execute them.
  EXPECT_EQ(mariadb("SELECT 1 /*!110000 INTO @a */"), "executable_comment: in_doubt");
  EXPECT_EQ(mariadb("/*!999999 insert into t */ select 1"), "executable_comment: in_doubt");
  EXPECT_EQ(said("SELECT 1 /*!50000 +1 */", Mode{}), "executable_comment: in_doubt");
  EXPECT_EQ(mariadb("SELECT 1 /*! /* a */ INTO @a */"), "variable_written: writes_user_variable");
  EXPECT_EQ(mariadb("SELECT 1 /*! 'a */ b' */"), "read");
  EXPECT_EQ(mariadb("SELECT 1 /*! a"), "not_understood: in_doubt");
  EXPECT_EQ(mariadb("SELECT 1 /*! /*! a */ */"), "executable_comment: in_doubt");

  EXPECT_EQ(said("SELECT 1 /*!80000 INTO @a */", kMysql), "variable_written: writes_user_variable");
  EXPECT_EQ(said("SELECT 1 /*M! INTO @a */", kMysql), "read");
  EXPECT_EQ(said("SELECT 1 /*!080000 INTO @a */", kMysql), "executable_comment: in_doubt");
  EXPECT_EQ(said("SELECT 1 /*!90000 INTO @a */", kMysql), "executable_comment: in_doubt");
}

TEST(Hazard, N29OptimizerHints) {
  EXPECT_EQ(said("SELECT /*+ MAX_EXECUTION_TIME(1000) */ 1", kMysql), "read");
  EXPECT_EQ(said("SELECT /*+ set_var(sort_buffer_size=1) */ 1", kMysql), "optimizer_hint");
  EXPECT_EQ(said("SELECT /*+ BKA(`a*/`) */ 1", kMysql).substr(0, 14), "optimizer_hint");
}

TEST(Hazard, N30CharacterSets) {
  // Hidden behind a quote that the one character set escapes, and the other does not.
  const std::string_view text = "SELECT '\xBF\x5C' INTO @a -- '";
  EXPECT_EQ(said(text, Mode{.charset = Charset::Gbk}), "variable_written: writes_user_variable");
  EXPECT_EQ(said(text, Mode{.charset = Charset::Utf8}), "read");
  const std::string_view escaped = "SELECT '\\' INTO @a -- '";
  EXPECT_EQ(said(escaped, Mode{.no_backslash_escapes = true}),
            "variable_written: writes_user_variable");
  EXPECT_EQ(said(escaped), "read");
  const std::string_view quoted = "SELECT \"a\" + \"b\"(1)";
  EXPECT_EQ(said(quoted, Mode{.ansi_quotes = true}), "unknown_function: calls_unknown_function");
  // A blank in latin1.
  EXPECT_EQ(said("SELECT 1 FOR\xA0UPDATE", Mode{.charset = Charset::SingleByte}),
            "character_set: in_doubt");
  EXPECT_EQ(said("SELECT 'K\xF6ln'", Mode{.charset = Charset::SingleByte}), "read");
  EXPECT_EQ(said("SELECT 1", Mode{.charset = Charset::Unknown}),
            "character_set: not_read_to_end in_doubt");
}

TEST(Hazard, N31Lexing) {
  expect_all({
      {"SELECT 1 --1", "read"},
      {"SELECT 1 --\tINTO @a", "read"},
      {"SELECT 1 --INTO @a", "variable_written: writes_user_variable"},
      {"SELECT 1 # INTO @a", "read"},
      {"SELECT 1 /* INTO @a */", "read"},
      {"SELECT/**/1", "read"},
      {"SELECT\f1\v", "read"},
      {"SELECT 1 -- x\nINTO @a", "variable_written: writes_user_variable"},
      {"SELECT N'a', _utf8'b', x'4a', 0x41, b'01', 'c' 'd'", "read"},
      {"SELECT 'a''INTO @a'", "read"},
      {"SELECT `a``INTO @a`", "read"},
      {"SELECT 'a;b'", "read"},
      {"\xEF\xBB\xBFSELECT 1", "not_understood: in_doubt"},
      {"", "empty"},
      {";", "empty"},
      {"-- nothing", "empty"},
      {"  /* nothing */  ", "empty"},
      {"(", "not_understood"},
      {"SELECT 'a", "not_understood: in_doubt"},
      {"SELECT `a", "not_understood: in_doubt"},
      {"SELECT /* a", "not_understood: in_doubt"},
      {"FROB 1", "not_understood: in_doubt"},
      {"1", "not_understood: in_doubt"},
      {"'SELECT'", "not_understood: in_doubt"},
  });
  EXPECT_EQ(said(std::string_view("SELECT 1 -- a\0INTO @a", 21)), "not_understood: in_doubt");
  EXPECT_EQ(said(std::string_view("SELECT 1\0", 9)), "not_understood: in_doubt");
  EXPECT_EQ(said(std::string_view("SELECT 'a\0b'", 12)), "read");
}

TEST(Hazard, N32SeveralStatements) {
  const auto multi = [](std::string_view text) { return said(text, kMulti); };
  EXPECT_EQ(multi("SELECT 1; SELECT 2"), "read");
  EXPECT_EQ(multi("SELECT 1; INSERT INTO t VALUES (1)"), "write");
  EXPECT_EQ(multi("SELECT 1; SET autocommit=0; SELECT 2"),
            "session_state: sets_session sets_autocommit implicit_commit");
  EXPECT_EQ(multi("SELECT ';'; SET @a=1"), "session_state: sets_user_variable");
  EXPECT_EQ(multi("SELECT 1;; SELECT 2"), "empty");
  EXPECT_EQ(multi("SELECT 1; -- end"), "read");
  EXPECT_EQ(said("SELECT 1; SELECT 2"), "several_statements");
  EXPECT_EQ(said("SELECT 1; SET autocommit=0"), "several_statements");
  EXPECT_EQ(classify("SELECT 1; SELECT 2;", kMulti).statements, 2u);
  EXPECT_EQ(classify("INSERT INTO t VALUES (1); SELECT 2;", kMulti).verb, Verb::Insert);
  // Statements of a stored program are not run now.
  EXPECT_EQ(multi("CREATE PROCEDURE p() BEGIN SET autocommit=0; IF 1 THEN COMMIT; END IF; END"),
            "definition: implicit_commit");
  EXPECT_EQ(multi("CREATE PROCEDURE p() BEGIN COMMIT; SELECT CASE 1 WHEN 1 THEN 2 END; END; "
                  "SET @a=1"),
            "definition: sets_user_variable implicit_commit");
  EXPECT_EQ(multi("CREATE TRIGGER r BEFORE INSERT ON t FOR EACH ROW SET @a=1; SET @b=1"),
            "definition: sets_user_variable implicit_commit");
  EXPECT_TRUE(
      classify("CREATE PROCEDURE p() BEGIN SELECT 1;", kMulti).effects.has(Effect::InDoubt));
}

TEST(Hazard, N33HugeStatements) {
  std::string text = "SELECT 1";
  text.append(kLongestRead, ' ');
  EXPECT_EQ(said(text + "FOR UPDATE"), "too_long: not_read_to_end");
  text.resize(kLongestRead - 10);
  EXPECT_EQ(said(text + "FOR UPDATE"), "locking_read");
  const auto insert =
      classify("INSERT INTO t VALUES ('" + std::string(kLongestRead, 'x') + "')", {});
  EXPECT_EQ(insert.verb, Verb::Insert);
  EXPECT_EQ(said(insert), "too_long: not_read_to_end");
  EXPECT_EQ(insert.mentioned, ~uint64_t{0});
}

}  // namespace
}  // namespace sluice::sql
