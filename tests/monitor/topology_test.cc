#include "monitor/topology.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <functional>

namespace sluice::monitor {
namespace {

using cluster::Admin;
using cluster::ClusterState;
using cluster::Health;
using cluster::Role;
using config::Topology;

constexpr int64_t kSecond = 1'000'000'000;
constexpr Now kNow = {1000 * kSecond, 1'700'000'000'000};

/// What a server looks like; methods chain: up(1).read_only().follows(2).
struct Look : Observation {
  explicit Look(uint32_t id) {
    health = Health::up;
    server_id = id;
    answered_ns = linked_ns = kNow.monotonic_ns;
  }
  Look& ro() { return read_only = true, *this; }
  Look& follows(uint32_t id, uint32_t behind = 0) {
    links.push_back({.host = fmt::format("10.0.0.{}", id),
                     .port = 3306,
                     .source_id = id,
                     .io = Running::yes,
                     .sql = Running::yes,
                     .behind_s = behind});
    return *this;
  }
  Look& io(Running state, uint32_t error = 0) {
    links.back().io = state;
    links.back().io_errno = error;
    links.back().behind_s.reset();
    return *this;
  }
  Look& sql_stopped(uint32_t error, std::string text) {
    links.back().sql = Running::no;
    links.back().sql_errno = error;
    links.back().sql_error = std::move(text);
    links.back().behind_s.reset();
    return *this;
  }
  Look& cut_off_since(int64_t seconds) {
    linked_ns = kNow.monotonic_ns - seconds * kSecond;
    return io(Running::connecting, 2003);
  }
  Look& dead(std::string text = "Can't connect") {
    health = Health::down;
    error = std::move(text);
    return *this;
  }
  Look& asked_ms_ago(int64_t ms) { return asked_ns = kNow.monotonic_ns - ms * 1'000'000, *this; }
  Look& galera(uint32_t state = 4, std::string uuid = "A", std::string status = "Primary") {
    wsrep = Wsrep{.on = true,
                  .cluster_status = std::move(status),
                  .cluster_state_uuid = uuid,
                  .local_state = state,
                  .local_state_comment = "Joined",
                  .ready = true};
    return *this;
  }
  Look& with(const std::function<void(Wsrep&)>& change) { return change(*wsrep), *this; }
};
Look up(uint32_t id) {
  return Look(id);
}

struct Case {
  const char* name;
  Topology topology;
  std::vector<Observation> seen;
  std::string previous;                   ///< primary until now; empty: nobody
  std::string roles;                      ///< "P", "R", "-" for each server
  std::vector<std::string> reasons = {};  ///< part of each server's reason
  std::string problem = {};               ///< part of it; empty: there must be none
  std::vector<Admin> admins = {};
  uint32_t max_lag_ms = 0;
  std::vector<uint32_t> priorities = {};
};

config::Cluster cluster_for(const Case& c) {
  config::Cluster cluster;
  cluster.name = "shop";
  cluster.topology = c.topology;
  cluster.max_lag_ms = c.max_lag_ms;
  for (std::size_t i = 0; i < c.seen.size(); ++i) {
    config::Server server;
    server.name = fmt::format("db{}", i + 1);
    server.address = {fmt::format("10.0.0.{}", i + 1), 3306, ""};
    if (i < c.priorities.size()) server.priority = c.priorities[i];
    cluster.servers.push_back(server);
  }
  return cluster;
}

ClusterState state_with_primary(const config::Cluster& cluster, const std::string& primary) {
  ClusterState state;
  state.name = cluster.name;
  state.version = 1;
  for (const auto& server : cluster.servers) {
    auto& s = state.servers.emplace_back();
    s.name = server.name;
    s.role = server.name == primary ? Role::primary : Role::none;
  }
  return state;
}

ClusterState derive_case(const Case& c) {
  const auto cluster = cluster_for(c);
  auto admins = c.admins;
  admins.resize(c.seen.size());
  return derive(cluster, c.seen, admins, state_with_primary(cluster, c.previous), kNow);
}

std::string roles_of(const ClusterState& state) {
  std::string text;
  for (const auto& s : state.servers) text += "-PR"[static_cast<int>(s.role)];
  return text;
}

void check(const Case& c) {
  SCOPED_TRACE(c.name);
  const auto state = derive_case(c);
  EXPECT_EQ(roles_of(state), c.roles);
  for (std::size_t i = 0; i < state.servers.size(); ++i) {
    EXPECT_NE(state.servers[i].reason, "") << "every state has a reason";
    const auto wanted = i < c.reasons.size() ? c.reasons[i] : "";
    EXPECT_NE(state.servers[i].reason.find(wanted), std::string::npos)
        << state.servers[i].name << ": " << state.servers[i].reason;
  }
  EXPECT_EQ(state.problem.empty(), c.problem.empty()) << state.problem;
  EXPECT_NE(state.problem.find(c.problem), std::string::npos) << state.problem;
}

constexpr auto kRepl = Topology::replication;
constexpr auto kMulti = Topology::multi_primary;
constexpr auto kGalera = Topology::galera;
constexpr auto kSingle = Topology::single;

TEST(Topology, Replication) {
  const Case cases[] = {
      {"healthy",
       kRepl,
       {up(1), up(2).ro().follows(1)},
       "",
       "PR",
       {"read_only=0 and no replication source", "replica of db1, 0 s behind"}},
      {"a replica that is not read-only is still a replica",
       kRepl,
       {up(1), up(2).follows(1)},
       "",
       "PR",
       {"", "(read_only=0)"}},
      {"found by server id when the replica knows another address",
       kRepl,
       {up(7),
        [] {
          auto l = up(2).ro().follows(7);
          l.links[0].host = "elsewhere";
          return l;
        }()},
       "",
       "PR"},
      {"an external source does not make a replica",
       kRepl,
       {up(1).follows(99), up(2).ro().follows(1)},
       "",
       "PR",
       {"outside of the cluster"}},
      {"read-only and following only an external server",
       kRepl,
       {up(1), up(2).ro().follows(99)},
       "",
       "P-",
       {"", "which is not in the cluster"}},
      {"relay",
       kRepl,
       {up(1), up(2).ro().follows(1, 2), up(3).ro().follows(2, 3)},
       "",
       "PRR",
       {"", "replica of db1, 2 s", "replica of db2, 5 s"}},
      {"behind a dead relay",
       kRepl,
       {up(1), up(2).ro().follows(1).dead(), up(3).ro().follows(2).io(Running::connecting)},
       "db1",
       "P--",
       {"", "Can't connect", "follows db2 (down)"}},
      {"primary down, replica goes on",
       kRepl,
       {up(1).dead(), up(2).ro().follows(1).io(Running::connecting, 2003)},
       "db1",
       "-R",
       {"Can't connect", "db1, which is down: serves what it has"},
       "no primary"},
      {"primary down, the limit on lag does not stop the readers",
       kRepl,
       {up(1).dead(), up(2).ro().follows(1).cut_off_since(60)},
       "db1",
       "-R",
       {},
       "no primary",
       {},
       5000},
      {"primary hangs, replica has not noticed",
       kRepl,
       {up(1).asked_ms_ago(2100), up(2).ro().follows(1)},
       "db1",
       "-R",
       {"no answer for 2 s", "which is down"},
       "no primary"},
      {"not late yet", kRepl, {up(1).asked_ms_ago(1600), up(2).ro().follows(1)}, "db1", "PR"},
      {"a dead source that was never seen, by another name",
       kRepl,
       {[] {
          auto l = up(0);
          l.dead();
          return l;
        }(),
        [] {
          auto l = up(2).ro().follows(9).io(Running::connecting);
          l.links[0].host = "x";
          return l;
        }()},
       "",
       "-R",
       {},
       "no primary"},
      {"switched by an operator", kRepl, {up(1).ro().follows(2), up(2)}, "db1", "RP"},
      {"half-way through a switch",
       kRepl,
       {up(1).ro(), up(2).ro().follows(1)},
       "db1",
       "-R",
       {"read_only=1 and no replication source"},
       "no primary"},
      {"replica of the old primary",
       kRepl,
       {up(1).ro(), up(2), up(3).ro().follows(1)},
       "db2",
       "-P-",
       {"", "", "follows db1, not the primary db2"}},
      {"both writable, nobody was primary",
       kRepl,
       {up(1), up(2)},
       "",
       "--",
       {"not the only one", "not the only one"},
       "db1 and db2 are writable: nothing is written"},
      {"both writable, one was",
       kRepl,
       {up(1), up(2)},
       "db2",
       "-P",
       {"writable beside the primary db2"},
       "db2, the primary until now, stays it"},
      {"both writable, the one that was is down",
       kRepl,
       {up(1).dead(), up(2), up(3)},
       "db1",
       "---",
       {},
       "nothing is written"},
      {"the old primary returns writable", kRepl, {up(1), up(2)}, "db2", "-P", {}, "stays it"},
      {"a writable replica is not promoted by its primary's silence",
       kRepl,
       {up(1).dead(), up(2).follows(1).io(Running::connecting)},
       "db1",
       "-R",
       {},
       "no primary"},
      {"replication stopped on purpose: a promoted server",
       kRepl,
       {up(1).dead(),
        [] {
          auto l = up(2).follows(1).io(Running::no);
          l.sql_stopped(0, "");
          return l;
        }()},
       "db1",
       "-P"},
      {"SQL thread stopped",
       kRepl,
       {up(1), up(2).ro().follows(1).sql_stopped(1062, "Duplicate entry")},
       "db1",
       "P-",
       {"", "replication SQL thread stopped: error 1062 Duplicate entry"}},
      {"SQL thread stopped at a statement with a password",
       kRepl,
       {up(1), up(2).ro().follows(1).sql_stopped(
                   1524,
                   "Error 'no plugin' on query. Default database: ''. Query: 'CREATE USER "
                   "a IDENTIFIED VIA x USING PASSWORD(''secret'')'")},
       "db1",
       "P-",
       {"",
        "replication SQL thread stopped: error 1524 Error 'no plugin' on query. Default "
        "database: ''."}},
      {"IO thread stopped",
       kRepl,
       {up(1), up(2).ro().follows(1).io(Running::no, 1236)},
       "db1",
       "P-",
       {"", "replication IO thread stopped: error 1236"}},
      {"replica connecting, primary up",
       kRepl,
       {up(1), up(2).ro().follows(1).cut_off_since(3)},
       "db1",
       "PR",
       {"", "connecting to it: error 2003"}},
      {"replica connecting for longer than the limit",
       kRepl,
       {up(1), up(2).ro().follows(1).cut_off_since(30)},
       "db1",
       "P-",
       {"", "30 s behind db1"},
       "",
       {},
       5000},
      {"lag at the limit", kRepl, {up(1), up(2).ro().follows(1, 5)}, "", "PR", {}, "", {}, 5000},
      {"lag above the limit",
       kRepl,
       {up(1), up(2).ro().follows(1, 6)},
       "",
       "P-",
       {"", "5 s behind db1, more than max_lag 5000 ms"},
       "",
       {},
       5000},
      {"no replication at all",
       kRepl,
       {up(1), up(2).ro()},
       "",
       "P-",
       {"", "read_only=1 and no replication source"}},
      {"a pair in a ring",
       kRepl,
       {up(1).follows(2), up(2).ro().follows(1)},
       "",
       "RR",
       {},
       "multi-primary"},
      {"replication can't be looked at",
       kRepl,
       {[] {
          auto l = up(1);
          l.links_error = "grant it SLAVE MONITOR";
          return l;
        }(),
        up(2).ro().follows(1)},
       "",
       "-R",
       {"SLAVE MONITOR"},
       "no primary"},
      {"primary in maintenance",
       kRepl,
       {up(1), up(2).ro().follows(1)},
       "db1",
       "-R",
       {"in maintenance"},
       "no primary",
       {Admin::maintenance}},
      {"primary draining",
       kRepl,
       {up(1), up(2).ro().follows(1)},
       "db1",
       "-R",
       {"draining"},
       "no primary: db1 is draining",
       {Admin::draining}},
      {"a draining primary may still be written: the other must wait",
       kRepl,
       {up(1), up(2)},
       "db1",
       "--",
       {},
       "are writable",
       {Admin::draining}},
      {"a server in maintenance is written by nobody",
       kRepl,
       {up(1), up(2)},
       "db1",
       "-P",
       {},
       "",
       {Admin::maintenance}},
      {"replica in maintenance",
       kRepl,
       {up(1), up(2).ro().follows(1)},
       "db1",
       "P-",
       {"", "in maintenance"},
       "",
       {Admin::none, Admin::maintenance}},
  };
  for (const auto& c : cases) check(c);
}

TEST(Topology, MultiPrimary) {
  const Case cases[] = {
      {"healthy",
       kMulti,
       {up(1).follows(2), up(2).ro().follows(1)},
       "",
       "PR",
       {"the only server with read_only=0", "replica of db1"}},
      {"read_only was switched", kMulti, {up(1).ro().follows(2), up(2).follows(1)}, "db1", "RP"},
      {"primary down",
       kMulti,
       {up(1).follows(2).dead(), up(2).ro().follows(1).io(Running::connecting)},
       "db1",
       "-R",
       {"", "serves what it has"},
       "no primary"},
      {"primary dead, the other made writable while its IO thread still tries",
       kMulti,
       {up(1).follows(2).dead(), up(2).follows(1).io(Running::connecting)},
       "db1",
       "-P"},
      {"primary hangs",
       kMulti,
       {up(1).follows(2).asked_ms_ago(1700), up(2).ro().follows(1)},
       "db1",
       "-R",
       {"no answer for 1 s"},
       "no primary"},
      {"stand-by down",
       kMulti,
       {up(1).follows(2).io(Running::connecting), up(2).ro().dead()},
       "db1",
       "P-"},
      {"both writable, nobody was primary",
       kMulti,
       {up(1).follows(2), up(2).follows(1)},
       "",
       "RR",
       {},
       "db1 and db2 are writable: nothing is written until all but one are read-only"},
      {"both writable, one was",
       kMulti,
       {up(1).follows(2), up(2).follows(1)},
       "db1",
       "PR",
       {"the primary until now"},
       "stays it"},
      {"both read-only",
       kMulti,
       {up(1).ro().follows(2), up(2).ro().follows(1)},
       "db1",
       "RR",
       {},
       "no primary"},
      {"stand-by does not replicate",
       kMulti,
       {up(1).follows(2), up(2).ro().follows(1).sql_stopped(1032, "not found")},
       "db1",
       "P-",
       {"", "error 1032"}},
      {"stand-by lags",
       kMulti,
       {up(1).follows(2), up(2).ro().follows(1, 9)},
       "db1",
       "P-",
       {"", "more than max_lag"},
       "",
       {},
       2000},
      {"the primary does not follow the stand-by",
       kMulti,
       {[] {
          auto l = up(1).follows(2).io(Running::no);
          l.sql_stopped(0, "");
          return l;
        }(),
        up(2).ro().follows(1)},
       "db1",
       "PR",
       {},
       "the primary db1 has stopped following db2"},
      {"third server follows the stand-by",
       kMulti,
       {up(1).follows(2), up(2).ro().follows(1), up(3).ro().follows(2)},
       "db1",
       "PRR"},
  };
  for (const auto& c : cases) check(c);
}

TEST(Topology, Galera) {
  const auto desync = [](Wsrep& w) { w.desync = true; };
  const auto not_ready = [](Wsrep& w) { w.ready = false; };
  const auto rejects = [](Wsrep& w) { w.rejects_queries = true; };
  const auto off = [](Wsrep& w) { w.on = false; };
  const Case cases[] = {
      {"healthy, first in the order writes",
       kGalera,
       {up(1).galera(), up(2).galera(), up(3).galera()},
       "",
       "PRR",
       {"synced, takes the writes", "synced; db1 takes the writes"}},
      {"the writer stays", kGalera, {up(1).galera(), up(2).galera(), up(3).galera()}, "db3", "RRP"},
      {"priority decides",
       kGalera,
       {up(1).galera(), up(2).galera(), up(3).galera()},
       "",
       "RPR",
       {},
       "",
       {},
       0,
       {3, 1, 2}},
      {"the writer stays though another has a better priority",
       kGalera,
       {up(1).galera(), up(2).galera()},
       "db1",
       "PR",
       {},
       "",
       {},
       0,
       {3, 1}},
      {"priority 0 never writes",
       kGalera,
       {up(1).galera(), up(2).galera()},
       "",
       "RP",
       {},
       "",
       {},
       0,
       {0, 1}},
      {"writer gone",
       kGalera,
       {up(1).galera().dead(), up(2).galera(), up(3).galera()},
       "db1",
       "-PR"},
      {"writer hangs", kGalera, {up(1).galera().asked_ms_ago(1700), up(2).galera()}, "db1", "-P"},
      {"donor", kGalera, {up(1).galera(2), up(2).galera()}, "db1", "-P", {"donor"}},
      {"desynced",
       kGalera,
       {up(1).galera(2).with(desync), up(2).galera()},
       "db1",
       "-P",
       {"desynced"}},
      {"desync set, still synced",
       kGalera,
       {up(1).galera().with(desync), up(2).galera()},
       "db1",
       "-P",
       {"desynced"}},
      {"joining",
       kGalera,
       {up(1).galera(), up(2).galera(3)},
       "db1",
       "P-",
       {"", "not synced (Joined)"}},
      {"not ready",
       kGalera,
       {up(1).galera(), up(2).galera().with(not_ready)},
       "db1",
       "P-",
       {"", "wsrep_ready=OFF"}},
      {"rejects queries",
       kGalera,
       {up(1).galera().with(rejects), up(2).galera()},
       "db1",
       "-P",
       {"wsrep_reject_queries"}},
      {"outside of the primary component",
       kGalera,
       {up(1).galera(4, "A", "non-Primary"), up(2).galera(), up(3).galera()},
       "db1",
       "-PR",
       {"not in the primary component (non-Primary)"}},
      {"nobody in the primary component",
       kGalera,
       {up(1).galera(4, "A", "non-Primary"), up(2).galera(4, "A", "non-Primary")},
       "db1",
       "--",
       {},
       "no node can take writes"},
      {"two clusters: the larger",
       kGalera,
       {up(1).galera(4, "B"), up(2).galera(), up(3).galera()},
       "db1",
       "-PR",
       {"another Galera cluster"},
       "state UUIDs"},
      {"two clusters of the same size: the writer's",
       kGalera,
       {up(1).galera(4, "B"), up(2).galera()},
       "db2",
       "-P",
       {},
       "state UUIDs"},
      {"two clusters of the same size, nobody wrote",
       kGalera,
       {up(1).galera(4, "B"), up(2).galera()},
       "",
       "--",
       {},
       "state UUIDs"},
      {"read-only nodes never write", kGalera, {up(1).ro().galera(), up(2).galera()}, "db1", "RP"},
      {"writer in maintenance",
       kGalera,
       {up(1).galera(), up(2).galera()},
       "db1",
       "-P",
       {"in maintenance"},
       "",
       {Admin::maintenance}},
      {"writer draining",
       kGalera,
       {up(1).galera(), up(2).galera()},
       "db1",
       "-P",
       {"draining"},
       "",
       {Admin::draining}},
      {"no Galera node",
       kGalera,
       {up(1), up(2).galera().with(off)},
       "",
       "--",
       {"not a Galera node", "not a Galera node"},
       "no node can take writes"},
  };
  for (const auto& c : cases) check(c);
}

TEST(Topology, Single) {
  const Case cases[] = {
      {"up", kSingle, {up(1)}, "", "P", {"the only server"}},
      {"read-only", kSingle, {up(1).ro()}, "", "R", {"read_only=1"}},
      {"down", kSingle, {up(1).dead()}, "db1", "-", {"Can't connect"}, "can't be used"},
      {"not asked yet", kSingle, {Observation{}}, "", "-", {"not asked yet"}, "can't be used"},
      {"never answered",
       kSingle,
       {[] {
         Observation o;
         o.asked_ns = kNow.monotonic_ns - 3 * kSecond;
         return o;
       }()},
       "",
       "-",
       {"no answer for 3 s"},
       "can't be used"},
      {"in maintenance",
       kSingle,
       {up(1)},
       "db1",
       "-",
       {"in maintenance"},
       "can't be used",
       {Admin::maintenance}},
  };
  for (const auto& c : cases) check(c);
}

TEST(Topology, GroupReplicationSaysThatItIsNotWatched) {
  const Case unsupported{
      "", Topology::group_replication, {up(1)}, "", "-", {"can't watch"}, "can't watch"};
  check(unsupported);
}

TEST(Topology, AccessDeniedIsAHealthOfItsOwn) {
  auto denied = up(1);
  denied.health = Health::access_denied;
  denied.error = "Access denied for user 'sluice'";
  const auto state = derive_case({"", kSingle, {denied}, "", "-"});
  EXPECT_EQ(state.servers[0].health, Health::access_denied);
  EXPECT_EQ(state.servers[0].reason, "Access denied for user 'sluice'");
}

TEST(Topology, ARefusedReconnectIsNoNews) {
  // Down is down: while the thread waits in a connect, the last error remains the reason.
  const auto state =
      derive_case({"", kSingle, {up(1).dead("refused").asked_ms_ago(60'000)}, "", "-"});
  EXPECT_EQ(state.servers[0].reason, "refused");
}

class History : public testing::Test {
 protected:
  ClusterState next(const std::vector<Observation>& seen, Now now) {
    state_ = derive(cluster_, seen, {Admin::none, Admin::none}, state_, now);
    return state_;
  }
  const config::Cluster cluster_ = cluster_for({"", kRepl, {up(1), up(2)}, "", ""});
  ClusterState state_;
};

TEST_F(History, NothingMovesWhileNothingChanges) {
  const auto first = next({up(1), up(2).ro().follows(1)}, kNow);
  EXPECT_EQ(first.version, static_cast<uint64_t>(kNow.wall_ms)) << "from the wall clock";
  auto later = kNow;
  later.wall_ms += 60'000;
  EXPECT_EQ(next({up(1), up(2).ro().follows(1)}, later), first);
}

TEST_F(History, SinceMovesWithRoleAndHealthOnly) {
  next({up(1), up(2).ro().follows(1)}, kNow);
  auto later = kNow;
  later.wall_ms += 60'000;
  const auto lagging = next({up(1), up(2).ro().follows(1, 3)}, later);
  EXPECT_EQ(lagging.servers[1].since_s, kNow.wall_ms / 1000);
  EXPECT_EQ(lagging.servers[1].lag_ms, 3000u);
  EXPECT_GT(lagging.version, static_cast<uint64_t>(kNow.wall_ms));
  const auto dead = next({up(1).dead(), up(2).ro().follows(1, 3)}, later);
  EXPECT_EQ(dead.servers[0].since_s, later.wall_ms / 1000);
  EXPECT_EQ(dead.servers[1].since_s, kNow.wall_ms / 1000);
}

TEST_F(History, VersionGrowsWhenTheWallClockGoesBack) {
  const auto first = next({up(1), up(2).ro().follows(1)}, kNow);
  auto earlier = kNow;
  earlier.wall_ms -= 3'600'000;
  EXPECT_EQ(next({up(1).dead(), up(2).ro().follows(1)}, earlier).version, first.version + 1);
}

TEST_F(History, LagChangesInCoarseSteps) {
  const auto first = next({up(1), up(2).ro().follows(1, 61)}, kNow);
  EXPECT_EQ(first.servers[1].lag_ms, 60'000u);
  EXPECT_EQ(next({up(1), up(2).ro().follows(1, 119)}, kNow), first);
  EXPECT_NE(next({up(1), up(2).ro().follows(1, 120)}, kNow), first);
}

TEST_F(History, TheSwitchOfReadOnlyIsFollowedBackAndForth) {
  EXPECT_EQ(roles_of(next({up(1), up(2).ro().follows(1)}, kNow)), "PR");
  EXPECT_EQ(roles_of(next({up(1).ro(), up(2).ro().follows(1)}, kNow)), "-R");
  EXPECT_EQ(roles_of(next({up(1).ro().follows(2), up(2)}, kNow)), "RP");
  EXPECT_EQ(roles_of(next({up(1).follows(2), up(2)}, kNow)), "RP") << "a writable replica";
}

TEST(CoarseSeconds, Steps) {
  for (const auto& [in, out] : std::vector<std::pair<uint64_t, uint64_t>>{{0, 0},
                                                                          {4, 4},
                                                                          {5, 5},
                                                                          {9, 5},
                                                                          {10, 10},
                                                                          {59, 30},
                                                                          {60, 60},
                                                                          {3599, 1800},
                                                                          {7300, 7200}})
    EXPECT_EQ(coarse_seconds(in), out) << in;
}

}  // namespace
}  // namespace sluice::monitor
