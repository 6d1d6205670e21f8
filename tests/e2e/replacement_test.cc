/// Workers are replaced because somebody says so, or because one has grown too large: what was open
/// goes on.
#include <fmt/format.h>
#include <gmock/gmock.h>

#include "tests/support/client.h"
#include "tests/support/eventually.h"
#include "tests/support/sluice.h"

namespace sluice::test {
namespace {

using testing::HasSubstr;
using testing::Not;

class Replacement : public testing::Test {
 protected:
  static void SetUpTestSuite() { server_ = std::make_unique<MariadbServer>(); }
  static void TearDownTestSuite() { server_.reset(); }

  static SluiceConfig in_front() {
    SluiceConfig config;
    config.add_cluster("shop", "single", {server_.get()});
    config.add_service("shop", "shop").router = "read-write-split";
    config.services.at("shop").extra = "transaction_replay = true";
    return config;
  }
  static std::vector<int64_t> workers(const Sluice& sluice) {
    std::vector<int64_t> pids;
    for (const auto& row : sluice.ctl_json({"list", "workers"})) pids.push_back(row.at("pid"));
    return pids;
  }

  static inline std::unique_ptr<MariadbServer> server_;
};

TEST_F(Replacement, ByHand) {
  Sluice sluice(in_front());
  Client client(sluice.endpoint("shop"));
  client.exec("SET @mine = 7");
  client.exec("BEGIN");
  const auto before = workers(sluice);
  const auto done = sluice.ctl({"replace", "workers"});
  EXPECT_EQ(done.exit_code, 0) << done.err;
  EXPECT_THAT(done.out, HasSubstr("2 workers are new"));
  EXPECT_TRUE(eventually(5s, [&] { return workers(sluice).size() == before.size(); }));
  for (const auto pid : workers(sluice)) EXPECT_THAT(before, Not(testing::Contains(pid)));
  EXPECT_EQ(client.value("SELECT CONCAT(@mine, @@in_transaction)"), "71");
  EXPECT_EQ(sluice.ctl_json({"status"}).at("last_reload"), "generation 1 is in force");
}

TEST_F(Replacement, OfAWorkerThatHasGrown) {
  auto config = in_front();
  config.workers = 1;
  config.settings = "max_worker_memory = \"24MiB\"";
  Sluice sluice(std::move(config));
  const auto before = workers(sluice);
  EXPECT_TRUE(eventually(5s, [&] {  // what it has in its first second is not growth
    return sluice.ctl_json({"list", "workers"})[0].at("age_s") >= 2;
  }));
  // What a transaction has said is kept, to say it again: 900 KiB for each session.
  const auto statement = fmt::format("SELECT 1 /*{}*/", std::string(450'000, 'x'));
  std::vector<Client> sessions;
  for (int i = 0; i < 40; ++i) {
    auto& session = sessions.emplace_back(sluice.endpoint("shop"));
    session.exec("BEGIN");
    for (int j = 0; j < 2; ++j) EXPECT_EQ(session.value(statement), "1");
  }
  EXPECT_TRUE(eventually(20s, [&] {
    const auto now = workers(sluice);
    return now.size() == 1 && now != before;
  }));
  EXPECT_THAT(sluice.log(), HasSubstr("has grown too large: the workers are replaced"));
  // They need that much: another one would not help.
  EXPECT_TRUE(eventually(
      10s, [&] { return sluice.log().find("a new one would be as large") != std::string::npos; }));
  for (auto& session : sessions) EXPECT_EQ(session.value("SELECT @@in_transaction"), "1");
}

}  // namespace
}  // namespace sluice::test
