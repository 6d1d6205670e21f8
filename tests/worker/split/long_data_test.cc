// Parameters that are sent ahead (COM_STMT_SEND_LONG_DATA), which nobody answers, and statements
// that a replica can't prepare.
#include "tests/worker/split/split_fixture.h"

namespace sluice::worker {
namespace {

using namespace split_tests;
using mysql::Command;

class LongDataTest : public SplitTest {
 protected:
  void prepare() {
    log_in_with_reader();
    client(command(Command::stmt_prepare, "INSERT INTO t VALUES (?)"));
    home(prepared(1, 1));
    forget_said();
  }
  void send(std::string_view data) {
    client(command(Command::stmt_send_long_data, number(1, 4) + number(0, 2) + std::string(data)));
  }
  void run() { client(execute(1, std::string("\0\1\xFC\0", 4))); }
};
INSTANTIATE_TEST_SUITE_P(All, LongDataTest, kManners, name_of);

TEST_P(LongDataTest, IsOverWithItsExecution) {
  prepare();
  send("abc");
  EXPECT_TRUE(s.split->statements.front().long_data);
  run();
  home(ok());
  home_is_dead();
  EXPECT_EQ(s.phase, Phase::relaying);
}

TEST_P(LongDataTest, WhatFoundNoPrimaryIsNotLeftOut) {
  prepare();
  const auto up = world.server(0);
  world.server(0).role = cluster::Role::none;
  world.server(0).health = cluster::Health::down;
  lost(Side::server);
  send("first");
  while (s.split->home_by_ns != 0) late();
  EXPECT_THAT(raw(Side::client), IsEmpty());
  world.server(0) = up;
  send("second");
  run();
  EXPECT_THAT(last_error(), HasSubstr("found no connection to the primary"));
  EXPECT_THAT(raw(Side::server), IsEmpty());
  send("both");
  view();
  new_home_logs_in(4);
  forget_said();
  home(prepared(1, 1));
  run();
  EXPECT_THAT(said(Side::server), ElementsAre(StartsWith("\x18"), StartsWith("\x17")));
}

/// What is too long to be looked at would be taken for other commands.
TEST_P(LongDataTest, AfterThatALongOneEndsTheSession) {
  if (GetParam().piece == 1 || GetParam().moves) return;  // 2 MiB
  for (const bool executes : {false, true}) {
    s = SessionState{.id = 1, .service = "shop", .client_ip = "127.0.0.1"};
    open = {true, false, false};
    prepare();
    const auto role = std::exchange(world.server(0).role, cluster::Role::none);
    lost(Side::server);
    send("first");
    while (s.split->home_by_ns != 0) late();
    world.server(0).role = role;
    if (executes)
      client(execute(1, std::string("\0\1\xFC\0", 4) + std::string(2 << 20, 'x')));
    else
      send(std::string(2 << 20, 'x'));
    EXPECT_EQ(s.phase, Phase::closing);
    EXPECT_THAT(last_error(), HasSubstr("found no connection to the primary"));
  }
}

TEST_P(LongDataTest, AResetForgetsThat) {
  prepare();
  world.server(0).role = cluster::Role::none;
  lost(Side::server);
  send("first");
  while (s.split->home_by_ns != 0) late();
  client(command(Command::stmt_reset, number(1, 4)));
  EXPECT_FALSE(s.split->statements.front().data_lost);
}

TEST_P(SplitTest, AHintedStatementThatTheReplicaCannotPrepareRunsAtHome) {
  log_in_with_reader();
  client(command(Command::stmt_prepare, "SELECT a FROM t -- sluice route to replica"));
  home(prepared(1));
  forget_said();
  client(execute(1));
  EXPECT_THAT(said(Side::reader), ElementsAre(StartsWith("\x16SELECT")));
  reader(error(1146));
  EXPECT_THAT(said(Side::reader), IsEmpty());
  EXPECT_EQ(raw(Side::server), execute(1));
}

TEST_P(SplitTest, AReadThatCannotBeReadAgainIsNotAskedAbout) {
  log_in_with_reader();
  client(query("INSERT INTO x SELECT FOUND_ROWS()"));
  EXPECT_THAT(said(Side::server), ElementsAre("\3SELECT a FROM t"));
  home(error(1205));
  EXPECT_THAT(said(Side::server), IsEmpty());
  EXPECT_THAT(last_error(), HasSubstr("is not known any more"));
}

}  // namespace
}  // namespace sluice::worker
