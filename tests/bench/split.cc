// What a point select and a transaction cost in the engine alone, without sockets, with either
// router: nanoseconds and allocations, as JSON.
#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <ctime>
#include <span>
#include <string_view>

#include "tests/worker/split/allocations.h"
#include "tests/worker/split/steady.h"

namespace {

using sluice::config::RouterKind;
using sluice::worker::split_tests::SteadySession;
using sluice::worker::split_tests::Turn;

struct Cost {
  double nanoseconds = 1e18;  ///< of CPU; the best of several rounds, for the machine is shared
  double allocations = 0;     ///< of all rounds but the first
};

double cpu_ns() {
  timespec now{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e9 + static_cast<double>(now.tv_nsec);
}

Cost measure(SteadySession& session, std::span<const Turn> turns) {
  constexpr int kRounds = 20;
  const auto times = 10'000 / static_cast<int>(turns.size());
  Cost cost;
  uint64_t before = 0;
  for (int round = 0; round < kRounds; ++round) {
    if (round == 1) before = sluice::test::allocations();
    const double start = cpu_ns();
    for (int i = 0; i < times; ++i) {
      for (const auto& turn : turns) {
        if (session.run(turn)) continue;
        fmt::print(stderr, "bench_split: \"{}\" went astray\n", turn.name);
        std::exit(1);
      }
    }
    cost.nanoseconds = std::min(cost.nanoseconds, (cpu_ns() - start) / times);
  }
  cost.allocations =
      static_cast<double>(sluice::test::allocations() - before) / (times * (kRounds - 1));
  return cost;
}

}  // namespace

int main() {
  std::string_view separator = "{";
  for (const auto& [router, name] : {std::pair(RouterKind::connection, "connection"),
                                     std::pair(RouterKind::read_write_split, "split")}) {
    SteadySession session(router);
    fmt::print("{}\"{}\": {{", separator, name);
    separator = "";
    const auto print = [&](std::string_view statement, const Cost& cost) {
      fmt::print("{}\"{}\": {{\"ns\": {:.0f}, \"allocations\": {:.4f}}}", separator, statement,
                 cost.nanoseconds, cost.allocations);
      separator = ", ";
    };
    for (const auto& turn : session.point_selects()) print(turn.name, measure(session, {&turn, 1}));
    print("transaction", measure(session, session.transaction()));
    fmt::print("}}");
  }
  fmt::print("}}\n");
}
