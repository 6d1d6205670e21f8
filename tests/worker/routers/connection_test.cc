#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "worker/routers/router.h"

namespace sluice::worker {
namespace {

using cluster::Role;
using config::Fallback;
using config::Target;
using testing::HasSubstr;

class ConnectionRouterTest : public testing::Test {
 protected:
  config::Service service{.name = "shop", .cluster = "c1", .target = Target::replica};
  std::vector<cluster::ServerState> states{state("db1", Role::primary), state("db2", Role::replica),
                                           state("db3", Role::replica)};
  std::vector<ServerView> views{{&states[0]}, {&states[1]}, {&states[2]}};
  std::vector<std::string> tried;
  const Router& router = router_of(config::RouterKind{});

  static cluster::ServerState state(std::string name, Role role) {
    return {.name = std::move(name),
            .addresses = {{"10.0.0.1", 3306, ""}},
            .role = role,
            .reason = "so it is"};
  }
  std::string chosen() {
    const auto route = router.route(service, views, tried);
    return route ? route->server : "none: " + route.error().message;
  }
};

TEST_F(ConnectionRouterTest, TargetDecidesWhoMayServe) {
  service.target = Target::primary;
  EXPECT_EQ(chosen(), "db1");
  service.target = Target::replica;
  EXPECT_EQ(chosen(), "db2");
  views[1].open = views[2].open = 1;
  service.target = Target::any;
  EXPECT_EQ(chosen(), "db1");
}

TEST_F(ConnectionRouterTest, FewestConnectionsForItsWeight) {
  views[1].open = 3, views[2].open = 2;
  EXPECT_EQ(chosen(), "db3");
  views[1].weight = 300;  // four of 300 are less than three of 100
  EXPECT_EQ(chosen(), "db2");
}

TEST_F(ConnectionRouterTest, ConnectionsSpreadByWeight) {
  views[1].weight = 300, views[2].weight = 100;
  for (int i = 0; i < 400; ++i) ++views[chosen() == "db2" ? 1 : 2].open;
  EXPECT_EQ(views[1].open, 300u);
  EXPECT_EQ(views[2].open, 100u);
}

TEST_F(ConnectionRouterTest, WeightZeroIsTheLastResort) {
  views[1].weight = 0;
  views[2].open = 1000;
  EXPECT_EQ(chosen(), "db3");
  tried = {"db3"};
  EXPECT_EQ(chosen(), "db2");
}

TEST_F(ConnectionRouterTest, WhatWasTriedIsLeftOut) {
  tried = {"db2"};
  EXPECT_EQ(chosen(), "db3");
  tried = {"db2", "db3"};
  EXPECT_THAT(chosen(), HasSubstr("db2: could not be reached"));
}

TEST_F(ConnectionRouterTest, FallbackOnlyWhileNothingElseServes) {
  service.fallback = Fallback::primary;
  EXPECT_EQ(chosen(), "db2");
  states[1].role = states[2].role = Role::none;
  EXPECT_EQ(chosen(), "db1");
  EXPECT_THAT(router.route(service, views, tried)->reason, HasSubstr("fallback"));
  service.fallback = Fallback::none;
  EXPECT_THAT(chosen(), HasSubstr("no replica of cluster c1 can serve"));
}

TEST_F(ConnectionRouterTest, AServerWithoutAnAddressCannotServe) {
  states[1].addresses.clear();
  EXPECT_EQ(chosen(), "db3");
}

TEST_F(ConnectionRouterTest, SaysWhyOfEachServer) {
  states[1].role = states[2].role = Role::none;
  states[1].reason = "replication is stopped";
  const auto route = router.route(service, views, tried);
  ASSERT_FALSE(route);
  EXPECT_EQ(route.error().code, Errc::unavailable);
  EXPECT_THAT(route.error().message, HasSubstr("db2: replication is stopped"));
  EXPECT_THAT(route.error().message, HasSubstr("db1: so it is"));
}

TEST_F(ConnectionRouterTest, AWriterLeavesAServerThatIsNoPrimaryAnyMore) {
  service.target = Target::primary;
  EXPECT_EQ(router.must_leave(service, states[0]), "");
  states[0].role = Role::replica;
  EXPECT_THAT(router.must_leave(service, states[0]), HasSubstr("db1 is no longer the primary"));
  service.fallback = Fallback::replica;
  EXPECT_EQ(router.must_leave(service, states[0]), "");
  states[0].role = Role::none;
  EXPECT_EQ(router.must_leave(service, states[0]), "so it is");
}

TEST_F(ConnectionRouterTest, AReaderMayStayOnTheNewPrimary) {
  states[1].role = Role::primary;
  EXPECT_EQ(router.must_leave(service, states[1]), "");
}

TEST_F(ConnectionRouterTest, ADrainingServerKeepsItsSessions) {
  states[1].role = Role::none;
  states[1].admin = cluster::Admin::draining;
  EXPECT_EQ(router.must_leave(service, states[1]), "");
  states[1].admin = cluster::Admin::maintenance;
  EXPECT_EQ(router.must_leave(service, states[1]), "so it is");
}

}  // namespace
}  // namespace sluice::worker
