// causal_reads = service: a read waits for what any session of the service has written.
#include "common/stats/last_writes.h"
#include "tests/worker/split/split_fixture.h"

namespace sluice::worker {
namespace {

using namespace split_tests;

class SplitServiceWritesTest : public SplitTest {
 protected:
  std::vector<stats::WritesSlot> slots{3};
  std::atomic<uint64_t> used{3};
  stats::LastWrites own{slots.data(), 1, used, 1}, other{slots.data(), 1, used, 2};

  SplitServiceWritesTest() {
    world.service.causal_reads = config::CausalReads::service;
    world.writes = &own;
  }
};
INSTANTIATE_TEST_SUITE_P(All, SplitServiceWritesTest, kManners, name_of);

const std::string kRead("\3SELECT a FROM t");

TEST_P(SplitServiceWritesTest, OthersWritesAreWaitedFor) {
  log_in_with_reader();
  client(query("SELECT a FROM t"));
  EXPECT_THAT(said(Side::reader), ElementsAre(kRead));
  reader(result("1"));
  other.publish("0-1-7");
  client(query("SELECT a FROM t"));
  EXPECT_THAT(said(Side::reader), ElementsAre(HasSubstr("MASTER_GTID_WAIT('0-1-7'")));
  reader(result("0"));
  EXPECT_THAT(said(Side::reader), ElementsAre(kRead));
  reader(result("2"));
  client(query("SELECT a FROM t"));
  EXPECT_THAT(said(Side::reader), ElementsAre(kRead));
}

TEST_P(SplitServiceWritesTest, WhatIsWrittenIsToldBeforeTheClientKnows) {
  log_in_with_reader();
  client(query("INSERT INTO t VALUES (1)"));
  const auto answer = ok(kPlain, variable("last_gtid", "0-1-8"));
  home(answer);
  EXPECT_EQ(other.read().gtids, "0-1-8");
  const auto version = other.version();
  client(query("SELECT a FROM t"));
  EXPECT_THAT(said(Side::reader), ElementsAre(HasSubstr("'0-1-8'")));
  reader(result("0"));
  reader(result("1"));
  EXPECT_EQ(other.version(), version) << "a read tells nothing";
}

TEST_P(SplitServiceWritesTest, WritesThatWereNotToldAreAskedFor) {
  log_in_with_reader();
  client(query("INSERT INTO t VALUES (1) RETURNING a"));
  home(result("1"));
  EXPECT_EQ(other.doubts(), 1u);
  forget_said();
  client(query("SELECT a FROM t"));
  EXPECT_THAT(said(Side::server), ElementsAre("\3SELECT @@global.gtid_current_pos"));
  home(result("0-1-9"));
  EXPECT_THAT(said(Side::reader), ElementsAre(HasSubstr("'0-1-9'")));
  reader(result("0"));
  EXPECT_THAT(said(Side::reader), ElementsAre(kRead));
  reader(result("1"));
  EXPECT_EQ(other.read().gtids, "");
  other.doubt();
  client(query("SELECT a FROM t"));
  EXPECT_THAT(said(Side::server), testing::SizeIs(1));
  home(error(1227));  // it does not say
  EXPECT_THAT(said(Side::server), ElementsAre(kRead));
  EXPECT_EQ(s.split->now.why_home, stats::Route::behind);
}

/// What home has said of all is not forgotten for what somebody tells of an earlier write.
TEST_P(SplitServiceWritesTest, EarlierWritesThatAreToldLateChangeNothing) {
  log_in_with_reader();
  client(query("INSERT INTO t VALUES (1) RETURNING a"));
  home(result("1"));
  client(query("SELECT a FROM t"));
  other.publish("0-1-8");
  home(result("0-1-9"));
  EXPECT_THAT(said(Side::reader), ElementsAre(HasSubstr("'0-1-9'")));
  reader(result("0"));
  EXPECT_THAT(said(Side::reader), ElementsAre(kRead));
}

/// A primary that was restored, or is another one that lacks some: replicas never get that.
TEST_P(SplitServiceWritesTest, WhatThePrimaryHasNotGotIsForgotten) {
  log_in_with_reader();
  other.publish("0-1-900");
  client(query("SELECT a FROM t"));
  reader(result("-1"));
  EXPECT_THAT(said(Side::server), ElementsAre(kRead)) << "it was waited for in vain";
  home(result("1"));
  forget_said();
  client(query("SELECT a FROM t"));
  EXPECT_THAT(said(Side::server), ElementsAre("\3SELECT @@global.gtid_current_pos"));
  home(result("0-1-5"));
  EXPECT_EQ(other.read().gtids, "0-1-5");
  EXPECT_EQ(other.doubts(), 1u);
  EXPECT_THAT(said(Side::server), testing::SizeIs(1)) << "somebody may have told more meanwhile";
  home(result("0-1-6"));
  EXPECT_THAT(said(Side::reader), ElementsAre(HasSubstr("'0-1-6'")));
  reader(result("0"));
  reader(result("1"));
  client(query("SELECT a FROM t"));
  EXPECT_THAT(said(Side::reader), ElementsAre(kRead, kRead));
}

TEST_P(SplitServiceWritesTest, AReplicaThatIsBehindIsNoReasonToForget) {
  log_in_with_reader();
  other.publish("0-1-900");
  client(query("SELECT a FROM t"));
  reader(result("-1"));
  home(result("1"));
  client(query("SELECT a FROM t"));
  other.publish("0-1-902");
  home(result("0-1-901"));
  EXPECT_EQ(other.read().gtids, "0-1-902");
  EXPECT_EQ(other.doubts(), 0u);
}

TEST_P(SplitServiceWritesTest, WithoutAPrimaryWhatIsNotKnownCannotBeRead) {
  log_in_with_reader();
  lost(Side::server);
  world.server(0).role = cluster::Role::none;
  client(query("SELECT a FROM t"));
  EXPECT_THAT(said(Side::reader), ElementsAre(kRead)) << "nobody has written";
  reader(result("1"));
  other.doubt();
  client(query("SELECT a FROM t"));
  EXPECT_THAT(said(Side::reader), IsEmpty());
}

}  // namespace
}  // namespace sluice::worker
