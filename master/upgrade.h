// The first half of an upgrade, in the program that is to be replaced: opens the programs that are
// on disk, tries the master's out on our state in a throw-away child, and gives it our place. Until
// then nothing changes, and whatever is wrong is only a reason to go on as before.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "master/child.h"
#include "master/state.h"

namespace sluice::master {

class UpgradeUser {
 public:
  virtual ~UpgradeUser() = default;
  /// All that the next program needs; `programs` is filled in here.
  virtual inheritance::Master export_() const = 0;
  virtual void on_upgrade_refused(std::string why) = 0;
};

class Upgrade final : public ChildOwner {
 public:
  Upgrade(event::Loop& loop, const State& state, UpgradeUser& user)
      : loop_(loop), state_(state), user_(user) {}

  /// on_upgrade_refused() follows, or nothing any more.
  void begin();
  /// Gives up; the master is to end.
  void stop();
  void tick();

  Result<> on_frame(Child& child, ipc::Frame frame) override;
  void on_channel_lost(Child& child) override;

 private:
  Result<> on_state_verdict(ipc::StateVerdict message);
  Result<> start_trial();
  Result<> judge_trial(int status) const;
  Error replace_us();
  inheritance::Master snapshot() const;

  event::Loop& loop_;
  const State& state_;
  UpgradeUser& user_;
  Programs next_;
  std::unique_ptr<Child> trial_;
  std::vector<std::unique_ptr<Child>> dead_;  ///< deleted outside of their own callbacks
  std::optional<ipc::StateVerdict> verdict_;
  bool late_ = false;
};

}  // namespace sluice::master
