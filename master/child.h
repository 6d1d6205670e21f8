// One child process: its channel, its heartbeat, and where it is in its life. What it says is
// hostile input: a child that breaks the rules of the channel is killed, and harms nothing else.
#pragma once

#include <memory>
#include <string>

#include "common/event/event.h"
#include "common/ipc/dispatch.h"
#include "master/inheritance.h"
#include "master/log_throttle.h"

namespace sluice::master {

class Child;

/// Whoever looks after the children.
class ChildOwner {
 public:
  virtual ~ChildOwner() = default;
  /// A frame that is legal to arrive; an error means that the child broke the rules.
  virtual Result<> on_frame(Child& child, ipc::Frame frame) = 0;
  /// The channel is closed or was broken: the process is dead or was killed. Reaped separately.
  virtual void on_channel_lost(Child& child) = 0;
};

class Child {
 public:
  /// Starts the program of an opened executable, with the channel on fd 3 and nothing else of ours.
  /// `arguments` start with the program's name, which is also what the log calls it.
  static Result<std::unique_ptr<Child>> start(ChildOwner& owner, event::Loop& loop, ipc::Role role,
                                              int program_fd, std::vector<std::string> arguments);
  /// One that another program has started, whose place we have taken. It notices nothing.
  static std::unique_ptr<Child> import_(ChildOwner& owner, inheritance::Child child);
  /// Begins to listen to it.
  Result<> attend(event::Loop& loop);
  inheritance::Child export_() const;
  ~Child();

  ipc::Role role() const { return role_; }
  pid_t pid() const { return pid_; }
  ipc::Phase phase() const { return phase_; }
  void enter(ipc::Phase phase) { phase_ = phase; }
  bool lost() const { return lost_; }
  bool greeted() const { return greeted_; }
  /// "sluice-worker[812]"
  const std::string& name() const { return name_; }
  /// Of its program; empty until it has greeted.
  const std::string& release() const { return release_; }

  template <class Message>
  void send(const Message& message, std::span<const int> fds = {}) {
    if (lost_) return;
    if (auto ok = channel_.send(message, fds); !ok && ok.error().code != Errc::system)
      return kill(ok.error().message);  // else it has just gone: its end of the channel says so
    update_interest();
  }
  /// Nothing that it may have said is heard any more.
  void ignore();
  /// SIGKILL, with the reason in the log.
  void kill(std::string_view why);
  /// The same, of one whose filter of system calls forbade `call`. It dies of that already, but
  /// that is only what it says.
  void kill_for_call(std::string_view call);
  void ping();
  int64_t last_answer_ns() const { return last_answer_ns_; }
  /// The master itself was away (a suspended machine): silence until now says nothing.
  void excuse(int64_t now_ns) { last_answer_ns_ = now_ns; }

  // What the supervisor keeps about it.
  uint32_t generation = 0, slot = 0, lane = 0, number = 0;
  int64_t started_ns = 0;
  int64_t deadline_ns = 0;  ///< to be ready, or to be gone; 0: none
  bool stopped = false;     ///< has said that it takes no more connections
  bool finishing = false;   ///< was told to end its sessions
  bool done = false;        ///< has said that it ends, or is not wanted any more
  std::string sandbox;      ///< what it has locked, as it says; empty until it is ready
  std::string last_error;   ///< that it logged before it was ready
  struct Memory {           ///< of its own, in bytes: master/worker_memory.h
    uint64_t now = 0, settled = 0;
    bool told = false;
  } memory;
  LogThrottle log_throttle;
  LogThrottle request_throttle{2000, 500};  ///< of what it wants from the monitor
  LogThrottle seek_throttle{200, 50};       ///< of what it asks the other workers

 private:
  Child(ChildOwner& owner, ipc::Role role, pid_t pid, ipc::Channel channel, std::string name);
  void on_ready(event::Bits what);
  void receive();
  Result<> take(ipc::Frame frame);
  void lose();
  void update_interest();

  ChildOwner& owner_;
  ipc::Role role_;
  pid_t pid_;
  ipc::Channel channel_;
  event::IoWatch watch_;
  std::string name_, release_;
  ipc::Phase phase_ = ipc::kStarting;
  bool greeted_ = false, lost_ = false, killed_ = false;
  uint64_t pings_ = 0;
  int64_t last_answer_ns_ = 0;
};

}  // namespace sluice::master
