// bench_load MODE [options]: the load of tests/bench, and what it cost the processes named by
// --pids. Speaks the MySQL protocol itself, so that a client costs little and the same for every
// contender. Options, and one line of JSON at the end.

#include "load_modes.h"

#include <arpa/inet.h>
#include <getopt.h>

#include <array>
#include <cinttypes>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <string_view>

namespace sluice::bench {
namespace {

constexpr char kUsage[] =
    "usage: bench_load point|latency|login|bulk|idle --port PORT [options]\n"
    "  --user NAME --password PASSWORD --database NAME   default: bench, bench, sbtest\n"
    "  --clients N        connections at once (1)\n"
    "  --seconds S        measure for so long (5), or\n"
    "  --requests N       measure so many statements or logins\n"
    "  --warmup S         load before measuring (0)\n"
    "  --table-rows N     rows of sbtest.t (10000)\n"
    "  --row-bytes N --result-mib N   bulk: width of a row (100), size of a result (64)\n"
    "  --pids A,B,C       report the CPU time of these processes\n"
    "  --gate             print READY when logged in, go on at a line on stdin, keep the\n"
    "                     connections until its end\n";

struct Mode {
  std::string_view name;
  void (*run)(const Options&);
};

constexpr std::array kModes{
    Mode{"point", run_point}, Mode{"latency", run_latency}, Mode{"login", run_login},
    Mode{"bulk", run_bulk},   Mode{"idle", run_idle},
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

enum Option : int {
  kPort = 1,
  kUser,
  kPassword,
  kDatabase,
  kClients,
  kSeconds,
  kRequests,
  kWarmup,
  kTableRows,
  kRowBytes,
  kResultMib,
  kPids,
  kGate,
};

constexpr option kLongOptions[] = {
    {"port", required_argument, nullptr, kPort},
    {"user", required_argument, nullptr, kUser},
    {"password", required_argument, nullptr, kPassword},
    {"database", required_argument, nullptr, kDatabase},
    {"clients", required_argument, nullptr, kClients},
    {"seconds", required_argument, nullptr, kSeconds},
    {"requests", required_argument, nullptr, kRequests},
    {"warmup", required_argument, nullptr, kWarmup},
    {"table-rows", required_argument, nullptr, kTableRows},
    {"row-bytes", required_argument, nullptr, kRowBytes},
    {"result-mib", required_argument, nullptr, kResultMib},
    {"pids", required_argument, nullptr, kPids},
    {"gate", no_argument, nullptr, kGate},
    {nullptr, 0, nullptr, 0},
};

Options parse(int argc, char** argv) {
  Options options;
  options.target.address.sin_family = AF_INET;
  options.target.address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  options.target.login = {"bench", "bench", "sbtest"};
  for (int c; (c = getopt_long(argc, argv, "", kLongOptions, nullptr)) != -1;) {
    switch (c) {
      case kPort:
        options.target.address.sin_port = htons(static_cast<uint16_t>(std::atoi(optarg)));
        break;
      case kUser:
        options.target.login.user = optarg;
        break;
      case kPassword:
        options.target.login.password = optarg;
        break;
      case kDatabase:
        options.target.login.database = optarg;
        break;
      case kClients:
        options.clients = std::atoi(optarg);
        break;
      case kSeconds:
        options.seconds = std::atof(optarg);
        break;
      case kRequests:
        options.requests = std::atoll(optarg);
        break;
      case kWarmup:
        options.warmup_seconds = std::atof(optarg);
        break;
      case kTableRows:
        options.table_rows = std::atoi(optarg);
        break;
      case kRowBytes:
        options.row_bytes = std::atoi(optarg);
        break;
      case kResultMib:
        options.result_mib = std::atoi(optarg);
        break;
      case kPids:
        options.pids = parse_pids(optarg);
        break;
      case kGate:
        options.gate = true;
        break;
      default:
        usage();
    }
  }
  if (optind + 1 != argc || options.target.address.sin_port == 0 || options.clients < 1 ||
      options.table_rows < 1 || options.row_bytes < 1 || options.result_mib < 1)
    usage();
  options.mode = argv[optind];
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
    std::printf(",\"p50_us\":%.1f,\"p99_us\":%.1f", at(50), at(99));
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
