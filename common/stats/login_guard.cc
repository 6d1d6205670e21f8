#include "common/stats/login_guard.h"

#include <algorithm>
#include <functional>

namespace sluice::stats {
namespace {

constexpr int64_t kSecondNs = 1'000'000'000;
constexpr uint32_t kMostFailures = 1000;  // forgotten after so many seconds at the latest
constexpr int64_t kGoodForS = 3600;

/// Failures that have not been forgotten, and the second (from 1) of the last one.
struct Failures {
  uint32_t count = 0, second = 0;
};
uint64_t pack(Failures f) {
  return uint64_t{f.second} << 32 | f.count;
}
/// What is left of it now: one is forgotten each second.
Failures unpack(uint64_t packed, uint32_t now_s) {
  const Failures f{static_cast<uint32_t>(packed), static_cast<uint32_t>(packed >> 32)};
  const uint32_t passed = now_s > f.second ? now_s - f.second : 0;
  return {f.count > passed ? f.count - passed : 0, now_s};
}

uint32_t second_of(int64_t now_ns) {
  return static_cast<uint32_t>(now_ns / kSecondNs) + 1;
}

std::size_t hash_of(std::string_view ip) {
  return std::hash<std::string_view>{}(ip);
}
std::size_t hash_of(std::string_view ip, std::string_view user) {
  return hash_of(ip) * 31 + std::hash<std::string_view>{}(user);
}

}  // namespace

std::optional<int64_t> LoginGuard::admit(std::string_view ip, std::string_view user,
                                         uint32_t allowed, int64_t now_ns) {
  auto& address = page_.addresses[hash_of(ip) % page_.addresses.size()];
  const auto now_s = second_of(now_ns);
  if (unpack(address.failures.load(std::memory_order_relaxed), now_s).count <= allowed)
    return now_ns;
  const auto good =
      page_.good[hash_of(ip, user) % page_.good.size()].load(std::memory_order_relaxed);
  if (good != 0 && now_s - good < kGoodForS) return now_ns;
  auto next = address.next_ns.load(std::memory_order_relaxed);
  int64_t mine = 0;
  do {
    mine = std::max(next, now_ns) + kPaceNs;
    if (mine - now_ns > kMostNs) return std::nullopt;
  } while (!address.next_ns.compare_exchange_weak(next, mine, std::memory_order_relaxed));
  return mine;
}

void LoginGuard::failed(std::string_view ip, std::string_view user, int64_t now_ns) {
  auto& failures = page_.addresses[hash_of(ip) % page_.addresses.size()].failures;
  auto known = failures.load(std::memory_order_relaxed);
  uint64_t next = 0;
  do {
    auto f = unpack(known, second_of(now_ns));
    f.count = std::min(f.count + 1, kMostFailures);
    next = pack(f);
  } while (!failures.compare_exchange_weak(known, next, std::memory_order_relaxed));
  page_.good[hash_of(ip, user) % page_.good.size()].store(0, std::memory_order_relaxed);
}

void LoginGuard::succeeded(std::string_view ip, std::string_view user, int64_t now_ns) {
  page_.good[hash_of(ip, user) % page_.good.size()].store(second_of(now_ns),
                                                          std::memory_order_relaxed);
}

}  // namespace sluice::stats
