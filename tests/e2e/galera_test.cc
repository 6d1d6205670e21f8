/// A Galera cluster behind sluice: one stable writer; a node that gives or gets a state transfer,
/// is desynced or cut off from the others serves nobody, and clients are told why.
#include <gtest/gtest.h>

#include "tests/support/load.h"
#include "tests/support/routing.h"
#include "tests/support/topologies.h"

namespace sluice::test {
namespace {

constexpr auto kAllServices = {"primary", "replica", "any"};

TEST(Galera, OneStableWriterAndDesyncedNodesDoNotServe) {
  GaleraCluster galera(3);
  auto &db1 = galera.node(0), &db2 = galera.node(1), &db3 = galera.node(2);
  Sluice sluice(three_services("galera", galera.servers()));
  ASSERT_TRUE(has_role(sluice, db1, "primary") && has_role(sluice, db2, "replica") &&
              has_role(sluice, db3, "replica"));
  auto writer = sluice.connect("primary");
  Load load({.endpoint = sluice.endpoint("primary")});
  load.wait_flowing();

  db2.exec("SET GLOBAL wsrep_desync = ON");
  ASSERT_TRUE(has_role(sluice, db2, "none", 5s));
  EXPECT_TRUE(contains(reason_of(sluice, db2), "desync")) << reason_of(sluice, db2);
  for (int i = 0; i < 6; ++i) {
    auto reader = sluice.connect("replica");
    EXPECT_EQ(asked(reader), id_of(db3));
  }
  db2.exec("SET GLOBAL wsrep_desync = OFF");
  ASSERT_TRUE(has_role(sluice, db2, "replica", 10s)) << reason_of(sluice, db2);

  // A node that leaves and comes back (the indexes of all change) does not move the writer.
  db3.stop();
  ASSERT_TRUE(has_role(sluice, db3, "none"));
  galera.rejoin(db3);
  ASSERT_TRUE(has_role(sluice, db3, "replica", 20s)) << reason_of(sluice, db3);
  EXPECT_EQ(role_of(sluice, db1), "primary");
  EXPECT_EQ(asked(writer), id_of(db1));
  ASSERT_TRUE(load.advance(50));
  const auto report = load.stop();
  EXPECT_TRUE(report.clean()) << report.text();
  EXPECT_EQ(report.servers.size(), 1u) << report.text();

  // The desynced writer makes room for another.
  db1.exec("SET GLOBAL wsrep_desync = ON");
  ASSERT_TRUE(has_role(sluice, db1, "none", 5s));
  EXPECT_TRUE(contains(end_of(writer).text, "desync"));
  auto next = sluice.connect("primary");
  EXPECT_NE(asked(next), id_of(db1));
}

// The other two are gone: the third can't know whether it is alone in the world.

void expect_nobody_serves(const Sluice& sluice) {
  for (const char* service : kAllServices) {
    const auto error = refused(sluice.endpoint(service));
    EXPECT_EQ(error.code, kCantConnect) << service << ": " << error.text;
    EXPECT_TRUE(contains(error.text, "db3: not in the primary component (non-Primary)"))
        << service << ": " << error.text;
  }
}

bool has_table(MariadbServer& node, const std::string& name) {
  return node.value(
             "SELECT COUNT(*) FROM information_schema.tables"
             " WHERE table_schema = 'test' AND table_name = '" +
             name + "'") == "1";
}

class CutOff : public testing::Test {
 protected:
  CutOff() : sluice(three_services("galera", galera.servers())) {
    EXPECT_TRUE(has_role(sluice, db1, "primary") && has_role(sluice, db3, "replica"));
    auto on_db3 = sluice.connect("replica");
    while (asked(on_db3) != id_of(db3)) on_db3 = sluice.connect("replica");
    db1.exec("CREATE TABLE test.written (n INT PRIMARY KEY)");
    for (auto* node : galera.servers())  // who is killed while it applies it may come back without
      EXPECT_TRUE(eventually(10s, [&] { return has_table(*node, "written"); })) << node->name();
    db1.kill9();
    db2.kill9();
    EXPECT_TRUE(eventually(20s, [&] { return contains(reason_of(sluice, db3), "non-Primary"); }))
        << reason_of(sluice, db3);
    EXPECT_EQ(role_of(sluice, db3), "none");
    const auto end = end_of(on_db3);
    EXPECT_EQ(end.code, kServerShutdown);
    EXPECT_TRUE(contains(end.text, "db3: not in the primary component")) << end.text;
    expect_nobody_serves(sluice);
  }
  void expect_all_serve(const MariadbServer& writer) {
    for (auto* node : galera.servers())
      EXPECT_TRUE(has_role(sluice, *node, node == &writer ? "primary" : "replica"))
          << node->name() << ": " << reason_of(sluice, *node);
    auto client = sluice.connect("primary");
    EXPECT_EQ(asked(client), id_of(writer));
    client.exec("INSERT INTO test.written VALUES (2)");
  }

  GaleraCluster galera{3};
  MariadbServer &db1 = galera.node(0), &db2 = galera.node(1), &db3 = galera.node(2);
  Sluice sluice;
};

TEST_F(CutOff, NodeServesOnceItIsToldToBeTheCluster) {
  db3.exec("SET GLOBAL wsrep_provider_options = 'pc.bootstrap=true'");
  ASSERT_TRUE(has_role(sluice, db3, "primary")) << reason_of(sluice, db3);
  auto writer = sluice.connect("primary");
  EXPECT_EQ(asked(writer), id_of(db3));
  writer.exec("INSERT INTO test.written VALUES (1)");

  galera.rejoin(db1);
  galera.rejoin(db2);
  expect_all_serve(db3);
  EXPECT_EQ(db1.value("SELECT COUNT(*) FROM test.written WHERE n = 1"), "1");
}

TEST_F(CutOff, NodeServesOnceTheOthersAreBack) {
  db1.launch();
  db2.launch();
  for (auto* node : {&db1, &db2}) {
    node->wait_ready();
    galera.wait_synced(*node);
  }
  galera.wait_synced(db3);
  std::string writer;
  ASSERT_TRUE(eventually(10s, [&] {
    for (auto* node : galera.servers())
      if (role_of(sluice, *node) == "primary") writer = node->name();
    return !writer.empty();
  }));
  expect_all_serve(galera.node(writer.back() - '1'));
}

// State transfers.

TEST(Galera, NeitherDonorNorJoinerServesDuringAStateTransfer) {
  TransferGate gate;
  GaleraCluster galera(3, gate.environment());
  auto &db1 = galera.node(0), &db2 = galera.node(1), &db3 = galera.node(2);
  Sluice sluice(three_services("galera", galera.servers()));
  ASSERT_TRUE(has_role(sluice, db1, "primary") && has_role(sluice, db3, "replica"));
  auto on_donor = sluice.connect("primary");
  db3.stop();
  db3.lose_data();

  db3.launch({TransferGate::kOption, "--wsrep-sst-donor=db1"});
  ASSERT_TRUE(has_role(sluice, db1, "none", 30s)) << tail(db3.log(), 30);
  EXPECT_TRUE(contains(reason_of(sluice, db1), "donor of a state transfer"))
      << reason_of(sluice, db1);
  const auto end = end_of(on_donor);
  EXPECT_EQ(end.code, kServerShutdown);
  EXPECT_TRUE(contains(end.text, "db1: donor of a state transfer")) << end.text;
  EXPECT_EQ(role_of(sluice, db3), "none") << "the joiner";
  EXPECT_EQ(role_of(sluice, db2), "primary");
  for (const char* service : kAllServices) {
    for (int i = 0; i < 4; ++i) {
      auto client = sluice.connect(service);
      EXPECT_EQ(asked(client), id_of(db2)) << service;
    }
  }
  EXPECT_FALSE(GaleraCluster::synced(db1)) << "the transfer is over too early to prove anything";

  gate.open();
  db3.wait_ready();
  galera.wait_synced(db3);
  EXPECT_TRUE(has_role(sluice, db3, "replica")) << reason_of(sluice, db3);
  EXPECT_TRUE(has_role(sluice, db1, "replica")) << reason_of(sluice, db1);
  EXPECT_EQ(role_of(sluice, db2), "primary") << "the writer does not move back";
  EXPECT_EQ(db3.value("SELECT COUNT(*) FROM mysql.global_priv WHERE User = 'app'"), "2");
}

}  // namespace
}  // namespace sluice::test
