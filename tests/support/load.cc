#include "tests/support/load.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <memory>

#include "tests/support/test_error.h"

namespace sluice::test {
namespace {

constexpr std::size_t kTexts = 5;

int64_t now_ns() {
  return std::chrono::nanoseconds(Clock::now().time_since_epoch()).count();
}

void note_text(LoadReport& report, std::string text) {
  if (report.texts.size() < kTexts) report.texts.push_back(std::move(text));
}

}  // namespace

void LoadReport::add(const LoadReport& other) {
  connects += other.connects;
  queries += other.queries;
  connect_failures += other.connect_failures;
  query_failures += other.query_failures;
  wrong_answers += other.wrong_answers;
  for (const auto& [code, count] : other.connect_errors) connect_errors[code] += count;
  for (const auto& [code, count] : other.query_errors) query_errors[code] += count;
  for (const auto& [server, count] : other.servers) servers[server] += count;
  for (const auto& text : other.texts) note_text(*this, text);
  for (const auto& text : other.wrong_texts) wrong_texts.push_back(text);
  longest_gap = std::max(longest_gap, other.longest_gap);
}

std::string LoadReport::text() const {
  return fmt::format(
      "{} connects, {} queries, {} connect failures {}, {} query failures {}, {} wrong answers, "
      "answers by server {}, longest gap {} ms, first failures:\n  {}\n  {}",
      connects, queries, connect_failures, connect_errors, query_failures, query_errors,
      wrong_answers, servers, longest_gap.count(), fmt::join(wrong_texts, "\n  "),
      fmt::join(texts, "\n  "));
}

Load::Load(LoadOptions options) : options_(std::move(options)), last_connect_ns_(now_ns()) {
  for (int i = 0; i < options_.connecting + options_.holding; ++i) {
    auto& worker = *workers_.emplace_back(std::make_unique<Worker>());
    const auto run = i < options_.connecting ? &Load::run_connecting : &Load::run_holding;
    worker.thread = std::thread(run, this, std::ref(worker));
  }
}

Load::~Load() {
  join();
}

void Load::join() {
  stopping_ = true;
  for (auto& worker : workers_)
    if (worker->thread.joinable()) worker->thread.join();
}

LoadReport Load::stop() {
  join();
  LoadReport total;
  for (const auto& worker : workers_) total.add(worker->report);
  const auto gap = std::max(longest_gap_ns_.load(), now_ns() - last_connect_ns_.load());
  if (options_.connecting > 0)
    total.longest_gap = std::chrono::duration_cast<Milliseconds>(std::chrono::nanoseconds(gap));
  return total;
}

void Load::wait_flowing(Milliseconds deadline) const {
  const auto all_answered = [this] {
    return std::ranges::all_of(workers_,
                               [](const auto& worker) { return worker->answered.load(); });
  };
  if (!eventually(deadline, all_answered)) throw TestError("the load does not get started");
}

bool Load::advance(uint64_t count, Milliseconds deadline) const {
  const auto queries = queries_ + count;
  const auto connects = connects_ + count;
  return eventually(deadline, [&] {
    return queries_ >= queries && (connects_ >= connects || options_.connecting == 0);
  });
}

void Load::run_connecting(Worker& worker) {
  while (!stopping_) {
    std::unique_ptr<Client> client;
    if (connect(worker, client)) {
      note_connect();
      ask(worker, *client);
    }
    client.reset();
    pause_for(options_.pace);
  }
  ::mysql_thread_end();
}

void Load::run_holding(Worker& worker) {
  std::unique_ptr<Client> client;
  while (!stopping_) {
    if ((client || connect(worker, client)) && !ask(worker, *client)) client.reset();
    pause_for(options_.pace);
  }
  client.reset();
  ::mysql_thread_end();
}

bool Load::connect(Worker& worker, std::unique_ptr<Client>& client) {
  auto made = Client::connect(options_.endpoint);
  if (made) {
    ++worker.report.connects;
    client = std::make_unique<Client>(std::move(*made));
    return true;
  }
  ++worker.report.connect_failures;
  ++worker.report.connect_errors[made.error().code];
  note_text(worker.report, fmt::format("connect: {} {}", made.error().code, made.error().text));
  return false;
}

bool Load::ask(Worker& worker, Client& client) {
  const auto tag = fmt::format("tag-{}", ++tags_);
  const auto rows = client.query(fmt::format("SELECT '{}', @@server_id", tag));
  if (!rows) {
    ++worker.report.query_failures;
    ++worker.report.query_errors[rows.error().code];
    note_text(worker.report, fmt::format("query: {} {}", rows.error().code, rows.error().text));
    return false;
  }
  if (rows->size() != 1 || rows->front().size() != 2 || rows->front()[0] != tag) {
    ++worker.report.wrong_answers;
    const auto first = rows->empty() ? "" : rows->front()[0].value_or("NULL");
    worker.report.wrong_texts.push_back(fmt::format(
        "{} was answered with {} rows of {} columns (server status {:#x}), first {}", tag,
        rows->size(), ::mysql_field_count(client.handle()), client.handle()->server_status, first));
    return false;
  }
  ++worker.report.queries;
  ++worker.report.servers[rows->front()[1].value_or("NULL")];
  ++queries_;
  worker.answered = true;
  return true;
}

void Load::note_connect() {
  ++connects_;
  const auto now = now_ns();
  const auto gap = now - last_connect_ns_.exchange(now);
  auto longest = longest_gap_ns_.load();
  while (gap > longest && !longest_gap_ns_.compare_exchange_weak(longest, gap)) {
  }
}

}  // namespace sluice::test
