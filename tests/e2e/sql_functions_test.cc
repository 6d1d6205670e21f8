/// What the classifier takes from servers as given, asked of them: which functions are built in, so
/// that no stored function can stand behind their names; the numbers of collations.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "tests/support/mariadb_server.h"
#include "tests/support/mysql_server.h"
#include "worker/sql/words.h"

namespace sluice::test {
namespace {

constexpr unsigned kNoSuchFunction = 1305;
constexpr unsigned kNoSuchFunctionLikeBuiltIn = 1630;  // "count (": see IGNORE_SPACE
constexpr unsigned kNoDatabase = 1046;                 // a stored function was looked for

/// Whether the server would look for a stored function.
bool looks_for_stored(Client& client, const std::string& call) {
  const auto result = client.query("SELECT " + call);
  return !result &&
         (result.error().code == kNoSuchFunction ||
          result.error().code == kNoSuchFunctionLikeBuiltIn || result.error().code == kNoDatabase);
}

void expect_built_in(DatabaseServer& server, sql::Flavour flavour) {
  Client client(server.endpoint());
  client.exec("USE test");
  ASSERT_TRUE(looks_for_stored(client, "no_such_function(1)"));
  ASSERT_TRUE(looks_for_stored(client, "no_such_function (1)"));
  int asked = 0;
  for (const auto& entry : sql::all_words()) {
    const auto call = entry.call_on(flavour);
    if (call != sql::Call::Pure && call != sql::Call::Adjacent && call != sql::Call::None) continue;
    for (const char* arguments : {"()", "(1)", "(1,2)", "(1,2,3)", "('a' AS CHAR)"}) {
      ++asked;
      EXPECT_FALSE(looks_for_stored(client, fmt::format("{}{}", entry.text, arguments)))
          << entry.text << arguments;
      if (call == sql::Call::Adjacent) continue;
      EXPECT_FALSE(looks_for_stored(client, fmt::format("{} {}", entry.text, arguments)))
          << entry.text << " " << arguments;
    }
  }
  EXPECT_GT(asked, 1000);
}

void expect_collations(DatabaseServer& server) {
  const auto rows = server.query(
      "SELECT ID, CHARACTER_SET_NAME FROM information_schema.COLLATIONS WHERE ID IS NOT NULL AND "
      "CHARACTER_SET_NAME IS NOT NULL");
  EXPECT_GT(rows.size(), 200u);
  for (const auto& row : rows) {
    const auto id = std::stoul(*row[0]);
    if (id > 0xFFFF) continue;
    EXPECT_EQ(sql::charset_of_collation(static_cast<uint16_t>(id)), sql::charset_of(*row[1]))
        << id << " " << *row[1];
  }
}

TEST(SqlFunctions, OfMariadbAreBuiltIn) {
  MariadbServer server;
  expect_built_in(server, sql::Flavour::Mariadb);
  expect_collations(server);
}

TEST(SqlFunctions, OfANewerMariadbAreBuiltIn) {
  if (const auto can = MariadbServer::available(MariadbRelease::Newer); !can)
    GTEST_SKIP() << can.error();
  MariadbServer server({}, DatabaseServer::Start::Ready, MariadbRelease::Newer);
  expect_built_in(server, sql::Flavour::Mariadb);
  expect_collations(server);
}

TEST(SqlFunctions, OfMysqlAreBuiltIn) {
  if (const auto can = MysqlServer::available(); !can) GTEST_SKIP() << can.error();
  MysqlServer server;
  expect_built_in(server, sql::Flavour::Mysql);
  expect_collations(server);
}

}  // namespace
}  // namespace sluice::test
