// KILL of a session that runs something on a replica, as the killer's session does it; and what
// sessions say of themselves when somebody means them.
#include "tests/worker/split/split_fixture.h"
#include "worker/split/split.h"

namespace sluice::worker {
namespace {

using namespace split_tests;
using mysql::Command;
using split::is_known_as;
using split::KillStep;
using split::on_replica;
using split::OnReplica;

const std::string kRead("\3SELECT a FROM t"), kStop("\3KILL QUERY 99");

class KillTest : public SplitTest {
 protected:
  /// What is known of the victim.
  void sought(const OnReplica& victim) { sought_in(s.split->kill.round, victim); }
  void sought_in(uint32_t round, const OnReplica& victim) {
    event([&](Actions& out) { split::on_sought(s, world.surroundings(), round, victim, out); });
  }
  void said_killed() {
    event([&](Actions& out) { split::on_said_killed(s, world.surroundings(), out); });
  }
  /// Home has killed what it could.
  void kill(const Bytes& command = query("KILL QUERY 5")) {
    client(command);
    EXPECT_EQ(raw(Side::server), command);
    home(ok());
    EXPECT_EQ(s.split->kill.step, KillStep::seeking);
    EXPECT_EQ(seeks, 1);
    EXPECT_THAT(raw(Side::client), IsEmpty()) << "the client would hang up";
  }
  void expect_answered() {
    EXPECT_EQ(raw(Side::client), ok());
    EXPECT_EQ(s.split->kill.step, KillStep::none);
    client(query("INSERT INTO t VALUES (1)"));
    EXPECT_THAT(said(Side::server), ElementsAre("\3INSERT INTO t VALUES (1)"));
    home(ok());
    EXPECT_EQ(raw(Side::client), ok());
    EXPECT_EQ(s.phase, Phase::relaying);
  }
};
INSTANTIATE_TEST_SUITE_P(All, KillTest, kManners, name_of);

TEST_P(KillTest, StopsWhatTheVictimRunsOnTheReplica) {
  log_in_with_reader();
  kill();
  EXPECT_EQ(s.split->kill.victim.id, 5u);
  EXPECT_FALSE(s.split->kill.victim.connection);
  sought({"db2", 99});
  EXPECT_THAT(said(Side::reader), ElementsAre(kStop));
  EXPECT_THAT(raw(Side::client), IsEmpty());
  reader(ok());
  expect_answered();
  EXPECT_THAT(connects, IsEmpty());
}

TEST_P(KillTest, AnErrorOfHomesIsToldAsItIs) {
  log_in();
  client(query("KILL 900001"));
  const auto answer = packet(1, "\xFF" + number(1094, 2) + "#HY000Unknown thread id: 900001");
  home(answer);
  EXPECT_EQ(raw(Side::client), answer);
}

TEST_P(KillTest, CallsTheVictimsReplica) {
  log_in();
  kill(query("/* x */ KILL HARD 5"));
  EXPECT_TRUE(s.split->kill.victim.connection);
  sought({"db2", 99});
  EXPECT_THAT(connects, ElementsAre("db2"));
  reader_logs_in();
  EXPECT_EQ(said(Side::reader).back(), kStop);
  reader(joined({ok(), ok()}));
  expect_answered();
  client(query("SELECT a FROM t"));
  EXPECT_EQ(said(Side::reader).back(), kRead);
}

TEST_P(KillTest, WhatIsSentAheadWaits) {
  log_in_with_reader();
  client(joined({query("KILL 5"), query("SELECT a FROM t"), command(Command::quit)}));
  home(ok());
  EXPECT_THAT(said(Side::reader), IsEmpty());
  sought({"db2", 99});
  EXPECT_THAT(said(Side::reader), ElementsAre(kStop));
  reader(ok());
  EXPECT_EQ(raw(Side::client), ok());
  EXPECT_THAT(said(Side::reader), ElementsAre(kRead));
}

TEST_P(KillTest, TheProtocolsOwnKillToo) {
  log_in_with_reader();
  kill(command(Command::process_kill, number(5, 4)));
  EXPECT_EQ(s.split->kill.victim.id, 5u);
  EXPECT_TRUE(s.split->kill.victim.connection);
  sought({"db2", 99});
  EXPECT_THAT(said(Side::reader), ElementsAre(kStop));
  reader(ok());
  expect_answered();
}

TEST_P(KillTest, APreparedOneToo) {
  log_in_with_reader();
  client(command(Command::stmt_prepare, "KILL QUERY 5"));
  home(prepared(3));
  forget_said();
  kill(execute(3));
  sought({});
  expect_answered();
}

/// MySQL 9 does not know COM_PROCESS_KILL any more.
TEST_P(KillTest, HomesRefusalIsTheAnswer) {
  log_in_with_reader();
  for (const auto& command :
       {query("KILL 5"), command(Command::process_kill, number(5, 4)), query("KILL QUERY 6")}) {
    client(command);
    home(error(1094));
    EXPECT_EQ(raw(Side::client), error(1094));
  }
  EXPECT_EQ(seeks, 0);
  EXPECT_EQ(s.split->kill.step, KillStep::none);
}

TEST_P(KillTest, OthersAreHomesBusinessAlone) {
  log_in_with_reader();
  for (const auto* text :
       {"KILL CONNECTION_ID()", "KILL QUERY ID 5", "KILL USER app", "KILL 5+1", "SELECT 1"}) {
    client(query(text));
    home(ok());
    reader(ok());
    EXPECT_EQ(raw(Side::client), ok()) << text;
  }
  client(query("KILL 4294967296"));
  home(ok());
  EXPECT_EQ(raw(Side::client), ok());
  EXPECT_EQ(seeks, 0);
}

TEST_P(KillTest, NobodyKnowsTheVictimOrItRunsNothing) {
  log_in_with_reader();
  kill();
  sought({});
  EXPECT_THAT(said(Side::reader), IsEmpty());
  expect_answered();
}

TEST_P(KillTest, AVictimThatWaitsForAReplicaIsSoughtAgain) {
  log_in_with_reader();
  kill();
  sought({.waits = true});
  EXPECT_THAT(raw(Side::client), IsEmpty());
  late();
  EXPECT_EQ(seeks, 2);
  EXPECT_EQ(s.split->kill.round, 2u);
  sought({"db2", 99});
  EXPECT_THAT(said(Side::reader), ElementsAre(kStop));
  reader(ok());
  expect_answered();
}

TEST_P(KillTest, ButNotForEver) {
  log_in_with_reader();
  kill();
  const auto began = world.now_ns;
  for (int i = 0; i < 1000 && s.split->kill.step != KillStep::none; ++i) {
    sought({.waits = true});
    late();
  }
  EXPECT_LE(world.now_ns - began, 5 * kSecondNs);
  expect_answered();
}

TEST_P(KillTest, WithoutAnAnswerItEnds) {
  log_in_with_reader();
  kill();
  late();
  expect_answered();
  sought_in(1, {"db2", 99});
  EXPECT_THAT(said(Side::reader), IsEmpty());
}

/// Another worker says what it likes.
TEST_P(KillTest, NonsenseIsNotFollowed) {
  log_in_with_reader();
  sought_in(0, {"db2", 99});
  kill();
  sought_in(0, {"db2", 98});
  sought_in(7, {"db2", 98});
  EXPECT_EQ(s.split->kill.step, KillStep::seeking);
  sought({"db1", 98});  // no replica
  EXPECT_THAT(connects, IsEmpty());
  EXPECT_THAT(said(Side::reader), IsEmpty());
  expect_answered();
  for (const auto* name : {"evil", "db1; DROP", "\xff"}) {
    seeks = 0;
    kill();
    sought({name, 98});
    EXPECT_THAT(connects, IsEmpty());
    expect_answered();
  }
  client(query("SELECT a FROM t"));
  EXPECT_THAT(said(Side::reader), ElementsAre(kRead)) << "its reader is as it was";
}

TEST_P(KillTest, TheReplicaRefuses) {
  log_in_with_reader();
  kill();
  sought({"db2", 99});
  reader(error(1095));
  expect_answered();
}

TEST_P(KillTest, TheReplicaIsLost) {
  log_in();
  kill();
  sought({"db2", 99});
  reader(greeting());
  lost(Side::reader);
  expect_answered();
}

TEST_P(KillTest, TheReplicaIsSilent) {
  log_in();
  kill();
  sought({"db2", 99});
  late();
  expect_answered();
  world.now_ns += 10 * kSecondNs;
  seeks = 0;
  kill();
  sought({"db2", 99});
  reader_logs_in();
  reader(ok());
  EXPECT_EQ(said(Side::reader).back(), kStop);
  late();
  expect_answered();
  reader(error(1094));  // late, and nobody's
  EXPECT_THAT(raw(Side::client), IsEmpty());
  client(query("SELECT a FROM t"));
  EXPECT_EQ(said(Side::reader).back(), kRead);
}

TEST_P(KillTest, ItsReaderIsLostWhileItSeeks) {
  log_in_with_reader();
  kill();
  lost(Side::reader);
  EXPECT_EQ(s.split->kill.step, KillStep::seeking);
  sought({"db2", 99});
  EXPECT_THAT(connects, ElementsAre("db2"));
  reader_logs_in();
  EXPECT_EQ(said(Side::reader).back(), kStop);
  reader(joined({ok(), ok()}));
  expect_answered();
}

TEST_P(KillTest, ItsHomeIsLostWhileItSeeks) {
  log_in_with_reader();
  kill();
  lost(Side::server);
  sought({"db2", 99});
  reader(ok());
  EXPECT_EQ(raw(Side::client), ok());
  primary_moves();
  client(query("SELECT a FROM t FOR UPDATE"));
  new_home_logs_in();
  EXPECT_EQ(said(Side::server).back(), "\3SELECT a FROM t FOR UPDATE");
}

TEST_P(KillTest, ItsHomeIsLostBeforeItAnswers) {
  log_in_with_reader();
  client(query("KILL 5"));
  lost(Side::server);
  EXPECT_THAT(last_error(), HasSubstr("not known"));
  EXPECT_EQ(s.split->kill.step, KillStep::none);
  EXPECT_EQ(seeks, 0);
}

/// On the next primary the id is another connection's.
TEST_P(KillTest, IsNotRunAgainWithItsTransaction) {
  world.service.transaction_replay = true;
  log_in_with_reader();
  client(query("BEGIN"));
  home(ok(kOpen));
  client(query("KILL 5"));
  lost(Side::server);
  EXPECT_EQ(s.phase, Phase::closing);
  EXPECT_THAT(last_error(), StartsWith("1053 "));
}

TEST_P(KillTest, AnOrderEndsIt) {
  log_in_with_reader();
  kill();
  order();
  EXPECT_EQ(s.phase, Phase::closing);
  EXPECT_THAT(last_error(), StartsWith("1053 "));
  sought({"db2", 99});
  EXPECT_THAT(said(Side::reader), ElementsAre("\1"));
}

// The victim.

TEST_P(KillTest, WhatASessionRunsOnItsReplica) {
  log_in();
  EXPECT_TRUE(on_replica(s).server.empty());
  client(query("SELECT a FROM t"));
  EXPECT_TRUE(on_replica(s).waits) << "for its reader";
  reader_logs_in();
  EXPECT_TRUE(on_replica(s).waits) << "an errand comes first";
  reader(joined({ok(), ok()}));
  EXPECT_EQ(on_replica(s).server, "db2");
  EXPECT_EQ(on_replica(s).connection_id, 17u);
  EXPECT_FALSE(on_replica(s).waits);
  reader(error(1317));
  EXPECT_THAT(last_error(), StartsWith("1317 "));
  EXPECT_THAT(said(Side::server), IsEmpty()) << "it is not run again";
  EXPECT_TRUE(on_replica(s).server.empty());
  EXPECT_FALSE(on_replica(s).waits);
  client(query("SELECT a FROM t FOR UPDATE"));
  EXPECT_TRUE(on_replica(s).server.empty()) << "home runs it";
}

TEST_P(KillTest, ASessionIsKnownByWhatItsClientWasTold) {
  log_in();
  EXPECT_EQ(s.told_id, 17u);
  EXPECT_TRUE(is_known_as(s, "db1", 17));
  EXPECT_FALSE(is_known_as(s, "db1", 18));
  EXPECT_FALSE(is_known_as(s, "db2", 17));
  s.home.connection_id = 18;
  EXPECT_TRUE(is_known_as(s, "db1", 17));
  EXPECT_FALSE(is_known_as(s, "db1", 18));
  s.home.server = "db2";
  EXPECT_TRUE(is_known_as(s, "db2", 18));
  lost(Side::server);
  EXPECT_TRUE(is_known_as(s, "db1", 17)) << "its read goes on";
}

/// KILL CONNECTION: home closes the connection, and the reader has a read.
TEST_P(KillTest, WhoseConnectionIsKilledIsGone) {
  for (const bool said_first : {true, false}) {
    s = {.id = 1, .service = "shop", .client_ip = "127.0.0.1"};
    open = {true, false, false};
    log_in_with_reader();
    client(query("SELECT a FROM t"));
    if (said_first) said_killed();
    lost(Side::server);
    if (said_first)
      late();
    else
      said_killed();
    EXPECT_THAT(connects, ElementsAre("db1"));
    home(greeting(18));
    EXPECT_THAT(last_error(), StartsWith("1927 "));
    EXPECT_EQ(s.phase, Phase::closing);
    EXPECT_FALSE(open[static_cast<std::size_t>(Side::reader)]);
    connects.clear(), forget_said();
  }
}

TEST_P(KillTest, WhoIsOnlySaidToBeKilledGoesOn) {
  log_in_with_reader();
  said_killed();
  client(query("SELECT a FROM t"));
  reader(result("1"));
  EXPECT_EQ(raw(Side::client), result("1"));
  primary_moves();
  lost(Side::server);  // it was lost, and there is another one
  late();
  EXPECT_THAT(connects, ElementsAre("db2"));
  new_home_logs_in();
  EXPECT_EQ(s.phase, Phase::relaying);
  forget_said();
  client(query("SELECT a FROM t FOR UPDATE"));
  EXPECT_THAT(said(Side::server), ElementsAre("\3SELECT a FROM t FOR UPDATE"));
}

/// No command waits for it.
TEST_P(KillTest, ReadsDoNotWaitForAHomeThatIsOnlyLookedFor) {
  log_in_with_reader();
  lost(Side::server);
  said_killed();
  EXPECT_THAT(connects, ElementsAre("db1"));
  world.server(0).role = cluster::Role::none;
  world.server(0).health = cluster::Health::down;
  view();
  client(query("SELECT a FROM t"));
  EXPECT_THAT(said(Side::reader), ElementsAre("\3SELECT a FROM t"));
}

TEST_P(KillTest, AHomeThatCantBeReachedIsNotCalledOnAndOn) {
  log_in_with_reader();
  lost(Side::server);
  said_killed();
  EXPECT_THAT(connects, ElementsAre("db1"));
  lost(Side::server);
  for (int i = 0; i < 20 && deadline_of(s) != 0; ++i) late();
  EXPECT_THAT(connects, ElementsAre("db1"));
  client(query("SELECT a FROM t"));
  reader(result("1"));
  EXPECT_EQ(raw(Side::client), result("1"));
}

}  // namespace
}  // namespace sluice::worker
