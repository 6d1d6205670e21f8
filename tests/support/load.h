#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/client.h"
#include "tests/support/eventually.h"

namespace sluice::test {

struct LoadOptions {
  ClientOptions endpoint{};
  int connecting = 8;       ///< threads that connect, query once and disconnect, in a loop
  int holding = 4;          ///< threads that keep one session and query in a loop
  Milliseconds pace = 1ms;  ///< between two rounds of a thread: two cores serve everybody
};

/// What happened while a Load ran. Failures are counted, never retried in silence: a holding
/// thread that loses its session counts that and opens another.
struct LoadReport {
  uint64_t connects = 0;
  uint64_t queries = 0;
  uint64_t connect_failures = 0;
  uint64_t query_failures = 0;  ///< of holding threads: a lost session each
  uint64_t wrong_answers = 0;   ///< a row that belongs to another query: never acceptable
  std::map<unsigned, uint64_t> connect_errors{};  ///< by errno
  std::map<unsigned, uint64_t> query_errors{};
  std::map<std::string, uint64_t> servers{};  ///< answers by @@server_id
  std::vector<std::string> texts{};           ///< the first five failures
  std::vector<std::string> wrong_texts{};     ///< every wrong answer
  /// The longest time in which no connect of the whole load succeeded.
  Milliseconds longest_gap{0};

  bool clean() const { return connect_failures + query_failures + wrong_answers == 0; }
  void add(const LoadReport& other);
  /// One paragraph for the message of a failed expectation.
  std::string text() const;
};

/// Continuous load on one endpoint. Each query tags itself (SELECT 'tag-N', @@server_id) and looks
/// whether the answer is its own.
class Load {
 public:
  /// Starts the threads.
  explicit Load(LoadOptions options);
  /// Stops without a report.
  ~Load();
  Load(const Load&) = delete;
  Load& operator=(const Load&) = delete;

  /// Queries answered so far; connections made so far. For "wait until the load has moved on".
  uint64_t queries() const { return queries_.load(); }
  uint64_t connects() const { return connects_.load(); }
  /// Waits until every thread has got an answer, and throws when that takes longer.
  void wait_flowing(Milliseconds deadline = 20s) const;
  /// Waits for another `count` successful connects and as many queries.
  [[nodiscard]] bool advance(uint64_t count, Milliseconds deadline = 20s) const;

  LoadReport stop();

 private:
  struct Worker {
    LoadReport report{};
    std::atomic<bool> answered{false};
    std::thread thread{};
  };

  void run_connecting(Worker& worker);
  void run_holding(Worker& worker);
  bool connect(Worker& worker, std::unique_ptr<Client>& client);
  bool ask(Worker& worker, Client& client);
  void note_connect();
  void join();

  LoadOptions options_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::atomic<bool> stopping_{false};
  std::atomic<uint64_t> tags_{0};
  std::atomic<uint64_t> queries_{0};
  std::atomic<uint64_t> connects_{0};
  std::atomic<int64_t> last_connect_ns_{0};
  std::atomic<int64_t> longest_gap_ns_{0};
};

}  // namespace sluice::test
