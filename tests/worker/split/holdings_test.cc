// What a session holds by its own statements, and that it is free again when it has let that go.
#include "worker/split/holdings.h"

#include "tests/worker/split/split_fixture.h"

namespace sluice::worker {
namespace {

using namespace split_tests;
using mysql::Command;

class HoldingsTest : public SplitTest {
 protected:
  void say(std::string_view text, const Bytes& answer = ok()) {
    client(query(text));
    home(answer);
    forget_said();
  }
  std::size_t held() const { return s.split->kept.holdings.size(); }
  void begin_anew() {
    s = SessionState{.id = 1, .service = "shop", .client_ip = "127.0.0.1"};
    open = {true, false, false};
    log_in_with_reader(mysql::kMultiStatements);
    s.split->settings.database = "d";
  }
};
INSTANTIATE_TEST_SUITE_P(All, HoldingsTest, kManners, name_of);

TEST_P(HoldingsTest, WhatIsTakenIsLetGo) {
  struct {
    std::vector<std::string> takes, lets_go;
  } const cases[] = {
      {{"CREATE TEMPORARY TABLE a (x INT)"}, {"DROP TABLE a"}},
      {{"CREATE TEMPORARY TABLE a (x INT)", "CREATE TEMPORARY TABLE IF NOT EXISTS d.a (x INT)"},
       {"DROP TEMPORARY TABLE IF EXISTS `d`.`a`"}},
      {{"CREATE TEMPORARY TABLE a (x INT)", "CREATE TEMPORARY TABLE e.a SELECT 1"},
       {"DROP TABLE a, e.a"}},
      {{"SELECT GET_LOCK('a', 1)", "SELECT GET_LOCK('a', 1)", "DO GET_LOCK('b', 0)"},
       {"SELECT RELEASE_LOCK('a')", "DO RELEASE_LOCK('b')", "SELECT RELEASE_LOCK('a') AS x"}},
      {{"SELECT GET_LOCK(CONCAT('a', 'b'), 1)", "SELECT GET_LOCK('a', 1)"},
       {"SELECT RELEASE_ALL_LOCKS()"}},
      {{"PREPARE a FROM 'DO 1'", "PREPARE A FROM 'DO 2'", "PREPARE b FROM 'DO 1'"},
       {"DEALLOCATE PREPARE a", "DROP PREPARE B"}},
      {{"HANDLER t OPEN"}, {"HANDLER t CLOSE"}},
      {{"LOCK TABLES t READ"}, {"UNLOCK TABLES"}},
      {{"UNLOCK TABLES; LOCK TABLES t READ"}, {"UNLOCK TABLES"}},
  };
  for (const auto& [takes, lets_go] : cases) {
    begin_anew();
    for (const auto& text : takes) say(text);
    EXPECT_GT(held(), 0u) << takes[0];
    for (std::size_t i = 0; i < lets_go.size(); ++i) {
      EXPECT_GT(held(), 0u) << lets_go[i];
      say(lets_go[i]);
    }
    EXPECT_EQ(held(), 0u) << lets_go[0];
    client(query("SELECT a FROM t"));
    EXPECT_THAT(said(Side::reader), Not(IsEmpty())) << takes[0];
  }
}

TEST_P(HoldingsTest, WhatIsNotSureIsKept) {
  const std::vector<std::string> cases[] = {
      {"CREATE TEMPORARY TABLE a (x INT)", "DROP TABLE e.a"},
      {"CREATE TEMPORARY TABLE a (x INT)", "DROP TABLE a; SELECT 1"},
      {"CREATE TEMPORARY TABLE a (x INT)", "ALTER TABLE a RENAME TO b", "DROP TABLE a"},
      {"RENAME TABLE x TO y", "CREATE TEMPORARY TABLE a (x INT)", "DROP TABLE a"},
      {"CREATE TEMPORARY TABLE a (x INT)", "CALL p()", "DROP TABLE a"},
      {"DO 1; CREATE TEMPORARY TABLE a (x INT)", "DROP TABLE a"},
      {"SELECT GET_LOCK('a', 1)", "SELECT GET_LOCK('a', 1)", "SELECT RELEASE_LOCK('a')"},
      {"SELECT GET_LOCK('a', 1)", "SELECT RELEASE_LOCK('b')"},
      {"SELECT GET_LOCK('a', 1) FROM t", "SELECT RELEASE_LOCK('a')"},
      {"SELECT GET_LOCK('a', 1)", "SELECT RELEASE_ALL_LOCKS() FROM t WHERE 1 = 0"},
      {"PREPARE a FROM 'DO 1'", "DEALLOCATE PREPARE b"},
      {"HANDLER t OPEN AS a", "HANDLER t CLOSE"},
      {"LOCK TABLES t READ; UNLOCK TABLES", "SELECT 1"},
  };
  for (const auto& texts : cases) {
    begin_anew();
    for (const auto& text : texts) say(text);
    EXPECT_GT(held(), 0u) << texts.front() << ", " << texts.back();
  }
}

TEST_P(HoldingsTest, AnErrorLetsNothingGo) {
  begin_anew();
  say("CREATE TEMPORARY TABLE a (x INT)", error(1317));
  EXPECT_EQ(why_pinned(*s.split), "it has made a temporary table") << "who knows";
  say("DROP TABLE a, nosuch", error(1051));
  EXPECT_EQ(held(), 1u);
  say("LOCK TABLES t READ");
  say("UNLOCK TABLES WAIT", error(1064));
  EXPECT_EQ(held(), 2u);
}

TEST_P(HoldingsTest, ExecutionsTakeWhatIsNotKnownByName) {
  for (const auto* text : {"SELECT GET_LOCK('a', 1)", "LOCK TABLES t READ"}) {
    begin_anew();
    client(command(Command::stmt_prepare, text));
    home(prepared(5));
    EXPECT_EQ(held(), 0u);
    for (int i = 0; i < 2; ++i) {
      client(execute(5));
      home(ok());
      say("SELECT RELEASE_LOCK('a')");
      EXPECT_EQ(held(), 1u) << text;
      say("UNLOCK TABLES");
      say("DO RELEASE_ALL_LOCKS()");
      EXPECT_EQ(held(), 0u) << text;
    }
  }
}

TEST_P(HoldingsTest, TextsThatArePutTogetherMayTakeThem) {
  begin_anew();
  say("EXECUTE IMMEDIATE 'SELECT GET_LOCK(1, 1)'");
  EXPECT_EQ(held(), 1u);
  say("DO RELEASE_ALL_LOCKS()");
  say("EXECUTE IMMEDIATE 'LOCK TABLES t READ'");
  EXPECT_EQ(why_pinned(*s.split), "it has locked tables");
  say("UNLOCK TABLES");
  EXPECT_EQ(held(), 0u);
  say("PREPARE a FROM 'SELECT GET_LOCK(?, 1)'");
  say("DO RELEASE_ALL_LOCKS()");
  say("EXECUTE a USING @b");
  say("DEALLOCATE PREPARE a");
  EXPECT_EQ(held(), 1u);
}

TEST_P(HoldingsTest, AreBounded) {
  begin_anew();
  for (int i = 0; i < 64; ++i) say("DO GET_LOCK('a', 1)");
  EXPECT_EQ(held(), 64u);
  say("DO GET_LOCK('a', 1)");
  EXPECT_EQ(held(), 1u);
  say("DO RELEASE_LOCK('a')");
  EXPECT_EQ(held(), 1u);
}

TEST_P(HoldingsTest, AResetLetsAllGo) {
  begin_anew();
  say("CREATE TEMPORARY TABLE a (x INT)");
  say("DO GET_LOCK('a', 1)");
  client(command(Command::reset_connection));
  home(ok());
  EXPECT_EQ(held(), 0u);
}

}  // namespace
}  // namespace sluice::worker
