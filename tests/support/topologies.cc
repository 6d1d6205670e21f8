#include "tests/support/topologies.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <filesystem>

#include "tests/support/free_port.h"
#include "tests/support/test_error.h"

namespace sluice::test {
namespace {

MariadbOptions options(std::string name, std::vector<std::string> extra_args,
                       std::vector<std::string> more = {}) {
  extra_args.insert(extra_args.end(), more.begin(), more.end());
  return {.name = std::move(name), .extra_args = std::move(extra_args)};
}

constexpr auto kLaunched = MariadbServer::Start::Launched;

std::string galera_provider() {
  for (const char* path :
       {"/usr/lib/galera/libgalera_smm.so", "/usr/lib64/galera-4/libgalera_smm.so"})
    if (std::filesystem::exists(path)) return path;
  throw TestError("no Galera library; is galera-4 installed?");
}

/// `group` holds the group-communication address of every node.
std::vector<std::string> galera_args(int index, const std::vector<std::string>& group,
                                     const std::string& sql_address) {
  const auto& own = group[static_cast<std::size_t>(index)];
  return {"--wsrep-on=ON",
          "--wsrep-provider=" + galera_provider(),
          "--wsrep-cluster-name=sluice-test",
          fmt::format("--wsrep-cluster-address=gcomm://{}", fmt::join(group, ",")),
          fmt::format("--wsrep-node-name=db{}", index + 1),
          "--wsrep-node-address=" + own,
          "--wsrep-node-incoming-address=" + sql_address,
          fmt::format("--wsrep-provider-options=gmcast.listen_addr=tcp://{};ist.recv_addr={};"
                      "gcache.size=16M;evs.keepalive_period=PT0.5S;evs.suspect_timeout=PT2S;evs."
                      "inactive_timeout=PT5S",
                      own, free_address()),
          "--wsrep-sst-method=rsync",
          "--wsrep-sst-receive-address=" + free_address(),
          "--innodb-autoinc-lock-mode=2",
          "--binlog-format=ROW"};
}

}  // namespace

ReplicationPair::ReplicationPair(std::vector<std::string> extra_args, MariadbRelease release)
    : primary(options("db1", extra_args), kLaunched, release),
      replica(options("db2", extra_args, {"--read-only=1"}), kLaunched, release) {
  primary.wait_ready();
  replica.wait_ready();
  replica.replicate_from(primary);
}

MysqlReplicationPair::MysqlReplicationPair(std::vector<std::string> extra_args,
                                           MysqlRelease release)
    : primary(options("db1", extra_args), kLaunched, release),
      replica(options("db2", extra_args, {"--read-only=1"}), kLaunched, release) {
  primary.wait_ready();
  replica.wait_ready();
  replica.replicate_from(primary);
}

MysqlReplicationTrio::MysqlReplicationTrio() : primary(options("db1", {}), kLaunched) {
  for (std::size_t i = 0; i < replicas.size(); ++i)
    replicas[i] = std::make_unique<MysqlServer>(
        options(fmt::format("db{}", i + 2), {}, {"--super-read-only=1"}), kLaunched);
  primary.wait_ready();
  for (auto& replica : replicas) {
    replica->wait_ready();
    replica->replicate_from(primary);
  }
}

void MysqlReplicationTrio::keep_in_step() {
  for (auto& replica : replicas) replica->catch_up_with(primary);
}

MultiPrimaryPair::MultiPrimaryPair(std::vector<std::string> extra_args)
    : first(options("db1", extra_args, {"--gtid-domain-id=1"}), kLaunched),
      second(options("db2", extra_args, {"--gtid-domain-id=2", "--read-only=1"}), kLaunched) {
  first.wait_ready();
  second.wait_ready();
  second.replicate_from(first);
  first.replicate_from(second);
}

void MultiPrimaryPair::make_writable(MariadbServer& server) {
  auto& other = &server == &first ? second : first;
  other.set_read_only(true);
  server.set_read_only(false);
}

TransferGate::TransferGate() {
  // A FIFO: reading waits for somebody who opens it for writing.
  if (::mkfifo((dir_ / "gate").c_str(), 0644) != 0) throw TestError("no FIFO");
  ::chmod((dir_ / "gate").c_str(), 0644);
  const auto script = dir_ / "wsrep_sst_gated";
  write_file(script, fmt::format("#!/bin/sh\n"
                                 "case \"$*\" in *'--role donor'*) cat {} ;; esac\n"
                                 "exec wsrep_sst_rsync \"$@\"\n",
                                 dir_ / "gate"));
  ::chmod(script.c_str(), 0755);
}

void TransferGate::open() {
  const UniqueFd opened(::open((dir_ / "gate").c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC));
}

std::vector<std::pair<std::string, std::string>> TransferGate::environment() const {
  const char* path = ::getenv("PATH");
  return {{"PATH", fmt::format("{}:{}", dir_.path().string(), path ? path : "/usr/bin:/bin")}};
}

GaleraCluster::GaleraCluster(int nodes,
                             std::vector<std::pair<std::string, std::string>> environment) {
  std::vector<std::string> group;
  for (int i = 0; i < nodes; ++i) group.push_back(free_address());
  for (int i = 0; i < nodes; ++i) {
    auto& node = *nodes_.emplace_back(std::make_unique<MariadbServer>(
        MariadbOptions{.name = fmt::format("db{}", i + 1), .environment = environment},
        MariadbServer::Start::Stopped));
    node.extra_args() = galera_args(i, group, node.address());
    if (i == 0)
      node.launch({"--wsrep-new-cluster"});
    else
      node.launch();
    // One after the other: a node that gives its state to one can't give it to the next.
    node.wait_ready();
    wait_synced(node);
  }
}

std::vector<MariadbServer*> GaleraCluster::servers() {
  std::vector<MariadbServer*> result;
  for (auto& node : nodes_) result.push_back(node.get());
  return result;
}

bool GaleraCluster::synced(MariadbServer& node) {
  ClientOptions options;
  options.socket = node.socket_path();
  options.user = "root";
  options.password = {};
  auto client = Client::connect(options);
  if (!client) return false;
  const auto rows = client->query("SHOW STATUS LIKE 'wsrep_local_state_comment'");
  return rows && rows->size() == 1 && (*rows)[0][1] == "Synced";
}

void GaleraCluster::rejoin(MariadbServer& node) {
  node.start();
  wait_synced(node);
}

void GaleraCluster::wait_synced(MariadbServer& node) {
  if (!eventually(60s, [&] { return synced(node); }))
    throw TestError(fmt::format("{} does not sync:\n{}", node.name(), tail(node.log(), 40)));
}

}  // namespace sluice::test
