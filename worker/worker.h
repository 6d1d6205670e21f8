// sluice-worker: accepts clients, owns their sessions, and knows of the clusters what the monitor
// tells. One loop, one thread, no file, no name resolution.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "common/accounts/table.h"
#include "common/process/master_link.h"
#include "common/stats/page.h"
#include "worker/acceptor.h"
#include "worker/handoff.h"
#include "worker/pool.h"
#include "worker/session/session.h"
#include "worker/tls/context.h"

namespace sluice::worker {

/// A cluster as this worker knows it.
struct ClusterEntry {
  config::Cluster config;
  std::optional<cluster::ClusterState> state;
  std::vector<uint32_t> server_rows;  ///< of the statistics page, beside state->servers
  ipc::SealedMap accounts_file;
  std::optional<accounts::Table> accounts;
  int64_t accounts_began_ns = 0;  ///< when the last load that was asked for began
  Passwords passwords;
  bool lends = false;                                    ///< one of its services has a pool
  std::map<std::string, tls::Context, std::less<>> tls;  ///< by server, where TLS is not off

  /// Row of a server in the statistics page; 0 if it has none.
  uint32_t server_row(std::string_view name) const;
  Result<std::unique_ptr<tls::Layer>> start_tls(std::string_view server) const;
};

struct ServiceEntry {
  config::Service config;
  ClusterEntry* cluster = nullptr;
  const Router* router = nullptr;
  Networks announced_from;
  std::optional<tls::Context> tls;  ///< where it is not off
  stats::ServiceCounters* counters = nullptr;
  uint32_t row = 0;
  std::optional<stats::LastWrites> writes;   ///< where its sessions read what others have written
  std::optional<Pool> pool;                  ///< where its sessions share server connections
  std::optional<Surroundings> surroundings;  ///< of its sessions; made anew when anything changes

  /// Whether the address that servers see us at decides anything about this login.
  bool needs_outgoing_address(const SessionState& session) const;
};

class Worker final : public process::MasterLinkUser {
 public:
  explicit Worker(event::Loop& loop);
  /// Runs until the process is to end.
  Result<> run();

  // For sessions and acceptors.
  event::Loop& loop() { return loop_; }
  /// Where bytes are received; shared by all sessions, valid until the next receive.
  std::span<std::byte> scratch() { return scratch_; }
  /// Where an engine puts what it wants; one call at a time.
  Actions& actions() { return actions_; }
  /// With the servers and their load only where one is to be chosen: it costs a look at all lanes.
  enum class Servers : uint8_t { none, with_load };
  const Surroundings& surroundings(ServiceEntry& service, Servers servers) {
    auto& w = *service.surroundings;
    w.now_ns = now_ns_;
    w.servers = {};
    if (servers == Servers::with_load) look_at_load(service);
    return w;
  }
  /// Where TLS puts what it made of received bytes: what they say, and what is to be answered.
  /// Empty.
  struct TlsBuffers {
    Bytes plain, cipher;
  };
  TlsBuffers& tls_buffers();
  /// Where it puts what is to be sent. Empty.
  Bytes& records();
  /// What makes and opens frames of the compressed protocol; made when it is first needed.
  mysql::Zlib& zlib();
  /// Where it puts what was in frames, and frames. Empty.
  Bytes& opened() { return emptied(opened_); }
  Bytes& frames() { return emptied(frames_); }
  stats::Lane& lane() { return stats_->lanes[config_.lane]; }
  void adopt(ServiceEntry& service, UniqueFd client, std::string ip, uint16_t port);
  void watch_deadline(Session& session);
  void refresh_accounts(const ClusterEntry& cluster);
  /// Asks for the name of an address, unless that was asked a moment ago.
  void resolve(std::string_view ip);
  /// Carries out what the pool of a service decides by now. Other sessions may end under way.
  void serve_pool(ServiceEntry& service);
  /// Tells the statistics why sessions can't lend their connections.
  void count_pins();
  /// What the sessions do that have the connections to a server, for whoever gets none.
  std::string pool_use(const ServiceEntry& service, std::string_view server) const;
  /// Looks for the session that the KILL of this one is about, here and in the other workers.
  void seek(uint64_t killer);
  /// Deletes a session that is over.
  void forget(Session& session);
  Session* session(uint64_t id) const;

  // For sessions that come from another worker, or go to one.
  std::vector<uint64_t> session_ids() const;
  /// Whether this worker serves, and will for a while.
  bool takes_sessions() const { return phase_ == ipc::kServing; }
  /// The service of a session from another worker, if its servers are configured; else null.
  ServiceEntry* service_for(const SessionState& state) const;
  void take_over(ServiceEntry& service, SessionState state, std::vector<Session::Arrival> legs);
  void tell_passwords(ipc::Channel& to, int64_t since_ns) const;
  void learn_password(const ipc::KnownPassword& known);
  /// It was offered to another worker, and something happens to it here. False: it is deleted.
  bool take_back(Session& session);
  void leave_if_done();
  int64_t now_ns() const { return now_ns_; }
  void read_clock();  ///< once for all events that came together
  void read_exact_clock();

  Result<> on_frame(ipc::Frame frame) override;
  void on_master_lost() override;

 private:
  struct Handlers;
  Result<> on_worker_config(ipc::WorkerConfig message, std::vector<UniqueFd> fds);
  Result<> on_key_material(ipc::KeyMaterial message);
  Result<> on_listener(ipc::Listener message, std::vector<UniqueFd> fds);
  Result<> on_start(ipc::Start);
  Result<> on_cluster_update(ipc::ClusterUpdate message);
  Result<> on_accounts_update(ipc::AccountsUpdate message, std::vector<UniqueFd> fds);
  Result<> on_accounts_checked(ipc::AccountsChecked message);
  Result<> on_name_resolved(ipc::NameResolved message);
  Result<> on_log_level(ipc::LogLevel message);
  Result<> on_stop_accepting(ipc::StopAccepting);
  Result<> on_close_gone(ipc::CloseGone);
  Result<> on_hand_off(ipc::HandOff message, std::vector<UniqueFd> fds);
  Result<> on_finish(ipc::Finish message);
  Result<> on_ask(ipc::Ask message);
  Result<> on_seek_session(ipc::SeekSession message);
  Result<> on_found_session(ipc::FoundSession message);

  void on_tick();
  void on_seeking();
  Session* session_known_as(std::string_view cluster, std::string_view server, uint32_t id) const;
  ipc::FoundSession look_for(const ipc::SeekSession& sought);
  void tell_found(const ipc::FoundSession& found);
  void on_gone_over();
  void carry_out(ServiceEntry& service, const Pool::Decision& decision);
  void start_finishing(End end, int64_t deadline_ns);
  std::string why_listed(const Session& session) const;
  void accounts_news(const ClusterEntry* cluster);
  Result<> make_client_tls();
  void look_at_load(ServiceEntry& service);
  static Bytes& emptied(Bytes& buffer);
  Result<> make_tls();
  void look_around();
  /// Calls for every session of a cluster's services; they may end under way.
  void for_sessions(const ClusterEntry* cluster, const std::function<void(Session&)>& call);

  event::Loop& loop_;
  process::MasterLink link_;
  ipc::Phase phase_ = ipc::kStarting;
  struct Finishing {
    End end;
    int64_t deadline_ns = 0;
  };
  std::optional<Finishing> finishing_;  ///< all sessions were ordered to end
  ipc::WorkerConfig config_;
  ipc::KeyMaterial keys_;
  stats::Mapping stats_;
  std::optional<stats::LoginGuard> guard_;
  std::map<std::string, std::unique_ptr<ClusterEntry>, std::less<>> clusters_;
  std::map<std::string, std::unique_ptr<ServiceEntry>, std::less<>> services_;
  std::vector<std::unique_ptr<Acceptor>> acceptors_;
  std::vector<std::unique_ptr<Acceptor>> gone_;  ///< until CloseGone, and a moment longer
  event::Timer gone_over_;
  std::unordered_map<uint64_t, std::unique_ptr<Session>> sessions_;
  std::vector<std::unique_ptr<Giver>> givers_;  ///< the last one gives; the others say no more
  std::vector<std::unique_ptr<Taker>> takers_;
  std::unordered_set<Session*> with_deadline_;
  std::vector<ServerView> views_;  ///< of the service that is being asked about
  std::vector<std::byte> scratch_;
  TlsBuffers tls_buffers_;
  Bytes records_, opened_, frames_;
  std::optional<mysql::Zlib> zlib_;
  Actions actions_;
  Names names_;
  std::map<std::string, int64_t, std::less<>> asked_names_;  ///< and when
  std::optional<tls::RsaKey> rsa_key_;
  event::Timer tick_, pins_;
  bool serves_pool_ = false;
  std::vector<uint64_t> seekers_;  ///< sessions that seek another one
  event::Timer seeking_;           ///< for them: no session looks at others while it acts
  uint32_t next_session_ = 0;
  int64_t now_ns_ = 0;
  uint64_t clock_turn_ = UINT64_MAX;  ///< of the loop, when the clock was read
};

}  // namespace sluice::worker
