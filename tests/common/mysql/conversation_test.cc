#include "common/mysql/conversation.h"

#include <gtest/gtest.h>

#include "common/mysql/packets.h"

namespace sluice::mysql {
namespace {

std::string text(std::initializer_list<int> bytes) {
  std::string out;
  for (const int byte : bytes) out.push_back(static_cast<char>(byte));
  return out;
}

const std::string kOk = text({0, 0, 0, 2, 0, 0, 0});
const std::string kOkMore = text({0, 0, 0, 2 | kMoreResults, 0, 0, 0});
const std::string kEof = text({0xFE, 0, 0, 2, 0});
const std::string kEofMore = text({0xFE, 0, 0, 2 | kMoreResults, 0});
const std::string kEofCursor = text({0xFE, 0, 0, 2 | kCursorExists, 0});
const std::string kEndOfRows = text({0xFE, 0, 0, 2, 0, 0, 0});  // as an OK packet
const std::string kErr = text({0xFF, 0x7A, 4}) + "#42S02no such table";
const std::string kColumn = "\3def...";
const std::string kRow =
    "\1"
    "1";

/// Two peers, each with the number of its next packet.
class ConversationTest : public testing::Test {
 protected:
  Conversation talk{.capabilities = kProtocol41};
  uint8_t sequence = 0;

  Bytes packet(uint8_t number, std::string_view payload) {
    Bytes out;
    append_packet(out, number, as_bytes(payload));
    return out;
  }
  void command(Command which, std::string_view rest = {}) {
    std::string payload(1, static_cast<char>(which));
    payload += rest;
    talk.from_client(packet(0, payload));
    sequence = 1;
  }
  void client(std::string_view payload) { talk.from_client(packet(sequence++, payload)); }
  void server(std::string_view payload) { talk.from_server(packet(sequence++, payload)); }
  /// Answers with these; only the last of them ends the answer.
  void answer(std::initializer_list<std::string> packets) {
    for (const auto& payload : packets) {
      EXPECT_FALSE(talk.at_boundary());
      server(payload);
    }
    EXPECT_TRUE(talk.at_boundary());
  }
};

TEST_F(ConversationTest, BeginsAtABoundary) {
  EXPECT_TRUE(talk.at_boundary());
}

TEST_F(ConversationTest, OkAndErrorEndAnAnswer) {
  for (const auto& end : {kOk, kErr}) {
    command(Command::query, "DO 1");
    answer({end});
  }
  EXPECT_EQ(talk.commands, 2u);
}

TEST_F(ConversationTest, ResultSet) {
  command(Command::query, "SELECT 1, 2");
  answer({"\2", kColumn, kColumn, kEof, kRow, kRow, kEof});
}

TEST_F(ConversationTest, ResultSetWithoutEofPackets) {
  talk.capabilities |= kDeprecateEof;
  command(Command::query, "SELECT 1");
  answer({"\1", kColumn, kRow, kEndOfRows});
}

TEST_F(ConversationTest, ErrorAmongRows) {
  command(Command::query, "SELECT sleep(9)");
  answer({"\1", kColumn, kEof, kRow, kErr});
}

TEST_F(ConversationTest, RowsThatLookLikeAnEnd) {
  command(Command::query, "SELECT REPEAT('x', 17000000)");
  server("\1"), server(kColumn), server(kEof);
  server(text({0xFE, 0, 0, 0, 1, 0, 0, 0, 0}) + "a value longer than 16 MiB begins like this");
  EXPECT_FALSE(talk.at_boundary());
  server(text({0xFB}));  // NULL
  server(text({0}));     // an empty string
  EXPECT_FALSE(talk.at_boundary());
  server(kEof);
  EXPECT_TRUE(talk.at_boundary());
}

TEST_F(ConversationTest, MultipleResults) {
  command(Command::query, "CALL p()");
  answer({"\1", kColumn, kEof, kRow, kEofMore, kOkMore, "\1", kColumn, kEof, kEof});
}

TEST_F(ConversationTest, ErrorInTheMiddleOfMultipleResultsEndsThem) {
  command(Command::query, "DO 1; x");
  answer({kOkMore, kErr});
}

TEST_F(ConversationTest, ProgressReportsAreNoEnd) {
  command(Command::query, "ALTER TABLE t");
  answer(
      {text({0xFF, 0xFF, 0xFF, 1, 1, 2, 0, 0, 0}) + "copying", text({0xFF, 0xFF, 0xFF, 1}), kOk});
}

TEST_F(ConversationTest, ColumnsWithoutDefinitions) {
  talk.capabilities |= kMariadbCacheMetadata;
  command(Command::stmt_execute);
  answer({text({2, 0}), kEof, kRow, kEof});
  command(Command::stmt_execute);
  answer({text({2, 1}), kColumn, kColumn, kEof, kRow, kEof});
  talk.capabilities |= kDeprecateEof;
  command(Command::stmt_execute);
  answer({text({2, 0}), kRow, kEndOfRows});
}

TEST_F(ConversationTest, ColumnsWithoutDefinitionsOfMysql) {
  talk.capabilities |= kOptionalResultsetMetadata | kDeprecateEof;
  command(Command::query, "SELECT 1");
  answer({text({0, 1}), kRow, kEndOfRows});
  command(Command::query, "SELECT 1");
  answer({text({1, 1}), kColumn, kRow, kEndOfRows});
}

std::string prepared(int columns, int parameters) {
  return text({0, 1, 0, 0, 0, columns, 0, parameters, 0, 0, 0, 0});
}

TEST_F(ConversationTest, PreparedStatements) {
  command(Command::stmt_prepare, "DO 1");
  answer({prepared(0, 0)});
  command(Command::stmt_prepare, "SELECT ?, ?");
  answer({prepared(2, 2), kColumn, kColumn, kEof, kColumn, kColumn, kEof});
  command(Command::stmt_prepare, "SELECT 1");
  answer({prepared(1, 0), kColumn, kEof});
  command(Command::stmt_prepare, "DO ?");
  answer({prepared(0, 1), kColumn, kEof});
  command(Command::stmt_prepare, "nonsense");
  answer({kErr});
}

TEST_F(ConversationTest, PreparedStatementsWithoutEofPackets) {
  talk.capabilities |= kDeprecateEof;
  command(Command::stmt_prepare, "SELECT ?, ?");
  answer({prepared(2, 2), kColumn, kColumn, kColumn, kColumn});
  command(Command::stmt_prepare, "DO ?");
  answer({prepared(0, 1), kColumn});
}

TEST_F(ConversationTest, Cursors) {
  command(Command::stmt_execute, text({1, 0, 0, 0, 1, 1, 0, 0, 0}));
  answer({"\1", kColumn, kEofCursor});
  command(Command::stmt_fetch);
  answer({kRow, kRow, kEofCursor});
  command(Command::stmt_fetch);
  answer({kErr});
}

/// MariaDB sets the flag also while a procedure has a cursor of its own.
TEST_F(ConversationTest, CursorsThatTheClientDidNotAskFor) {
  command(Command::query, "CALL p()");
  answer({"\1", kColumn, kEofCursor, kRow, kEof});
  command(Command::stmt_execute, text({1, 0, 0, 0, 0, 1, 0, 0, 0}));
  answer({"\1", kColumn, kEofCursor, kRow, kEof});
}

TEST_F(ConversationTest, CommandsWithoutAnAnswer) {
  for (const auto which : {Command::stmt_send_long_data, Command::stmt_close, Command::quit}) {
    command(which, text({1, 0, 0, 0}));
    EXPECT_TRUE(talk.at_boundary());
  }
  talk.from_client(ByteSpan(packet(0, "\x19....")).first(6));
  EXPECT_FALSE(talk.at_boundary()) << "in the middle of a command";
}

TEST_F(ConversationTest, OnePacketAnswers) {
  for (const auto which : {Command::statistics, Command::init_db}) {
    command(which);
    answer({"Uptime: 1"});
  }
  command(static_cast<Command>(0x1B));  // COM_SET_OPTION
  answer({kEof});
}

TEST_F(ConversationTest, FieldList) {
  command(Command::field_list, "t");
  answer({kColumn, kColumn, kEof});
}

TEST_F(ConversationTest, LocalInfile) {
  command(Command::query, "LOAD DATA LOCAL");
  server(text({0xFB}) + "file");
  EXPECT_TRUE(talk.client_owes());
  client("some rows"), client("");
  EXPECT_FALSE(talk.at_boundary());
  EXPECT_FALSE(talk.client_owes());
  server(kOk);
  EXPECT_TRUE(talk.at_boundary());
}

/// Wherever the numbers are when the file ends: the next command is one, at every length of a file.
TEST_F(ConversationTest, LocalInfileWrapsTheSequenceNumber) {
  for (int packets = 1; packets < 600; ++packets) {
    command(Command::query, "LOAD DATA LOCAL");
    server(text({0xFB}) + "file");
    const auto commands = talk.commands;
    for (int i = 0; i < packets; ++i) client("row");
    client("");
    EXPECT_EQ(talk.commands, commands) << "file data taken for a command";
    server(kOk);
    ASSERT_TRUE(talk.at_boundary()) << packets;
    command(Command::query, "DO 1");
    ASSERT_FALSE(talk.at_boundary()) << "not seen behind a file of " << packets << " packets";
    answer({kOk});
  }
}

/// What follows a file's end is a command, also before the server has answered.
TEST_F(ConversationTest, ChangeUserBehindAFileIsSeen) {
  command(Command::query, "LOAD DATA LOCAL");
  server(text({0xFB}) + "file");
  client("row"), client("");
  const auto change = packet(0, "\x11other and a proof that is long");
  EXPECT_EQ(talk.from_client(change), 0u);
}

TEST_F(ConversationTest, CommandsOf16MiBAndMore) {
  std::string huge(kMaxPayload, 'x');
  huge[0] = static_cast<char>(Command::query);
  talk.from_client(packet(0, huge));
  talk.from_client(packet(1, ""));  // exactly 16 MiB - 1: an empty packet follows
  EXPECT_EQ(talk.commands, 1u);
  sequence = 2;
  answer({kOk});
  huge[0] = static_cast<char>(Command::stmt_send_long_data);
  talk.from_client(packet(0, huge));
  EXPECT_FALSE(talk.at_boundary()) << "more of the command follows";
  talk.from_client(packet(1, "\3 looks like a query"));
  EXPECT_TRUE(talk.at_boundary());
  EXPECT_EQ(talk.commands, 2u);
}

TEST_F(ConversationTest, RowsOf16MiBAndMore) {
  command(Command::query, "SELECT big");
  server("\1"), server(kColumn), server(kEof);
  server(std::string(kMaxPayload, 'x'));
  server(kEof);  // continues the row, whatever it looks like
  EXPECT_FALSE(talk.at_boundary());
  server(kEof);
  EXPECT_TRUE(talk.at_boundary());
}

TEST_F(ConversationTest, PipelinedCommandsAreAnsweredInOrder) {
  command(Command::query, "SELECT 1");
  command(Command::stmt_close, "....");
  command(Command::stmt_prepare, "DO ?");
  for (const auto& payload : {std::string("\1"), kColumn, kEof, kRow}) server(payload);
  sequence = 1;
  EXPECT_FALSE(talk.at_boundary());
  server(kEof);
  EXPECT_FALSE(talk.at_boundary());
  sequence = 1;
  answer({prepared(0, 1), kColumn, kEof});
}

TEST_F(ConversationTest, NumberOfTheNextPacketIsThatOfThePresentAnswer) {
  command(Command::query, "SELECT 1");
  server("\1"), server(kColumn), server(kEof);
  EXPECT_EQ(talk.server_sequence, 3);
  command(Command::query, "SELECT 2");
  EXPECT_EQ(talk.server_sequence, 3) << "the command behind it changes nothing";
  sequence = 4;
  server(kRow), server(kEof);
  EXPECT_EQ(talk.server_sequence, 0) << "the second answer begins";
}

TEST_F(ConversationTest, MoreInFlightThanFollowedIsNeverABoundary) {
  for (std::size_t i = 0; i < Conversation::kMaxPending + 2; ++i) command(Command::query, "DO 1");
  EXPECT_EQ(talk.expect, Expect::endless);
  for (std::size_t i = 0; i < 100; ++i) server(kOk);
  EXPECT_FALSE(talk.at_boundary());
}

TEST_F(ConversationTest, OnlyErrorsEndReplicationStreams) {
  for (const auto which : {Command::binlog_dump, Command::binlog_dump_gtid, Command::table_dump}) {
    talk = {.capabilities = kProtocol41};
    command(which);
    for (const auto& payload : {kOk, kEof, kOk}) server(payload);
    EXPECT_FALSE(talk.at_boundary());
    server(kErr);
    EXPECT_TRUE(talk.at_boundary());
  }
}

TEST_F(ConversationTest, UnsolicitedWordsOfTheServerChangeNothing) {
  sequence = 0;
  server(kErr);
  EXPECT_TRUE(talk.at_boundary());
}

TEST_F(ConversationTest, StopsInFrontOfAChangeUser) {
  auto bytes = packet(0, "\3DO 1 and more than a head of it is long");
  const auto before = bytes.size();
  const auto change = packet(0, "\x11other");
  bytes.insert(bytes.end(), change.begin(), change.end());
  for (std::size_t n = 0; n <= bytes.size(); ++n) {
    Conversation cut{.capabilities = kProtocol41};
    EXPECT_LE(cut.from_client(ByteSpan(bytes).first(n)), before) << n;
  }
  EXPECT_EQ(talk.from_client(bytes), before);
}

TEST_F(ConversationTest, TravelsAtEveryByte) {
  Bytes bytes;
  for (const auto& payload :
       {std::string("\1"), kColumn, kEof, kRow + std::string(100, 'x'), kEof}) {
    const auto one = packet(sequence++, payload);
    bytes.insert(bytes.end(), one.begin(), one.end());
  }
  for (std::size_t n = 0; n < bytes.size(); ++n) {
    talk = {.capabilities = kProtocol41};
    command(Command::query, "SELECT 1");
    talk.from_server(ByteSpan(bytes).first(n));
    auto moved = ipc::decode<Conversation>(ipc::encode(talk));
    ASSERT_TRUE(moved);
    EXPECT_FALSE(moved->at_boundary()) << n;
    moved->from_server(ByteSpan(bytes).subspan(n));
    EXPECT_TRUE(moved->at_boundary()) << n;
  }
}

}  // namespace
}  // namespace sluice::mysql
