// A recording as the two peers of a session act it out: what each sends and when, what must arrive
// at the other side, and where nothing is under way. Derived from the turns and packet headers of
// the recording alone, never from sluice's own reading of the protocol.
#pragma once

#include <array>
#include <set>
#include <string>
#include <vector>

#include "tests/support/recording.h"
#include "worker/session/state.h"

namespace sluice::worker {

struct Script {
  /// How much of each stream has passed: the client's, the server's.
  using Position = std::array<std::size_t, 2>;

  /// A stretch of one side's stream, and how much of the other's that side has read before it.
  struct Turn {
    Side from = Side::client;
    std::size_t begin = 0, end = 0;
    std::size_t needs = 0;
  };

  explicit Script(const test::Recording& recording);

  std::string name;
  bool pipelined = false;
  std::array<Bytes, 2> sent;      ///< by Side: what it sends
  std::array<Bytes, 2> expected;  ///< by Side of the sender: what arrives at the other
  std::vector<Turn> turns;
  std::size_t greeting_end = 0;   ///< in the server's stream
  std::size_t answer_end = 0;     ///< of the handshake response, in the client's stream
  std::size_t refusal_begin = 0;  ///< of an ERR packet that ends the server's stream; 0: none does
  std::set<Position> boundaries;  ///< everything that was asked is answered
  std::array<std::set<std::size_t>, 2> packet_ends;

  ByteSpan stream(Side side) const { return sent[static_cast<std::size_t>(side)]; }
  ByteSpan arrives_from(Side side) const { return expected[static_cast<std::size_t>(side)]; }
  bool is_boundary(Position at) const { return boundaries.contains(at); }
  /// How far the side may write, when it has read `read` bytes of the other's stream.
  std::size_t may_write(Side side, std::size_t read) const;

 private:
  void mask_capabilities();
  void find_packets();
  void find_boundaries();
  bool is_command(std::size_t packet) const;
};

/// All recordings, read once.
const std::vector<Script>& scripts();

}  // namespace sluice::worker
