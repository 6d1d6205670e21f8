// Starts children, watches over them, replaces them when they die, and passes on what they say to
// each other. A child that dies is restarted at once, and with growing delays when it keeps dying:
// never given up, always logged.
#pragma once

#include <list>
#include <memory>
#include <vector>

#include "common/base/clock.h"
#include "master/child.h"
#include "master/inquiries.h"
#include "master/state.h"

namespace sluice::master {

inline constexpr int64_t kStartNs = 20 * kSecondNs;  ///< from exec to Ready

/// Place of one worker of the present generation.
struct Slot {
  std::unique_ptr<Child> serving;   ///< accepts connections
  std::unique_ptr<Child> starting;  ///< its successor, not ready yet
  int failures = 0;                 ///< starts in a row that did not last
  int64_t start_at_ns = 0;          ///< when to try again
};

/// What the rest of the master wants to know of the children.
class SupervisorUser {
 public:
  virtual ~SupervisorUser() = default;
  virtual void on_worker_ready(std::size_t slot) = 0;
  virtual void on_worker_failed(std::size_t slot, std::string_view why) = 0;
  /// An old worker has taken its last connection (or died).
  virtual void on_worker_stopped() = 0;
  /// See Supervisor::close_gone().
  virtual void on_gone_closed() = 0;
  virtual void on_answer(uint32_t child, ipc::Answer answer) = 0;
  virtual void on_child_gone(uint32_t child) = 0;
  virtual void on_accounts_checked(const ipc::AccountsChecked& checked) = 0;
  virtual void on_all_gone() = 0;
  /// A worker has grown beyond max_worker_memory.
  virtual void on_overgrown(const Child& worker) = 0;
  /// How replace_monitor() ended.
  virtual void on_monitor_replaced(Result<> how) = 0;
};

class Supervisor final : public ChildOwner {
 public:
  Supervisor(event::Loop& loop, State& state, SupervisorUser& user)
      : loop_(loop), state_(state), user_(user) {}

  Result<> start_monitor();
  /// Starts a worker for a slot; it takes over from the serving one when it is ready.
  Result<> start_worker(std::size_t slot, const config::Config& config, uint32_t generation,
                        std::size_t slots);
  /// Gives up a start that is under way.
  void abandon_start(std::size_t slot);
  /// The worker of the first slot answers who has still got in at listeners that are gone, and
  /// on_gone_closed() follows. False: there are none. Without a worker just now its successor's
  /// on_worker_ready() is the time to call again.
  bool close_gone();
  /// The same without the closing: some old workers still serve there, and nobody should wait where
  /// their successors do not.
  void answer_at_gone();
  /// Stops the workers of slots at and above `count`.
  void shrink(std::size_t count);
  /// The monitor gets the configuration in force; a new one if it must run as another user.
  void configure_monitor();
  /// Starts another monitor beside this one, which serves until its successor does; then
  /// on_monitor_replaced(). If that one ends before, the old one stays.
  Result<> replace_monitor();
  void set_log_level(log::Level level);
  void set_admin(const std::string& cluster, const std::string& server, cluster::Admin admin);
  void refresh_accounts(const std::string& cluster);
  /// The workers that serve get the shared keys, which have changed; others got them at their
  /// start.
  void share_keys();

  /// Every worker stops accepting and ends its sessions; on_all_gone() follows.
  void finish(const std::string& reason, int64_t deadline_ns);
  void kill_all();

  /// Once a second: heartbeats, deadlines, restarts.
  void tick();
  /// Children have ended (SIGCHLD).
  void reap();
  /// Whether an old worker has yet to say that it takes no more connections.
  bool stopping() const;

  const std::vector<Slot>& slots() const { return slots_; }
  const std::list<std::unique_ptr<Child>>& leaving() const { return leaving_; }
  Child* monitor() const { return monitor_.get(); }
  Child* worker_by(uint32_t number) const;
  /// The same, or the monitor, whose number is 0.
  Child* child_by(uint32_t number) const { return number == 0 ? monitor() : worker_by(number); }
  /// All workers that have sessions, or may have.
  std::vector<Child*> workers() const;

  inheritance::Supervisor export_() const;
  /// From another program, whose place we have taken. The children notice nothing.
  Result<> import_(inheritance::Supervisor from);

  Result<> on_frame(Child& child, ipc::Frame frame) override;
  void on_channel_lost(Child& child) override;

 private:
  struct Handlers;
  Result<> on_ready(ipc::Ready message);
  Result<> on_log_record(ipc::LogRecord message);
  Result<> on_forbidden_call(ipc::ForbiddenCall message);
  Result<> on_answer(ipc::Answer message);
  Result<> on_stopped(ipc::Stopped message);
  Result<> on_gone_closed(ipc::GoneClosed message);
  Result<> on_leaving(ipc::Leaving message);
  Result<> on_refresh_accounts(ipc::RefreshAccounts message);
  Result<> on_cluster_update(ipc::ClusterUpdate message);
  Result<> on_accounts_update(ipc::AccountsUpdate message, std::vector<UniqueFd> fds);
  Result<> on_accounts_checked(ipc::AccountsChecked message);
  Result<> on_resolve_name(ipc::ResolveName message);
  Result<> on_name_resolved(ipc::NameResolved message);
  Result<> on_seek_session(ipc::SeekSession message);
  Result<> on_found_session(ipc::FoundSession message);

  bool may_ask_monitor();
  bool may_seek();
  void send_worker_start(Child& child, const config::Config& config, std::size_t slots);
  ipc::Privileges privileges() const;
  template <class Message>
  void to_workers(const Message& message, std::span<const int> fds = {});
  Result<std::unique_ptr<Child>> new_monitor();
  void monitor_lost(std::unique_ptr<Child> child);
  void stop_accepting(std::unique_ptr<Child> child);
  /// The worker that has the place of one which leaves; null if there is none just now.
  Child* successor_of(const Child& leaving) const;
  void hand_over(Child& from, Child& to);
  void worker_lost(Child& child, std::unique_ptr<Child> owned, Slot& slot);
  void start_missing();
  void retire(Child& child);
  void bury(std::unique_ptr<Child> child);
  void give_up(std::unique_ptr<Child> child);
  void check(Child& child, int64_t now_ns, bool was_away);
  void look_at_memory();
  uint32_t free_lane() const;

  event::Loop& loop_;
  State& state_;
  SupervisorUser& user_;
  Child* speaking_ = nullptr;  ///< whose frame is being handled
  std::unique_ptr<Child> monitor_;
  std::unique_ptr<Child> next_monitor_;  ///< its successor, not ready yet
  int monitor_failures_ = 0;
  int64_t monitor_start_at_ns_ = 0;
  uint32_t monitor_uid_ = 0;
  config::Sandbox monitor_sandbox_{};
  std::vector<Slot> slots_;
  std::list<std::unique_ptr<Child>> leaving_;
  std::vector<std::unique_ptr<Child>> dead_;  ///< deleted outside of their own callbacks
  std::vector<inheritance::Unreaped> unreaped_;
  uint32_t workers_started_ = 0;
  Inquiries inquiries_;
  event::Timer restart_;
  int64_t ticked_ns_ = 0;
  bool finishing_ = false;
};

}  // namespace sluice::master
