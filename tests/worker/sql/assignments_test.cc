/// SET, item by item.
#include "worker/sql/assignments.h"

#include <gmock/gmock.h>

#include <vector>

#include "tests/worker/sql/cases.h"
#include "tests/worker/sql/texts.h"

namespace sluice::sql {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr std::string_view kKinds[] = {"sys",  "user",         "names",    "charset", "transaction",
                                       "role", "default role", "password", "user id", "other"};
constexpr std::string_view kScopes[] = {"session", "global", "persist", "persist_only", "next"};

/// "scope kind name = value", with "!" behind it where the value is not constant.
std::vector<std::string> items(std::string_view text, const Mode& mode = kMulti) {
  std::vector<std::string> all;
  Assignments list(text, mode);
  while (const auto item = list.next()) {
    all.push_back(fmt::format("{} {} {}={}{}", kScopes[static_cast<int>(item->scope)],
                              kKinds[static_cast<int>(item->kind)], item->name.value(), item->value,
                              item->constant ? "" : "!"));
    if (!item->collation.empty()) all.back() += fmt::format(" collate {}", item->collation);
  }
  return all;
}

TEST(Assignments, OfVariables) {
  EXPECT_THAT(items("SET a = 1, SESSION b='x,y', @@c := -2.5, @@session.d=ON, local e = utf8"),
              ElementsAre("session sys a=1", "session sys b='x,y'", "session sys c=-2.5",
                          "session sys d=ON", "session sys e=utf8"));
  EXPECT_THAT(items("SET GLOBAL a=1, @@global.b=2, PERSIST c=3, @@persist_only.d=4, e=5"),
              ElementsAre("global sys a=1", "global sys b=2", "persist sys c=3",
                          "persist_only sys d=4", "session sys e=5"));
  EXPECT_THAT(items("SET @a=1, @`b c`:='x', @'d' = NULL, @e = @f"),
              ElementsAre("session user a=1", "session user b c='x'", "session user d=NULL",
                          "session user e=@f!"));
  EXPECT_THAT(items("SET GLOBAL hot.key_buffer_size = 5, @@`sql_mode` = ''"),
              ElementsAre("global sys key_buffer_size=5", "session sys sql_mode=''"));
  EXPECT_THAT(items("SET transaction_isolation='SERIALIZABLE', @@transaction_isolation='x', "
                    "@@session.tx_read_only=1, names=1, role=2"),
              ElementsAre("session sys transaction_isolation='SERIALIZABLE'",
                          "next sys transaction_isolation='x'", "session sys tx_read_only=1",
                          "session sys names=1", "session sys role=2"));
}

TEST(Assignments, OfOneStatement) {
  const auto names = [](std::string_view text) { return variables_for_statement(text, kMulti); };
  EXPECT_THAT(
      names("SET STATEMENT a=1, `B`=(SELECT max(x, y) FOR), c = 'for, d=5' FOR SELECT e=1, f"),
      ElementsAre("a", "b", "c"));
  EXPECT_THAT(
      names("/* 1 */ set /*!statement*/ Max_Statement_Time=2 for SET STATEMENT x=1 FOR DO 1"),
      ElementsAre("max_statement_time"));
  for (const auto* text : {"SET a=1", "SELECT 1", "", "SET", "SET STATEMENT", "SET STATEMENT; a=1"})
    EXPECT_THAT(names(text), IsEmpty()) << text;
}

/// MariaDB tells that they were set where their scope is said, or they stand without @@.
TEST(Assignments, WhatNoServerTells) {
  const auto untold = [](std::string_view text) {
    std::vector<std::string> names;
    Assignments list(text, kMulti);
    while (const auto item = list.next())
      if (item->untold) names.push_back(item->name.value());
    return names;
  };
  EXPECT_THAT(untold("SET @@a = 1, b = 2, @@session.c = 3, @@local.d = 4, @@`e` := 5"),
              ElementsAre("a", "e"));
  EXPECT_THAT(untold("SET SESSION a = 1, @@global.b = 2, @c = @@d, @@tx_isolation = 'x'"),
              IsEmpty());
  EXPECT_THAT(untold("SELECT 1; SET @@a = 1; SET NAMES latin1, @@b = 2"), ElementsAre("a", "b"));
}

TEST(Assignments, ConstantsAndOthers) {
  EXPECT_THAT(
      items("SET a=DEFAULT, b=NOW(), c=(SELECT 1, 2), d=CONCAT('a','b'), e=1+1, f=@@g"),
      ElementsAre("session sys a=DEFAULT!", "session sys b=NOW()!", "session sys c=(SELECT 1, 2)!",
                  "session sys d=CONCAT('a','b')!", "session sys e=1+1!", "session sys f=@@g!"));
  EXPECT_THAT(items("SET a=x'41', b=N'c', c=0x1F, d=-'x', e=- 5, f='a' 'b'"),
              ElementsAre("session sys a=x'41'", "session sys b=N'c'", "session sys c=0x1F",
                          "session sys d=-'x'!", "session sys e=- 5", "session sys f='a' 'b'!"));
  EXPECT_THAT(items("SET a = /* x */ 1 /* y */ , b = 2 -- z"),
              ElementsAre("session sys a=1", "session sys b=2"));
}

TEST(Assignments, OfOtherKinds) {
  EXPECT_THAT(items("SET NAMES utf8mb4"), ElementsAre("session names =utf8mb4"));
  EXPECT_THAT(items("SET NAMES 'gbk' COLLATE gbk_bin, @a=1"),
              ElementsAre("session names ='gbk' collate gbk_bin", "session user a=1"));
  EXPECT_THAT(items("SET NAMES DEFAULT"), ElementsAre("session names =DEFAULT!"));
  EXPECT_THAT(items("SET CHARACTER SET latin1; SET CHARSET utf8"),
              ElementsAre("session charset =latin1", "session charset =utf8"));
  EXPECT_THAT(items("SET TRANSACTION ISOLATION LEVEL READ COMMITTED, READ ONLY"),
              ElementsAre("next transaction =ISOLATION LEVEL READ COMMITTED, READ ONLY!"));
  EXPECT_THAT(items("SET SESSION TRANSACTION READ ONLY; SET GLOBAL TRANSACTION READ WRITE"),
              ElementsAre("session transaction =READ ONLY!", "global transaction =READ WRITE!"));
  EXPECT_THAT(items("SET ROLE r"), ElementsAre("session role =r"));
  EXPECT_THAT(items("SET DEFAULT ROLE r FOR u@h"),
              ElementsAre("session default role =ROLE r FOR u@h!"));
  EXPECT_THAT(items("SET PASSWORD = 'x'"), ElementsAre("session password ='x'"));
  EXPECT_THAT(items("SET PASSWORD FOR u@h = 'x'"), ElementsAre("session password =FOR u@h = 'x'!"));
  EXPECT_THAT(items("SET SESSION AUTHORIZATION u@h"), ElementsAre("session user id =u@h!"));
  EXPECT_THAT(items("SET RESOURCE GROUP x"), ElementsAre("session other RESOURCE=GROUP x!"));
  EXPECT_THAT(items("SET"), IsEmpty());
  EXPECT_THAT(items("SET a"), ElementsAre("session other a=!"));
  EXPECT_THAT(items("SET a=1,"), ElementsAre("session sys a=1", "session other =!"));
}

TEST(Assignments, OnlyOfWhatIsSetNow) {
  EXPECT_THAT(items("SELECT 1; SET @a=1; UPDATE t SET b=2; SET c=3"),
              ElementsAre("session user a=1", "session sys c=3"));
  EXPECT_THAT(items("SET STATEMENT a=1 FOR SELECT 1"), IsEmpty());
  EXPECT_THAT(items("SET STATEMENT a=(SELECT 1 FOR UPDATE) FOR SET b=2"),
              ElementsAre("session sys b=2"));
  EXPECT_THAT(items("CREATE PROCEDURE p() BEGIN SET @a=1; SET @b=2; END; SET @c=3"),
              ElementsAre("session user c=3"));
  EXPECT_THAT(items("BEGIN NOT ATOMIC SET @a=1; END"), IsEmpty());
  EXPECT_THAT(items("BEGIN; SET @a=1"), ElementsAre("session user a=1"));
  EXPECT_THAT(items("IF 1 THEN SET @a=1; END IF"), IsEmpty());
  EXPECT_THAT(items("x: LOOP SET @a=1; END LOOP"), IsEmpty());
  EXPECT_THAT(items("SELECT '; SET @a=1'; SELECT 2"), IsEmpty());
  EXPECT_THAT(items("/*!40101 SET NAMES utf8 */"), ElementsAre("session names =utf8"));
  EXPECT_THAT(items("/*!80000 SET NAMES utf8 */; SELECT 1"), IsEmpty());
}

TEST(Assignments, OfEveryPrefixEnd) {
  for (const auto text : kStatements)
    for (std::size_t size = 0; size <= text.size(); ++size) {
      std::size_t count = 0;
      Assignments list(text.substr(0, size), kMulti);
      while (list.next()) ASSERT_LE(++count, text.size());
    }
}

TEST(UserVariables, AreListed) {
  std::vector<std::string> names;
  UserVariables list("SELECT @a, @`b``c`, @'d', @@e, '@f' INTO @g", kMariadb);
  while (const auto name = list.next()) names.push_back(name->value());
  EXPECT_THAT(names, ElementsAre("a", "b`c", "d", "g"));
}

}  // namespace
}  // namespace sluice::sql
