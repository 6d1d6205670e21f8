#pragma once

#include <optional>
#include <string>
#include <vector>

#include "common/ipc/channel.h"
#include "tests/support/mariadb_server.h"
#include "tests/support/process.h"
#include "tests/support/temp_dir.h"

namespace sluice::test {

/// A cluster "shop" of these servers, as the monitor gets it from its master.
config::Cluster watched(config::Topology topology, const std::vector<MariadbServer*>& servers,
                        uint32_t interval_ms);

/// A sluice-monitor and the master's end of its channel: the test is its master. The destructor
/// fails the test if a sanitizer had a word, and shows the log where the test has failed.
class Monitored {
 public:
  explicit Monitored(std::vector<config::Cluster> clusters);
  explicit Monitored(config::Cluster cluster) : Monitored(std::vector{std::move(cluster)}) {}
  ~Monitored();

  template <class Message>
  void send(const Message& message) {
    check(channel_->send(message));
  }

  /// Takes what the monitor sends until `predicate` holds; false after the deadline.
  template <class Predicate>
  [[nodiscard]] bool until(Milliseconds deadline, Predicate predicate) {
    const auto start = Clock::now();
    while (!predicate())
      if (!receive_within(time_left(start, deadline))) return predicate();
    return true;
  }
  bool until_roles(Milliseconds deadline, const std::string& roles) {
    return until(deadline, [&] { return this->roles() == roles; });
  }
  bool until_health(Milliseconds deadline, const std::string& server, cluster::Health health);

  /// "PR-": a letter for each server.
  std::string roles() const;
  ipc::Answer ask(std::string command, std::vector<std::string> arguments);
  Milliseconds since_start() const {
    return std::chrono::duration_cast<Milliseconds>(Clock::now() - started_);
  }
  Process& process() { return process_; }
  void hang_up() { channel_.reset(); }
  const std::string& log() const { return log_; }

  // What it has sent so far.
  cluster::ClusterState state;
  int updates = 0;
  bool two_primaries = false;  ///< in any state so far
  Bytes accounts;
  uint64_t accounts_version = 0;
  std::vector<ipc::AccountsChecked> checked;
  std::vector<ipc::NameResolved> names;
  std::optional<ipc::Answer> answer;
  bool ready = false, leaving = false;

 private:
  std::string output() const { return dir_ / "printed"; }
  static void check(const Result<>& result);
  /// Waits for a message and takes it; false if none came, or the monitor is gone.
  bool receive_within(Milliseconds time);
  void take(ipc::Frame frame);
  void take_state(ipc::ClusterUpdate update);
  void take_accounts(const ipc::AccountsUpdate& update, int fd);

  TempDir dir_;
  std::optional<ipc::Channel> channel_;
  Process process_;
  Clock::time_point started_;
  std::string log_;
  uint64_t asked_ = 0;
};

}  // namespace sluice::test
