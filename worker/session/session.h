// The runtime of one session: its two sockets with their TLS, what the loop watches, and the
// carrying out of what the engine wants. Decides nothing.
#pragma once

#include <array>

#include "common/base/log.h"
#include "common/base/unique_fd.h"
#include "common/event/event.h"
#include "worker/session/engine.h"
#include "worker/split/split.h"
#include "worker/tls/layer.h"

namespace sluice::worker {

class Worker;
struct ServiceEntry;

/// What was agreed on with the peer of one side; null where that is not encrypted.
const tls::Info* tls_info(const SessionState& s, Side side);

class Session {
 public:
  /// `client` is connected and non-blocking.
  Session(Worker& worker, ServiceEntry& service, SessionState state, UniqueFd client);
  ~Session();

  /// Builds watches and deadlines from the state; a session that came from elsewhere starts so too.
  Result<> restore();

  const SessionState& state() const { return state_; }
  ServiceEntry& service() const { return service_; }

  // Events of the worker, for the engine.
  void accepted(bool over_limit);
  void view_changed();
  void accounts_changed();
  void deadline_passed();
  void order_to_end(const End& end, int64_t deadline_ns);
  void sought(uint32_t round, const split::OnReplica& victim);
  void said_killed();
  uint32_t hold_home();

  // The move to another worker (worker/handoff.h).
  /// Why it can't move now; empty: it can.
  std::string why_stays() const;
  /// All that there is of it. From here on nothing happens to it, until thaw() or go_away().
  struct Parcel {
    struct Leg {
      Side side{};
      int fd = -1;
      Bytes tls;
    };
    Bytes state;
    std::vector<Leg> legs;
  };
  Parcel freeze();
  bool frozen() const { return frozen_; }
  /// It goes on here after all, with a look at what it has missed (view_changed()). False: it
  /// can't, and is deleted.
  bool thaw();
  /// Another worker has it: its connections are closed here without a word. Deletes it.
  void go_away();
  /// One of its connections, where it arrives.
  struct Arrival {
    Side side{};
    UniqueFd fd;
    std::unique_ptr<tls::Layer> tls;
  };
  /// Whether these are the connections that a state speaks of.
  static bool fit(const SessionState& state, const std::vector<Arrival>& legs);
  /// Takes the connections of a session that comes from another worker, and goes on.
  void arrive(std::vector<Arrival> legs);

  // Decisions of the pool.
  void granted(Side side);
  void none_lent(Side side);
  void prepare_to_lend();
  /// A connection on its way to another session.
  struct Loan {
    ServerLeg leg;
    UniqueFd fd;
    std::unique_ptr<tls::Layer> tls;
    uint32_t row = 0;
  };
  /// Whether the server has said nothing that was not read yet.
  bool is_silent(Side side) const;
  Loan lend(Side side);
  void take(Side side, Loan loan);
  void give_up(Side side);

 private:
  friend class Worker;
  /// One side's connection.
  struct Leg {
    UniqueFd fd;
    event::IoWatch watch;
    std::unique_ptr<tls::Layer> tls;          ///< where it is encrypted
    std::unique_ptr<tls::RecordsState> left;  ///< in place of that, while the session is frozen
    uint32_t row = 0;    ///< of a server in the statistics page, while connected
    bool fresh = false;  ///< connected, and nothing was read from it yet
  };
  void on_client(event::Bits what) { on_ready(Side::client, what); }
  void on_server(event::Bits what) { on_ready(Side::server, what); }
  void on_reader(event::Bits what) { on_ready(Side::reader, what); }
  void on_ready(Side side, event::Bits what);
  template <class Event>
  void happen(Event event);
  void read(Side side);
  /// Bytes that came encrypted.
  void take_records(Side side, ByteSpan bytes);
  /// Bytes that came so, or are not encrypted any more.
  void take(Side side, ByteSpan bytes);
  /// Bytes of a client that compresses.
  void take_frames(ByteSpan bytes);
  bool is_logging_in() const { return state_.phase < Phase::relaying; }
  void flush(Side side);
  /// Carries out what the engine asked for, until nothing is left; then this may be deleted.
  void carry_out();
  void carry_out(const Action& action);
  void send(Side side, ByteSpan bytes);
  void compress(ByteSpan bytes, Bytes& frames);
  void write(Side side, ByteSpan bytes);
  void connect(Side side, std::string_view server);
  void start_tls(Side side);
  Result<> watch(Side side, event::Bits what);
  void close(Side side);
  void disconnect(Side side);
  void finish_client();
  void log(log::Level level, std::string_view why);
  void update_interest();
  /// Keeps count of what the replicas are busy with.
  void count_busy();

  const Leg& leg(Side side) const { return legs_[static_cast<std::size_t>(side)]; }
  Leg& leg(Side side) { return legs_[static_cast<std::size_t>(side)]; }
  /// With the servers if one may be chosen: `lost` says that a connection has gone.
  const Surroundings& surroundings(bool lost = false);

  Worker& worker_;
  ServiceEntry& service_;
  SessionState state_;
  std::array<Leg, 3> legs_;
  bool frozen_ = false;
  bool has_deadline_ = false;     ///< the worker looks at it with each tick
  std::optional<uint32_t> busy_;  ///< row of the replica that runs a command of it
};

}  // namespace sluice::worker
