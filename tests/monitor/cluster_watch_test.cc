#include "monitor/cluster_watch.h"

#include <gtest/gtest.h>

namespace sluice::monitor {
namespace {

using cluster::Health;

Observation good_look() {
  Observation seen;
  seen.health = Health::up;
  seen.server_id = 7;
  seen.links = {{.io = Running::yes, .sql = Running::yes, .behind_s = 0}};
  return seen;
}

TEST(Absorb, AFailedLookKeepsTheFactsOfTheLastGoodOne) {
  Observation known;
  absorb(known, good_look(), 100);
  known.asked_ns = 150;
  Observation failed;
  failed.health = Health::down;
  failed.error = "gone";
  absorb(known, failed, 200);
  EXPECT_EQ(known.health, Health::down);
  EXPECT_EQ(known.error, "gone");
  EXPECT_EQ(known.server_id, 7u);
  EXPECT_EQ(known.answered_ns, 100);
  EXPECT_EQ(known.asked_ns, 0) << "nothing is awaited any more";
}

TEST(Absorb, AddressesBelongToTheResolver) {
  Observation known;
  known.addresses = {{"10.0.0.1", 3306, ""}};
  absorb(known, good_look(), 100);
  EXPECT_EQ(known.addresses.size(), 1u);
}

TEST(Absorb, RemembersWhenReplicationLastRan) {
  Observation known;
  absorb(known, good_look(), 100);
  auto cut_off = good_look();
  cut_off.links[0].io = Running::connecting;
  absorb(known, cut_off, 200);
  EXPECT_EQ(known.linked_ns, 100);
  EXPECT_EQ(known.answered_ns, 200);
}

TEST(NumericAddress, OnlyWhatNeedsNoResolving) {
  EXPECT_EQ(numeric_address({"10.0.0.1", 3306, ""})->ip, "10.0.0.1");
  EXPECT_EQ(numeric_address({"::1", 3306, ""})->ip, "::1");
  EXPECT_EQ(numeric_address({"", 0, "/run/db.sock"})->path, "/run/db.sock");
  EXPECT_FALSE(numeric_address({"db1.example", 3306, ""}));
  EXPECT_FALSE(numeric_address({"localhost", 3306, ""}));
}

}  // namespace
}  // namespace sluice::monitor
