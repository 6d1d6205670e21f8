#include "tests/support/topologies.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

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

ReplicationPair::ReplicationPair(std::vector<std::string> extra_args)
    : primary(options("db1", extra_args), kLaunched),
      replica(options("db2", extra_args, {"--read-only=1"}), kLaunched) {
  primary.wait_ready();
  replica.wait_ready();
  replica.replicate_from(primary);
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

GaleraCluster::GaleraCluster(int nodes) {
  std::vector<std::string> group;
  for (int i = 0; i < nodes; ++i) group.push_back(free_address());
  for (int i = 0; i < nodes; ++i) {
    auto& node = *nodes_.emplace_back(std::make_unique<MariadbServer>(
        options(fmt::format("db{}", i + 1), {}), MariadbServer::Start::Stopped));
    node.extra_args() = galera_args(i, group, node.address());
    if (i == 0)
      node.launch({"--wsrep-new-cluster"});
    else
      node.launch();
    // One after the other: a node that gives its state to one can't give it to the next.
    node.wait_ready();
    if (!eventually(60s, [&] { return synced(node); }))
      throw TestError(fmt::format("{} does not sync:\n{}", node.name(), tail(node.log(), 40)));
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
  if (!eventually(60s, [&] { return synced(node); }))
    throw TestError(fmt::format("{} does not sync:\n{}", node.name(), tail(node.log(), 40)));
}

}  // namespace sluice::test
