#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "load_connection.h"
#include "load_util.h"

/// The loads. Each is a closed loop: a client sends its next request when the last one is answered.
/// Each prints one line of JSON (print_json()) when it has measured.
namespace sluice::bench {

struct Options {
  std::string mode;
  Target target;
  int clients = 1;
  double seconds = 5;         ///< how long to measure, unless `requests` says how much
  int64_t requests = 0;       ///< statements or logins to measure; 0 = go by `seconds`
  double warmup_seconds = 0;  ///< load before the measuring starts
  int users = 0;              ///< login: how many take turns; 0 = one
  int table_rows = 10000;     ///< ids of sbtest.t run from 1 to this
  int row_bytes = 100;        ///< bulk: width of a row
  int result_mib = 64;        ///< bulk: size of one result
  bool gate = false;          ///< stop twice, see Gate
  std::vector<int> pids;      ///< whose CPU time to report
};

/// What a load did between the start and the end of the measuring.
struct Outcome {
  int64_t requests = 0;
  int64_t bytes = 0;  ///< received by the clients
  double seconds = 0;
  CpuMeter cpu{{}};
  std::vector<int64_t> times_ns;  ///< latency, login: one for each request, sorted; else empty
};

/// Lets another program do something (attach a tracer, read memory) while the connections stand
/// and nothing moves. Without --gate both do nothing.
class Gate {
 public:
  explicit Gate(bool enabled) : enabled_(enabled) {}
  /// Prints READY and waits for a line on stdin.
  void ready() const;
  /// Waits for the end of stdin.
  void hold() const;

 private:
  bool enabled_;
};

/// Point selects, spread over all ids, from `clients` connections.
void run_point(const Options& options);
/// The same as executions of a prepared statement.
void run_execute(const Options& options);
/// Point selects from one connection, each timed.
void run_latency(const Options& options);
/// Connect, log in, one point select, quit; over and over from `clients` at once, each timed.
void run_login(const Options& options);
/// Large results from `clients` connections.
void run_bulk(const Options& options);
/// Logs `clients` connections in and holds them: READY, then until the end of stdin.
void run_idle(const Options& options);

/// One line of JSON on stdout.
void print_json(const Options& options, const Outcome& outcome);

}  // namespace sluice::bench
