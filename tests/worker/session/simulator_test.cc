// Every recorded conversation through the session engine: cut, moved, closed and ended at every
// byte, and thousands of sessions in which chance decides. To repeat a failure: SLUICE_SEED as
// printed, SLUICE_SESSIONS=1.
#include "tests/worker/session/simulator.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <iostream>

namespace sluice::worker {
namespace {

uint64_t from_environment(const char* name, uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

class Recorded : public testing::TestWithParam<std::size_t> {
 protected:
  /// A part of one side's stream, short enough to try each of its bytes, and the state before it.
  struct Piece {
    Side from;
    std::size_t begin, end;
    Simulator::Snapshot before, after;
  };

  const Script& script() const { return scripts()[GetParam()]; }

  /// Whether it matters what happens at this byte: near either end of a packet it does. In the
  /// middle of a long one the engine only counts, so a few of its bytes speak for all.
  bool matters(Side side, std::size_t at) const {
    constexpr std::size_t kNear = 48;
    const auto& ends = script().packet_ends[static_cast<std::size_t>(side)];
    const auto next = ends.lower_bound(at);
    if (next == ends.end() || next == ends.begin() || *next - at < kNear) return true;
    return at - *std::prev(next) < kNear || at % 1009 == 0;
  }

  /// The conversation piece by piece; each ends where a turn does, or after kPiece bytes.
  std::vector<Piece> pieces() {
    constexpr std::size_t kPiece = 256;
    std::vector<Piece> list;
    Simulator session(script(), {}, 1);
    session.accept();
    for (const auto& turn : script().turns) {
      for (auto at = turn.begin; at < turn.end && session.problem().empty();) {
        const auto size = std::min(turn.end - at, kPiece);
        auto before = session.snapshot();
        session.deliver(turn.from, size);
        list.push_back({turn.from, at, at + size, std::move(before), session.snapshot()});
        at += size;
      }
    }
    EXPECT_EQ(session.problem(), "");
    return list;
  }
};

TEST_P(Recorded, IsTheSameCutAtEveryByte) {
  Simulator session(script(), {}, 1);
  for (const auto& piece : pieces()) {
    for (auto at = piece.begin + 1; at < piece.end; ++at) {
      session.restore(piece.before);
      session.deliver(piece.from, at - piece.begin);
      session.move();
      session.deliver(piece.from, piece.end - at);
      ASSERT_EQ(session.problem(), "")
          << "cut at byte " << at << " of the " << enum_name(piece.from);
      ASSERT_TRUE(session.snapshot() == piece.after)
          << "cut at byte " << at << " of the " << enum_name(piece.from);
    }
  }
}

TEST_P(Recorded, EndsWhenEitherSideClosesAtAnyByte) {
  for (const auto& piece : pieces()) {
    for (auto at = piece.begin; at <= piece.end; ++at) {
      if (!matters(piece.from, at)) continue;
      for (const Side side : {Side::client, Side::server}) {
        Simulator session(script(), {}, 1);
        session.restore(piece.before);
        session.deliver(piece.from, at - piece.begin);
        session.close(side);
        session.let_end();
        ASSERT_EQ(session.problem(), "") << "closed by the " << enum_name(side) << " at byte " << at
                                         << " of the " << enum_name(piece.from);
      }
    }
  }
}

TEST_P(Recorded, AnOrderToEndAtAnyByteLosesNoAnswer) {
  for (const auto& piece : pieces()) {
    for (auto at = piece.begin; at <= piece.end; ++at) {
      if (!matters(piece.from, at)) continue;
      Simulator session(script(), {}, at);
      session.restore(piece.before);
      session.deliver(piece.from, at - piece.begin);
      session.order_to_end();
      session.run();
      ASSERT_EQ(session.problem(), "")
          << "ordered at byte " << at << " of the " << enum_name(piece.from);
    }
  }
}

std::string name_of(const testing::TestParamInfo<std::size_t>& test) {
  auto name = scripts()[test.param].name;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}
INSTANTIATE_TEST_SUITE_P(Conversations, Recorded, testing::Range<std::size_t>(0, scripts().size()),
                         name_of);

/// A plan and the seed of everything else, from one number.
struct Draw {
  explicit Draw(uint64_t seed) : random(seed) {
    const auto pick = [this](std::size_t n) {
      return std::uniform_int_distribution<std::size_t>(0, n - 1)(random);
    };
    constexpr std::size_t kPieces[] = {1, 3, 17, 200, 1460, 16384, SIZE_MAX};
    constexpr std::size_t kRooms[] = {1, 50, 4000, 65536, SIZE_MAX};
    script = &scripts()[pick(scripts().size())];
    plan.trouble = static_cast<Trouble>(pick(kTroubles));
    plan.piece = kPieces[pick(std::size(kPieces))];
    plan.room = kRooms[pick(std::size(kRooms))];
    // Byte by byte only where that ends soon.
    const auto size = script->sent[0].size() + script->sent[1].size();
    if (size > 20'000) {
      plan.piece = std::max<std::size_t>(plan.piece, 1460);
      plan.room = std::max<std::size_t>(plan.room, 4000);
    }
    plan.judged = pick(4) == 0;
    plan.moves = pick(3) == 0;
    const auto events = 12 + 4 * size / std::min(plan.piece, std::min<std::size_t>(plan.room, 60));
    plan.after = pick(pick(2) == 0 ? 40 : events);
  }
  std::mt19937_64 random;
  const Script* script;
  Plan plan;
};

TEST(Simulator, RandomSessions) {
  const auto first = from_environment("SLUICE_SEED", std::random_device{}());
  const auto count = from_environment("SLUICE_SESSIONS", 10'000);
  std::cout << "SLUICE_SEED=" << first << " SLUICE_SESSIONS=" << count << '\n';
  for (uint64_t seed = first; seed < first + count; ++seed) {
    Draw draw(seed);
    Simulator session(*draw.script, draw.plan, draw.random());
    session.run();
    ASSERT_EQ(session.problem(), "") << fmt::format(
        "SLUICE_SEED={} trouble {} after {} events, pieces of {}, room for {}{}{}", seed,
        static_cast<int>(draw.plan.trouble), draw.plan.after, draw.plan.piece, draw.plan.room,
        draw.plan.judged ? ", judged" : "", draw.plan.moves ? ", moves" : "");
  }
}

}  // namespace
}  // namespace sluice::worker
