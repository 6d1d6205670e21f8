/// Clients that speak the compressed protocol, through every way that a session can take.
#include <fmt/format.h>
#include <gmock/gmock.h>

#include "tests/support/certificates.h"
#include "tests/support/eventually.h"
#include "tests/support/sluice.h"
#include "tests/support/topologies.h"

namespace sluice::test {
namespace {

using testing::AnyOf;
using testing::HasSubstr;

constexpr std::size_t kMebibyte = 1 << 20;

class Compression : public testing::TestWithParam<std::string> {
 protected:
  static void SetUpTestSuite() {
    pair_ = std::make_unique<ReplicationPair>(
        std::vector<std::string>{"--max-allowed-packet=64M", "--local-infile=1"});
    sluice_ = std::make_unique<Sluice>(SluiceConfig{}, Sluice::Start::Stopped);
    const CertificateAuthority authority("CA");
    const auto files =
        write_files(directory_, "server", authority.issue({.common_name = "sluice"}));
    auto& config = sluice_->config;
    config.add_cluster("shop", "replication", pair_->servers());
    for (const auto& [name, router, extra] :
         {std::tuple("plain", "connection", ""), std::tuple("split", "read-write-split", ""),
          std::tuple("pooled", "read-write-split", "pool = 2\n"),
          std::tuple("tls", "connection", "")}) {
      auto& service = config.add_service(name, "shop");
      service.router = router;
      service.extra = fmt::format("compression = true\n{}", extra);
    }
    config.services.at("tls").extra += fmt::format(
        "tls = {{ mode = \"required\", certificate = \"{}\", key = "
        "\"{}\" }}\n",
        files.certificate, files.key);
    config.add_service("without", "shop");
    sluice_->start();
  }
  static void TearDownTestSuite() {
    sluice_.reset();
    pair_.reset();
  }

  static ClientOptions options(const std::string& service) {
    auto options = sluice_->endpoint(service);
    options.compressed = true;
    options.database = "test";
    options.tls = service == "tls";
    return options;
  }
  static Client direct() {
    auto options = pair_->primary.endpoint();
    options.database = "test";
    return Client(options);
  }
  static std::size_t compressed_sessions() {
    std::size_t count = 0;
    for (const auto& session : sluice_->ctl_json({"list", "sessions"}))
      count += session.at("client_compression") == "zlib";
    return count;
  }

  static inline TempDir directory_;
  static inline std::unique_ptr<ReplicationPair> pair_;
  static inline std::unique_ptr<Sluice> sluice_;
};

TEST_P(Compression, CarriesWhatIsShortAndWhatIsLong) {
  Client client(options(GetParam()));
  EXPECT_EQ(compressed_sessions(), 1u);
  EXPECT_EQ(client.value("SELECT 1"), "1");
  EXPECT_EQ(client.value(fmt::format("SELECT REPEAT('x', {})", 20 * kMebibyte)).size(),
            20 * kMebibyte);
  EXPECT_EQ(client.value(fmt::format("SELECT LENGTH('{}')", std::string(17 * kMebibyte, 'x'))),
            fmt::to_string(17 * kMebibyte));
  // What can't be compressed.
  EXPECT_EQ(client.value("SELECT SHA2(GROUP_CONCAT(SHA2(seq, 512)), 256) FROM seq_1_to_10"),
            direct().value("SELECT SHA2(GROUP_CONCAT(SHA2(seq, 512)), 256) FROM seq_1_to_10"));
  EXPECT_EQ(client.rows("SELECT SHA2(seq, 512) FROM seq_1_to_20000"),
            direct().rows("SELECT SHA2(seq, 512) FROM seq_1_to_20000"));
  const auto failed = client.query("SELECT nothing FROM test.nowhere");
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code, 1146u);
  EXPECT_EQ(client.value("SELECT 1; SELECT 2; SELECT 3"), "3");
}

TEST_P(Compression, CarriesAFileOfTheClients) {
  write_file(directory_ / "rows", [] {
    std::string all;
    for (int i = 0; i < 200'000; ++i) all += fmt::format("{}\tname of row {}\n", i, i);
    return all;
  }());
  Client client(options(GetParam()));
  client.exec("CREATE OR REPLACE TABLE test.names (id INT, name VARCHAR(50))");
  client.exec(fmt::format("LOAD DATA LOCAL INFILE '{}' INTO TABLE test.names",
                          std::string(directory_ / "rows")));
  EXPECT_EQ(client.value("SELECT COUNT(*) FROM test.names"), "200000");
  client.exec("DROP TABLE test.names");
}

TEST_P(Compression, ChangesTheUserAndResetsTheSession) {
  Client client(options(GetParam()));
  client.exec("SET @x = 1");
  ASSERT_TRUE(client.change_user("app", "app-secret"));
  EXPECT_EQ(client.value("SELECT @x"), "NULL");
  ASSERT_FALSE(client.change_user("app", "wrong"));
  Client other(options(GetParam()));
  EXPECT_EQ(other.value("SELECT 1"), "1");
}

/// Half of the workers' sessions are in the middle of a long answer when they move.
TEST_P(Compression, MovesToOtherWorkers) {
  std::vector<Client> clients;
  for (int i = 0; i < 20; ++i) clients.emplace_back(options(GetParam()));
  std::vector<std::jthread> threads;
  std::atomic<int> wrong = 0, done = 0;
  std::atomic<bool> stop = false;
  const auto expected = direct().rows("SELECT seq, SHA2(seq, 256) FROM seq_1_to_3000");
  for (auto& client : clients)
    threads.emplace_back([&] {
      while (!stop) {
        wrong += client.rows("SELECT seq, SHA2(seq, 256) FROM seq_1_to_3000") != expected;
        ++done;
      }
    });
  for (int roll = 0; roll < 3; ++roll) {
    EXPECT_EQ(sluice_->ctl({"replace", "workers"}).exit_code, 0);
    const int before = done;
    EXPECT_TRUE(eventually(30s, [&] { return done > before + 40; }));
  }
  stop = true;
  threads.clear();
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(compressed_sessions(), 20u);
}

TEST_P(Compression, TheLastWordsAreUnderstood) {
  Client client(options(GetParam()));
  client.rows("SELECT seq FROM seq_1_to_100000");  // an answer of several frames
  const auto sessions = sluice_->ctl_json({"list", "sessions"});
  ASSERT_EQ(sessions.size(), 1u);
  ASSERT_EQ(sluice_->ctl({"kill", "session", sessions[0].at("session")}).exit_code, 0);
  const auto lost = client.query("SELECT 1");
  ASSERT_FALSE(lost);
  EXPECT_THAT(lost.error().text,
              AnyOf(HasSubstr("sluice"), HasSubstr("gone away"), HasSubstr("Lost connection")));
}

TEST_F(Compression, IsNotSpokenWhereItIsNotConfigured) {
  Client client(options("without"));
  EXPECT_EQ(compressed_sessions(), 0u);
  EXPECT_EQ(client.value("SELECT 1"), "1");
}

TEST_F(Compression, IsNotForcedOnAnybody) {
  auto plain = options("plain");
  plain.compressed = false;
  Client client(plain);
  EXPECT_EQ(compressed_sessions(), 0u);
  EXPECT_EQ(client.value("SELECT 1"), "1");
}

INSTANTIATE_TEST_SUITE_P(Of, Compression, testing::Values("plain", "split", "pooled", "tls"),
                         [](const auto& about) { return about.param; });

}  // namespace
}  // namespace sluice::test
