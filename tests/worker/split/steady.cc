#include "tests/worker/split/steady.h"

#include <stdexcept>

#include "worker/session/engine.h"

namespace sluice::worker::split_tests {
namespace {

constexpr std::string_view kText = "SELECT c FROM sbtest.t WHERE id=4711";
constexpr std::string_view kPreparedText = "SELECT c FROM sbtest.t WHERE id=?";
constexpr std::string_view kUpdate = "UPDATE sbtest.t SET c='x' WHERE id=4711";
constexpr uint32_t kHomeId = 7, kReaderId = 9;  // never the same: ids have to be exchanged

const std::string& value() {
  static const std::string text(120, 'c');
  return text;
}

/// A row of a prepared statement: a marker and the bitmap of NULLs in front.
Bytes binary_result() {
  return joined({packet(1, "\1"), packet(2, "\3def and more"),
                 packet(3, std::string(2, '\0') + sized(value())),
                 packet(4, "\xFE" + std::string(2, '\0') + number(kPlain, 2) + number(0, 2))});
}

}  // namespace

SteadySession::SteadySession(config::RouterKind router) {
  world_.service.router = router;
  log_in();
  prepare();
}

void SteadySession::bytes(Side from, ByteSpan all) {
  on_bytes(state_, world_.surroundings(), from, all, actions_);
  for (const auto& action : actions_.list())
    if (action.kind == Action::Kind::send) sent(action.side) += action.bytes.size();
  actions_.clear();
}

bool SteadySession::run(const Turn& turn) {
  sent_ = {};
  bytes(Side::client, turn.command);
  const auto other = turn.at == Side::server ? Side::reader : Side::server;
  const bool went_there = sent(turn.at) == turn.command.size() && sent(other) == 0;
  bytes(turn.at, turn.answer);
  return went_there && sent(Side::client) == turn.delivered;
}

void SteadySession::log_in() {
  on_accepted(state_, world_.surroundings(), actions_);
  actions_.clear();
  bytes(Side::server, greeting());
  bytes(Side::client, answer(0));
  bytes(Side::server, packet(2, ok_payload()));
  if (state_.phase != Phase::relaying) throw std::logic_error("the login has failed");
  if (!splits()) return;
  bytes(Side::server, joined({ok(), ok(kPlain, variable("sql_mode", "STRICT"))}));
  bytes(Side::client, query(kText));
  bytes(Side::reader, greeting());
  bytes(Side::reader, packet(2, ok_payload()));
  bytes(Side::reader, joined({ok(), ok()}));
  bytes(Side::reader, result("1"));
  if (state_.split->reads != 1) throw std::logic_error("the replica was not asked");
}

void SteadySession::prepare() {
  bytes(Side::client, command(mysql::Command::stmt_prepare, kPreparedText));
  bytes(Side::server, prepared(kHomeId, 1));
  if (!splits()) return;
  bytes(Side::client, execute(kHomeId, with_type(1)));
  bytes(Side::reader, prepared(kReaderId, 1));
  sent_ = {};
  bytes(Side::reader, binary_result());
  if (sent(Side::client) == 0) throw std::logic_error("the replica did not prepare it");
}

std::array<Turn, 3> SteadySession::point_selects() const {
  return {
      Turn{"text", reads_at(), query(kText), result(value())},
      Turn{"prepared", reads_at(), execute(kHomeId, without_type(5)), binary_result()},
      Turn{"prepared, with types", reads_at(), execute(kHomeId, with_type(5)), binary_result()}};
}

Turn SteadySession::update() const {
  Turn turn{"update", Side::server, query(kUpdate), ok(kPlain, variable("last_gtid", "0-1-5"))};
  if (splits()) turn.delivered = ok().size();
  return turn;
}

std::array<Turn, 2> SteadySession::in_transaction() const {
  return {Turn{"text, in a transaction", Side::server, query(kText), result(value(), kOpen)},
          Turn{"update, in a transaction", Side::server, query(kUpdate), ok(kOpen)}};
}

Turn SteadySession::begin() const {
  return {"begin", Side::server, query("BEGIN"), ok(kOpen)};
}

}  // namespace sluice::worker::split_tests
