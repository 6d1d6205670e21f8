/// Plain forms of statements that take or let go of what a session holds.
#include "worker/sql/holdings.h"

#include <gmock/gmock.h>

#include "tests/worker/sql/cases.h"

namespace sluice::sql {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

TEST(Holdings, DroppedTables) {
  const auto dropped = [](std::string_view text) { return dropped_tables(text, kMulti, "d"); };
  EXPECT_THAT(dropped("DROP TABLE t"), ElementsAre("d.t"));
  EXPECT_THAT(dropped("drop temporary table if exists `a b` , e.f,`g`.`h` ;"),
              ElementsAre("d.a b", "e.f", "g.h"));
  EXPECT_THAT(dropped("DROP TABLES /* x */ t RESTRICT"), ElementsAre("d.t"));
  for (const auto* text :
       {"", "DROP TABLE", "DROP TABLE t; SELECT 1", "DROP TABLE t, ", "DROP VIEW t",
        "DROP TABLE 'a'", "DROP TABLE t WAIT 1", "DROP TABLE a.", "SELECT 1", "DROP TABLE a.b.c",
        "DROP SEQUENCE t", "DROP TABLE `a.b`", "DROP TABLE t\xC3\xA9"})
    EXPECT_THAT(dropped(text), IsEmpty()) << text;
  EXPECT_THAT(dropped_tables("DROP TABLE t", kMulti, ""), IsEmpty());
}

TEST(Holdings, LockCalls) {
  using What = LockCall::What;
  const auto call = [](std::string_view text) { return lock_call(text, kMulti); };
  EXPECT_EQ(call("SELECT GET_LOCK('a', 10)").what, What::takes);
  EXPECT_EQ(call("do get_lock('a b',-1.5) ;").name, "'a b'");
  EXPECT_EQ(call("SELECT RELEASE_LOCK('a') AS x").what, What::releases);
  EXPECT_EQ(call("SELECT RELEASE_LOCK('a') 'x'").name, "'a'");
  EXPECT_EQ(call("SELECT RELEASE_ALL_LOCKS()").what, What::releases_all);
  for (const auto* text :
       {"SELECT GET_LOCK(@a, 1)", "SELECT GET_LOCK('a', 1) FROM t", "SELECT GET_LOCK('a', 1), 1",
        "SELECT RELEASE_LOCK('a') IS NULL", "SELECT RELEASE_LOCK(CONCAT('a'))", "SELECT 1",
        "SELECT RELEASE_ALL_LOCKS() + GET_LOCK('a', 1)", "SELECT RELEASE_LOCK('a'); SELECT 1",
        "SELECT GET_LOCK('a' 'b', 1)", "INSERT INTO t SELECT RELEASE_ALL_LOCKS()",
        "SELECT GET_LOCK("})
    EXPECT_EQ(call(text).what, What::none) << text;
}

TEST(Holdings, Handlers) {
  EXPECT_EQ(handler_name("HANDLER t OPEN", kMulti), "t");
  EXPECT_EQ(handler_name("handler `t` close;", kMulti), "t");
  for (const auto* text : {"HANDLER t OPEN AS a", "HANDLER d.t OPEN", "HANDLER t READ FIRST"})
    EXPECT_EQ(handler_name(text, kMulti), "") << text;
}

}  // namespace
}  // namespace sluice::sql
