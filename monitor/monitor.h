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
  void name_resolved(const ipc::NameResolved& resolved);

  event::Loop& loop_;
  std::shared_ptr<Mailbox> mailbox_;
  process::MasterLink link_;
  event::IoWatch mail_watch_;
  event::Timer tick_;
  int64_t tick_ns_ = 0, awake_ns_ = 0;  ///< the loop runs at least once a tick; when it last did

  /// A question whose answer waits: for accounts that are loaded after it was asked, then for
  /// names.
  struct Waiting {
    ipc::Ask ask;
    int64_t asked_ns = 0;
    std::vector<std::string> loading;  ///< clusters
    bool overdue = false;              ///< a load takes too long: answered by what is known
    std::vector<std::string> unknown;  ///< addresses
    Names names;
  };
  void reply(const Waiting& waiting);
  /// Asks for the names; whether all are known, and the answer was given.
  bool try_names(Waiting& waiting);
  void accounts_loaded(const std::string& cluster, int64_t began_ns);
  /// Those whose load is overdue go on without it.
  void hurry_questions(int64_t now_ns);
  std::optional<Resolver> resolver_;  ///< from the start on
  std::vector<Waiting> waiting_;

  uint8_t phase_ = ipc::kStarting;
  ipc::MonitorConfig config_;
  Clusters clusters_;
  std::map<std::pair<std::string, std::string>, cluster::Admin> admins_;  ///< (cluster, server)
  std::map<std::string, cluster::ClusterState> previous_;  ///< what an earlier monitor found
};

}  // namespace sluice::monitor
