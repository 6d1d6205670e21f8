// What `reload --dry-run` says, for configurations made at random: it accounts for the whole way
// from one to the other, says nothing else, and the opposite for the way back. SLUICE_SEED repeats
// a run.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <algorithm>
#include <random>
#include <set>

#include "master/config/diff.h"

namespace sluice::config {
namespace {

constexpr int kPairs = 3000;

/// Few names and few values, so that two configurations have much in common.
class Generator {
 public:
  explicit Generator(uint64_t seed) : random_(seed) {}

  Config config() {
    Config config;
    config.sluice.workers = number(3);
    if (coin()) config.sluice.log.file = "/var/log/sluice.log";
    for (const char* name : {"blue", "red", "shop"})
      if (coin()) config.clusters.push_back(cluster(name));
    for (const char* name : {"any", "read", "write"})
      if (coin()) config.services.push_back(service(name));
    return config;
  }

 private:
  bool coin() { return random_() % 2 == 0; }
  uint32_t number(uint32_t below) { return static_cast<uint32_t>(random_() % below); }
  std::string letter() { return std::string(1, static_cast<char>('a' + number(2))); }

  Cluster cluster(const char* name) {
    Cluster cluster{.name = name, .user = letter(), .password = Secret(letter())};
    cluster.topology = coin() ? Topology::galera : Topology::replication;
    for (uint16_t i = 1; i <= 3; ++i) {
      if (coin()) continue;
      auto& server = cluster.servers.emplace_back();
      server.name = fmt::format("db{}", i);
      server.address = {"10.0.0." + std::to_string(number(2)), 3306, ""};
      server.weight = number(2);
    }
    if (coin()) std::shuffle(cluster.servers.begin(), cluster.servers.end(), random_);
    return cluster;
  }
  Service service(const char* name) {
    Service service{.name = name, .cluster = letter()};
    service.target = coin() ? Target::any : Target::primary;
    for (uint16_t port = 3306; port < 3309; ++port)
      if (coin()) service.listen.push_back({"127.0.0.1", port, ""});
    if (coin()) std::shuffle(service.listen.begin(), service.listen.end(), random_);
    return service;
  }

  std::mt19937_64 random_;
};

uint64_t seed() {
  const char* given = ::getenv("SLUICE_SEED");
  return given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device{}();
}

using Things = std::set<std::pair<std::string, std::string>>;

/// All that can appear or go: what it is, and its name in a Change.
Things things_in(const Config& config) {
  Things things;
  for (const auto& cluster : config.clusters) {
    things.insert({"cluster", cluster.name});
    for (const auto& server : cluster.servers)
      things.insert({"server", fmt::format("{}/{}", cluster.name, server.name)});
  }
  for (const auto& service : config.services) {
    things.insert({"service", service.name});
    for (const auto& endpoint : service.listen)
      things.insert({"listener", fmt::format("{} {}", service.name, endpoint.text())});
  }
  return things;
}

/// The changes to what exists, applied.
Things applied(const std::vector<Change>& changes, Things things) {
  for (const auto& change : changes) {
    const std::pair thing(change.what, change.name);
    if (change.kind == Change::Kind::added) {
      EXPECT_TRUE(things.insert(thing).second) << "was there: " << change.name;
    } else if (change.kind == Change::Kind::removed) {
      EXPECT_EQ(things.erase(thing), 1u) << "was not there: " << change.name;
    } else {
      EXPECT_TRUE(change.what == "setting" || things.contains(thing)) << change.name;
    }
  }
  return things;
}

/// The changes without their order and their details, which name the old value first.
std::multiset<std::pair<std::string, int>> kinds_of(const std::vector<Change>& changes, bool back) {
  std::multiset<std::pair<std::string, int>> out;
  for (const auto& change : changes) {
    auto kind = change.kind;
    if (back && kind != Change::Kind::changed)
      kind = kind == Change::Kind::added ? Change::Kind::removed : Change::Kind::added;
    out.insert({change.what + " " + change.name, static_cast<int>(kind)});
  }
  return out;
}

TEST(DiffProperty, AppliedToTheOneGivesTheOther) {
  const auto used = seed();
  SCOPED_TRACE(fmt::format("SLUICE_SEED={}", used));
  Generator generator(used);
  for (int i = 0; i < kPairs && !HasFailure(); ++i) {
    const auto a = generator.config(), b = generator.config();
    const auto there = diff(a, b);
    EXPECT_EQ(there.empty(), a == b);
    EXPECT_EQ(applied(there, things_in(a)), things_in(b));
    EXPECT_EQ(kinds_of(there, false), kinds_of(diff(b, a), true));
    EXPECT_TRUE(diff(a, a).empty());
  }
}

}  // namespace
}  // namespace sluice::config
