// Sessions on their way from a worker that is replaced to the one that serves in its place, over a
// socket that the master made and does not read. Each goes by itself, in three steps:
//
//   giver                               taker
//   OfferSession (state, sockets)  -->
//                                  <--  SessionTaken, or why not
//   GiveSession                    -->
//
// The giver does nothing with a session that it has offered, the taker nothing before it is given:
// at any time one of them has it. The giver may take back what it has offered (GiveSession says
// so), after which nothing has happened. If the giver dies, the taker has what was offered; if the
// taker dies, the giver has what was not given. Sessions that are refused, or can't move, stay.
#pragma once

#include <map>
#include <string>
#include <unordered_map>
#include <vector>

#include "common/event/event.h"
#include "common/ipc/dispatch.h"
#include "worker/session/session.h"

namespace sluice::worker {

class Worker;

/// The worker that is replaced.
class Giver {
 public:
  Giver(Worker& worker, UniqueFd socket) : worker_(worker), channel_(std::move(socket)) {}
  /// Begins to offer all sessions, each as soon as it can move.
  Result<> start();
  /// Nothing more is offered, and what was offered and not given is taken back.
  void stop();
  /// What was offered of this session is not true any more; it goes on here, and is offered again.
  /// False: it could not go on, and is deleted.
  bool take_back(Session& session);
  /// Why the taker did not want a session; empty: it was not asked, or takes it.
  std::string_view why_refused(uint64_t session) const;
  /// Nothing is on its way that would be lost if this process ended.
  bool is_done() const { return offers_.empty() && (gone_ || !channel_.wants_write()); }

 private:
  struct Handlers;
  struct Offer {
    uint64_t session = 0;
    int64_t by_ns = 0;  ///< it is taken back then
  };
  void on_ready(event::Bits what);
  void on_look();
  void go_on();
  void receive();
  void tell_passwords();
  void offer(Session& session);
  void go_on_with(uint64_t id);
  void take_all_back();
  void give(Session& session, uint64_t number);
  void lose(std::string_view why);
  void update_interest();
  Result<> on_session_taken(ipc::SessionTaken message);

  Worker& worker_;
  ipc::Channel channel_;
  event::IoWatch watch_;
  event::Timer look_;
  uint64_t offered_ = 0, given_ = 0;
  int64_t passwords_told_ns_ = 0;
  uint64_t release_every_ = 1;        ///< given session memory goes back to the system
  std::map<uint64_t, Offer> offers_;  ///< by number: given neither yet, nor taken back
  std::vector<uint64_t> candidates_;
  std::unordered_map<uint64_t, std::string> refused_;
  bool hangs_ = false;  ///< the taker has not answered: it gets no offer before it does
  bool over_ = false;   ///< nothing more is offered
  bool gone_ = false;   ///< and the taker is not there any more
};

/// The worker that serves now.
class Taker {
 public:
  Taker(Worker& worker, UniqueFd socket) : worker_(worker), channel_(std::move(socket)) {}
  Result<> start();
  /// Nothing more will come.
  bool is_over() const { return over_; }
  /// Sessions may yet be given to this worker that it has said to take.
  bool holds_any() const { return !offers_.empty(); }
  /// Those: the giver may have given them, and left.
  void list(ipc::Table& table, std::string_view only) const;

 private:
  struct Handlers;
  struct Offer {
    SessionState state;
    std::vector<Session::Arrival> legs;
    ServiceEntry* service = nullptr;
  };
  void on_ready(event::Bits what);
  void receive();
  void end();
  void distrust(std::string_view why);
  void refuse_for_want_of_fds(const ipc::Frame& frame);
  void update_interest();
  Result<Offer> judged(ipc::OfferSession message, std::vector<UniqueFd> fds) const;
  Result<> on_offer_session(ipc::OfferSession message, std::vector<UniqueFd> fds);
  Result<> on_give_session(ipc::GiveSession message);
  Result<> on_known_password(ipc::KnownPassword message);

  Worker& worker_;
  ipc::Channel channel_;
  event::IoWatch watch_;
  std::map<uint64_t, Offer> offers_;  ///< by number
  uint64_t taken_ = 0;
  bool over_ = false;
};

}  // namespace sluice::worker
