// From one configuration to the next, as a transaction: parse in a throw-away child, bind, start
// the first worker; up to there any error leaves everything as it was. Then one worker slot after
// the other goes over. The first start of all is the same, from an empty configuration. An upgrade
// is the same with new programs and the configuration in force: it is not read again, so that one
// that somebody is just editing can't spoil it. A replacement is an upgrade to the same programs.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "master/child.h"
#include "master/supervisor.h"
#include "master/unix_socket.h"

namespace sluice::master {

enum class Step : uint8_t {
  idle,
  parsing,   ///< the child reads the files
  proving,   ///< the first worker of the new generation is to get ready
  rolling,   ///< slot by slot: the new one is ready, the old one stops
  closing,   ///< who has still got in at listeners that are gone is answered
  trying,    ///< upgrade: the new master's program is tried out, and then takes our place
  watching,  ///< upgrade: all workers are over; the new monitor is to get ready
};

/// How a rollout ended.
struct Outcome {
  bool done = false;
  bool config_error =
      false;               ///< the configuration itself is wrong (exit code 78 at the first start)
  std::string text;        ///< one line, or all problems of the configuration
  ipc::Table changes;      ///< what changed, or would change
  std::string warnings{};  ///< of the configuration that was read; a line or more each
};

class RolloutUser {
 public:
  virtual ~RolloutUser() = default;
  /// A reload or an upgrade begins, whoever asked for it; on_outcome() follows.
  virtual void on_reload() = 0;
  /// The programs are to be changed, ours first: Rollout::refuse_upgrade() follows, or
  /// roll_programs() in the program that has taken our place.
  virtual void on_upgrade() = 0;
  /// The first configuration has been read, if only in part: from here on it says where the log
  /// goes.
  virtual Result<> on_first_config(const config::Config& config) = 0;
  /// The new configuration has been proved and is in force from here on.
  virtual void on_commit(const config::Config& before) = 0;
  /// `requests`: who asked for it.
  virtual void on_outcome(const Outcome& outcome, const std::vector<uint64_t>& requests) = 0;
};

class Rollout final : public ChildOwner {
 public:
  Rollout(event::Loop& loop, State& state, Supervisor& supervisor, RolloutUser& user)
      : loop_(loop), state_(state), supervisor_(supervisor), user_(user) {}

  using Kind = RolloutKind;
  /// Starts one, or joins the next one if one is under way: a storm of requests collapses into one.
  void request(Kind kind, uint64_t request);
  bool busy() const { return step_ != Step::idle; }
  Step step() const { return step_; }
  Kind kind() const { return kind_; }
  /// What an upgrade that has begun takes along to the next program, and back.
  inheritance::Rollout export_() const;
  void import_(inheritance::Rollout from);
  /// The upgrade that has begun can't be: why. Nothing has changed.
  void refuse_upgrade(std::string why);
  /// The master's program has been changed, from `release`: the children's follow.
  void roll_programs(const std::string& release);
  /// Gives up what is under way; the master is to end.
  void stop();

  void on_worker_ready(std::size_t slot);
  void on_worker_failed(std::size_t slot, std::string_view why);
  void on_worker_stopped();
  void on_gone_closed();
  void on_monitor_replaced(Result<> how);
  void tick();
  /// The control socket that the new configuration asks for, if it is another one.
  UnixSocket take_control_socket() { return std::move(control_socket_); }

  Result<> on_frame(Child& child, ipc::Frame frame) override;
  void on_channel_lost(Child& child) override;

 private:
  Result<> on_parsed_config(ipc::ParsedConfig message);
  void begin();
  void try_out();
  void take_keys();
  void parsed(ipc::ParsedConfig parsed);
  void prove();
  Result<> prepare();
  void commit();
  void next_slot();
  void close_gone();
  void settle();
  void finish();
  void end(Outcome outcome);
  std::string_view component() const;  ///< in the log
  void note(const Outcome& outcome);
  void roll_as_it_is();
  std::string of_upgrade(std::string why) const;
  std::string left_behind(std::size_t slot, std::string_view why) const;
  void keep_programs();
  void undo();

  event::Loop& loop_;
  State& state_;
  Supervisor& supervisor_;
  RolloutUser& user_;
  Step step_ = Step::idle;
  Kind kind_ = Kind::roll;
  std::vector<uint64_t> requests_;
  std::unique_ptr<Child> parser_;
  std::vector<std::unique_ptr<Child>> dead_;
  ipc::ParsedConfig candidate_;
  std::vector<std::pair<Kind, uint64_t>> waiting_;
  ipc::Table changes_;
  std::string warnings_;
  std::string release_before_;  ///< upgrade: of the master's program until now
  UnixSocket control_socket_;
  uint32_t uid_before_ = 0, gid_before_ = 0;
  Keys keys_before_;
  std::size_t slot_ = 0;
  int attempts_ = 0;
  int64_t closing_until_ns_ = 0;
  bool committed_ = false;   ///< the new configuration is in force
  bool incomplete_ = false;  ///< it is, but some slots still run an older one
  bool spoken_ = false;      ///< the parser has sent what it read
};

/// Whether workers have to be replaced for the change.
bool needs_new_workers(const config::Config& before, const config::Config& after);

}  // namespace sluice::master
