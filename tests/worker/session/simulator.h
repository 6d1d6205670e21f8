// A session without a network: the engine, and around it what worker/session/session.cc does with
// sockets, done with counters. Client and server act out a recording; the bytes between them and
// the engine arrive in pieces, are held up, are taken in part, and both may close whenever they
// like. All that is by chance comes from one seed, so a run can be repeated.
//
// It watches what no session may ever do: see check_* in simulator.cc.
#pragma once

#include <random>

#include "tests/worker/session/script.h"
#include "tests/worker/session/world.h"

namespace sluice::worker {

/// What shall go wrong in a session.
enum class Trouble : uint8_t {
  none,
  client_closes,
  client_resets,
  server_closes,
  server_resets,
  client_falls_silent,
  server_falls_silent,
  order_to_end,
  order_with_short_deadline,
  primary_moves,
  connect_fails,   ///< the first server refuses the connection
  connect_hangs,   ///< the first server never greets
  server_is_full,  ///< the first server says 1040 instead of a greeting
};
inline constexpr std::size_t kTroubles = 13;

struct Plan {
  Trouble trouble = Trouble::none;
  std::size_t after = 0;         ///< events, before `trouble` comes
  std::size_t piece = SIZE_MAX;  ///< no more bytes than this at a time
  std::size_t room = SIZE_MAX;   ///< bytes that lie in a socket at most
  bool judged = false;           ///< the client comes from elsewhere: its account is looked up
  bool moves = false;            ///< now and then the state is written and read back
};

class Simulator {
 public:
  Simulator(const Script& script, Plan plan, uint64_t seed);

  /// Runs until the session is over. Then problem() is what was wrong first; empty if nothing was.
  void run();
  const std::string& problem() const { return problem_; }
  std::size_t events() const { return events_; }

  // --- by hand, step by step
  // ----------------------------------------------------------------------

  void accept();
  /// Hands the engine exactly the next `n` bytes of a side.
  void deliver(Side side, std::size_t n);
  /// The side is gone, with all that it wrote read.
  void close(Side side);
  /// As SIGTERM does, with all the time in the world to get there.
  void order_to_end();
  /// Nothing more is written by anybody; runs until the session is over.
  void let_end();
  /// Writes the state and reads it back, as if it had gone to another process.
  void move();

  /// All that matters, to go on from there or to compare. Only while nothing lies in the sockets.
  struct Snapshot {
    Bytes state;
    std::array<std::size_t, 2> read, arrived;
    bool operator==(const Snapshot&) const = default;
  };
  Snapshot snapshot() const;
  void restore(const Snapshot& from);

 private:
  /// One peer and its socket, seen from both ends. Offsets count in the streams of the script.
  struct Peer {
    std::size_t written = 0;  ///< by the peer
    std::size_t read = 0;     ///< of that, by the engine
    std::size_t arrived = 0;  ///< bytes of the other peer that the engine has put into the socket
    std::size_t taken = 0;    ///< of these, by the peer
    std::size_t lying = 0;    ///< in the socket towards the peer, sluice's own included
    bool connected = false;   ///< the engine's end is open
    bool present = false;     ///< the peer's end is open
    bool finished = false;    ///< the engine has closed its half
    bool reset = false;       ///< the peer left without caring for what it wrote
    bool silent = false;
  };
  enum class Event : uint8_t { write, read, flush, take, leave, deadline, accounts };
  struct Choice {
    Event event;
    Side side;
  };

  Peer& peer(Side side) { return peers_[static_cast<std::size_t>(side)]; }
  const Peer& peer(Side side) const { return peers_[static_cast<std::size_t>(side)]; }
  void step();
  void find_choices();
  void happen(Choice choice);
  void make_trouble();
  void nothing_can_happen();

  void read(Side side, std::size_t n);
  void flush(Side side);
  void carry_out();
  void send(Side side, ByteSpan bytes);
  std::size_t put(Side side, ByteSpan bytes);
  void connect();
  void close_ours(Side side);

  void check_sent(Side side, ByteSpan bytes);
  void check_own_error(ByteSpan packet);
  uint8_t next_sequence() const;
  void check_after_event();
  void check_at_end();
  void check_complete();
  void check_ordered_end();
  void fail(std::string what);

  std::size_t chance(std::size_t n) {
    return std::uniform_int_distribution<std::size_t>(0, n - 1)(random_);
  }
  bool done_writing(Side side) const { return peer(side).written == script_.stream(side).size(); }

  const Script& script_;
  Plan plan_;
  std::mt19937_64 random_;
  World world_;
  SessionState state_;
  Actions actions_;
  std::array<Peer, 2> peers_;
  std::array<std::size_t, 2> sent_{};  ///< to each side, of the other's stream
  Bytes own_;                          ///< sluice's own words to the client
  std::size_t own_arrived_ = 0;
  Bytes scratch_;
  std::vector<Choice> choices_;
  std::size_t events_ = 0;
  std::size_t connects_ = 0, server_closes_ = 0;
  bool trouble_made_ = false, accounts_asked_ = false;
  bool logged_in_ = false;  ///< the client has its OK
  bool changing_ = false;   ///< the server left within a COM_CHANGE_USER: a cut packet stays here
  bool ordered_ = false;    ///< to end, after the login
  bool mute_ = false;       ///< nobody writes any more
  bool full_ = false;       ///< the server says 1040
  bool fresh_ = false;      ///< nothing was read from the server yet
  std::string problem_;
};

}  // namespace sluice::worker
