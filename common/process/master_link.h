// A child's end of the channel to its master: the greeting, the heartbeat and the log, which are
// the same for every child. What else arrives goes to the child's own table of handlers.
#pragma once

#include "common/event/event.h"
#include "common/ipc/dispatch.h"

namespace sluice::process {

/// The fd on which a child finds its channel (master/child.cc puts it there).
inline constexpr int kChannelFd = 3;

/// What a child does with its master's messages.
class MasterLinkUser {
 public:
  virtual ~MasterLinkUser() = default;
  /// A message that is not the link's own. An error ends the process: the master broke the rules.
  virtual Result<> on_frame(ipc::Frame frame) = 0;
  /// The master is gone: finish what there is and leave.
  virtual void on_master_lost() = 0;
};

class MasterLink {
 public:
  MasterLink(event::Loop& loop, ipc::Role role)
      : loop_(loop), role_(role), channel_(UniqueFd(kChannelFd)) {}
  ~MasterLink();

  /// Takes over fd 3 and sends Hello; from here on the process logs through the master.
  Result<> start(MasterLinkUser& user);

  /// Sends to the master. A failure is logged nowhere (there is nobody left) and ends the link; the
  /// user is told from the loop, never from within this call: who sends (a log line is enough) is
  /// in the middle of something.
  template <class Message>
  void send(const Message& message, std::span<const int> fds = {}) {
    if (!lost_ && !channel_.send(message, fds)) lose();
    update_interest();
  }
  bool lost() const { return lost_; }
  /// Sends what is queued, blocking for at most `timeout_ms`; before leaving.
  void drain(int timeout_ms);

 private:
  void on_ready(event::Bits what);
  void receive();
  Result<> take(ipc::Frame frame);
  void lose();
  void tell_user();
  void update_interest();
  static void log_to_master(void* self, log::Level level, std::string_view component,
                            std::string_view text);

  event::Loop& loop_;
  ipc::Role role_;
  ipc::Channel channel_;
  event::IoWatch watch_;
  event::Timer telling_;
  MasterLinkUser* user_ = nullptr;
  bool greeted_ = false, lost_ = false;
};

}  // namespace sluice::process
