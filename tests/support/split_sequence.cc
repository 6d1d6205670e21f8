// What sessions are made to do: patterns by topic, out of which each sequence takes a few topics,
// so that what belongs together meets often.
#include "tests/support/split_sequence.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <sstream>
#include <string_view>

#include "tests/support/random.h"

namespace sluice::test {
namespace {

using Patterns = std::vector<std::string_view>;

/// {names} stand for one of the patterns of that topic, or for one of kWords.
const std::map<std::string_view, Patterns> kTopics = {
    {"read",
     {"SELECT id, a, b FROM t ORDER BY id", "SELECT id, a, b FROM t ORDER BY id",
      "SELECT * FROM t WHERE a > {n} ORDER BY id LIMIT {k}", "SELECT COUNT(*), SUM(a) FROM t",
      "SELECT k, v FROM u ORDER BY k", "SELECT v FROM u WHERE k = {n}",
      "SELECT t.id, u.v FROM t STRAIGHT_JOIN u ON t.a = u.k ORDER BY t.id",
      "SELECT id FROM t WHERE b = {text} ORDER BY id", "SELECT * FROM w ORDER BY id",
      "SELECT a, COUNT(*) FROM t GROUP BY a ORDER BY a",
      "WITH c AS (SELECT id FROM t WHERE id > {k}) SELECT COUNT(*) FROM c",
      "(SELECT id FROM t) UNION (SELECT k FROM u) ORDER BY 1",
      "SELECT EXISTS (SELECT 1 FROM u WHERE v = {text})", "SELECT COUNT(*) FROM x",
      "SELECT d_lib.f_pure(a) FROM t ORDER BY id", "VALUES ({n}, 'a'), ({k}, 'b')", "SELECT {n}"}},
    {"write",
     {"INSERT INTO t (a, b) VALUES ({n}, {text})", "INSERT INTO t (a, b) VALUES ({n}, {text})",
      "INSERT INTO t (a) VALUES ({n}), ({k}), (NULL)", "INSERT INTO t SET id = {n}, a = {n}",
      "INSERT INTO u (k, v) VALUES ({n}, {text})", "INSERT IGNORE INTO u (k, v) VALUES ({n}, 'i')",
      "INSERT INTO u (k, v) VALUES ({n}, 'd') ON DUPLICATE KEY UPDATE v = {text}",
      "INSERT INTO t (a, b) SELECT a + 1, b FROM t WHERE a > {k}",
      "INSERT INTO t (a) VALUES ({n}) RETURNING id, a", "REPLACE INTO u (k, v) VALUES ({n}, 'r')",
      "UPDATE t SET a = a + 1 WHERE id > {k}", "UPDATE t SET b = {text} WHERE id = {n}",
      "UPDATE u SET v = v WHERE k = {n}", "DELETE FROM t WHERE id = {n}",
      "DELETE FROM u WHERE k > {n} RETURNING k", "TRUNCATE TABLE t",
      "INSERT INTO t (b) VALUES ('far too long for it')", "UPDATE t SET c = 123456789 WHERE id = 1",
      "UPDATE t SET a = LAST_INSERT_ID(a + 1) WHERE id = {k}"}},
    {"found",
     {"SELECT SQL_CALC_FOUND_ROWS id FROM t ORDER BY id LIMIT {k}",
      "SELECT SQL_CALC_FOUND_ROWS k FROM u ORDER BY k LIMIT {k}",
      "SELECT FOUND_ROWS()",
      "SELECT FOUND_ROWS()",
      "SELECT FOUND_ROWS(), COUNT(*) FROM t",
      "SELECT a FROM d_lib.v_found",
      "CALL d_lib.p_found()",
      "SELECT ROW_COUNT()",
      "SELECT FOUND_ROWS(), ROW_COUNT()",
      "SELECT id FROM t ORDER BY id LIMIT {k}",
      "\\ping",
      "DO 1",
      "SET @v = FOUND_ROWS()",
      "\\prepare 0 SELECT FOUND_ROWS()",
      "\\execute 0 i1",
      "\\init_db d_0",
      "\\prepare 1 SELECT SQL_CALC_FOUND_ROWS id FROM t LIMIT 1",
      "\\execute 1 i1",
      "INSERT INTO t (a) VALUES (FOUND_ROWS())",
      "USE d_0"}},
    {"diagnostics",
     {"SELECT 1/0",
      "SELECT CAST('12x' AS INT) FROM t",
      "SELECT a/0 FROM t LIMIT {k}",
      "SELECT CONVERT('abc', DATE)",
      "SHOW WARNINGS",
      "SHOW WARNINGS",
      "SHOW WARNINGS LIMIT 1",
      "SHOW COUNT(*) WARNINGS",
      "SHOW ERRORS",
      "SELECT @@warning_count, @@error_count",
      "SELECT @@warning_count",
      "GET DIAGNOSTICS @v = NUMBER",
      "GET DIAGNOSTICS CONDITION 1 @v = MESSAGE_TEXT",
      "SELECT @v",
      "\\ping",
      "SELECT nothing",
      "SELECT * FROM nothing",
      "SELEC 1",
      "SELECT (SELECT id FROM t)",
      "SELECT d_lib.f_warn()",
      "\\prepare 0 SELECT 1/0, a/0 FROM t",
      "\\execute 0 i1",
      "\\prepare 1 SHOW WARNINGS",
      "\\execute 1 i1",
      "\\close 2",
      "\\prepare 2 SELECT @@warning_count",
      "\\execute 2 i1",
      "\\reset_statement 0",
      "SET max_error_count = {k}",
      "SET sql_notes = 0",
      "\\init_db d_0",
      "DROP TABLE IF EXISTS nothing",
      "SELECT nothing()",
      "SELECT 1 FROM t WHERE b = 0 LIMIT 1"}},
    {"ids",
     {"SELECT LAST_INSERT_ID()", "SELECT LAST_INSERT_ID()", "SELECT LAST_INSERT_ID({n})",
      "SELECT @@last_insert_id, @@identity", "INSERT INTO t (a) VALUES ({n})",
      "INSERT INTO t (a) VALUES (LAST_INSERT_ID())", "SET last_insert_id = {n}",
      "SET insert_id = 5{n}", "SELECT a FROM d_lib.v_id", "SET sql_auto_is_null = 1",
      "SELECT id FROM t WHERE id IS NULL", "SET auto_increment_increment = 3",
      "SELECT id FROM t WHERE id = LAST_INSERT_ID()", "\\prepare 0 SELECT LAST_INSERT_ID(), ?",
      "\\execute 0 {values}", "\\prepare 1 INSERT INTO t (a, b) VALUES (?, ?)",
      "\\execute 1 {values}", "SELECT d_lib.f_write({n})", "SELECT ROW_COUNT()"}},
    {"variables",
     {"SET @v = {n}", "SET @w = {text}, @v = @v + 1", "SELECT @v, @w", "SELECT @v := a FROM t",
      "SELECT a FROM t WHERE id = @v", "SELECT COUNT(*) INTO @v FROM t",
      "SELECT @n := COALESCE(@n, 0) + 1, id FROM t ORDER BY id", "SELECT d_lib.f_set({n})",
      "SELECT a FROM d_lib.v_set", "DO @v := 4", "CALL d_lib.p_set({n})", "CALL d_lib.p_out(@v)",
      "\\prepare 0 SELECT @v, a FROM t WHERE id = ?", "\\execute 0 {values}",
      "\\prepare 1 SELECT @v := ?", "\\execute 1 {values}", "UPDATE t SET a = @v WHERE id = 1"}},
    {"settings",
     {"SET sql_mode = 'ANSI_QUOTES'",
      "SET sql_mode = ''",
      "SET sql_mode = 'PIPES_AS_CONCAT'",
      "SET sql_mode = 'NO_BACKSLASH_ESCAPES'",
      "SET sql_mode = DEFAULT",
      "SET sql_mode = 'ANSI'",
      "SET sql_mode = CONCAT(@@sql_mode, ',ANSI_QUOTES,NO_BACKSLASH_ESCAPES')",
      "SET time_zone = '+05:30'",
      "SET @@sql_mode = 'ANSI_QUOTES'",
      "SET @@time_zone = '-03:00', @@sql_mode = DEFAULT",
      "SET @@sql_select_limit = {k}, @@lc_time_names = 'de_DE'",
      "SET @@collation_connection = latin1_german2_ci",
      "SET time_zone = DEFAULT",
      "SET NAMES {charset}",
      "SET sql_select_limit = {k}",
      "SET sql_select_limit = DEFAULT",
      "SET group_concat_max_len = 4",
      "SET lc_time_names = 'de_DE'",
      "SET lc_messages = 'de_DE'",
      "SET timestamp = 1700000000",
      "SET timestamp = 1700000000.5",
      "SET div_precision_increment = {n}",
      "SET max_sort_length = 4",
      "SET default_week_format = 3",
      "SET max_recursive_iterations = 2",
      "SET nothing = 1",
      "SET SESSION sql_mode = 'no_such_mode'",
      "SET rand_seed1 = 1, rand_seed2 = 2",
      "SET big_tables = 1",
      "SET sql_safe_updates = 1",
      "SET sql_warnings = 1",
      "SET optimizer_switch = 'index_merge=off'",
      "SET old_mode = 'ZERO_DATE_TIME_CAST'",
      "SET collation_connection = latin1_german2_ci",
      "SET character_set_results = NULL",
      "SET max_statement_time = 10, sql_quote_show_create = 0",
      "SET STATEMENT sql_mode = 'ANSI_QUOTES' FOR SELECT \"id\" FROM t ORDER BY id LIMIT 1",
      "SET STATEMENT sql_select_limit = 1 FOR SELECT id FROM t ORDER BY id",
      "SET STATEMENT sql_mode = 'ANSI_QUOTES', lc_time_names = 'de_DE' FOR INSERT INTO t (a) "
      "VALUES "
      "(1)",
      "SET STATEMENT sql_select_limit = 1 FOR UPDATE t SET a = {n} WHERE id = {k}",
      "SET STATEMENT lc_time_names = 'de_DE' FOR SET group_concat_max_len = 5",
      "DO 1; SET STATEMENT lc_time_names = 'de_DE' FOR INSERT INTO t (a) VALUES (2)",
      "SET @@session.div_precision_increment = {k}, @v = 3, time_zone = 'SYSTEM'",
      "CALL d_lib.p_mode()",
      "CALL d_lib.p_set(3)",
      "SET session_track_system_variables = ''",
      "SET session_track_schema = 0",
      "SET system_versioning_alter_history = KEEP",
      "EXECUTE IMMEDIATE 'SET sql_mode = ''ANSI_QUOTES'''",
      "SET tmp_table_size = 1024",
      "SET default_storage_engine = MyISAM",
      "SET sql_if_exists = 1",
      "SELECT \"id\" FROM t ORDER BY id LIMIT 1",
      "SELECT 'a\\' , id FROM t LIMIT 1 -- '",
      "SELECT 'a' || 'b', 1 || 0",
      "SELECT GROUP_CONCAT(b ORDER BY id) FROM t",
      "SELECT FROM_UNIXTIME(86400), at FROM u ORDER BY k",
      "SELECT 1/3, 2/7, AVG(a) FROM t",
      "SELECT DATE_FORMAT('2024-03-05', '%M %W'), WEEK('2024-03-05')",
      "SELECT YEAR(NOW()), UNIX_TIMESTAMP() < 1700000002",
      "SELECT @@sql_mode, @@time_zone",
      "SELECT HEX('{bytes}'), CHARSET('a'), COLLATION('a'), '{bytes}'",
      "SELECT b FROM t ORDER BY b, id",
      "SELECT '{bytes}' = b, id FROM t ORDER BY id",
      "SELECT 1, 'a' -- \"\n FROM u WHERE k = 1",
      "SELECT \"a\\\" , k FROM u LIMIT 1 -- \"",
      "SELECT RAND() < 2, RAND(3)",
      "SHOW VARIABLES LIKE 'sql_mode'",
      "SELECT nothing FROM t",
      "WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r WHERE n < 9) "
      "SELECT COUNT(*) FROM r",
      "SELECT CAST('2000-01-01 10:00:00' AS DATETIME) = CAST('10:00:00' AS TIME)",
      "SHOW CREATE TABLE t",
      "CREATE OR REPLACE TABLE x AS SELECT {n} AS a"}},
    {"charsets",
     {"SET NAMES {charset}",
      "SET NAMES {charset}",
      "SET CHARACTER SET {charset}",
      "SET character_set_client = {charset}",
      "SET character_set_results = {charset}",
      "SET character_set_connection = {charset}",
      "SET NAMES utf8mb4 COLLATE utf8mb4_bin",
      "SET sql_mode = 'NO_BACKSLASH_ESCAPES'",
      "SET sql_mode = ''",
      "SELECT HEX('{bytes}'), '{bytes}'",
      "SELECT '{bytes}', CHARSET('{bytes}')",
      "SELECT '{bytes}', ' FROM t -- '",
      "SELECT \"{bytes}\", k FROM u ORDER BY k",
      "SELECT CHAR_LENGTH('{bytes}'), k FROM u",
      "INSERT INTO t (b) VALUES ('{bytes}')",
      "SELECT b, HEX(b) FROM t ORDER BY id",
      "SELECT id FROM t WHERE b = '{bytes}'",
      "SELECT `{bytes}` FROM t",
      "SELECT 1 AS `{bytes}` FROM u LIMIT 1",
      "USE d_1",
      "USE d_0",
      "\\prepare 0 SELECT b, ? FROM t WHERE b = ?",
      "\\execute 0 s{bytes}|sone",
      "SELECT @@character_set_client, @@character_set_connection, @@character_set_results",
      "SELECT @@character_set_database, @@collation_connection",
      "SELECT _latin1'{bytes}', N'a'"}},
    {"transactions",
     {"BEGIN",
      "START TRANSACTION",
      "START TRANSACTION READ ONLY",
      "COMMIT",
      "COMMIT",
      "ROLLBACK",
      "START TRANSACTION WITH CONSISTENT SNAPSHOT",
      "SAVEPOINT {point}",
      "ROLLBACK TO {point}",
      "RELEASE SAVEPOINT {point}",
      "SET autocommit = 0",
      "SET autocommit = 1",
      "SET @@autocommit = 1",
      "COMMIT AND CHAIN",
      "ROLLBACK AND CHAIN",
      "SET TRANSACTION READ ONLY",
      "SET TRANSACTION READ WRITE",
      "SET SESSION TRANSACTION READ ONLY",
      "SET SESSION TRANSACTION READ WRITE",
      "SET SESSION TRANSACTION ISOLATION LEVEL {level}",
      "SET TRANSACTION ISOLATION LEVEL {level}",
      "SET tx_isolation = 'READ-COMMITTED'",
      "SELECT @@tx_isolation, @@tx_read_only",
      "SELECT @@in_transaction, @@autocommit",
      "SELECT id FROM t WHERE id = {n} FOR UPDATE",
      "SELECT id FROM t WHERE id = {n} LOCK IN SHARE MODE",
      "CREATE TABLE IF NOT EXISTS x (a INT)",
      "SELECT id FROM t ORDER BY id FOR UPDATE",
      "CALL d_lib.p_begin()",
      "CALL d_lib.p_autocommit()",
      "BEGIN; INSERT INTO t (a) VALUES (8); COMMIT",
      "SET STATEMENT max_statement_time = 9 FOR INSERT INTO t (a) VALUES (1)",
      "SET @v = 1",
      "SET completion_type = 1",
      "SET completion_type = 0",
      "ANALYZE TABLE t"}},
    {"databases",
     {"USE d_0",
      "USE d_1",
      "USE nothing",
      "\\init_db d_1",
      "\\init_db d_0",
      "\\init_db nothing",
      "SELECT DATABASE()",
      "SELECT DATABASE(), SCHEMA()",
      "CREATE DATABASE IF NOT EXISTS d_2",
      "DROP DATABASE IF EXISTS d_2",
      "USE d_2",
      "CREATE TABLE d_2.t (id INT, a INT, b INT)",
      "CREATE DATABASE d_2 CHARACTER SET gbk",
      "SELECT k, v FROM d_1.u ORDER BY k",
      "SELECT @@character_set_database, @@collation_database",
      "SHOW TABLES",
      "CREATE TABLE IF NOT EXISTS x (b VARCHAR(9))",
      "SHOW CREATE TABLE x",
      "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = DATABASE()",
      "SELECT table_name FROM information_schema.tables WHERE table_schema = 'd_1' ORDER BY 1",
      "USE information_schema",
      "SELECT COUNT(*) FROM tables WHERE table_schema = 'd_0'",
      "\\change_user app d_1",
      "\\change_user other d_0",
      "\\change_user app",
      "SELECT USER()",
      "SELECT CURRENT_USER(), DATABASE()"}},
    {"ddl",
     {"CREATE TABLE x (a INT)",
      "CREATE TABLE IF NOT EXISTS x (a INT, b TEXT)",
      "DROP TABLE x",
      "DROP TABLE IF EXISTS x",
      "CREATE TABLE x LIKE t",
      "CREATE TABLE x AS SELECT id, b FROM t",
      "ALTER TABLE t ADD COLUMN IF NOT EXISTS e INT DEFAULT {n}",
      "ALTER TABLE t DROP COLUMN c",
      "ALTER TABLE t AUTO_INCREMENT = 50",
      "RENAME TABLE t TO y",
      "RENAME TABLE y TO t",
      "SELECT * FROM t ORDER BY id",
      "SELECT * FROM x LIMIT 1",
      "CREATE INDEX i ON t (a)",
      "CREATE OR REPLACE VIEW w AS SELECT k AS id, v AS b FROM u",
      "SELECT * FROM w ORDER BY id",
      "DESCRIBE t",
      "SHOW TABLES",
      "EXPLAIN SELECT * FROM t WHERE id = 1",
      "CHECK TABLE t",
      "SHOW FULL COLUMNS FROM u",
      "TRUNCATE u",
      "\\field_list t",
      "\\field_list x",
      "\\prepare 0 SELECT * FROM t ORDER BY id",
      "\\execute 0 i1",
      "\\prepare 1 SELECT * FROM x",
      "\\execute 1 i1"}},
    {"temporary",
     {"CREATE TEMPORARY TABLE t (id INT, a INT, b INT)",
      "DROP TEMPORARY TABLE t",
      "CREATE TEMPORARY TABLE x LIKE u",
      "CREATE TEMPORARY TABLE x AS SELECT k, v FROM u",
      "CREATE OR REPLACE TEMPORARY TABLE x (a INT)",
      "INSERT INTO x VALUES ({n})",
      "DROP TEMPORARY TABLE IF EXISTS t, x",
      "DROP TABLE IF EXISTS x",
      "SELECT * FROM x",
      "SELECT * FROM t ORDER BY id",
      "ALTER TABLE x ADD COLUMN e INT",
      "CALL d_lib.p_temporary()",
      "SELECT * FROM d_lib.temporary",
      "\\prepare 1 CREATE TEMPORARY TABLE x AS SELECT 3 AS k",
      "\\execute 1 i1",
      "\\prepare 0 SELECT COUNT(*), ? FROM t",
      "\\execute 0 {values}",
      "EXECUTE IMMEDIATE 'CREATE TEMPORARY TABLE x (k INT)'",
      "ALTER TABLE t RENAME TO z",
      "/*!50000 CREATE TEMPORARY TABLE */ x (k INT)",
      "\\reset_connection",
      "SHOW TABLES",
      "CREATE /* */ TEMPORARY -- \n TABLE IF NOT EXISTS t AS SELECT 9 AS id",
      "DESCRIBE x"}},
    {"text prepared",
     {"PREPARE {name} FROM 'SELECT a, b FROM t WHERE id = ?'",
      "PREPARE {name} FROM 'SELECT 1/0'",
      "PREPARE {name} FROM 'INSERT INTO t (a) VALUES (?)'",
      "PREPARE {name} FROM @s",
      "PREPARE {name} FROM 'SET @v = ?'",
      "PREPARE {name} FROM 'SELECT @v, COUNT(*) FROM t'",
      "PREPARE {name} FROM 'CREATE TEMPORARY TABLE x (k INT)'",
      "EXECUTE {name} USING @v",
      "EXECUTE {name}",
      "EXECUTE {name} USING 3",
      "DEALLOCATE PREPARE {name}",
      "SET @v = {k}",
      "DROP PREPARE {name}",
      "PREPARE {name} FROM 'SELEC'",
      "SET @s = 'SELECT id FROM t LIMIT 1'",
      "EXECUTE IMMEDIATE 'SELECT id FROM t ORDER BY id LIMIT 1'",
      "EXECUTE IMMEDIATE @s",
      "EXECUTE IMMEDIATE 'INSERT INTO t (a) VALUES (?)' USING {n}",
      "SHOW WARNINGS",
      "EXECUTE IMMEDIATE 'SET time_zone = ''+01:00'''",
      "SELECT at FROM u ORDER BY k"}},
    {"binary prepared",
     {"\\prepare {slot} SELECT a, b, c FROM t WHERE id > ? ORDER BY id",
      "\\prepare {slot} SELECT ?, ?, k FROM u ORDER BY k",
      "\\prepare {slot} {read}",
      "\\prepare {slot} {write}",
      "\\prepare {slot} INSERT INTO t (a, b) VALUES (?, ?)",
      "\\prepare {slot} SELECT * FROM u WHERE v = ? OR k = ? ORDER BY k",
      "\\prepare {slot} SELECT id FROM t ORDER BY id LIMIT ?",
      "\\prepare {slot} UPDATE t SET b = ? WHERE id = ?",
      "\\prepare {slot} SELECT 1/?, a/0 FROM t",
      "\\prepare {slot} CALL d_lib.p_results(?)",
      "\\prepare {slot} SELEC ?",
      "\\prepare {slot} CALL d_lib.p_out(?)",
      "\\prepare {slot} SELECT b FROM t FOR UPDATE",
      "\\prepare {slot} BEGIN",
      "\\prepare {slot} SET sql_mode = ?",
      "\\prepare {slot} SELECT LENGTH(?), MD5(?) FROM u",
      "\\execute {slot} {values}",
      "\\execute {slot} {values}",
      "\\execute {slot} {values}",
      "\\execute {slot} i{n}|i{k}|i1",
      "\\execute {slot} i{n}|i{k}|i1",
      "\\execute {slot} s{n}|sone",
      "\\execute {slot} b{n}|bone",
      "\\cursor {slot} {values}",
      "\\cursor {slot} i{n}",
      "\\fetch {slot} {k}",
      "\\fetch {slot} 9",
      "\\reset_statement {slot}",
      "\\close {slot}",
      "\\reset_connection",
      "SHOW WARNINGS",
      "SELECT ROW_COUNT(), LAST_INSERT_ID()",
      "\\execute {slot} N|N|N"}},
    {"several",
     {"SELECT 1; SELECT 2",
      "{read}; {read}",
      "{write}; {read}",
      "{read}; {write}",
      "SET @v = {n}; SELECT @v",
      "BEGIN; {read}",
      "{read}; SELEC",
      "{read};",
      ";{read}",
      ";",
      "SELECT 1/0; SHOW WARNINGS",
      "{read}; SELECT FOUND_ROWS()",
      "COMMIT; {read}",
      "",
      "{read}; SET sql_mode = 'ANSI_QUOTES'; SELECT \"id\" FROM t LIMIT 1",
      "-- nothing",
      "CREATE TEMPORARY TABLE x (k INT); SELECT * FROM x",
      "USE d_1; SELECT DATABASE()",
      "BEGIN NOT ATOMIC SELECT 1; SELECT 2/0; END",
      "SELECT 1 /* ; */; SELECT ';'",
      "BEGIN NOT ATOMIC SET @v = 3; SET SESSION sql_select_limit = 1; END",
      "IF 1 THEN SELECT 3; END IF",
      "SELECT /*! 1 + */ 1",
      "/*M!100100 SET @v = 8 */",
      "SELECT 1 /*!99999999 + 1 */",
      "/* hint */ {read}",
      "# x\n{read}",
      "SELECT 1 FROM DUAL",
      "SELECT @v",
      "SHOW WARNINGS",
      "SELECT DATABASE()"}},
    {"programs",
     {"CALL d_lib.p_results({n})",
      "CALL d_lib.p_set({n})",
      "CALL d_lib.p_mode()",
      "CALL d_lib.p_temporary()",
      "CALL d_lib.p_begin()",
      "CALL d_lib.p_error()",
      "CALL d_lib.p_out(@v)",
      "CALL d_lib.nothing()",
      "SELECT d_lib.f_write({n})",
      "SELECT d_lib.f_write(a) FROM t ORDER BY id",
      "DO d_lib.f_write({n})",
      "SELECT a FROM d_lib.v_write",
      "SELECT a FROM d_lib.v_lock",
      "SELECT a FROM d_lib.v_set",
      "SELECT id FROM t WHERE a > d_lib.f_set({k})",
      "SELECT d_lib.f_warn(), COUNT(*) FROM t",
      "SELECT @v, @w",
      "SELECT GROUP_CONCAT(b) FROM t",
      "SELECT at FROM u ORDER BY k",
      "SELECT COUNT(*) FROM d_lib.log",
      "SHOW WARNINGS",
      "ROLLBACK",
      "SELECT @@autocommit",
      "SELECT LAST_INSERT_ID(), ROW_COUNT()",
      "CREATE FUNCTION f() RETURNS INT RETURN {n}",
      "SELECT f()",
      "DROP FUNCTION f",
      "CREATE OR REPLACE FUNCTION f() RETURNS INT RETURN 3",
      "CREATE TRIGGER g BEFORE INSERT ON t FOR EACH ROW SET @v = NEW.a",
      "SHOW PROCEDURE STATUS LIKE 'nothing'",
      "SHOW CREATE FUNCTION d_lib.f_pure"}},
    {"roles",
     {"SET ROLE r", "SET ROLE NONE", "SELECT a FROM role_only.t", "SELECT CURRENT_ROLE()",
      "SET ROLE nobody", "SELECT CURRENT_USER(), a FROM role_only.t", "USE role_only",
      "SELECT DATABASE(), a FROM t", "USE d_0", "\\reset_connection", "\\change_user app d_0",
      "EXECUTE IMMEDIATE 'SET ROLE r'", "SHOW GRANTS FOR CURRENT_ROLE"}},
    {"connections",
     {"\\connect", "\\connect no_database", "\\connect found_rows", "\\connect ignore_space",
      "\\connect found_rows ignore_space interactive", "\\several off", "\\several on",
      "SELECT 1; SELECT 2", "UPDATE t SET a = a WHERE id < 3", "SELECT COUNT (*) FROM t",
      "SELECT f (1), id FROM t", "USE d_0",
      "INSERT INTO u (k, v) VALUES (1, 'a') ON DUPLICATE KEY UPDATE v = 'a'", "SELECT DATABASE()",
      "SELECT v FROM d_1.u ORDER BY k", "SET @v = 1", "SELECT @v", "\\ping", "{read}; {read}"}},
    {"direct",
     {"\\direct {slot} {read}",
      "\\direct {slot} {read}",
      "\\direct {slot} {write}",
      "\\execute {slot} {values}",
      "\\direct {slot} SELEC",
      "\\close {slot}",
      "USE d_1",
      "USE d_0",
      "\\direct {slot} SELECT 1/0",
      "SHOW WARNINGS",
      "\\direct {slot} SET @v = {n}",
      "SELECT @v",
      "\\prepare {slot} INSERT INTO t (a) VALUES (?)",
      "\\bulk {slot} i{n}|i{k}|i8",
      "BEGIN",
      "\\prepare {slot} UPDATE t SET a = a + 1 WHERE id = ?",
      "\\bulk {slot} i1|i1",
      "COMMIT",
      "\\prepare {slot} SELECT id FROM t WHERE id = ?",
      "\\bulk {slot} i1|i2",
      "SELECT ROW_COUNT()",
      "\\prepare {slot} INSERT INTO u (k) VALUES (?)",
      "\\bulk {slot} i{n}|i{k}|i{n}"}},
    {"versions",
     {"CREATE OR REPLACE TABLE x (a INT) WITH SYSTEM VERSIONING",
      "INSERT INTO x VALUES ({n}), ({k})", "DELETE FROM x WHERE a = {n}",
      "SELECT COUNT(*) FROM x FOR SYSTEM_TIME ALL", "SELECT * FROM x",
      "SET system_versioning_asof = '2001-01-01'", "SET system_versioning_asof = DEFAULT",
      "SELECT COUNT(*) FROM x FOR SYSTEM_TIME AS OF NOW()", "SHOW CREATE TABLE x"}},
    {"sequences",
     {"SELECT NEXTVAL(s)", "SELECT NEXT VALUE FOR s", "SELECT LASTVAL(s)",
      "SELECT PREVIOUS VALUE FOR s", "SELECT SETVAL(s, 5{n})", "ALTER SEQUENCE s RESTART {n}",
      "INSERT INTO t (a) VALUES (NEXTVAL(s))", "SELECT next_not_cached_value FROM s",
      "CREATE OR REPLACE SEQUENCE s START WITH {n}", "DO NEXTVAL(s)",
      "\\prepare 0 SELECT NEXTVAL(s), ?", "\\execute 0 {values}",
      "CREATE OR REPLACE TABLE x (a INT DEFAULT NEXTVAL(s))", "INSERT INTO x VALUES ()",
      "CREATE VIEW v AS SELECT NEXTVAL(s) AS a", "SELECT a FROM v"}},
    {"locks",
     {"SELECT GET_LOCK('l{k}', 0)", "SELECT GET_LOCK('l{k}', 0), COUNT(*) FROM t",
      "SELECT RELEASE_LOCK('l{k}')", "SELECT RELEASE_ALL_LOCKS()", "SELECT IS_FREE_LOCK('l{k}')",
      "DO GET_LOCK('l{k}', 0)", "SELECT a FROM d_lib.v_lock", "SELECT IS_FREE_LOCK('view')",
      "SELECT IS_USED_LOCK('l{k}') IS NULL", "HANDLER t OPEN", "HANDLER t READ FIRST",
      "HANDLER t READ NEXT LIMIT 2", "HANDLER t CLOSE", "HANDLER u OPEN AS h",
      "HANDLER h READ `PRIMARY` = (2)", "HANDLER h CLOSE", "\\reset_connection"}},
    {"xa",
     {"XA START 'x{session}'", "XA END 'x{session}'", "XA PREPARE 'x{session}'",
      "XA COMMIT 'x{session}'", "XA ROLLBACK 'x{session}'", "XA COMMIT 'x{session}' ONE PHASE",
      "XA START 'x{session}'; {write}; XA END 'x{session}'; XA PREPARE 'x{session}'", "XA RECOVER",
      "{write}", "{read}", "SELECT @@in_transaction"}},
    {"protocol",
     {"\\ping",
      "\\field_list t",
      "\\field_list nothing",
      "\\reset_connection",
      "\\change_user app d_0",
      "\\change_user other d_1",
      "\\init_db d_1",
      "\\init_db d_0",
      "SELECT REPEAT('x', 70000), id FROM t ORDER BY id",
      "SELECT REPEAT('x', 200000) FROM u",
      "SELECT @v, @@sql_mode, DATABASE()",
      "SET @v = 2",
      "SET NAMES latin1",
      "SELECT CHARSET('a'), USER()",
      "SHOW VARIABLES LIKE 'character_set_c%'",
      "SELECT 1 FROM t WHERE 1 = 0",
      "SELECT NULL, '', 0x00, 1e300, -1, 18446744073709551615",
      "SELECT '' FROM t UNION ALL SELECT NULL",
      "SET sql_mode = 'ANSI_QUOTES'",
      "{read} -- x",
      "KILL QUERY 0",
      "EXPLAIN SELECT id FROM t",
      "ANALYZE SELECT 1",
      "SHOW STATUS LIKE 'nothing'",
      "SELECT * FROM u PROCEDURE ANALYSE()",
      "HELP 'nothing'",
      "SELECT BENCHMARK(1, 1)"}},
    // What has to be alone: another session would see it, or be kept waiting.
    {"table locks",
     {"LOCK TABLES t WRITE", "LOCK TABLES t READ, u WRITE", "LOCK TABLES u READ", "UNLOCK TABLES",
      "LOCK TABLES t WRITE, d_lib.log WRITE", "SELECT COUNT(*) FROM u", "BEGIN", "COMMIT",
      "LOCK TABLE w READ", "SELECT * FROM w ORDER BY id", "FLUSH TABLES t WITH READ LOCK",
      "CREATE OR REPLACE TEMPORARY TABLE x (a INT)", "SELECT * FROM x", "DROP TABLE u",
      "LOCK TABLES nothing READ", "SET autocommit = 0"}},
    {"other engines",
     {"ALTER TABLE t ENGINE = MyISAM", "CREATE OR REPLACE TABLE x (a INT) ENGINE = MyISAM",
      "CREATE OR REPLACE TABLE x (a INT) ENGINE = Aria", "CREATE OR REPLACE TABLE x (a INT)",
      "INSERT INTO x VALUES ({n}), ({k})", "INSERT INTO x SELECT id FROM t", "SELECT * FROM x",
      "SELECT COUNT(*) FROM x", "BEGIN", "ROLLBACK", "COMMIT", "DELETE FROM x WHERE a = {n}",
      "SELECT COUNT(*) FROM t", "SHOW WARNINGS",
      "CREATE OR REPLACE TABLE x (a INT) ENGINE = MEMORY"}},
};

const std::map<std::string_view, Patterns> kWords = {
    {"n", {"0", "1", "2", "3", "4", "5", "7", "9"}},
    {"k", {"0", "1", "2", "3"}},
    {"slot", {"0", "1", "2"}},
    {"name", {"p", "q"}},
    {"point", {"here", "there"}},
    {"text", {"''", "'one'", "'ONE'", "'it''s'", "'a\\'b'", "NULL", "'\xc3\xa4'", "'a;b'", "7"}},
    {"charset",
     {"utf8mb4", "latin1", "gbk", "sjis", "big5", "binary", "utf8mb3", "cp932", "koi8r"}},
    {"bytes",
     {"\xc3\xa4", "a", "\xbf\\'", "\x95\\", "\xe4", "\xbf''", "\x83\x5c", "\xa4\xa4", "\\'",
      "\xff"}},
    {"level", {"READ UNCOMMITTED", "READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"}},
    {"value",
     {"i{n}", "i{k}", "l9000000000", "d1.5", "sone", "s{n}", "s", "N", "bone", "s\xc3\xa4"}},
    {"values", {"{value}|{value}|{value}"}},
};

/// Topics that only a session which is alone may have.
constexpr std::string_view kAlone[] = {"table locks", "other engines"};

class Generator {
 public:
  explicit Generator(uint64_t seed) : random_(seed) { out_.seed = seed; }

  SplitSequence make() {
    constexpr int kMinSteps = 4, kMaxSteps = 30;
    sessions_ = random_.one_in(2) ? 1 : 2 + random_.below(2);
    const bool lags = sessions_ == 1 && random_.below(3) < 2;
    out_.in_step = !lags;
    choose_topics();
    const int steps = kMinSteps + random_.below(kMaxSteps - kMinSteps);
    int session = 0;
    if (lags && random_.one_in(2))
      for (const char* order : {"hold 0", "hold 1"})
        out_.steps.push_back({SplitStep::kWorld, order});
    while (static_cast<int>(out_.steps.size()) < steps) {
      if (lags && random_.one_in(12)) add_lag();
      if (random_.one_in(3)) session = random_.below(sessions_);
      session_ = session;
      out_.steps.push_back({session, expanded(pattern(random_.any_of(topics_)))});
    }
    keep_transactions();
    return std::move(out_);
  }

 private:
  /// The fewer there are, the more they meet.
  void choose_topics() {
    std::vector<std::string_view> all;
    for (const auto& [name, patterns] : kTopics)
      if (sessions_ == 1 || std::ranges::find(kAlone, name) == std::end(kAlone))
        all.push_back(name);
    topics_ = {"read", "read", "write"};
    for (int i = 1 + random_.below(4); i > 0; --i) {
      const auto topic = random_.any_of(all);
      topics_.insert(topics_.end(), 2, topic);
    }
  }
  /// MariaDB 10.11 leaves a transaction without an owner behind, and its locks, where a session
  /// that has prepared it is reset and then rolls it back.
  void keep_transactions() {
    const auto is_xa = [](const SplitStep& step) {
      return step.text.find("XA ") != std::string::npos;
    };
    if (std::ranges::none_of(out_.steps, is_xa)) return;
    std::erase_if(out_.steps, [](const SplitStep& step) {
      return step.text.starts_with("\\change_user") || step.text == "\\reset_connection";
    });
  }
  void add_lag() {
    static const std::vector<std::string> kOrders = {"hold", "hold", "release", "stop", "start"};
    out_.steps.push_back(
        {SplitStep::kWorld, fmt::format("{} {}", random_.any_of(kOrders), random_.below(2))});
  }
  std::string_view pattern(std::string_view topic) {
    const auto found = kTopics.find(topic);
    return random_.any_of(found != kTopics.end() ? found->second : kWords.at(topic));
  }
  std::string expanded(std::string_view text) {
    std::string out;
    for (std::size_t at = 0; at < text.size();) {
      const auto open = std::min(text.find('{', at), text.size());
      out += text.substr(at, open - at);
      if (open == text.size()) break;
      const auto close = text.find('}', open);
      const auto name = text.substr(open + 1, close - open - 1);
      out += name == "session" ? fmt::format("{}", session_) : expanded(pattern(name));
      at = close + 1;
    }
    return out;
  }

  Random random_;
  SplitSequence out_;
  std::vector<std::string_view> topics_;
  int sessions_ = 1, session_ = 0;
};

std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const auto code = static_cast<unsigned char>(c);
    if (c == '%' || code < ' ' || code >= 0x7F)
      out += fmt::format("%{:02x}", code);
    else
      out += c;
  }
  return out;
}

std::string unescaped(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%' || i + 2 >= text.size()) {
      out += text[i];
      continue;
    }
    out += static_cast<char>(std::stoi(std::string(text.substr(i + 1, 2)), nullptr, 16));
    i += 2;
  }
  return out;
}

}  // namespace

std::string SplitSequence::shown() const {
  std::string out;
  for (const auto& step : steps) {
    const auto who = step.session == SplitStep::kWorld ? "-" : fmt::format("{}", step.session);
    out += fmt::format("{}> {}\n", who, escaped(step.text));
  }
  return out;
}

SplitSequence random_split_sequence(uint64_t seed) {
  return Generator(seed).make();
}

SplitSequence with_borrowers(SplitSequence sequence) {
  Random random(sequence.seed);
  auto steps = std::move(sequence.steps);
  sequence.steps.clear();
  for (auto& step : steps) {
    sequence.steps.push_back(std::move(step));
    if (random.one_in(2)) sequence.steps.push_back({SplitStep::kWorld, "borrow primary"});
    for (const char* order : {"borrow 0", "borrow 1"})
      if (random.one_in(4)) sequence.steps.push_back({SplitStep::kWorld, order});
  }
  return sequence;
}

SplitSequence parse_split_sequence(const std::string& text, bool in_step) {
  SplitSequence out{.in_step = in_step};
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) {
    const auto end = line.find("> ");
    if (end == std::string::npos) continue;
    const auto who = line.substr(0, end);
    out.steps.push_back(
        {who == "-" ? SplitStep::kWorld : std::stoi(who), unescaped(line.substr(end + 2))});
  }
  return out;
}

}  // namespace sluice::test
