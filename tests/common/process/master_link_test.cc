#include "common/process/master_link.h"

#include <gtest/gtest.h>
#include <unistd.h>

namespace sluice::process {
namespace {

class User final : public MasterLinkUser {
 public:
  explicit User(event::Loop& loop) : loop_(loop) {}
  Result<> on_frame(ipc::Frame) override { return {}; }
  void on_master_lost() override {
    ++lost;
    loop_.stop();
  }
  int lost = 0;

 private:
  event::Loop& loop_;
};

// A session's log line finds out that the master is gone. Ending all sessions right there, with the
// actions of that one half carried out, once gave clients their login's OK twice: the second one as
// the answer to their first statement.
TEST(MasterLink, TellsOfTheLossFromTheLoopAndNotFromSend) {
  auto ends = ipc::Channel::pair();
  ASSERT_TRUE(ends);
  const UniqueFd before(::dup(kChannelFd));  // the test's own fd 3, if it has one
  ASSERT_EQ(::dup2(ends->second.get(), kChannelFd), kChannelFd);
  auto loop = event::Loop::create();
  ASSERT_TRUE(loop);
  {
    User user(*loop);
    MasterLink link(*loop, ipc::Role::worker);
    ASSERT_TRUE(link.start(user));
    ends->first.reset();
    ends->second.reset();
    link.send(ipc::LogRecord{log::Level::info, "session", "logged in"});
    link.send(ipc::LogRecord{log::Level::info, "session", "closed"});
    EXPECT_TRUE(link.lost());
    EXPECT_EQ(user.lost, 0);
    loop->run();
    EXPECT_EQ(user.lost, 1);
  }
  if (before) ::dup2(before.get(), kChannelFd);
}

}  // namespace
}  // namespace sluice::process
