// Servers that don't keep to the protocol: nothing of sluice's own errands, and no answer to
// another command, reaches the client. The connection is closed instead.
#include "tests/worker/split/split_fixture.h"

namespace sluice::worker {
namespace {

using namespace split_tests;
using mysql::Command;

class HostileTest : public SplitTest {};
INSTANTIATE_TEST_SUITE_P(All, HostileTest, kManners, name_of);

TEST_P(HostileTest, ThePrimarySpeaksWhenNothingWasAsked) {
  log_in_with_reader();
  home(result("of another"));
  EXPECT_FALSE(open[1]);
  EXPECT_THAT(raw(Side::client), IsEmpty());
}

TEST_P(HostileTest, TheReplicaSpeaksWhenNothingWasAsked) {
  log_in_with_reader();
  reader(result("of another"));
  EXPECT_FALSE(open[2]);
  EXPECT_THAT(raw(Side::client), IsEmpty());
  client(query("SELECT a FROM t"));
  EXPECT_EQ(said(Side::server).size(), 1u);
}

TEST_P(HostileTest, TheReplicaSpeaksInPlaceOfThePrimary) {
  log_in_with_reader();
  client(query("INSERT INTO t VALUES (1)"));
  reader(ok());
  EXPECT_FALSE(open[2]);
  EXPECT_THAT(raw(Side::client), IsEmpty());
  home(ok(kOpen));
  EXPECT_EQ(raw(Side::client), ok(kOpen));
}

TEST_P(HostileTest, AnAnswerComesTwice) {
  log_in_with_reader();
  client(query("SELECT a FROM t"));
  reader(joined({result("1"), result("1")}));
  EXPECT_FALSE(open[2]);
  EXPECT_EQ(raw(Side::client), result("1"));
}

TEST_P(HostileTest, AnAnswerComesTwiceAndIsNoneToTheNextCommand) {
  if (GetParam().piece == 1) return;  // the next command is sent in between
  log_in_with_reader();
  client(joined({query("SELECT a FROM t"), query("SELECT b FROM t")}));
  reader(joined({result("1"), result("1")}));
  EXPECT_FALSE(open[2]);
  EXPECT_EQ(raw(Side::client), result("1"));
  EXPECT_THAT(said(Side::server), ElementsAre("\3SELECT b FROM t"));
}

TEST_P(HostileTest, BytesBehindAnErrorAreNoAnswerToTheNextCommand) {
  if (GetParam().piece == 1) return;
  log_in_with_reader();
  client(joined({query("SELECT a FROM t"), query("SELECT b FROM t")}));
  reader(joined({error(1146), packet(1, "\1")}));
  EXPECT_FALSE(open[2]);
  home(result("1"));
  home(result("2"));
  EXPECT_EQ(raw(Side::client), joined({result("1"), result("2")}));
}

TEST_P(HostileTest, AnAnswerComesTwiceAndIsNoneToAnErrand) {
  if (GetParam().piece == 1) return;
  log_in();
  client(command(Command::reset_connection));
  home(joined({ok(), ok(), ok(), ok()}));
  EXPECT_FALSE(open[1]);
  EXPECT_EQ(raw(Side::client), ok());
}

TEST_P(HostileTest, AnErrandsAnswerWithTheNextOnes) {
  if (GetParam().piece == 1) return;
  log_in();
  client(query("SELECT a FROM t"));
  reader(greeting());
  reader(packet(2, ok_payload()));
  reader(joined({ok(), ok(), result("1"), result("2")}));
  EXPECT_EQ(raw(Side::client), result("1"));
  EXPECT_FALSE(open[2]);
}

TEST_P(HostileTest, AnErrandIsAnsweredWithAQuestion) {
  for (const auto& answer : {packet(1,
                                    "\xFB"
                                    "/etc/passwd"),
                             packet(1, "\xFC\xFF\xFF"), packet(1, "\xFD\xFF\xFF\xFF")}) {
    SCOPED_TRACE(as_text(answer));
    s = SessionState{.id = 1, .service = "shop", .client_ip = "127.0.0.1"};
    open = {true, false, false};
    world.now_ns += 10 * kSecondNs;
    log_in_with_reader();
    client(query("SET time_zone = 'x'"));
    home(ok(kPlain, variable("time_zone", "UTC")));
    forget_said();
    client(query("SELECT a FROM t"));
    reader(answer);
    if (answer[4] != std::byte{0xFC}) {
      EXPECT_FALSE(open[2]);
    }
    if (open[2]) lost(Side::reader);
    EXPECT_THAT(said(Side::server), ElementsAre("\3SELECT a FROM t"));
    EXPECT_THAT(raw(Side::client), IsEmpty());
  }
}

TEST_P(HostileTest, AnErrandsAnswerDoesNotEnd) {
  if (GetParam().piece == 1) return;
  log_in_with_reader();
  client(query("INSERT INTO t VALUES (1)"));
  home(ok(kPlain, variable("last_gtid", "0-1-7")));
  forget_said();
  client(query("SELECT a FROM t"));
  reader(joined({packet(1, "\1"), packet(2, "\3def and more")}));
  for (int i = 0; i < 1000 && open[2]; ++i) reader(packet(3, sized(std::string(200, 'x'))));
  EXPECT_FALSE(open[2]);
  EXPECT_THAT(said(Side::server), ElementsAre("\3SELECT a FROM t"));
}

TEST_P(HostileTest, AStatementThatIsPreparedAsNone) {
  log_in_with_reader();
  client(command(Command::stmt_prepare, "SELECT a FROM t"));
  home(prepared(5));
  forget_said();
  client(execute(5));
  reader(prepared(0));
  EXPECT_FALSE(open[2]);
  EXPECT_EQ(raw(Side::server), execute(5));
  EXPECT_THAT(raw(Side::client), IsEmpty());
}

TEST_P(HostileTest, TheSameIdForManyStatements) {
  log_in();
  for (int i = 0; i < 4; ++i) {
    client(command(Command::stmt_prepare, "UPDATE t SET a = 1"));
    home(prepared(0xFFFFFFFF));
  }
  for (const auto& answer : said(Side::client)) EXPECT_EQ(answer.size(), 12u);
  EXPECT_EQ(s.phase, Phase::relaying);
}

TEST_P(HostileTest, MalformedNewsKeepTheSessionAtHome) {
  log_in_with_reader();
  for (const std::string_view news :
       {std::string_view("\0\x7Fx", 3), std::string_view("\1\4\xFF", 3),
        std::string_view("\3\2\0\x09", 4), std::string_view("\0", 1)}) {
    s.split->kept.pinned.clear();
    client(query("SET time_zone = 'x'"));
    home(ok(kPlain, news));
    EXPECT_THAT(said(Side::client), ElementsAre(ok_payload()));
    EXPECT_THAT(s.split->kept.pinned, HasSubstr("malformed"));
  }
  forget_said();
  client(query("SELECT a FROM t"));
  EXPECT_EQ(said(Side::server).size(), 1u);
}

/// Each answer of a conversation is cut at each of its bytes, and then the server is gone.
TEST_P(HostileTest, AnswersAreCut) {
  if (GetParam().moves) return;
  const auto answer = result("1");
  for (std::size_t cut = 0; cut < answer.size(); ++cut) {
    s = SessionState{.id = 1, .service = "shop", .client_ip = "127.0.0.1"};
    open = {true, false, false};
    world.now_ns += 10 * kSecondNs;
    log_in_with_reader();
    client(query("SELECT a FROM t"));
    reader({answer.begin(), answer.begin() + static_cast<std::ptrdiff_t>(cut)});
    lost(Side::reader);
    const auto got = raw(Side::client);
    if (s.phase == Phase::relaying) {
      EXPECT_THAT(got, IsEmpty());
      EXPECT_THAT(said(Side::server), ElementsAre("\3SELECT a FROM t"));
    } else {
      EXPECT_EQ(s.phase, Phase::closing);
      EXPECT_THAT(said(Side::server), IsEmpty());
    }
  }
}

}  // namespace
}  // namespace sluice::worker
