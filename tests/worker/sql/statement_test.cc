/// What a classification carries beside need and effects: identifiers, hints, KILL, words.
#include "worker/sql/statement.h"

#include <gtest/gtest.h>

#include <set>

#include "tests/worker/sql/cases.h"
#include "worker/sql/explain.h"
#include "worker/sql/words.h"

namespace sluice::sql {
namespace {

bool may_mention(std::string_view text, std::string_view name, const Mode& mode = kMariadb) {
  const auto bits = identifier_bits(name);
  return (classify(text, mode).mentioned & bits) == bits;
}

TEST(Mentions, AreOfIdentifiersOnly) {
  const std::string_view text = "SELECT a FROM d.T1 JOIN `t``2` -- t3\nWHERE b='t4' AND \"t5\"";
  for (const auto name : {"a", "d", "t1", "T1", "t`2", "b", "T`2"}) {
    EXPECT_TRUE(mentions(text, kMariadb, name)) << name;
    EXPECT_TRUE(may_mention(text, name)) << name;
  }
  for (const auto name : {"t3", "t4", "t5", "t", "", "t``2"})
    EXPECT_FALSE(mentions(text, kMariadb, name)) << name;
  EXPECT_TRUE(mentions(text, Mode{.ansi_quotes = true}, "t5"));
  EXPECT_TRUE(may_mention(text, "t5", Mode{.ansi_quotes = true}));
}

TEST(Mentions, InDoubtAreYes) {
  EXPECT_TRUE(mentions("SELECT * FROM \xC3\x84", kMariadb, "\xC3\xA4"));
  EXPECT_TRUE(may_mention("SELECT * FROM \xC3\x84", "\xC3\xA4"));
  EXPECT_TRUE(may_mention("SELECT * FROM `\xC3\x84`", "x"));
  EXPECT_FALSE(mentions("SELECT * FROM \xC3\x84", kMariadb, "a"));
  EXPECT_TRUE(mentions("SELECT 'a", kMariadb, "x"));
}

TEST(Mentions, OfSelectsAreFew) {
  int wrong = 0;
  for (int i = 0; i < 1000; ++i)
    wrong += may_mention("SELECT c FROM sbtest1 WHERE id=5", fmt::format("name{}", i)) ? 1 : 0;
  EXPECT_LT(wrong, 250);
}

TEST(Hint, IsReadFromComments) {
  const auto to = [](std::string_view text) {
    const auto hint = classify(text, kMariadb).hint;
    constexpr const char* kTargets[] = {"none", "primary", "replica", "server "};
    return kTargets[static_cast<int>(hint.to)] + std::string(hint.server);
  };
  EXPECT_EQ(to("SELECT 1 -- sluice route to primary"), "primary");
  EXPECT_EQ(to("/* sluice route to replica */ SELECT 1"), "replica");
  EXPECT_EQ(to("SELECT 1 # SLUICE Route  To server db-2\n"), "server db-2");
  EXPECT_EQ(to("SELECT /*sluice route to server Db2*/ 1"), "server Db2");
  EXPECT_EQ(to("-- sluice route to primary\n SELECT 1 -- sluice route to replica"), "primary");
  for (const auto text :
       {"SELECT '-- sluice route to primary'", "SELECT 1 -- sluice route to", "SELECT 1 -- sluice",
        "SELECT 1 -- sluice route to nowhere", "SELECT 1 -- sluice route to server",
        "SELECT 1 -- sluice route to primary now", "SELECT 1 --sluice route to primary",
        "SELECT 1 -- sluiceroute to primary", "SELECT 1 /*! sluice route to primary */"})
    EXPECT_EQ(to(text), "none") << text;
}

TEST(Kill, IsTakenApart) {
  const auto kill = [](std::string_view text) {
    const auto kill = classify(text, kMariadb).kill;
    constexpr const char* kWhat[] = {"none", "connection", "query", "query id", "user"};
    return fmt::format("{} {}", kWhat[static_cast<int>(kill.what)],
                       kill.known ? fmt::format("{} '{}'", kill.id, kill.id_text) : "?");
  };
  EXPECT_EQ(kill("KILL 5"), "connection 5 '5'");
  EXPECT_EQ(kill("kill hard connection 18446744073709551615;"),
            "connection 18446744073709551615 '18446744073709551615'");
  EXPECT_EQ(kill("KILL SOFT QUERY 007"), "query 7 '007'");
  EXPECT_EQ(kill("KILL QUERY ID 9"), "query id 9 '9'");
  EXPECT_EQ(kill("KILL USER 'a'@'b'"), "user ?");
  EXPECT_EQ(kill("KILL 5+1"), "connection ?");
  EXPECT_EQ(kill("KILL @a"), "connection ?");
  EXPECT_EQ(kill("KILL CONNECTION_ID()"), "connection ?");
  EXPECT_EQ(kill("KILL 18446744073709551616"), "connection ?");
  EXPECT_EQ(kill("KILL 1.5"), "connection ?");
  EXPECT_EQ(kill("KILL 0x5"), "connection ?");
  EXPECT_EQ(kill("KILL"), "connection ?");
  EXPECT_EQ(kill("SELECT 5"), "none ?");
}

TEST(Reason, HasAPlace) {
  const auto at = [](std::string_view text) { return classify(text, kMulti).decided_at; };
  EXPECT_EQ(at("SELECT LAST_INSERT_ID(5)"), 7u);
  EXPECT_EQ(at("SELECT a, f(1), g(2)"), 10u);
  EXPECT_EQ(at(" INSERT INTO t VALUES (f(1))"), 1u);
  EXPECT_EQ(at("SELECT 1; SELECT 2 INTO @a"), 19u);
  EXPECT_EQ(at("SELECT 'a"), 7u);
}

TEST(Words, AreFoundInAnyCase) {
  std::set<std::string_view> seen;
  for (const auto& entry : all_words()) {
    EXPECT_TRUE(seen.insert(entry.text).second) << entry.text;
    EXPECT_EQ(find_word(entry.text), &entry) << entry.text;
    std::string lower(entry.text);
    for (char& c : lower) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
    EXPECT_EQ(find_word(lower), &entry) << lower;
    EXPECT_EQ(find_word(lower + "x_"), nullptr) << lower;
  }
  EXPECT_GT(seen.size(), 400u);
  for (const auto no : {"", "S", "SELEC", "SELECTS", "\xD3\xC5\xCC\xC5\xC3\xD4"})
    EXPECT_EQ(find_word(no), nullptr) << no;
}

TEST(Charset, OfNamesAndCollations) {
  EXPECT_EQ(charset_of("utf8mb4"), Charset::Utf8);
  EXPECT_EQ(charset_of("latin1"), Charset::SingleByte);
  EXPECT_EQ(charset_of("cp932"), Charset::Sjis);
  EXPECT_EQ(charset_of("swe7"), Charset::Unknown);
  EXPECT_EQ(charset_of_collation(8), Charset::SingleByte);
  EXPECT_EQ(charset_of_collation(45), Charset::Utf8);
  EXPECT_EQ(charset_of_collation(28 + 1024), Charset::Gbk);
  EXPECT_EQ(charset_of_collation(2304), Charset::Utf8);
}

TEST(Explain, SaysWhyAndWhere) {
  EXPECT_EQ(explain("SELECT f(1)\n", kMariadb),
            "primary: It calls a function that may write: no harmless one is so called.\n"
            "effect: calls_unknown_function (may set user variables, take locks)\n"
            "      0  keyword           SELECT\n"
            "      7  word              f   <- unknown_function\n"
            "      8  symbol            (\n"
            "      9  number            1\n"
            "     10  symbol            )\n");
  EXPECT_EQ(explain("SELECT '\x01\xC3' /* sluice route to server db2 */", kMariadb),
            "any server: It only reads, and nothing that differs from server to server.\n"
            "hint: to server db2\n"
            "      0  keyword           SELECT\n"
            "      7  string            '\\x01\\xc3'\n");
  EXPECT_EQ(explain("", kMariadb),
            "primary: There is no statement in it.\n      0  end                  <- empty\n");
  EXPECT_NE(explain("SELECT '" + std::string(100, 'x') + "'", kMariadb).find("... (102 bytes)"),
            std::string::npos);
  EXPECT_NE(explain("INSERT INTO t VALUES (" + std::string(1 << 21, '1') + ")", kMariadb)
                .find("too long"),
            std::string::npos);
}

}  // namespace
}  // namespace sluice::sql
