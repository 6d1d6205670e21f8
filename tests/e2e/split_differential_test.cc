/// Sequences of statements on a single server, and through sluice's router read-write-split over a
/// primary and two replicas: what a client sees of each step must be the same. In a third of the
/// sequences replicas stop and start meanwhile. The same with a pool, where other sessions borrow
/// the connections between the steps.
///
/// SLUICE_SEED repeats a run, SLUICE_SEQUENCES makes it longer, SLUICE_WORLDS=1 slower and orderly,
/// SLUICE_SEQUENCE is a file with steps as they are printed, which is run instead; with a pool, if
/// anybody borrows in it. A difference is printed with as few steps as it takes.
/// SLUICE_AVOID="this|that" leaves steps out that contain one of these texts: for those who look
/// for further differences beside the ones that they know.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <future>
#include <map>
#include <mutex>

#include "tests/support/eventually.h"
#include "tests/support/random.h"
#include "tests/support/split_world.h"
#include "tests/support/test_error.h"

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

struct Tally {
  uint64_t sequences = 0, steps = 0, differences = 0, unsteady = 0, reads = 0, loans = 0;
  std::map<std::string, int> refusals;  ///< of what was not known any more, by what it was

  uint64_t refused() const {
    uint64_t sum = 0;
    for (const auto& [what, count] : refusals) sum += static_cast<uint64_t>(count);
    return sum;
  }
};

/// What the worlds that run side by side share.
struct Run {
  std::mutex mutex;
  Tally tally;
  Clock::time_point start = Clock::now();
};

/// Runs random sequences for that long, or as many as the environment says.
void run_in_one_world(Run& run, SplitWorld::Connections connections, Milliseconds how_long,
                      uint64_t most_sequences) {
  const bool borrowed = connections == SplitWorld::Connections::pooled;
  SplitWorld world(connections);
  const auto begin = world.replica_reads();
  const auto seed = from_environment("SLUICE_SEED", 777000);
  const auto wanted = from_environment("SLUICE_SEQUENCES", 0);
  const auto most = from_environment("SLUICE_DIFFERENCES", 3);
  const char* avoided = ::getenv("SLUICE_AVOID");
  // Texts of kLimits, and what ends the server or the library now and then.
  constexpr const char* kLimited = "d_lib.v_|session_track|p_out(?)";
  const auto next = [&]() -> std::optional<uint64_t> {
    const std::lock_guard lock(run.mutex);
    auto& tally = run.tally;
    const bool goes_on =
        tally.differences < most &&
        (wanted > 0 ? tally.sequences < wanted
                    : tally.sequences < most_sequences && time_left(run.start, how_long) > 0ms);
    return goes_on ? std::optional(seed + tally.sequences++) : std::nullopt;
  };
  uint64_t steps = 0;
  while (const auto number = next()) {
    auto sequence = random_split_sequence(*number);
    leave_out(sequence, avoided != nullptr ? avoided : kLimited);
    // What a replica has read is counted again, after others have written.
    if (sessions_of(sequence).size() > 1) leave_out(sequence, "FOUND_ROWS");
    steps += sequence.steps.size();
    if (borrowed) sequence = with_borrowers(std::move(sequence));
    bool shaky = false;
    std::string found;
    try {
      found = difference(world, sequence, shaky);
    } catch (const TestError& error) {
      ADD_FAILURE() << error.what() << "\nseed " << sequence.seed << "\n"
                    << sequence.shown() << world.logs();
      break;
    }
    if (found.empty()) continue;
    const std::lock_guard lock(run.mutex);
    ++(shaky ? run.tally.unsteady : run.tally.differences);
    if (shaky)
      fmt::print("{}\n", found);
    else
      ADD_FAILURE() << found;
  }
  const std::lock_guard lock(run.mutex);
  run.tally.steps += steps;
  run.tally.reads += world.replica_reads() - begin;
  if (borrowed) run.tally.loans += world.loans();
  for (const auto& [what, count] : world.refusals()) run.tally.refusals[what] += count;
}

/// Several worlds side by side: one of them waits most of its time.
Tally run_random(SplitWorld::Connections connections, Milliseconds how_long,
                 uint64_t most_sequences) {
  const auto worlds = from_environment("SLUICE_WORLDS", 3);
  Run run;
  std::vector<std::future<void>> running;
  for (uint64_t i = 0; i < worlds; ++i)
    running.push_back(std::async(std::launch::async, [&run, connections, how_long, most_sequences] {
      run_in_one_world(run, connections, how_long, most_sequences);
    }));
  for (auto& one : running) one.get();
  const auto& tally = run.tally;
  fmt::print(
      "SLUICE_SEED={}: {} sequences, {} steps, {} reads on replicas, {} loans, "
      "{} differences, {} unsteady\n",
      from_environment("SLUICE_SEED", 777000), tally.sequences, tally.steps, tally.reads,
      tally.loans, tally.differences, tally.unsteady);
  for (const auto& [what, count] : tally.refusals) fmt::print("{} times: {}\n", count, what);
  EXPECT_LE(tally.unsteady, 1 + tally.sequences / 1000) << "differences that do not show again";
  return tally;
}

TEST(SplitDifferential, RandomSequences) {
  const auto tally = run_random(SplitWorld::Connections::own, 75s, 2500);
  EXPECT_LE(tally.refused(), 1 + tally.sequences / 100);
  EXPECT_GT(tally.reads, tally.steps / 10) << "hardly anything was read on replicas";
}

TEST(SplitDifferential, RandomSequencesWithPool) {
  const auto tally = run_random(SplitWorld::Connections::pooled, 30s, 500);
  EXPECT_GT(tally.loans, tally.steps) << "connections hardly changed hands";
}

/// What random sequences have found, and what they are too slow for. {file} is a file of rows,
/// {text} one of more than 16 MiB.
constexpr std::string_view kKnown[] = {
    "0> \\change_user app\n",
    "0> SELECT 5\n0> INSERT INTO t (a) VALUES (FOUND_ROWS())\n0> SELECT a FROM t ORDER BY id\n",
    "0> SELECT id FROM t WHERE b = 'no'\n0> INSERT INTO t (a) VALUES (7)\n0> SELECT FOUND_ROWS()\n",
    "0> SELECT id FROM t\n0> VALUES (1), (3)\n0> SELECT FOUND_ROWS()\n",
    "0> SELEC 1\n0> SELECT 1\n0> SHOW WARNINGS\n",
    "0> SELECT nothing()\n0> SELECT a FROM t\n0> SET last_insert_id = 3\n0> SELECT "
    "@@warning_count\n",
    "0> SELECT 1/0\n0> SET insert_id = 59\n0> SELECT @@warning_count\n",
    "0> SELECT 1/0\n0> \\ping\n0> SHOW WARNINGS\n",
    "0> SELECT id FROM t\n0> \\init_db nothing\n0> SELECT @@warning_count\n",
    "0> \\field_list nothing\n0> SELECT id FROM t\n0> SHOW COUNT(*) WARNINGS\n",
    "0> SET NAMES latin1\n0> SELECT REPEAT('x', 70000) FROM u\n",
    "0> SET character_set_connection = gbk\n0> SELECT CHARSET('a')\n",
    "0> SET TRANSACTION READ ONLY\n0> UPDATE u SET v = v WHERE k = 7\n0> SELECT id FROM t\n"
    "0> INSERT INTO t (a) VALUES (7)\n",
    "-> hold 0\n-> hold 1\n0> INSERT INTO t (a) VALUES (5) RETURNING id\n0> SELECT a FROM t\n",
    "-> hold 0\n-> hold 1\n0> SELECT d_lib.f_write(5)\n0> SELECT COUNT(*) FROM d_lib.log\n",
    "-> hold 0\n-> hold 1\n0> SET session_track_system_variables = ''\n"
    "0> SELECT * FROM t\n0> INSERT INTO t (a) VALUES (5)\n0> SELECT a FROM t\n",
    "0> \\prepare 0 SELECT v, ? FROM u ORDER BY k\n0> USE d_1\n0> \\execute 0 i1\n",
    "0> \\prepare 0 SELECT v, ? FROM u ORDER BY k\n0> SELECT 1 FROM t\n0> \\execute 0 i1\n"
    "0> USE d_1\n0> \\execute 0 i2\n0> \\execute 0 s3\n",
    "0> INSERT INTO t (a) VALUES (1)\n0> SET sql_auto_is_null = 1\n"
    "0> SELECT id FROM t WHERE id IS NULL\n",
    "0> SET NAMES latin1\n0> \\change_user nobody d_0\n0> SELECT v FROM u ORDER BY k\n",
    "0> SELECT 1 FROM u\n0> SET timestamp = DEFAULT\n0> SELECT k FROM u ORDER BY k\n0> DO "
    "SLEEP(1.2)\n"
    "0> SELECT k FROM u WHERE TIMESTAMPDIFF(MICROSECOND, NOW(6), SYSDATE(6)) < 1000000 ORDER BY "
    "k\n",
    "0> LOAD DATA LOCAL INFILE '{file}' INTO TABLE t (a, b)\n0> SHOW WARNINGS\n"
    "0> SELECT a, b FROM t ORDER BY id\n",
    "0> SELECT 1 FROM t\n0> SELECT REPEAT('y', 300000), seq FROM seq_1_to_60\n0> SELECT id FROM "
    "t\n",
    "0> SELECT 1 FROM t\n0> SELECT LENGTH('{text}'), k FROM u\n0> SELECT k FROM u\n",
    "0> \\several off\n0> SELECT 1; SELECT 2\n0> \\several on\n0> SELECT 1; SELECT 2\n",
    "0> SELECT a FROM t\n0> \\prepare 1 SELECT no FROM t\n0> SHOW WARNINGS\n",
    "0> SELECT id FROM t\n0> SELECT COUNT(*) FROM nothing\n0> SELECT FOUND_ROWS()\n",
    "0> SHOW CREATE TABLE nothing\n0> VALUES (1)\n0> SHOW WARNINGS\n",
    "0> SET rand_seed1 = 1, rand_seed2 = 2\n0> SELECT RAND(), k FROM u ORDER BY k\n",
    "0> SET SESSION TRANSACTION ISOLATION LEVEL READ UNCOMMITTED\n1> BEGIN\n"
    "1> INSERT INTO t (a) VALUES (5)\n0> SELECT COUNT(*) FROM t\n",
    "0> SELECT 1 FROM t\n0> SELECT REPEAT('z', 17000000) FROM u WHERE k = 1\n0> SELECT k FROM u\n",
    "0> \\prepare 0 SELECT REPEAT('z', ?) FROM u\n0> \\execute 0 i17000000\n0> SELECT k FROM u\n",
    "0> SELECT k FROM u\n0> INSERT INTO t (a) SELECT k FROM u\n0> SELECT FOUND_ROWS()\n",
    "0> SELECT k FROM u\n0> INSERT INTO t (a) SELECT 1 FROM t WHERE a > 99\n0> SELECT "
    "FOUND_ROWS()\n",
    "0> SET NAMES utf8mb4 COLLATE utf8mb4_bin\n0> SELECT v FROM u ORDER BY k\n",
    "0> SELECT v FROM u\n0> SET NAMES utf8mb4 COLLATE utf8mb4_unicode_ci\n0> SELECT v FROM u\n"
    "0> SET character_set_client = latin1\n0> SELECT v FROM u\n0> SET NAMES utf8mb4\n"
    "0> SELECT v FROM u\n",
    "0> SELECT id FROM t\n0> SHOW WARNINGS\n0> SELECT FOUND_ROWS(), COUNT(*) FROM u\n",
    "0> SELECT v FROM u ORDER BY k\n0> CREATE PROCEDURE p() CREATE TEMPORARY TABLE u SELECT 'tmp' "
    "AS v, 1 AS k\n0> CALL p()\n0> SELECT v FROM u ORDER BY k\n",
    "0> SELECT v FROM u ORDER BY k\n0> EXECUTE IMMEDIATE 'CREATE TEMPORARY TABLE u SELECT 1 AS "
    "k'\n0> SELECT k FROM u ORDER BY k\n",
    "0> CREATE FUNCTION f() RETURNS INT BEGIN CREATE TEMPORARY TABLE u SELECT 'tmp' AS v, 1 AS k; "
    "RETURN 1; END\n0> SELECT f()\n0> SELECT v FROM u ORDER BY k\n",
    "0> CREATE FUNCTION f() RETURNS INT BEGIN SET time_zone = '+07:00'; RETURN 1; END\n"
    "0> SELECT f()\n0> SELECT FROM_UNIXTIME(0), k FROM u ORDER BY k\n",
    "0> CREATE TRIGGER g AFTER INSERT ON t FOR EACH ROW CREATE TEMPORARY TABLE u (k INT)\n"
    "0> SELECT k FROM u\n0> INSERT INTO t (a) VALUES (4)\n0> SELECT k FROM u\n",
    "0> CREATE TRIGGER g AFTER INSERT ON t FOR EACH ROW SET time_zone = '+07:00'\n"
    "0> INSERT INTO t (a) VALUES (4) RETURNING id\n0> SELECT FROM_UNIXTIME(0), k FROM u ORDER BY "
    "k\n",
    "0> SET @@sql_mode = 'ANSI_QUOTES'\n0> SELECT \"v\" FROM u ORDER BY k\n",
    "0> SET @@time_zone = '+05:30'\n0> SELECT FROM_UNIXTIME(0), k FROM u ORDER BY k\n",
    "0> SELECT 1 FROM u\n0> SET @@collation_connection = latin1_german2_ci\n"
    "0> SELECT COLLATION('a'), k FROM u ORDER BY k\n",
    "0> \\prepare 0 SET @@sql_select_limit = ?\n0> \\execute 0 i1\n0> SELECT k FROM u ORDER BY k\n",
    "0> SET NAMES latin1, @@collation_connection = latin1_bin\n"
    "0> SELECT COLLATION('a'), k FROM u ORDER BY k\n",
    "0> \\prepare 0 SELECT FOUND_ROWS()\n0> SELECT id FROM t\n0> \\execute 0 i1\n",
    "0> INSERT INTO t (a) VALUES (2)\n0> VALUES (9)\n0> SELECT ROW_COUNT(), LAST_INSERT_ID()\n",
    "0> SELECT 1/0\n0> \\prepare 0 SHOW WARNINGS\n0> \\execute 0 i1\n",
    "0> SELECT 1/0\n0> BEGIN\n0> SHOW WARNINGS\n",
    "0> SELECT 1/0; SHOW WARNINGS\n0> SELECT a FROM t\n0> SHOW WARNINGS\n",
    "0> SELEC 1\n0> SELECT id FROM t\n0> GET DIAGNOSTICS CONDITION 1 @v = MESSAGE_TEXT\n",
    "0> SELECT k FROM u\n0> EXECUTE IMMEDIATE 'SET @v = 1'\n0> SELECT FOUND_ROWS(), @v\n",
    "0> SELECT k FROM u\n0> UPDATE t SET a = 1; SELECT 1 FROM u WHERE k = 0\n0> SELECT "
    "FOUND_ROWS()\n",
    "0> SELECT a FROM t\n0> \\ping\n0> SELECT ROW_COUNT()\n",
    "0> SELECT id FROM t\n0> SET @n = FOUND_ROWS()\n0> SELECT @n\n",
    "0> SELECT id FROM t\n0> SELECT FOUND_ROWS(), ROW_COUNT() INTO @n, @m\n0> SELECT @n, @m\n",
    "0> SELECT id FROM t\n0> INSERT INTO t (a) VALUES (FOUND_ROWS())\n0> SELECT a FROM t ORDER BY "
    "id\n",
    "0> SELECT id FROM t WHERE a = 1/0\n0> GET DIAGNOSTICS @n = NUMBER\n0> SELECT @n\n",
    "0> \\prepare 0 SELECT id FROM t WHERE a > ?\n0> \\execute 0 i1\n0> SET @n = FOUND_ROWS()\n"
    "0> SELECT @n\n0> \\execute 0 i0\n0> SELECT FOUND_ROWS(), @n\n",
    "0> \\prepare 0 SELECT id FROM t WHERE a > ?\n0> \\prepare 1 SET @n = FOUND_ROWS()\n"
    "0> \\execute 0 i1\n0> \\execute 1 i1\n0> SELECT @n\n",
    "0> SELECT id FROM t\n0> \\prepare 0 SELECT FOUND_ROWS()\n0> \\execute 0 i1\n"
    "0> \\execute 0 i1\n0> SELECT k FROM u\n0> \\execute 0 i1\n",
    "0> PREPARE s FROM 'SELECT FOUND_ROWS()'\n0> SELECT id FROM t\n0> EXECUTE s\n",
    "0> SELECT id FROM t\n0> BEGIN\n0> SELECT FOUND_ROWS()\n0> COMMIT\n",
    "0> CREATE OR REPLACE TABLE m (a INT PRIMARY KEY) ENGINE = MyISAM\n-> hold 0\n-> hold 1\n"
    "0> INSERT INTO m VALUES (1), (1)\n0> SELECT a FROM m\n0> DROP TABLE m\n",
    "-> hold 0\n-> hold 1\n0> BEGIN NOT ATOMIC INSERT INTO t (a) VALUES (5); SELECT no FROM t; "
    "END\n"
    "0> SELECT a FROM t\n",
};

/// What is known to differ, and why that is borne: views that call functions with effects; a client
/// that sets which news of its session it is told.
constexpr std::string_view kLimits[] = {
    "0> SET session_track_schema = 0\n0> USE d_1\n0> SELECT v FROM u ORDER BY k\n",
    "0> SELECT a FROM d_lib.v_set\n0> SELECT @v\n",
    "1> SELECT a FROM d_lib.v_lock\n0> SELECT a FROM d_lib.v_lock\n",
    "0> INSERT INTO t (a) VALUES (1)\n0> SELECT a FROM d_lib.v_id\n",
    "0> SELECT id FROM t\n0> INSERT INTO t (a) VALUES (1)\n0> SELECT a FROM d_lib.v_found\n",
};

SplitSequence known_sequence(const SplitWorld& world, std::string_view known) {
  std::string text(known);
  for (const auto& [name, value] : {std::pair<std::string, std::string>{"{file}", world.file()},
                                    {"{text}", std::string(17'000'000, 'x')}})
    if (const auto at = text.find(name); at != std::string::npos)
      text.replace(at, name.size(), value);
  return parse_split_sequence(text, false);
}

TEST(SplitDifferential, KnownSequences) {
  SplitWorld world;
  for (const auto known : kKnown) {
    const auto sequence = known_sequence(world, known);
    SCOPED_TRACE(known);
    if (const auto found = world.run(sequence, kNew))
      ADD_FAILURE() << told(sequence, *found).substr(0, 4000);
  }
}

TEST(SplitDifferential, Limits) {
  SplitWorld world;
  for (const auto known : kLimits)
    EXPECT_TRUE(world.run(known_sequence(world, known), kNew)) << "no limit any more: " << known;
}

TEST(SplitDifferential, OneSequence) {
  const char* path = ::getenv("SLUICE_SEQUENCE");
  if (path == nullptr) GTEST_SKIP() << "SLUICE_SEQUENCE names no file";
  const auto sequence = parse_split_sequence(read_file(path), false);
  const bool borrowed = sequence.shown().find("-> borrow") != std::string::npos;
  SplitWorld world(borrowed ? SplitWorld::Connections::pooled : SplitWorld::Connections::own);
  bool unsteady = false;
  EXPECT_EQ(difference(world, sequence, unsteady), "");
}

}  // namespace
}  // namespace sluice::test
