#pragma once

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include "tests/support/load.h"

namespace sluice::test {

/// The load of a service that moves from one address to another: 8 threads that connect, query and
/// disconnect, and 4 that hold the session they began at the first address.
///
/// At no moment may both addresses be closed: a thread that the first one turns away must be served
/// by the second, and from then on the second must serve always. What breaks that, and a held
/// session that is lost, counts as a failure.
class MoveLoad {
 public:
  MoveLoad(ClientOptions from, ClientOptions to);
  ~MoveLoad();
  MoveLoad(const MoveLoad&) = delete;
  MoveLoad& operator=(const MoveLoad&) = delete;

  /// Waits until every thread has got an answer, and throws when that takes longer.
  void wait_flowing(Milliseconds deadline = 20s) const;
  /// Waits until every connecting thread has been served at the second address.
  [[nodiscard]] bool wait_moved(Milliseconds deadline = 20s) const;
  LoadReport stop();

 private:
  struct Worker {
    LoadReport report{};
    std::atomic<bool> answered{false};
    std::atomic<bool> moved{false};
    std::thread thread{};
  };

  void run_connecting(Worker& worker);
  void run_holding(Worker& worker);
  void ask(Worker& worker, Client& client);
  void join();

  ClientOptions from_;
  ClientOptions to_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::atomic<bool> stopping_{false};
};

}  // namespace sluice::test
