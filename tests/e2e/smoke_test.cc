/// The shortest way through everything: two services in front of a replication pair, the right
/// server answers each, and the administrator sees both servers.
#include <gtest/gtest.h>

#include "tests/support/load.h"
#include "tests/support/sluice.h"
#include "tests/support/topologies.h"

namespace sluice::test {
namespace {

SluiceConfig shop(ReplicationPair& pair) {
  SluiceConfig config;
  config.add_cluster("shop", "replication", pair.servers());
  config.add_service("write", "shop", "primary");
  config.add_service("read", "shop", "replica");
  return config;
}

TEST(Smoke, EachServiceIsAnsweredByItsServer) {
  ReplicationPair pair;
  Sluice sluice(shop(pair));

  auto writer = sluice.connect("write");
  EXPECT_EQ(writer.value("SELECT @@server_id"), std::to_string(pair.primary.server_id()));
  writer.exec("CREATE TABLE test.t (a INT); INSERT INTO test.t VALUES (42)");
  pair.replica.catch_up_with(pair.primary);

  auto reader = sluice.connect("read");
  EXPECT_EQ(reader.value("SELECT @@server_id"), std::to_string(pair.replica.server_id()));
  EXPECT_EQ(reader.value("SELECT a FROM test.t"), "42");
}

TEST(Smoke, ListServersShowsBoth) {
  ReplicationPair pair;
  Sluice sluice(shop(pair));

  const auto listed = sluice.ctl({"list", "servers"});
  EXPECT_EQ(listed.exit_code, 0) << listed.err;
  for (const auto* server : pair.servers())
    EXPECT_NE(listed.out.find(server->address()), std::string::npos) << listed.out;
  EXPECT_TRUE(eventually(5s, [&] { return sluice.worker_pids().size() == 2; }));
  EXPECT_TRUE(eventually(5s, [&] { return sluice.monitor_pid().has_value(); }));
}

TEST(Smoke, LoadIsServedUntilTheEnd) {
  ReplicationPair pair;
  Sluice sluice(shop(pair));

  Load load({.endpoint = sluice.endpoint("write")});
  load.wait_flowing();
  EXPECT_TRUE(load.advance(200));
  const auto report = load.stop();
  EXPECT_TRUE(report.clean()) << report.text();
  EXPECT_EQ(report.servers.size(), 1u) << report.text();
  EXPECT_EQ(sluice.stop(), 0);
}

}  // namespace
}  // namespace sluice::test
