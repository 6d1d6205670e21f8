// A session that is past its beginning, and whose client asks the same over and over: what a
// statement costs in the engine alone.
#pragma once

#include <array>
#include <string_view>

#include "tests/worker/session/world.h"
#include "tests/worker/split/packets.h"

namespace sluice::worker::split_tests {

/// What a client asks, which server it is for, and what that one answers.
struct Exchange {
  std::string_view name;
  Side at;
  Bytes command, answer;
};

/// As a worker has it: buffers are kept and used again, and nothing is allocated here.
class Replay {
 public:
  /// Logged in, and with a statement prepared; with the router read-write-split on either server.
  /// Throws std::logic_error if that fails.
  explicit Replay(config::RouterKind router);

  bool splits() const { return world_.service.router == config::RouterKind::read_write_split; }
  /// Whether the right server alone got the command, and the client the answer as it was.
  bool run(const Exchange& exchange);

  /// A point select as text and prepared, the latter as most clients send it and as those that send
  /// the types of parameters each time.
  std::array<Exchange, 3> point_selects() const;
  /// What stays at the primary: the same within a transaction (begin() was run before), a write of
  /// which the server tells nothing.
  std::array<Exchange, 2> at_home() const;
  Exchange begin() const;

 private:
  void bytes(Side from, ByteSpan all);
  void log_in();
  void prepare();
  Side reads_at() const { return splits() ? Side::reader : Side::server; }
  std::size_t& sent(Side side) { return sent_[static_cast<std::size_t>(side)]; }

  World world_;
  SessionState state_{.id = 1, .service = "shop", .client_ip = "127.0.0.1"};
  Actions actions_;
  std::array<std::size_t, 3> sent_{};  ///< bytes to each side since the last command
};

}  // namespace sluice::worker::split_tests
