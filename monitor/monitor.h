// The monitor process: its life, its master's messages, and the one loop in which everything that
// the threads find is judged and sent on. See monitor/README.md.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <utility>

#include "common/event/event.h"
#include "common/process/master_link.h"
#include "monitor/answers.h"
#include "monitor/cluster_watch.h"
#include "monitor/mailbox.h"
#include "monitor/resolver.h"

namespace sluice::monitor {

class Monitor final : public process::MasterLinkUser {
 public:
  Monitor(event::Loop& loop, std::shared_ptr<Mailbox> mailbox)
      : loop_(loop), mailbox_(std::move(mailbox)), link_(loop, ipc::Role::monitor) {}

  /// Greets the master; the rest comes from it.
  Result<> start();

  Result<> on_frame(ipc::Frame frame) override;
  [[noreturn]] void on_master_lost() override;

  // The master's messages.
  Result<> on_config(ipc::MonitorConfig config);
  Result<> on_previous_state(ipc::ClusterUpdate update);
  Result<> on_server_admin(ipc::ServerAdmin admin);
  Result<> on_start(ipc::Start);
  Result<> on_log_level(ipc::LogLevel level);
  Result<> on_refresh(ipc::RefreshAccounts refresh);
  Result<> on_resolve_name(ipc::ResolveName resolve);
  Result<> on_ask(ipc::Ask ask);
  Result<> on_finish(ipc::Finish finish);

 private:
  void on_mail(event::Bits);
  void on_tick();
  Result<> watch_clusters();
  void set_tick();
  void take_mail();
  void forgive_own_pause();
  void judge_all();
  void judge_and_send(ClusterWatch& watch);
  void take_accounts(ClusterWatch& watch, AccountsLoaded loaded);
  void reply(const ipc::Ask& ask, const Names& names);
  void name_resolved(const ipc::NameResolved& resolved);

  event::Loop& loop_;
  std::shared_ptr<Mailbox> mailbox_;
  process::MasterLink link_;
  event::IoWatch mail_watch_;
  event::Timer tick_;
  int64_t tick_ns_ = 0, awake_ns_ = 0;  ///< the loop runs at least once a tick; when it last did

  /// A question whose answer waits for names.
  struct Waiting {
    ipc::Ask ask;
    std::vector<std::string> unknown;
    Names names;
  };
  std::optional<Resolver> resolver_;  ///< from the start on
  std::vector<Waiting> waiting_;

  uint8_t phase_ = ipc::kStarting;
  ipc::MonitorConfig config_;
  Clusters clusters_;
  std::map<std::pair<std::string, std::string>, cluster::Admin> admins_;  ///< (cluster, server)
  std::map<std::string, cluster::ClusterState> previous_;  ///< what an earlier monitor found
};

}  // namespace sluice::monitor
