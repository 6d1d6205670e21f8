// One watched cluster in the main thread: its watchers, what they last saw, the state derived from
// that, and its accounts. Speaks to nobody: Monitor sends what it finds.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "monitor/accounts_watch.h"
#include "monitor/topology.h"
#include "monitor/watcher.h"

namespace sluice::monitor {

/// Takes a new look into what is known: facts of a failed one don't replace earlier ones.
void absorb(Observation& known, Observation seen, int64_t at_ns);

/// The accounts of a cluster as last loaded.
struct KnownAccounts {
  ipc::SealedMap table;  ///< the bytes that the workers have, too; empty before the first good load
  uint64_t version = 0;
  std::string error;  ///< of the last load; empty if it worked
};

class ClusterWatch {
 public:
  /// `previous` is what is known from before this process, or an empty state.
  static Result<ClusterWatch> start(config::Cluster cluster, cluster::ClusterState previous,
                                    std::shared_ptr<Mailbox> mailbox, int64_t now_ns);

  /// Goes over to a changed configuration: threads of unchanged servers live on.
  Result<> reconfigure(config::Cluster cluster);
  void set_admin(const std::string& server, cluster::Admin admin);

  /// A note of a watcher of this cluster; false if it is from nobody here.
  bool take(Note& note);
  /// A load of this cluster's accounts by its present thread.
  bool is_accounts_sender(uint64_t id) const { return accounts_watch_.id() == id; }

  /// Derives the state anew if anything was learnt, or an answer is awaited. The new state if it is
  /// to be published: it differs from the last one, and every server has been judged once (or had
  /// its time). Logs what changed.
  const cluster::ClusterState* judge(Now now);

  /// The process itself did not run for `pause_ns`: nobody can have answered it, so nobody is late.
  void forgive(int64_t pause_ns, int64_t now_ns);
  void request_accounts() { accounts_watch_.request(); }

  const config::Cluster& cluster() const { return cluster_; }
  const cluster::ClusterState& state() const { return state_; }
  /// What was last seen of a server; null if there is none of that name.
  const Observation* observation(std::string_view server) const;
  KnownAccounts& accounts() { return accounts_; }
  const KnownAccounts& accounts() const { return accounts_; }

 private:
  struct Watched {
    std::string name;
    Watcher watcher;
    Observation seen;
  };
  ClusterWatch(cluster::ClusterState previous, std::shared_ptr<Mailbox> mailbox,
               AccountsWatch accounts, int64_t now_ns)
      : mailbox_(std::move(mailbox)),
        accounts_watch_(std::move(accounts)),
        state_(std::move(previous)),
        started_ns_(now_ns) {}
  Result<Watched> make_watched(const config::Cluster& cluster, const config::Server& server);
  void point_accounts_at_sources();
  bool is_awaiting() const;

  std::shared_ptr<Mailbox> mailbox_;
  AccountsWatch accounts_watch_;
  config::Cluster cluster_;
  std::vector<Watched> watched_;  ///< in the order of cluster_.servers
  std::map<std::string, cluster::Admin> admins_;
  cluster::ClusterState state_;
  KnownAccounts accounts_;
  int64_t started_ns_ = 0;
  bool published_ = false;
  bool news_ = true;  ///< since the last judgement
};

}  // namespace sluice::monitor
