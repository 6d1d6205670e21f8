// Who gets whose connection, without a session and without a socket.
#include "worker/pool.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <random>

namespace sluice::worker {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using Answer = Lenders::Answer;
using Decision = Pool::Decision;
using What = Decision::What;

constexpr Place home(uint64_t session) {
  return {session, Side::server};
}
constexpr Place reader(uint64_t session) {
  return {session, Side::reader};
}

/// Sessions that lend, or do not, as the test says. The number of a session is when it was active,
/// and sessions of the same parity fit each other.
class Played final : public Lenders {
 public:
  Answer may_lend(Place place) const override {
    const auto found = answers.find(place.session);
    return found == answers.end() ? Answer::no : found->second;
  }
  int64_t active_ns(Place place) const override { return static_cast<int64_t>(place.session); }
  bool fits(Place from, Place to) const override {
    return from.side == to.side && from.session % 2 == to.session % 2;
  }
  std::map<uint64_t, Answer> answers;
};

class PoolTest : public testing::Test {
 protected:
  std::vector<Decision> all() {
    std::vector<Decision> out;
    while (const auto decision = pool.next(lenders)) {
      out.push_back(*decision);
      if (decision->what == What::ask) lenders.answers[decision->from.session] = Answer::asked;
    }
    return out;
  }
  Pool pool{2, 1};
  Played lenders;
};

TEST(PoolShare, IsRoundedUp) {
  EXPECT_EQ(Pool(10, 4).limit(), 3u);
  EXPECT_EQ(Pool(8, 4).limit(), 2u);
  EXPECT_EQ(Pool(1, 4).limit(), 1u);
}

TEST_F(PoolTest, ThereIsRoom) {
  pool.wants("db1", home(1));
  pool.wants("db1", home(2));
  EXPECT_THAT(all(), ElementsAre(Decision{What::connect, {}, home(1)},
                                 Decision{What::connect, {}, home(2)}));
  EXPECT_EQ(pool.open(), 2u);
  EXPECT_EQ(pool.waiting(), 0u);
}

TEST_F(PoolTest, ServersAreCountedApart) {
  pool.came("db1", home(1));
  pool.came("db1", home(2));
  pool.wants("db2", home(3));
  EXPECT_THAT(all(), ElementsAre(Decision{What::connect, {}, home(3)}));
}

TEST_F(PoolTest, TheLeastActiveLends) {
  pool.came("db1", home(4));
  pool.came("db1", home(2));
  lenders.answers = {{2, Answer::yes}, {4, Answer::yes}};
  pool.wants("db1", home(6));
  EXPECT_THAT(all(), ElementsAre(Decision{What::lend, home(2), home(6)}));
  EXPECT_THAT(pool.holders("db1"), ElementsAre(home(4), home(6)));
}

TEST_F(PoolTest, WhoDoesNotFitGetsTheRoomOnly) {
  pool.came("db1", home(4));
  pool.came("db1", home(2));
  lenders.answers = {{2, Answer::yes}};
  pool.wants("db1", home(7));
  EXPECT_THAT(all(), ElementsAre(Decision{What::replace, home(2), home(7)}));
}

TEST_F(PoolTest, FirstComeFirstServed) {
  pool.came("db1", home(1));
  pool.came("db1", home(2));
  for (const uint64_t id : {3, 4, 5}) pool.wants("db1", home(id));
  EXPECT_THAT(all(), IsEmpty());
  EXPECT_EQ(pool.waiting(), 3u);
  EXPECT_EQ(pool.take_waited(), 3u);
  EXPECT_EQ(pool.take_waited(), 0u);
  lenders.answers = {{2, Answer::yes}};
  EXPECT_THAT(all(), ElementsAre(Decision{What::replace, home(2), home(3)}));
  pool.left(home(1));
  EXPECT_THAT(all(), ElementsAre(Decision{What::connect, {}, home(4)}));
  pool.left(home(5));
  EXPECT_EQ(pool.waiting(), 0u);
}

TEST_F(PoolTest, ReadersDoNotWait) {
  pool.came("db1", home(1));
  pool.came("db1", home(2));
  pool.wants("db1", home(3));
  pool.wants("db1", reader(4));
  EXPECT_THAT(all(), ElementsAre(Decision{What::none, {}, reader(4)}));
  EXPECT_EQ(pool.waiting(), 1u);
}

TEST_F(PoolTest, NoMoreAreAskedThanWait) {
  pool.came("db1", home(1));
  pool.came("db1", home(2));
  lenders.answers = {{1, Answer::if_told}, {2, Answer::if_told}};
  pool.wants("db1", home(3));
  EXPECT_THAT(all(), ElementsAre(Decision{What::ask, home(1), {}}));
  lenders.answers[1] = Answer::yes;
  EXPECT_THAT(all(), ElementsAre(Decision{What::lend, home(1), home(3)}));
}

TEST_F(PoolTest, ALoginTooManyIsMadeUpFor) {
  for (const uint64_t id : {1, 2, 3}) pool.came("db1", home(id));
  EXPECT_THAT(all(), IsEmpty());
  lenders.answers = {{2, Answer::yes}, {3, Answer::yes}};
  EXPECT_THAT(all(), ElementsAre(Decision{What::close, home(2), {}}));
  EXPECT_EQ(pool.open(), 2u);
}

TEST_F(PoolTest, WhileThereAreTooManyNobodyBorrows) {
  for (const uint64_t id : {1, 2, 3}) pool.came("db1", home(id));
  lenders.answers = {{1, Answer::yes}, {2, Answer::yes}};
  pool.wants("db1", home(4));
  EXPECT_THAT(all(), ElementsAre(Decision{What::close, home(1), {}},
                                 Decision{What::lend, home(2), home(4)}));
}

TEST_F(PoolTest, WhoWantsAgainHasGivenUpTheOneBefore) {
  pool.came("db1", home(1));
  pool.wants("db2", home(1));
  EXPECT_THAT(all(), ElementsAre(Decision{What::connect, {}, home(1)}));
  EXPECT_EQ(pool.open(), 1u);
}

/// Whatever happens: never more than the limit by borrowing, nobody twice, nobody overtaken.
TEST(PoolRandom, KeepsItsPromises) {
  std::mt19937 random(1);
  for (int run = 0; run < 200; ++run) {
    const uint32_t limit = 1 + random() % 4;
    Pool pool(limit, 1);
    Played lenders;
    std::vector<uint64_t> queue;
    for (int step = 0; step < 200; ++step) {
      const uint64_t id = random() % 10;
      switch (random() % 4) {
        case 0:
          pool.wants("db1", home(id));
          std::erase(queue, id);
          queue.push_back(id);
          break;
        case 1:
          pool.left(home(id));
          std::erase(queue, id);
          break;
        default:
          lenders.answers[id] = static_cast<Answer>(random() % 4);
      }
      while (const auto decision = pool.next(lenders)) {
        if (decision->what == What::ask) {
          EXPECT_EQ(lenders.answers[decision->from.session], Answer::if_told);
          lenders.answers[decision->from.session] = Answer::asked;
          continue;
        }
        ASSERT_FALSE(queue.empty());
        EXPECT_EQ(decision->to, home(queue.front()));
        queue.erase(queue.begin());
        if (decision->what == What::connect) continue;
        EXPECT_EQ(lenders.answers[decision->from.session], Answer::yes);
        lenders.answers[decision->to.session] = Answer::no;
      }
      EXPECT_LE(pool.open(), limit);
      EXPECT_EQ(pool.waiting(), queue.size());
      auto holders = pool.holders("");
      std::ranges::sort(holders, {}, &Place::session);
      EXPECT_EQ(std::ranges::adjacent_find(holders), holders.end());
    }
  }
}

}  // namespace
}  // namespace sluice::worker
