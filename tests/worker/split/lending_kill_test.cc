// KILL where sessions lend each other their connections: by which id does home know the victim?
#include "tests/worker/split/lending_fixture.h"
#include "worker/split/split.h"

namespace sluice::worker {
namespace {

using namespace split_tests;
using split::may_lend;
using split::why_kept_by;

const std::string kWrite("\3INSERT INTO t VALUES (1)");

class KillInPoolTest : public LendingTest {
 protected:
  void found(const split::OnReplica& victim) {
    const auto round = s.split->kill.round;
    event([&](Actions& out) { split::on_sought(s, world.surroundings(), round, victim, out); });
  }
  uint32_t hold_home() {
    uint32_t id = 0;
    event([&](Actions& out) { id = split::hold_home(s, world.surroundings(), out); });
    return id;
  }
  /// The client says it, and home is told once it is known whom.
  void kill(const Bytes& said_by_client) {
    log_in_pooled();
    client(said_by_client);
    EXPECT_THAT(raw(Side::server), IsEmpty());
    EXPECT_EQ(seeks, 1);
    EXPECT_FALSE(may_lend(s, Side::server));
  }
};
INSTANTIATE_TEST_SUITE_P(All, KillInPoolTest, kManners, name_of);

TEST_P(KillInPoolTest, HomeIsToldTheVictimsConnectionOfToday) {
  kill(query("KILL /* 5 */ QUERY 5 "));
  found({.known = true, .home_id = 4242});
  EXPECT_THAT(said(Side::server), ElementsAre("\3KILL /* 5 */ QUERY 4242 "));
  home(ok());
  EXPECT_THAT(raw(Side::client), IsEmpty());
  found({});
  EXPECT_EQ(raw(Side::client), ok());
  EXPECT_FALSE(why_kept_by(s, Side::server));
  client(query("INSERT INTO t VALUES (1)"));
  EXPECT_THAT(said(Side::server), ElementsAre(kWrite));
}

TEST_P(KillInPoolTest, ByItsOldCommandToo) {
  kill(packet(0, std::string("\x0C\5\0\0\0", 5)));
  found({.known = true, .home_id = 0x01020304});
  EXPECT_THAT(said(Side::server), ElementsAre("\x0C\4\3\2\1"));
}

TEST_P(KillInPoolTest, AlsoThroughAServiceWithoutAPool) {
  world.service.pool = 0;
  world.lends = true;
  log_in();
  client(query("KILL QUERY 5"));
  EXPECT_THAT(raw(Side::server), IsEmpty());
  EXPECT_EQ(seeks, 1);
  found({.known = true, .home_id = 4242});
  EXPECT_THAT(said(Side::server), ElementsAre("\3KILL QUERY 4242"));
}

TEST_P(KillInPoolTest, WhatNobodyKnowsHomeMay) {
  kill(query("KILL 5"));
  found({});
  EXPECT_THAT(said(Side::server), ElementsAre("\3KILL 5"));
}

TEST_P(KillInPoolTest, ErrorsSpeakOfTheIdThatTheClientKnows) {
  kill(query("KILL 5"));
  found({.known = true, .home_id = 4242});
  home(packet(1, as_text(mysql::encode_error(1095, "HY000", "You are not owner of thread 4242"))));
  found({});
  EXPECT_THAT(as_text(raw(Side::client)), HasSubstr("You are not owner of thread 5"));
}

TEST_P(KillInPoolTest, AVictimWithoutAConnectionIsAskedAgainUntilItHasOne) {
  kill(query("KILL 5"));
  found({.waits = true, .known = true});
  EXPECT_EQ(s.split->kill.step, split::KillStep::pausing);
  late();
  EXPECT_EQ(s.split->kill.step, split::KillStep::finding);
  found({.known = true, .home_id = 4242});
  EXPECT_THAT(said(Side::server), ElementsAre("\3KILL 4242"));
}

TEST_P(KillInPoolTest, ItIsRefusedWhereTheVictimGetsNone) {
  kill(query("KILL 5"));
  world.now_ns += 10 * kSecondNs;
  found({.waits = true, .known = true});
  late();
  EXPECT_THAT(as_text(raw(Side::client)), HasSubstr("KILL 5: its session has no connection"));
  EXPECT_THAT(raw(Side::server), IsEmpty());
  EXPECT_EQ(s.split->kill.step, split::KillStep::none);
  EXPECT_TRUE(may_lend(s, Side::server));
}

TEST_P(KillInPoolTest, AVictimKeepsItsConnectionOrGetsOne) {
  log_in_pooled();
  EXPECT_EQ(hold_home(), s.home.connection_id);
  EXPECT_GT(s.split->lending.held_ns, world.now_ns);
  lend(Side::server);
  EXPECT_EQ(hold_home(), 0u);
  EXPECT_THAT(acquires, ElementsAre(Side::server));
  acquires.clear();
  EXPECT_EQ(hold_home(), 0u);
  EXPECT_THAT(acquires, IsEmpty());
  lent(Side::server, other_leg());
  EXPECT_EQ(hold_home(), 0u) << "it is not the session's before it is as it was";
  home(ok());
  home(result(account(s, Side::server, "app@% ")));
  home(joined({ok(), ok()}));
  EXPECT_EQ(hold_home(), 77u);
  client(query("INSERT INTO t VALUES (1)"));
  EXPECT_THAT(said(Side::server).back(), kWrite);
}

TEST_P(KillInPoolTest, WhoseConnectionIsClosedAboutThenIsGone) {
  for (const bool said_first : {true, false}) {
    s = SessionState{.id = 1, .service = "shop", .client_ip = "127.0.0.1"};
    open = {true, false, false};
    acquires.clear();
    log_in_pooled();
    const auto killed = [&] {
      event([&](Actions& out) { split::on_said_killed(s, world.surroundings(), out); });
    };
    if (said_first) killed();
    lost(Side::server);
    if (!said_first) {
      EXPECT_EQ(s.phase, Phase::relaying);
      client(query("INSERT INTO t VALUES (1)"));  // it gets another one
      lent(Side::server, other_leg());
      killed();
    }
    EXPECT_EQ(s.phase, Phase::closing) << said_first;
  }
}

TEST_P(KillInPoolTest, ALossLongAfterIsNone) {
  log_in_pooled();
  event([&](Actions& out) { split::on_said_killed(s, world.surroundings(), out); });
  world.now_ns += 10 * kSecondNs;
  lost(Side::server);
  EXPECT_EQ(s.phase, Phase::relaying);
}

TEST_P(KillInPoolTest, AVictimThatGetsNoneLivesOn) {
  log_in_pooled();
  lend(Side::server);
  EXPECT_EQ(hold_home(), 0u);
  acquires.clear();
  late();
  EXPECT_EQ(s.phase, Phase::relaying);
  client(query("INSERT INTO t VALUES (1)"));
  EXPECT_THAT(acquires, ElementsAre(Side::server));
}

TEST_P(KillInPoolTest, AVictimWhoseReplicaNobodyLendsIsStoppedAtHomeAlone) {
  kill(query("KILL QUERY 5"));
  found({.known = true, .home_id = 4242});
  home(ok());
  found({"db2", 99});
  EXPECT_THAT(acquires, ElementsAre(Side::reader));
  event([&](Actions& out) { split::on_none_lent(s, world.surroundings(), Side::reader, out); });
  EXPECT_EQ(raw(Side::client), ok());
  EXPECT_EQ(s.split->kill.step, split::KillStep::none);
}

TEST_P(KillInPoolTest, TheSessionGoesOnIfTheConnectionForThatIsLost) {
  kill(query("KILL QUERY 5"));
  found({.known = true, .home_id = 4242});
  home(ok());
  found({"db2", 99});
  lent(Side::reader, other_leg("db2"));
  lost(Side::reader);
  EXPECT_EQ(raw(Side::client), ok());
  forget_said();
  client(query("INSERT INTO t VALUES (1)"));
  EXPECT_EQ(said(Side::server).back(), kWrite);
}

TEST_P(KillInPoolTest, AVictimIsStoppedByALentConnectionToo) {
  kill(query("KILL QUERY 5"));
  found({.known = true, .home_id = 4242});
  home(ok());
  found({"db2", 99});
  EXPECT_NE(deadline_of(s), 0);
  lent(Side::reader, other_leg("db2"));
  reader(ok());
  reader(result(account(s, Side::reader, "app@% ")));
  reader(ok());
  EXPECT_EQ(said(Side::reader).back(), "\3KILL QUERY 99");
  reader(ok());
  EXPECT_EQ(raw(Side::client), ok());
}

}  // namespace
}  // namespace sluice::worker
