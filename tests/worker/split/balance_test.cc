// Which replica a session reads from, when another one has less to do.
#include "tests/worker/split/split_fixture.h"

namespace sluice::worker {
namespace {

using namespace split_tests;
using mysql::Command;

class SplitBalanceTest : public SplitTest {
 protected:
  void log_in_beside_db3(uint64_t busy_db2, uint64_t busy_db3) {
    log_in_with_reader();
    world.add_replica("db3");
    busy(busy_db2, busy_db3);
    world.now_ns += 3 * kSecondNs;
  }
  void busy(uint64_t db2, uint64_t db3) {
    world.view(1).busy = db2;
    world.view(2).busy = db3;
  }
  /// Whether it goes to another replica for a read, which is answered.
  bool moves() {
    connects.clear(), forget_said();
    client(query("SELECT a FROM t"));
    const bool moved = !connects.empty();
    if (moved) {
      reader_logs_in();
      reader(joined({ok(), ok()}));
    }
    reader(result("1"));
    EXPECT_EQ(raw(Side::client), result("1"));
    return moved;
  }
};
INSTANTIATE_TEST_SUITE_P(All, SplitBalanceTest, kManners, name_of);

TEST_P(SplitBalanceTest, TheReaderMovesToOneWithMuchLessToDo) {
  log_in_beside_db3(8, 2);
  EXPECT_TRUE(moves());
  EXPECT_EQ(s.split->reader.server, "db3");
}

TEST_P(SplitBalanceTest, NotForALittle) {
  log_in_beside_db3(3, 0);
  EXPECT_FALSE(moves());
  world.now_ns += 3 * kSecondNs;
  busy(9, 5);
  EXPECT_FALSE(moves());
}

TEST_P(SplitBalanceTest, AndNotAllTheTime) {
  log_in_beside_db3(8, 0);
  EXPECT_TRUE(moves());
  busy(0, 8);
  EXPECT_FALSE(moves()) << "it has just come";
  world.now_ns += 3 * kSecondNs;
  EXPECT_TRUE(moves());
  EXPECT_EQ(s.split->reader.server, "db2");
}

TEST_P(SplitBalanceTest, WhatIsPreparedThereKeepsIt) {
  log_in_beside_db3(0, 0);
  client(command(Command::stmt_prepare, "SELECT a FROM t"));
  home(prepared(5));
  client(execute(5));
  reader(prepared(9));
  reader(result("1"));
  busy(8, 0);
  world.now_ns += 3 * kSecondNs;
  EXPECT_FALSE(moves());
}

TEST_P(SplitBalanceTest, WarningsThatMayBeAskedForKeepIt) {
  log_in_beside_db3(8, 0);
  s.split->last.diagnosed = true;
  s.split->last.diagnostics = split::Knows::reader;
  forget_said();
  client(query("SELECT 1"));
  EXPECT_THAT(connects, IsEmpty());
  EXPECT_THAT(said(Side::reader), ElementsAre("\3SELECT 1"));
}

}  // namespace
}  // namespace sluice::worker
