#include "tests/support/move_load.h"

#include <fmt/format.h>

#include <algorithm>

#include "tests/support/test_error.h"

namespace sluice::test {
namespace {

constexpr int kConnecting = 8;
constexpr int kHolding = 4;
constexpr Milliseconds kPace = 1ms;

}  // namespace

MoveLoad::MoveLoad(ClientOptions from, ClientOptions to)
    : from_(std::move(from)), to_(std::move(to)) {
  for (int i = 0; i < kConnecting + kHolding; ++i) {
    auto& worker = *workers_.emplace_back(std::make_unique<Worker>());
    const auto run = i < kConnecting ? &MoveLoad::run_connecting : &MoveLoad::run_holding;
    worker.thread = std::thread(run, this, std::ref(worker));
  }
}

MoveLoad::~MoveLoad() {
  join();
}

void MoveLoad::join() {
  stopping_ = true;
  for (auto& worker : workers_)
    if (worker->thread.joinable()) worker->thread.join();
}

void MoveLoad::wait_flowing(Milliseconds deadline) const {
  const auto all = [this] {
    return std::ranges::all_of(workers_,
                               [](const auto& worker) { return worker->answered.load(); });
  };
  if (!eventually(deadline, all)) throw TestError("the load does not get started");
}

bool MoveLoad::wait_moved(Milliseconds deadline) const {
  return eventually(deadline, [this] {
    return std::ranges::all_of(workers_.begin(), workers_.begin() + kConnecting,
                               [](const auto& worker) { return worker->moved.load(); });
  });
}

LoadReport MoveLoad::stop() {
  join();
  LoadReport total;
  for (const auto& worker : workers_) total.add(worker->report);
  return total;
}

void MoveLoad::run_connecting(Worker& worker) {
  while (!stopping_) {
    auto client = Client::connect(worker.moved ? to_ : from_);
    if (!client && !worker.moved) {  // only now: the second must be open once the first is not
      worker.moved = true;
      client = Client::connect(to_);
    }
    if (client) {
      ++worker.report.connects;
      ask(worker, *client);
    } else {
      ++worker.report.connect_failures;
      ++worker.report.connect_errors[client.error().code];
      worker.report.texts.push_back(client.error().text);
    }
    client = tl::unexpected(SqlError{});  // ends the session before the pause
    pause_for(kPace);
  }
  ::mysql_thread_end();
}

void MoveLoad::run_holding(Worker& worker) {
  {
    auto client = Client::connect(from_);
    if (!client) ++worker.report.connect_failures;
    while (client && !stopping_ && worker.report.query_failures == 0) {
      ask(worker, *client);
      pause_for(kPace);
    }
  }
  ::mysql_thread_end();
}

void MoveLoad::ask(Worker& worker, Client& client) {
  const auto rows = client.query("SELECT @@server_id");
  if (!rows) {
    ++worker.report.query_failures;
    ++worker.report.query_errors[rows.error().code];
    worker.report.texts.push_back(rows.error().text);
    return;
  }
  ++worker.report.queries;
  ++worker.report.servers[rows->front()[0].value_or("NULL")];
  if (worker.report.servers.size() > 1) ++worker.report.wrong_answers;
  worker.answered = true;
}

}  // namespace sluice::test
