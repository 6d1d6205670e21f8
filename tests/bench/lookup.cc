// bench_lookup FILE: what it costs to find an account in a table as sluice's processes share it.
// FILE is the sealed memfd of a running sluice (/proc/PID/fd/N). Prints one line of JSON: how large
// the table is, and microseconds for each kind of lookup: a user whom the table has, from an
// address that one of its rows covers; a user whom it has not; and whether any account covers a
// host, where none does.

#include <fcntl.h>
#include <time.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <random>
#include <string>
#include <vector>

#include "common/accounts/match.h"
#include "common/base/unique_fd.h"
#include "common/ipc/channel.h"

namespace sluice::bench {
namespace {

using accounts::Peer;
using accounts::Table;
using Clock = std::chrono::steady_clock;

constexpr std::size_t kLookups = 200'000;
constexpr std::size_t kLimit = 1u << 30;

struct Lookup {
  std::string user;
  Peer client;
};

struct Times {
  double mean_us = 0, p99_us = 0;
};

double thread_cpu_us() {
  timespec now{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e6 + static_cast<double>(now.tv_nsec) / 1e3;
}

/// Runs each lookup once. The mean is of CPU time, which other programs' turns don't count in.
template <class Find>
Times measure(const std::vector<Lookup>& lookups, Find find) {
  std::vector<double> times;
  times.reserve(lookups.size());
  const double before_us = thread_cpu_us();
  for (const auto& lookup : lookups) {
    const auto start = Clock::now();
    find(lookup);
    times.push_back(std::chrono::duration<double, std::micro>(Clock::now() - start).count());
  }
  const double used_us = thread_cpu_us() - before_us;
  std::ranges::sort(times);
  return {used_us / static_cast<double>(times.size()), times[(times.size() - 1) * 99 / 100]};
}

std::vector<Lookup> known_users(const Table& table) {
  std::mt19937 random(1);  // every run asks the same
  std::vector<Lookup> lookups;
  while (lookups.size() < kLookups) {
    const auto key = table.key(random() % table.size());
    if (key && key->eligible) lookups.push_back({std::string(key->user), {"127.0.0.1", ""}});
  }
  return lookups;
}

std::vector<Lookup> unknown_users() {
  std::vector<Lookup> lookups;
  for (std::size_t i = 0; i < kLookups / 100; ++i)
    lookups.push_back({"nobody" + std::to_string(i), {"203.0.113.9", ""}});
  return lookups;
}

int run(const char* path) {
  const UniqueFd fd(::open(path, O_RDONLY | O_CLOEXEC));
  const auto file = ipc::SealedMap::map(fd.get(), kLimit);
  const auto table = file ? Table::open(file->bytes()) : tl::unexpected(file.error());
  if (!table || table->size() == 0) {
    std::fprintf(stderr, "%s: %s\n", path,
                 table ? "the table is empty" : table.error().message.c_str());
    return 1;
  }
  std::size_t found = 0;
  const auto lookups = known_users(*table);
  const auto known = measure(lookups, [&](const Lookup& lookup) {
    found += accounts::find(*table, lookup.user, lookup.client) ? 1 : 0;
  });
  const auto strangers = unknown_users();
  const auto unknown = measure(strangers, [&](const Lookup& lookup) {
    found += accounts::find(*table, lookup.user, lookup.client) ? 1 : 0;
  });
  const auto host = measure(strangers, [&](const Lookup& lookup) {
    found += accounts::host_allowed(*table, lookup.client) ? 1 : 0;
  });
  std::printf(
      "{\"rows\":%zu,\"bytes\":%zu,\"found\":%zu,\"lookups\":%zu,\"known\":[%.3f,%.3f],"
      "\"unknown\":[%.3f,%.3f],\"host\":[%.3f,%.3f]}\n",
      table->size(), file->bytes().size(), found, lookups.size(), known.mean_us, known.p99_us,
      unknown.mean_us, unknown.p99_us, host.mean_us, host.p99_us);
  return 0;
}

}  // namespace
}  // namespace sluice::bench

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fputs("usage: bench_lookup FILE\n", stderr);
    return 2;
  }
  return sluice::bench::run(argv[1]);
}
