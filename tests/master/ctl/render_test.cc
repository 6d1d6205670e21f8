#include "master/ctl/render.h"

#include <gtest/gtest.h>

namespace sluice::ctl {
namespace {

using ipc::ControlReply;
using ipc::Kind;

ControlReply servers() {
  ControlReply reply;
  reply.table.columns = {{"name", Kind::text},
                         {"lag_ms", Kind::number},
                         {"writable", Kind::boolean},
                         {"reason", Kind::text}};
  reply.table.rows = {{{"db1", "", "true", "read_only=0"}}, {{"db-two", "12", "false", ""}}};
  return reply;
}
ControlReply one_cell(Kind kind, std::string value) {
  ControlReply reply;
  reply.table.columns = {{"v", kind}};
  reply.table.rows = {{{std::move(value)}}};
  reply.table.record = true;
  return reply;
}

TEST(Text, ListIsAlignedAndNumbersStandToTheRight) {
  EXPECT_EQ(to_text(servers()),
            "NAME    LAG_MS  WRITABLE  REASON\n"
            "db1          -  true      read_only=0\n"
            "db-two      12  false     -\n");
}

TEST(Text, EmptyListIsItsHeader) {
  auto reply = servers();
  reply.table.rows.clear();
  EXPECT_EQ(to_text(reply), "NAME  LAG_MS  WRITABLE  REASON\n");
}

TEST(Text, WidthsCountCharactersNotBytes) {
  ControlReply reply;
  reply.table.columns = {{"user", Kind::text}, {"host", Kind::text}};
  reply.table.rows = {{{"j\xc3\xbcrgen", "a"}}, {{"jurgens", "b"}}};
  EXPECT_EQ(to_text(reply), "USER     HOST\nj\xc3\xbcrgen   a\njurgens  b\n");
}

TEST(Text, RecordGoesDownThePage) {
  auto reply = servers();
  reply.table.record = true;
  reply.table.rows.pop_back();
  EXPECT_EQ(to_text(reply),
            "name:     db1\n"
            "lag_ms:   -\n"
            "writable: true\n"
            "reason:   read_only=0\n");
}

TEST(Text, MessageKeepsItsLinesAndNothingElse) {
  ControlReply reply;
  reply.message = "reloaded\n2 changes\x1b[31m";
  EXPECT_EQ(to_text(reply), "reloaded\n2 changes\\x1b[31m\n");
  EXPECT_EQ(to_text(ControlReply{}), "");
}

TEST(Text, CellsCannotReachTheTerminal) {
  EXPECT_EQ(to_text(one_cell(Kind::text, "\x1b]0;x\a\nroot: yes\r\t\x7f")),
            "v: \\x1b]0;x\\x07\\nroot: yes\\r\\t\\x7f\n");
  EXPECT_EQ(to_text(one_cell(Kind::text,
                             "\xc2\x9b"
                             "31m")),
            "v: \\u009b31m\n");  // C1 CSI
  EXPECT_EQ(to_text(one_cell(Kind::text,
                             "a\xe2\x80\xae"
                             "b")),
            "v: a\\u202eb\n");                                                  // override
  EXPECT_EQ(to_text(one_cell(Kind::text, "\xff\xc0\xaf\xed\xa0\x80\xe2\x82")),  // no UTF-8
            "v: \\xff\\xc0\\xaf\\xed\\xa0\\x80\\xe2\\x82\n");
  EXPECT_EQ(to_text(one_cell(Kind::text, "\xe2\x82\xac \xf0\x9f\x90\xac")),
            "v: \xe2\x82\xac \xf0\x9f\x90\xac\n");
  EXPECT_EQ(to_text(one_cell(Kind::text, std::string("a\0b", 3))), "v: a\\x00b\n");
}

TEST(Json, ListIsAnArrayOfObjects) {
  EXPECT_EQ(
      to_json(servers()),
      "[\n"
      "  {\"name\": \"db1\", \"lag_ms\": null, \"writable\": true, \"reason\": \"read_only=0\"},\n"
      "  {\"name\": \"db-two\", \"lag_ms\": 12, \"writable\": false, \"reason\": \"\"}\n"
      "]\n");
  auto empty = servers();
  empty.table.rows.clear();
  EXPECT_EQ(to_json(empty), "[]\n");
}

TEST(Json, RecordIsAnObject) {
  EXPECT_EQ(to_json(one_cell(Kind::text, "x")), "{\n  \"v\": \"x\"\n}\n");
  auto nothing = one_cell(Kind::text, "x");
  nothing.table.rows.clear();
  EXPECT_EQ(to_json(nothing), "{}\n");
}

TEST(Json, RepliesWithoutATableAreTheirMessage) {
  ControlReply reply;
  reply.message = "re\"loaded\\\n\x1b";
  EXPECT_EQ(to_json(reply), "{\"message\": \"re\\\"loaded\\\\\\u000a\\u001b\"}\n");
}

TEST(Json, OnlyNumbersAreBare) {
  for (const auto* number : {"0", "-1", "12", "0.5", "1e9", "1.5E-3", "18446744073709551615"})
    EXPECT_EQ(to_json(one_cell(Kind::number, number)),
              "{\n  \"v\": " + std::string(number) + "\n}\n");
  for (const auto* text : {"007", "1.", ".5", "-", "1s", "0x1", "NaN", "+1", "1e", " 1"})
    EXPECT_EQ(to_json(one_cell(Kind::number, text)),
              "{\n  \"v\": \"" + std::string(text) + "\"\n}\n");
  EXPECT_EQ(to_json(one_cell(Kind::boolean, "maybe")), "{\n  \"v\": \"maybe\"\n}\n");
  EXPECT_EQ(to_json(one_cell(Kind::boolean, "")), "{\n  \"v\": null\n}\n");
}

TEST(Json, IsAlwaysUtf8WithoutControlCharacters) {
  EXPECT_EQ(to_json(one_cell(Kind::text, "\xff\xc2\x9b\xe2\x80\xae\xc3\xbc")),
            "{\n  \"v\": \"\\ufffd\\u009b\\u202e\xc3\xbc\"\n}\n");
}

TEST(Rows, ThatAreShorterThanTheColumnsAreFilled) {
  auto reply = servers();
  reply.table.rows = {{{"db1"}}};
  EXPECT_EQ(to_text(reply), "NAME  LAG_MS  WRITABLE  REASON\ndb1        -  -         -\n");
  EXPECT_EQ(
      to_json(reply),
      "[\n  {\"name\": \"db1\", \"lag_ms\": null, \"writable\": null, \"reason\": \"\"}\n]\n");
}

}  // namespace
}  // namespace sluice::ctl
