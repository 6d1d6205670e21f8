#pragma once

#include <array>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "tests/support/mariadb_server.h"
#include "tests/support/sluice.h"
#include "tests/support/split_bystanders.h"
#include "tests/support/split_sequence.h"
#include "tests/support/split_session.h"

namespace sluice::test {

/// Where the two ways differ.
struct SplitDifference {
  std::size_t at = 0;  ///< number of the step
  std::string direct, through;
};

/// Who takes part in it.
std::set<int> sessions_of(const SplitSequence& sequence);

/// A single server, and sluice with the router read-write-split over a primary and two replicas
/// with the same contents. Half of the sessions speak the compressed protocol with sluice.
class SplitWorld {
 public:
  enum class Connections {
    own,     ///< every session keeps its own
    pooled,  ///< sessions lend each other a few; only so is there anyone who borrows them
  };
  explicit SplitWorld(Connections connections = Connections::own);

  /// What a sequence finds: making tables anew takes ten times as long as most sequences.
  enum class Tables {
    new_ones,
    left_ones,  ///< with rows that the sequence before has left, the same on either side
  };
  /// Runs every step on either side, in lock step. Ends at the first difference, or where sluice
  /// refuses what it may refuse sessions that lend.
  std::optional<SplitDifference> run(const SplitSequence& sequence, Tables tables);
  /// Statements that the replicas have been asked so far, sluice's own among them.
  uint64_t replica_reads();
  /// Connections that changed hands.
  uint64_t loans() const;
  /// What sluice refused sessions that lend, and how often.
  const std::map<std::string, int>& refusals() const { return refusals_; }
  /// What the servers are at, and the ends of their error logs.
  std::string logs();
  /// A file for LOAD DATA LOCAL.
  std::string file() const { return dir_ / "rows"; }

 private:
  struct Pair {
    SplitSession direct, through;
  };
  /// Which databases are not as they were made.
  struct Dirty {
    bool library = true, first = true, second = true, third = true;
    bool any() const { return library || first || second || third; }
  };

  /// The service for so many sessions.
  ClientOptions service(std::size_t sessions) const;
  /// A session on either side; `how` as in a "\connect" step.
  Pair connect(std::string_view how, ClientOptions through) const;
  void make_new();
  void note_dirt(const SplitSequence& sequence);
  void keep_in_step();
  void catch_up();
  void run_world(const std::string& what);
  void clean_up();

  TempDir dir_;
  MariadbServer single_, primary_;
  std::array<std::unique_ptr<MariadbServer>, 2> replicas_;
  std::unique_ptr<Sluice> sluice_;
  Connections connections_;
  std::unique_ptr<SplitBystanders> bystanders_;  ///< of the sequence that runs
  std::map<std::string, int> refusals_;
  Dirty dirty_;
  int runs_on_it_ = 0;   ///< since the tables were made
  std::string written_;  ///< GTID of the primary that the replicas are known to have
};

}  // namespace sluice::test
