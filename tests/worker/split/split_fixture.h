// What the tests of the splitting engine share: a session of the router "read-write-split" whose
// client, primary and replica are played by the test, packet by packet.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/base/clock.h"
#include "tests/worker/session/world.h"
#include "tests/worker/split/packets.h"
#include "worker/session/engine.h"

namespace sluice::worker::split_tests {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

using Payloads = std::vector<std::string>;

/// How the bytes get to the engine.
struct Manner {
  std::size_t piece = SIZE_MAX;  ///< no more than this at a time
  bool moves = false;            ///< before each the state is written and read back
};

class SplitTest : public testing::TestWithParam<Manner> {
 protected:
  World world;
  SessionState s{.id = 1, .service = "shop", .client_ip = "127.0.0.1"};
  std::vector<std::string> connects;
  std::vector<Side> acquires;  ///< connections that the pool was asked for
  int seeks = 0;               ///< for the victim of a KILL
  std::array<bool, 3> open{true, false, false};

  SplitTest() { world.service.router = config::RouterKind::read_write_split; }

  template <class Event>
  void event(Event happens) {
    Actions actions;
    happens(actions);
    for (const auto& a : actions.list()) {
      auto& said = said_[static_cast<std::size_t>(a.side)];
      auto& is_open = open[static_cast<std::size_t>(a.side)];
      if (a.kind == Action::Kind::send && is_open)
        said.insert(said.end(), a.bytes.begin(), a.bytes.end());
      if (a.kind == Action::Kind::connect) connects.emplace_back(a.text), is_open = true;
      if (a.kind == Action::Kind::close) is_open = false;
      if (a.kind == Action::Kind::acquire) acquires.push_back(a.side);
      if (a.kind == Action::Kind::seek) ++seeks;
    }
  }
  /// As a worker lets it look: at the servers only where one may be chosen.
  Surroundings around() {
    auto w = world.surroundings();
    if (!may_choose(s, world.now_ns)) w.servers = {};
    return w;
  }
  void move() {
    const auto encoded = ipc::encode(s);
    auto back = ipc::decode<SessionState>(encoded);
    ASSERT_TRUE(back);
    ASSERT_EQ(ipc::encode(*back), encoded);
    s = std::move(*back);
  }
  void bytes(Side from, ByteSpan all) {
    const auto [piece, moves] = GetParam();
    while (!all.empty() && open[static_cast<std::size_t>(from)]) {
      if (moves) move();
      // As a worker's scratch buffer, they are gone after the event.
      const auto size = std::min(piece, all.size());
      const Bytes part(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(size));
      all = all.subspan(size);
      event([&](Actions& out) { on_bytes(s, around(), from, part, out); });
    }
  }
  void client(const Bytes& all) { bytes(Side::client, all); }
  void home(const Bytes& all) { bytes(Side::server, all); }
  void reader(const Bytes& all) { bytes(Side::reader, all); }
  void lost(Side side) {
    open[static_cast<std::size_t>(side)] = false;
    event([&](Actions& out) { on_closed(s, world.surroundings(), side, out); });
  }
  /// It does not come back, either.
  void home_is_dead() {
    lost(Side::server);
    if (open[static_cast<std::size_t>(Side::server)]) lost(Side::server);
  }
  void late() {
    ASSERT_NE(deadline_of(s), 0);
    world.now_ns = std::max(world.now_ns, deadline_of(s));
    event([&](Actions& out) { on_deadline(s, around(), out); });
  }
  void view() {
    event([&](Actions& out) { on_view(s, world.surroundings(), out); });
  }
  void order() {
    event([&](Actions& out) {
      on_order_to_end(s, world.surroundings(), {1053, "08S01", "going"},
                      world.now_ns + 1000 * kSecondNs, out);
    });
  }
  /// All bytes that a side has got since it was asked last.
  Bytes raw(Side side) { return std::exchange(said_[static_cast<std::size_t>(side)], {}); }
  /// The same as payloads of packets.
  Payloads said(Side side) {
    const auto all = raw(side);
    Payloads out;
    ByteSpan rest(all);
    while (!rest.empty()) {
      const auto length = static_cast<std::size_t>(rest[0]) |
                          static_cast<std::size_t>(rest[1]) << 8 |
                          static_cast<std::size_t>(rest[2]) << 16;
      out.emplace_back(as_text(rest.subspan(mysql::kHeaderSize, length)));
      rest = rest.subspan(mysql::kHeaderSize + length);
    }
    return out;
  }
  /// The error that the client was sent last.
  std::string last_error() {
    const auto all = said(Side::client);
    if (all.empty()) return "nothing";
    const auto e = mysql::parse_error(as_bytes(all.back()));
    return e ? std::to_string(e->number) + " " + std::string(e->message) : "no error";
  }

  /// Up to where the client may send commands; what sluice wants to know is answered.
  void log_in(uint64_t extra = 0) {
    event([&](Actions& out) { on_accepted(s, world.surroundings(), out); });
    home(greeting());
    client(answer(extra));
    home(packet(2, ok_payload()));
    ASSERT_EQ(s.phase, Phase::relaying);
    home(ok());
    home(ok(kPlain, variable("sql_mode", "STRICT")));
    connects.clear(), forget_said();
  }
  /// And the replica has its connection, and has answered a read.
  void log_in_with_reader(uint64_t extra = 0) {
    log_in(extra);
    client(query("SELECT a FROM t"));
    reader_logs_in();
    reader(joined({ok(), ok()}));
    reader(result("1"));
    ASSERT_EQ(s.split->reads, 1u);
    connects.clear(), forget_said();
  }
  void reader_logs_in() {
    reader(greeting());
    reader(packet(2, ok_payload()));
  }
  /// Another server is the primary from now on.
  void primary_moves() {
    world.server(0).role = cluster::Role::none;
    world.server(1).role = cluster::Role::primary;
  }
  /// It is reached, and the session is restored there.
  void new_home_logs_in(uint32_t id = 17) {
    home(greeting(id));
    home(packet(2, ok_payload()));
    home(joined({ok(), ok()}));
  }
  void forget_said() {
    for (const Side side : kSides) raw(side);
  }

 private:
  std::array<Bytes, 3> said_;
};

/// In one piece or byte by byte, in one process or another one for each.
inline const auto kManners =
    testing::Values(Manner{}, Manner{1, false}, Manner{SIZE_MAX, true}, Manner{1, true});
inline std::string name_of(const testing::TestParamInfo<Manner>& info) {
  return std::string(info.param.piece == 1 ? "Bytewise" : "Whole") +
         (info.param.moves ? "Moved" : "");
}

}  // namespace sluice::worker::split_tests
