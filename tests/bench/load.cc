// bench_load MODE [options]: the load of tests/bench, and what it cost the processes named by
// --pids. Speaks the MySQL protocol itself, so that a client costs little and the same for every
// contender. Options, and one line of JSON at the end.

#include "load_modes.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <cinttypes>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <iterator>
#include <string_view>

namespace sluice::bench {
namespace {

constexpr char kUsage[] =
    "usage: bench_load point|execute|latency|login|bulk|idle --port PORT [options]\n"
    "  --user NAME --password PASSWORD --database NAME   default: bench, bench, sbtest\n"
    "  --clients N        connections at once (1)\n"
    "  --seconds S        measure for so long (5), or\n"
    "  --requests N       measure so many statements or logins\n"
    "  --warmup S         load before measuring (0)\n"
    "  --table-rows N     rows of sbtest.t (10000)\n"
    "  --row-bytes N --result-mib N   bulk: width of a row (100), size of a result (64)\n"
    "  --users N          login: in turn as NAME1 to NAMEN, spread over all of them (as NAME "
    "alone)\n"
    "  --pids A,B,C       report the CPU time of these processes\n"
    "  --gate             print READY when logged in, go on at a line on stdin, keep the\n"
    "                     connections until its end\n";

struct Mode {
  std::string_view name;
  void (*run)(const Options&);
};

constexpr std::array kModes{
    Mode{"point", run_point}, Mode{"execute", run_execute}, Mode{"latency", run_latency},
    Mode{"login", run_login}, Mode{"bulk", run_bulk},       Mode{"idle", run_idle},
};

[[noreturn]] void usage() {
  std::fputs(kUsage, stderr);
  std::exit(2);
}

std::vector<int> parse_pids(const char* text) {
  std::vector<int> pids;
  for (char* end = nullptr; *text != '\0'; text = *end == ',' ? end + 1 : end) {
    const long pid = std::strtol(text, &end, 10);
    if (end == text || pid <= 0) usage();
    pids.push_back(static_cast<int>(pid));
  }
  return pids;
}

uint16_t port_of(const char* text) {
  const int port = std::atoi(text);
  if (port < 1 || port > 65535) usage();
  return static_cast<uint16_t>(port);
}

/// One option that takes a value.
struct Setting {
  std::string_view name;
  void (*set)(Options& options, const char* value);
};

constexpr Setting kSettings[] = {
    {"--port", [](Options& o, const char* v) { o.target.address.sin_port = htons(port_of(v)); }},
    {"--user", [](Options& o, const char* v) { o.target.login.user = v; }},
    {"--password", [](Options& o, const char* v) { o.target.login.password = v; }},
    {"--database", [](Options& o, const char* v) { o.target.login.database = v; }},
    {"--clients", [](Options& o, const char* v) { o.clients = std::atoi(v); }},
    {"--seconds", [](Options& o, const char* v) { o.seconds = std::atof(v); }},
    {"--requests", [](Options& o, const char* v) { o.requests = std::atoll(v); }},
    {"--warmup", [](Options& o, const char* v) { o.warmup_seconds = std::atof(v); }},
    {"--table-rows", [](Options& o, const char* v) { o.table_rows = std::atoi(v); }},
    {"--row-bytes", [](Options& o, const char* v) { o.row_bytes = std::atoi(v); }},
    {"--result-mib", [](Options& o, const char* v) { o.result_mib = std::atoi(v); }},
    {"--users", [](Options& o, const char* v) { o.users = std::atoi(v); }},
    {"--pids", [](Options& o, const char* v) { o.pids = parse_pids(v); }},
};

Options parse(int argc, char** argv) {
  if (argc < 2) usage();
  Options options;
  options.mode = argv[1];
  options.target.address.sin_family = AF_INET;
  options.target.address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  options.target.login = {"bench", "bench", "sbtest"};
  for (int i = 2; i < argc; ++i) {
    const std::string_view name = argv[i];
    if (name == "--gate") {
      options.gate = true;
      continue;
    }
    const auto setting = std::ranges::find(kSettings, name, &Setting::name);
    if (setting == std::end(kSettings) || ++i == argc) usage();
    setting->set(options, argv[i]);
  }
  if (options.target.address.sin_port == 0 || options.clients < 1 || options.seconds <= 0 ||
      options.table_rows < 1 || options.row_bytes < 1 || options.result_mib < 1)
    usage();
  return options;
}

double microseconds(int64_t ns) {
  return static_cast<double>(ns) / 1e3;
}

}  // namespace

void print_json(const Options& options, const Outcome& outcome) {
  const auto requests = static_cast<double>(outcome.requests);
  std::printf("{\"mode\":\"%s\",\"clients\":%d,\"requests\":%" PRId64 ",\"bytes\":%" PRId64
              ",\"seconds\":%.6f,\"per_second\":%.1f",
              options.mode.c_str(), options.clients, outcome.requests, outcome.bytes,
              outcome.seconds, requests / outcome.seconds);
  if (!outcome.times_ns.empty()) {
    const auto at = [&](std::size_t percent) {
      return microseconds(outcome.times_ns[(outcome.times_ns.size() - 1) * percent / 100]);
    };
    std::printf(",\"p50_us\":%.1f,\"p99_us\":%.1f,\"max_us\":%.1f", at(50), at(99), at(100));
  }
  std::printf(",\"processes\":[");
  CpuTime sum;
  for (std::size_t i = 0; i < outcome.cpu.pids().size(); ++i) {
    const CpuTime used = outcome.cpu.used(i);
    sum.user_ns += used.user_ns;
    sum.kernel_ns += used.kernel_ns;
    std::printf("%s{\"pid\":%d,\"user_us\":%.1f,\"kernel_us\":%.1f}", i == 0 ? "" : ",",
                outcome.cpu.pids()[i], microseconds(used.user_ns), microseconds(used.kernel_ns));
  }
  std::printf("],\"user_us_per_request\":%.3f,\"kernel_us_per_request\":%.3f}\n",
              microseconds(sum.user_ns) / requests, microseconds(sum.kernel_ns) / requests);
  std::fflush(stdout);
}

}  // namespace sluice::bench

int main(int argc, char** argv) {
  using namespace sluice::bench;
  std::signal(SIGPIPE, SIG_IGN);
  const Options options = parse(argc, argv);
  for (const Mode& mode : kModes) {
    if (mode.name != options.mode) continue;
    mode.run(options);
    return 0;
  }
  usage();
}
