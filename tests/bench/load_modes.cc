// The loads. One thread and one epoll for all clients, so that the driver itself costs little and
// the same whatever it drives.

#include "load_modes.h"

#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <deque>
#include <memory>
#include <utility>

namespace sluice::bench {
namespace {

using Progress = Connection::Progress;

constexpr std::size_t kScratchSize = 256 * 1024;
constexpr int kEventsPerWait = 64;

/// How often each connection asks before anything is measured: what a proxy does for the first
/// statements of a session (connect to a replica, prepare there) is done then.
constexpr int kFirstStatements = 2;

/// Statements of the point select, with ids from a fixed sequence: every run asks the same.
class PointQueries {
 public:
  explicit PointQueries(int table_rows) : rows_(static_cast<uint64_t>(table_rows)) {}

  int next_id() {
    state_ ^= state_ << 13;  // xorshift64
    state_ ^= state_ >> 7;
    state_ ^= state_ << 17;
    return static_cast<int>(state_ % rows_) + 1;
  }

  const std::string& next() {
    char text[64];
    const int n = std::snprintf(text, sizeof text, "SELECT c FROM sbtest.t WHERE id=%d", next_id());
    packet_ = query_packet({text, static_cast<std::size_t>(n)});
    return packet_;
  }

 private:
  uint64_t rows_;
  uint64_t state_ = 88172645463325252ULL;
  std::string packet_;
};

/// Rows from MariaDB's sequence engine: nothing is read, so the server can keep up.
std::string bulk_query(const Options& options) {
  const int64_t rows = (int64_t{options.result_mib} << 20) / options.row_bytes;
  return query_packet("SELECT REPEAT('x'," + std::to_string(options.row_bytes) +
                      ") FROM seq_1_to_" + std::to_string(rows));
}

/// Who logs in next. The stride is prime to any number of users that a benchmark has, so that all
/// have their turn and neighbours in a sorted table don't follow each other.
class Users {
 public:
  explicit Users(const Options& options)
      : name_(options.target.login.user), count_(options.users) {}

  std::string next() {
    if (count_ == 0) return name_;
    last_ = (last_ + kStride) % count_;
    return name_ + std::to_string(last_ + 1);
  }

 private:
  static constexpr int64_t kStride = 7'368'787;

  const std::string name_;
  const int64_t count_;
  int64_t last_ = 0;
};

/// One of those who log in over and over.
struct Client {
  Target target;
  Connection connection;
  int64_t began_ns = 0;
};

/// Readiness of sockets, each of which stands for a T.
template <class T>
class Poller {
 public:
  Poller() : fd_(epoll_create1(EPOLL_CLOEXEC)) {
    if (fd_ < 0) die("epoll_create1: %s", std::strerror(errno));
  }
  ~Poller() { close(fd_); }
  Poller(const Poller&) = delete;
  Poller& operator=(const Poller&) = delete;

  void add(int fd, T& whose) {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.ptr = &whose;
    if (epoll_ctl(fd_, EPOLL_CTL_ADD, fd, &event) < 0) die("epoll_ctl: %s", std::strerror(errno));
  }

  /// Waits, then calls `handle` with each one whose socket can be read.
  template <class Handler>
  void wait(Handler&& handle) {
    std::array<epoll_event, kEventsPerWait> events;
    const int n = epoll_wait(fd_, events.data(), kEventsPerWait, -1);
    if (n < 0 && errno != EINTR) die("epoll_wait: %s", std::strerror(errno));
    for (int i = 0; i < n; ++i) handle(*static_cast<T*>(events[i].data.ptr));
  }

 private:
  int fd_;
};

/// Counts requests, and knows when the warm-up and the measuring end.
class Measurement {
 public:
  explicit Measurement(const Options& options) : options_(options) {
    outcome_.cpu = CpuMeter(options.pids);
    started_ns_ = now_ns();
    if (options.warmup_seconds == 0) begin();
  }

  /// One request was answered; `bytes` came with it. False once the measuring is over.
  bool count(int64_t bytes) {
    const int64_t now = now_ns();
    if (!measuring_) {
      if (!over_ && seconds(now - started_ns_) >= options_.warmup_seconds) begin();
      return !over_;
    }
    ++outcome_.requests;
    outcome_.bytes += bytes;
    const bool done = options_.requests > 0 ? outcome_.requests >= options_.requests
                                            : seconds(now - started_ns_) >= options_.seconds;
    if (done) end(now);
    return !done;
  }

  bool over() const { return over_; }
  Outcome take() { return std::move(outcome_); }

 private:
  static double seconds(int64_t ns) { return static_cast<double>(ns) / 1e9; }

  void begin() {
    measuring_ = true;
    outcome_.cpu.start();
    started_ns_ = now_ns();
  }

  void end(int64_t now) {
    outcome_.cpu.stop();
    outcome_.seconds = seconds(now - started_ns_);
    measuring_ = false;
    over_ = true;
  }

  const Options& options_;
  Outcome outcome_;
  int64_t started_ns_ = 0;
  bool measuring_ = false;
  bool over_ = false;
};

/// The JSON, with the latest of `times`: those before are of the warm-up.
void report(const Options& options, Outcome outcome, std::vector<int64_t> times) {
  times.erase(times.begin(), times.end() - outcome.requests);
  std::ranges::sort(times);
  outcome.times_ns = std::move(times);
  print_json(options, outcome);
}

/// `clients` connections that run statements until the measuring is over: after `begin` of each,
/// `ask` sends one. With a fixed number of requests exactly so many are sent behind the gate: a
/// tracer outside counts no others.
template <class Begin, class Ask>
void run_statements(const Options& options, Begin begin, Ask ask) {
  std::vector<char> scratch(kScratchSize);
  std::deque<Connection> connections(static_cast<std::size_t>(options.clients));
  Poller<Connection> poller;
  for (Connection& connection : connections) {
    connection.open(options.target);
    connection.wait_for(Progress::LoggedIn, scratch);
    begin(connection, scratch);
    poller.add(connection.fd(), connection);
  }

  const Gate gate(options.gate);
  gate.ready();
  Measurement measurement(options);
  const bool limited = options.requests > 0 && options.warmup_seconds == 0;
  int64_t unsent = limited ? options.requests : INT64_MAX;
  int in_flight = 0;
  const auto send_next = [&](Connection& connection) {
    if (unsent == 0 || measurement.over()) return;
    --unsent;
    ++in_flight;
    ask(connection);
  };
  for (Connection& connection : connections) send_next(connection);
  while (in_flight > 0) {
    poller.wait([&](Connection& connection) {
      if (connection.receive(scratch) != Progress::ResultDone) return;
      --in_flight;
      measurement.count(static_cast<int64_t>(connection.take_bytes_received()));
      send_next(connection);
    });
  }
  print_json(options, measurement.take());
  gate.hold();
  for (Connection& connection : connections) connection.quit();
}

/// Runs a few statements of `ask`, which is kept by reference.
template <class Ask>
auto first_statements(Ask& ask) {
  return [&ask](Connection& connection, std::span<char> scratch) {
    for (int i = 0; i < kFirstStatements; ++i) {
      ask(connection);
      connection.wait_for(Progress::ResultDone, scratch);
    }
    connection.take_bytes_received();
  };
}

}  // namespace

void Gate::ready() const {
  if (!enabled_) return;
  std::puts("READY");
  std::fflush(stdout);
  for (int c = std::getchar(); c != '\n' && c != EOF;) c = std::getchar();
}

void Gate::hold() const {
  if (!enabled_) return;
  while (std::getchar() != EOF) {
  }
}

void run_point(const Options& options) {
  PointQueries queries(options.table_rows);
  const auto ask = [&](Connection& connection) { connection.send_query(queries.next()); };
  return run_statements(options, first_statements(ask), ask);
}

void run_execute(const Options& options) {
  PointQueries queries(options.table_rows);
  const auto ask = [&](Connection& connection) { connection.send_execute(queries.next_id()); };
  const auto begin = [&](Connection& connection, std::span<char> scratch) {
    connection.prepare("SELECT c FROM sbtest.t WHERE id=?", scratch);
    first_statements(ask)(connection, scratch);
  };
  return run_statements(options, begin, ask);
}

void run_bulk(const Options& options) {
  const std::string query = bulk_query(options);
  return run_statements(
      options, [](Connection&, std::span<char>) {},
      [&](Connection& connection) { connection.send_query(query); });
}

/// No epoll here: one blocking send and one blocking recv for a statement.
void run_latency(const Options& options) {
  std::vector<char> scratch(kScratchSize);
  PointQueries queries(options.table_rows);
  Connection connection;
  connection.open(options.target);
  connection.wait_for(Progress::LoggedIn, scratch);

  Measurement measurement(options);
  std::vector<int64_t> times;
  times.reserve(1 << 20);
  for (bool more = true; more;) {
    const std::string& query = queries.next();
    const int64_t before = now_ns();
    connection.send_query(query);
    connection.wait_for(Progress::ResultDone, scratch);
    times.push_back(now_ns() - before);
    more = measurement.count(static_cast<int64_t>(connection.take_bytes_received()));
  }
  connection.quit();
  report(options, measurement.take(), std::move(times));
}

void run_login(const Options& options) {
  std::vector<char> scratch(kScratchSize);
  PointQueries queries(options.table_rows);
  Users users(options);
  std::deque<Client> clients(static_cast<std::size_t>(options.clients));
  Poller<Client> poller;
  Measurement measurement(options);
  std::vector<int64_t> times;
  times.reserve(1 << 18);
  int open = 0;
  const auto start = [&](Client& client) {
    client.target.login.user = users.next();
    client.began_ns = now_ns();
    client.connection.open(client.target);
    poller.add(client.connection.fd(), client);
    ++open;
  };
  for (Client& client : clients) {
    client.target = options.target;
    start(client);
  }
  while (open > 0) {
    poller.wait([&](Client& client) {
      auto& connection = client.connection;
      switch (connection.receive(scratch)) {
        case Progress::Pending:
          break;
        case Progress::LoggedIn:
          connection.send_query(queries.next());
          break;
        case Progress::ResultDone:
          connection.quit();
          --open;
          if (!measurement.over()) times.push_back(now_ns() - client.began_ns);
          measurement.count(static_cast<int64_t>(connection.take_bytes_received()));
          if (!measurement.over()) start(client);
          break;
      }
    });
  }
  report(options, measurement.take(), std::move(times));
}

void run_idle(const Options& options) {
  std::vector<char> scratch(kScratchSize);
  std::deque<Connection> connections(static_cast<std::size_t>(options.clients));
  for (Connection& connection : connections) {
    connection.open(options.target);
    connection.wait_for(Progress::LoggedIn, scratch);
  }
  std::puts("READY");
  std::fflush(stdout);
  Gate(true).hold();
  for (Connection& connection : connections) connection.quit();
}

}  // namespace sluice::bench
