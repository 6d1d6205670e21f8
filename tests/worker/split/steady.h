// A session that is past its beginning, and whose client asks the same over and over: what a
// statement costs in the engine alone.
#pragma once

#include <array>
#include <string_view>
#include <vector>

#include "tests/worker/session/world.h"
#include "tests/worker/split/packets.h"

namespace sluice::worker::split_tests {

/// What a client asks, which server it is for, what that one answers, and how many bytes of that
/// the client gets.
struct Turn {
  std::string_view name;
  Side at;
  Bytes command, answer;
  std::size_t delivered = answer.size();
};

/// As a worker has it: buffers are kept and used again, and nothing is allocated here.
class SteadySession {
 public:
  /// Logged in, and with a statement prepared; with the router read-write-split on either server.
  /// Throws std::logic_error if that fails.
  explicit SteadySession(config::RouterKind router);

  const SessionState& state() const { return state_; }
  bool splits() const { return world_.service.router == config::RouterKind::read_write_split; }
  /// Whether the right server alone got the command, and the client the answer.
  bool run(const Turn& turn);

  /// A point select as text and prepared, the latter as most clients send it and as those that send
  /// the types of parameters each time.
  std::array<Turn, 3> point_selects() const;
  /// Of which the server tells what was written: that is not for the client.
  Turn update() const;
  /// The same within a transaction, that is after begin().
  std::array<Turn, 2> in_transaction() const;
  Turn begin() const;
  /// The statements of sysbench's oltp_read_write, prepared, one after the other.
  std::vector<Turn> transaction() const;

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
