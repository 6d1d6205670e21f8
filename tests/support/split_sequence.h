#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace sluice::test {

/// One step of a sequence: who does what. Steps of `kWorld` are not for a session: they stop and
/// start the replication of a replica ("stop 0", "start 0"), or hold it back so that sluice does
/// not see it ("hold 0", "release 0"), or let other sessions borrow connections to a server of
/// those that are not busy ("borrow primary", "borrow 0").
struct SplitStep {
  static constexpr int kWorld = -1;

  int session = 0;
  /// SQL, or a command (split_session.h). "\connect WORDS" makes the session anew: "no_database",
  /// "found_rows", "ignore_space", "interactive".
  std::string text;
};

/// What sessions do, in this order. The same seed makes the same one.
struct SplitSequence {
  uint64_t seed = 0;
  /// Sessions see each other's writes, so replicas are waited for between them. Where replicas
  /// lag, sessions don't look at what others write.
  bool in_step = true;
  std::vector<SplitStep> steps{};

  /// A line for each step.
  std::string shown() const;
};

/// One to three sessions on tables t and u of the databases d_0 and d_1 (SplitWorld::reset()).
SplitSequence random_split_sequence(uint64_t seed);

/// The same with others who borrow connections after every other step.
SplitSequence with_borrowers(SplitSequence sequence);

/// A sequence as shown() prints it.
SplitSequence parse_split_sequence(const std::string& text, bool in_step);

}  // namespace sluice::test
