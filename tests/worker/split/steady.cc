#include "tests/worker/split/steady.h"

#include <stdexcept>

#include "worker/session/engine.h"

namespace sluice::worker::split_tests {
namespace {

constexpr std::string_view kText = "SELECT c FROM sbtest.t WHERE id=4711";
constexpr std::string_view kPreparedText = "SELECT c FROM sbtest.t WHERE id=?";
constexpr std::string_view kPreparedUpdate = "UPDATE sbtest.t SET c='x' WHERE id=?";
constexpr std::string_view kUpdate = "UPDATE sbtest.t SET c='x' WHERE id=4711";
constexpr uint32_t kHomeId = 7, kReaderId = 9;  // never the same: ids have to be exchanged
constexpr uint32_t kBeginId = 10, kUpdateId = 11, kCommitId = 12;

const std::string& value() {
  static const std::string text(120, 'c');
  return text;
}

/// Rows of a prepared statement: a marker and the bitmap of NULLs in front of each.
Bytes binary_result(uint16_t status = kPlain, uint8_t rows = 1) {
  auto out = joined({packet(1, "\1"), packet(2, "\3def and more")});
  for (uint8_t i = 0; i < rows; ++i)
    out = joined({out, packet(3 + i, std::string(2, '\0') + sized(value()))});
  return joined(
      {out, packet(3 + rows, "\xFE" + std::string(2, '\0') + number(status, 2) + number(0, 2))});
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
  for (const auto& [id, text] : {std::pair(kBeginId, "BEGIN"), std::pair(kCommitId, "COMMIT")}) {
    bytes(Side::client, command(mysql::Command::stmt_prepare, text));
    bytes(Side::server, prepared(id));
  }
  bytes(Side::client, command(mysql::Command::stmt_prepare, kPreparedUpdate));
  bytes(Side::server, prepared(kUpdateId, 1));
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

std::vector<Turn> SteadySession::transaction() const {
  constexpr uint8_t kRows = 100;
  std::vector<Turn> turns{{"begin", Side::server, execute(kBeginId), ok(kOpen)}};
  const auto add = [&](int times, std::string_view name, uint32_t id, const Bytes& answer) {
    turns.insert(turns.end(), times, {name, Side::server, execute(id, with_type(5)), answer});
  };
  add(10, "point select", kHomeId, binary_result(kOpen));
  add(4, "range", kHomeId, binary_result(kOpen, kRows));
  add(4, "write", kUpdateId, ok(kOpen));
  turns.push_back(
      {"commit", Side::server, execute(kCommitId), ok(kPlain, variable("last_gtid", "0-1-5"))});
  if (splits()) turns.back().delivered = ok().size();
  return turns;
}

Turn SteadySession::begin() const {
  return {"begin", Side::server, query("BEGIN"), ok(kOpen)};
}

}  // namespace sluice::worker::split_tests
