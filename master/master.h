// sluiced: ties together the supervisor, the rollout and the control socket; signals; the end.
#pragma once

#include "master/control/server.h"
#include "master/expiry_reminder.h"
#include "master/rollout.h"
#include "master/supervisor.h"
#include "master/upgrade.h"

namespace sluice::master {

class Master final : public SupervisorUser, public RolloutUser, public UpgradeUser {
 public:
  /// `background_fd`: a pipe on which the process that started us waits for how the start ends; -1:
  /// none.
  Master(event::Loop& loop, State state, int background_fd);
  /// Runs to the end. Returns the exit code (sysexits(3) for a start that fails).
  int run();
  /// After import_(): the same from where the program of before, of that release, has stopped.
  /// `trouble`: not empty if it was us who have stopped, because that one could not go on.
  int go_on(const std::string& release, const std::string& trouble);

  inheritance::Master export_() const override;
  /// All but the State, which is there already.
  Result<> import_(inheritance::Master from);

  // What commands work with.
  State& state() { return state_; }
  Supervisor& supervisor() { return supervisor_; }
  Rollout& rollout() { return rollout_; }
  bool leaving() const { return leaving_; }

  void on_worker_ready(std::size_t slot) override { rollout_.on_worker_ready(slot); }
  void on_worker_failed(std::size_t slot, std::string_view why) override {
    rollout_.on_worker_failed(slot, why);
  }
  void on_worker_stopped() override;
  void on_gone_closed() override { rollout_.on_gone_closed(); }
  void on_answer(uint32_t child, ipc::Answer answer) override {
    control_.on_answer(child, std::move(answer));
  }
  void on_child_gone(uint32_t child) override { control_.on_child_gone(child); }
  void on_accounts_checked(const ipc::AccountsChecked& checked) override {
    control_.on_accounts_checked(checked);
  }
  void on_all_gone() override;
  void on_overgrown(const Child& worker) override;
  void on_monitor_replaced(Result<> how) override { rollout_.on_monitor_replaced(std::move(how)); }

  void on_reload() override;
  void on_upgrade() override { upgrade_.begin(); }
  void on_upgrade_refused(std::string why) override { rollout_.refuse_upgrade(std::move(why)); }
  Result<> on_first_config(const config::Config& config) override;
  void on_commit(const config::Config& before) override;
  void on_outcome(const Outcome& outcome, const std::vector<uint64_t>& requests) override;

 private:
  void watch_signals();
  int serve();
  void on_hangup(int);
  void on_upgrade_signal(int);
  void on_terminate(int);
  void on_quit(int);
  void on_child(int);
  void on_tick();
  void tell_starter(std::string_view text, int code);
  void leave(int code);

  event::Loop& loop_;
  State state_;
  Supervisor supervisor_;
  Rollout rollout_;
  Upgrade upgrade_;
  ControlServer control_;
  event::SignalWatch hangup_, terminate_, interrupt_, quit_, child_, user_signal_;
  event::Timer tick_;
  ExpiryReminder expiry_;
  int background_fd_;
  int exit_code_ = 0;
  bool leaving_ = false;
};

}  // namespace sluice::master
