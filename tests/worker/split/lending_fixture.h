// Sessions of a service with a pool.
#pragma once

#include "tests/worker/split/split_fixture.h"
#include "worker/split/lending.h"

namespace sluice::worker::split_tests {

class LendingTest : public SplitTest {
 protected:
  LendingTest() {
    world.service.pool = 2;
    world.service.pool_timeout_ms = 5000;
  }
  static std::string account(const SessionState& of, Side side, std::string_view name) {
    const auto& leg = side == Side::server ? of.home : of.split->reader;
    return "sluice-" + std::to_string(of.id) + "-" + std::to_string(leg.connection_id) + " " +
           std::string(name);
  }
  void log_in_pooled(uint64_t extra = 0) {
    event([&](Actions& out) { on_accepted(s, world.surroundings(), out); });
    home(greeting());
    client(answer(extra));
    home(packet(2, ok_payload()));
    home(result(account(s, Side::server, "app@% ")));
    home(joined({ok(), ok(kPlain, variable("sql_mode", "STRICT"))}));
    connects.clear(), forget_said();
    ASSERT_TRUE(split::may_lend(s, Side::server));
  }
  ServerLeg lend(Side side) {
    EXPECT_TRUE(split::may_lend(s, side));
    open[static_cast<std::size_t>(side)] = false;
    return split::lend(s, side);
  }
  /// What its server has to be asked ahead is asked, and answered.
  void prepare_to_lend() {
    forget_said();
    event([&](Actions& out) { split::prepare_to_lend(s, out); });
    for (const auto& asked : said(Side::server))
      home(result(asked.find("gtid") != std::string::npos        ? "0-1-7"
                  : asked.find("TEMPORARY") != std::string::npos ? "0 0"
                                                                 : "0"));
  }
  void granted(Side side) {
    event([&](Actions& out) { split::on_granted(s, world.surroundings(), side, out); });
  }
  void lent(Side side, ServerLeg leg) {
    open[static_cast<std::size_t>(side)] = true;
    event(
        [&](Actions& out) { split::on_lent(s, world.surroundings(), side, std::move(leg), out); });
  }
  static ServerLeg other_leg(std::string server = "db1") {
    return {.server = std::move(server), .connection_id = 77};
  }
  /// It has lent its connection, and a write has got it another session's.
  void borrow(std::string_view command = "\3INSERT INTO t VALUES (1)") {
    lend(Side::server);
    client(packet(0, command));
    EXPECT_THAT(acquires, ElementsAre(Side::server));
    lent(Side::server, other_leg());
  }
};

}  // namespace sluice::worker::split_tests
