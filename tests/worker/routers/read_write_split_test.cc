#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "worker/routers/router.h"

namespace sluice::worker {
namespace {

using cluster::Role;

class ReadWriteSplitRouterTest : public testing::Test {
 protected:
  config::Service service{.name = "shop", .cluster = "c1"};
  std::vector<cluster::ServerState> states{state("db1", Role::primary), state("db2", Role::replica),
                                           state("db3", Role::replica),
                                           state("db4", Role::replica)};
  std::vector<ServerView> views{{&states[0]}, {&states[1]}, {&states[2]}, {&states[3]}};
  const Router& router = router_of(config::RouterKind::read_write_split);

  static cluster::ServerState state(std::string name, Role role) {
    return {.name = std::move(name),
            .addresses = {{"10.0.0.1", 3306, ""}},
            .role = role,
            .reason = "so it is"};
  }
  std::string better(std::string_view present) {
    const auto* found = router.better_reader(views, present);
    return found != nullptr ? found->state->name : "none";
  }
};

TEST_F(ReadWriteSplitRouterTest, ReadersAreSpreadEvenly) {
  for (int i = 0; i < 300; ++i) {
    const auto* reader = router.reader(service, views);
    ++views[static_cast<std::size_t>(reader->state->name.back() - '1')].open;
  }
  for (int i = 1; i <= 3; ++i) EXPECT_EQ(views[static_cast<std::size_t>(i)].open, 100u);
}

TEST_F(ReadWriteSplitRouterTest, ABetterReaderHasHalfAsMuchToDoAndFourLess) {
  EXPECT_EQ(better("db2"), "none");
  views[1].busy = 4;
  EXPECT_EQ(better("db2"), "db3");
  views[2].busy = 1;
  EXPECT_EQ(better("db2"), "db4");
  views[3].busy = 1;
  EXPECT_EQ(better("db2"), "none");
  views[1].busy = 20, views[2].busy = 10, views[3].busy = 11;
  EXPECT_EQ(better("db2"), "db3");
  views[2].busy = 11;
  EXPECT_EQ(better("db2"), "none");
}

TEST_F(ReadWriteSplitRouterTest, TheWeightOfAReaderCounts) {
  views[1].weight = 200;  // twelve are as many there as six elsewhere
  views[1].busy = 12, views[2].busy = 4, views[3].busy = 4;
  EXPECT_EQ(better("db2"), "none");
  views[2].busy = 3;
  EXPECT_EQ(better("db2"), "db3");
  views[2].weight = 0;
  EXPECT_EQ(better("db2"), "none");
  views[2].weight = 100;
  states[2].role = Role::none;
  EXPECT_EQ(better("db2"), "none");
}

}  // namespace
}  // namespace sluice::worker
