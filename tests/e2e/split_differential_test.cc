/// Sequences of statements on a single server, and through sluice's router read-write-split over a
/// primary and two replicas: what a client sees of each step must be the same. In a third of the
/// sequences replicas stop and start meanwhile.
///
/// SLUICE_SEED repeats a run, SLUICE_SEQUENCES makes it longer, SLUICE_SEQUENCE is a file with
/// steps as they are printed, which is run instead. A difference is printed with as few steps as it
/// takes. SLUICE_AVOID="this|that" leaves steps out that contain one of these texts: for those who
/// look for further differences beside the ones that they know.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <random>

#include "tests/support/eventually.h"
#include "tests/support/random.h"
#include "tests/support/split_world.h"

namespace sluice::test {
namespace {

constexpr auto kNew = SplitWorld::Tables::new_ones;

void leave_out(SplitSequence& sequence, std::string_view texts) {
  for (std::size_t at = 0; at < texts.size();) {
    const auto end = std::min(texts.find('|', at), texts.size());
    const auto text = texts.substr(at, end - at);
    std::erase_if(sequence.steps,
                  [&](const SplitStep& step) { return step.text.find(text) != std::string::npos; });
    at = end + 1;
  }
}

/// Takes parts of the sequence away, ever smaller ones, while it still shows a difference.
SplitSequence smallest(SplitWorld& world, SplitSequence sequence) {
  auto& steps = sequence.steps;
  for (std::size_t part = std::max<std::size_t>(steps.size() / 2, 1);; part /= 2) {
    for (std::size_t at = 0; at < steps.size();) {
      const auto all = steps;
      const auto first = steps.begin() + static_cast<std::ptrdiff_t>(at);
      steps.erase(first, first + static_cast<std::ptrdiff_t>(std::min(part, steps.size() - at)));
      if (world.run(sequence, kNew)) continue;
      steps = all;
      at += part;
    }
    if (part <= 1) return sequence;
  }
}

std::string told(const SplitSequence& sequence, const SplitDifference& difference) {
  auto until = sequence;
  until.steps.resize(difference.at + 1);
  return fmt::format("{}on a single server:\n{}through sluice:\n{}", until.shown(),
                     difference.direct, difference.through);
}

/// Runs one sequence; what is different about it, with the smallest that shows it. `unsteady` if it
/// does not show again.
std::string difference(SplitWorld& world, const SplitSequence& sequence, bool& unsteady) {
  constexpr int kTries = 3;
  const auto first = world.run(sequence, SplitWorld::Tables::left_ones);
  if (!first) return {};
  const auto head = fmt::format("seed {}{}\n", sequence.seed, sequence.in_step ? "" : ", lagging");
  auto again = first;
  for (int i = 0; i < kTries; ++i)
    if ((again = world.run(sequence, kNew))) break;
  unsteady = !again.has_value();
  if (unsteady) return head + "(it did not show again)\n" + told(sequence, *first);
  auto small = sequence;
  small.steps.resize(again->at + 1);
  small = smallest(world, std::move(small));
  for (int i = 0; i < kTries; ++i)
    if (const auto found = world.run(small, kNew)) return head + told(small, *found);
  return head + "(it shows only now and then)\n" + told(sequence, *first);
}

TEST(SplitDifferential, RandomSequences) {
  const auto seed = from_environment("SLUICE_SEED", std::random_device{}());
  const auto wanted = from_environment("SLUICE_SEQUENCES", 0);
  const auto most = from_environment("SLUICE_DIFFERENCES", 3);
  const char* avoided = ::getenv("SLUICE_AVOID");
  fmt::print("SLUICE_SEED={} SLUICE_SEQUENCES={}\n", seed, wanted);
  SplitWorld world;
  const auto begin = world.replica_reads();
  const auto start = Clock::now();
  uint64_t sequences = 0, steps = 0, differences = 0, unsteady = 0;
  const auto goes_on = [&] {
    if (differences >= most) return false;
    return wanted > 0 ? sequences < wanted : time_left(start, 40s) > 0ms;
  };
  while (goes_on()) {
    auto sequence = random_split_sequence(seed + sequences++);
    leave_out(sequence, avoided != nullptr ? avoided : "");
    steps += sequence.steps.size();
    bool shaky = false;
    const auto found = difference(world, sequence, shaky);
    if (found.empty()) continue;
    unsteady += shaky;
    differences += !shaky;
    ADD_FAILURE() << found;
  }
  fmt::print("{} sequences, {} steps, {} reads on replicas, {} differences, {} unsteady\n",
             sequences, steps, world.replica_reads() - begin, differences, unsteady);
}

TEST(SplitDifferential, OneSequence) {
  const char* path = ::getenv("SLUICE_SEQUENCE");
  if (path == nullptr) GTEST_SKIP() << "SLUICE_SEQUENCE names no file";
  SplitWorld world;
  bool unsteady = false;
  EXPECT_EQ(difference(world, parse_split_sequence(read_file(path), false), unsteady), "");
}

}  // namespace
}  // namespace sluice::test
