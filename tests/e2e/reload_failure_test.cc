/// A reload is a transaction: what is wrong with it is said to the caller and in the log, the exit
/// code tells, and everything runs on as it was, under load.
#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/support/free_port.h"
#include "tests/support/load.h"
#include "tests/support/reload_fixture.h"
#include "tests/support/test_error.h"

namespace sluice::test {
namespace {

using testing::HasSubstr;
using testing::Not;

/// A port that another program listens on: as one that shares with nobody, or with SO_REUSEPORT,
/// where the kernel itself would let sluice in beside it.
class Occupied {
 public:
  enum class Sharing { Alone, ReusePort };
  explicit Occupied(Sharing sharing) : port_(free_port()), fd_(::socket(AF_INET, SOCK_STREAM, 0)) {
    const int on = sharing == Sharing::ReusePort;
    ::setsockopt(fd_.get(), SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
    sockaddr_in address{.sin_family = AF_INET,
                        .sin_port = htons(port_),
                        .sin_addr = {htonl(INADDR_LOOPBACK)},
                        .sin_zero = {}};
    if (::bind(fd_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 ||
        ::listen(fd_.get(), 16) != 0)
      throw TestError("cannot listen");
  }
  std::string address() const { return "127.0.0.1:" + std::to_string(port_); }

 private:
  uint16_t port_;
  UniqueFd fd_;
};

/// Each test: a reload that must be refused, between two looks at what must not change.
class FailedReload : public ReloadTest {
 protected:
  FailedReload() : sluice(two_services()), load({.endpoint = sluice.endpoint("left")}) {
    load.wait_flowing();
    before_ = picture();
  }

  /// Runs the reload that is to fail; `why` must be said on stderr and in the log.
  void refuse(std::string_view text, const std::vector<std::string>& why) {
    const auto result = sluice.reload(text);
    EXPECT_EQ(result.exit_code, 1) << result.out;
    EXPECT_EQ(result.out, "");
    for (const auto& word : why) {
      EXPECT_THAT(result.err, HasSubstr(word));
      EXPECT_THAT(sluice.log(), HasSubstr(word));
    }
    EXPECT_THAT(sluice.log(), HasSubstr("failed: everything stays as it was"));
    EXPECT_THAT(problems(), HasSubstr("reload: failed: "));
    EXPECT_EQ(picture(), before_);
  }

  void TearDown() override {
    EXPECT_EQ(answering(sluice, "left"), id(left()));
    EXPECT_EQ(answering(sluice, "right"), id(right()));
    EXPECT_TRUE(load.advance(100));
    const auto report = load.stop();
    EXPECT_TRUE(report.clean()) << report.text();
    // The next good one goes through: nothing of the bad one is in its way.
    sluice.config.workers = 3;
    const auto result = sluice.reload();
    EXPECT_EQ(result.exit_code, 0) << result.err;
    EXPECT_EQ(problems(), "");
    EXPECT_EQ(answering(sluice, "left"), id(left()));
  }

  std::string problems() const { return sluice.ctl_json({"status"}).at("problems"); }

  Sluice sluice;
  Load load;

 private:
  /// What a failed reload may not change: workers, generation, listeners.
  std::string picture() const {
    std::string text;
    for (const auto pid : sluice.worker_pids()) text += std::to_string(pid) + " ";
    text += sluice.ctl_json({"status"}).at("generation").dump();
    return text + sluice.ctl({"list", "listeners"}).out;
  }
  std::string before_;
};

TEST_F(FailedReload, AWrongConfigurationIsRefusedWithAllThatIsWrong) {
  auto text = sluice.config.text() + "\n[service.third]\ncluster = \"lfet\"\nlisen = [\"x\"]\n";
  refuse(text, {"unknown key", "lisen", "unknown cluster", "lfet"});
}

TEST_F(FailedReload, WhatIsNoTomlIsRefused) {
  refuse("[service.left\n", {"sluice.toml:1:"});
}

TEST_F(FailedReload, AMissingConfigurationIsRefused) {
  std::filesystem::remove(sluice.config_path());
  const auto result = sluice.ctl({"reload"});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.err, HasSubstr("there is no configuration"));
}

TEST_F(FailedReload, APortOfAnotherProgramIsRefused) {
  for (const auto sharing : {Occupied::Sharing::Alone, Occupied::Sharing::ReusePort}) {
    const Occupied occupied(sharing);
    auto wanted = sluice.config;
    wanted.services["left"].listen = {occupied.address()};
    sluice.write_config(wanted.text());
    const auto problems_before = problems();
    const auto dry = sluice.ctl({"reload", "--dry-run"});
    EXPECT_EQ(dry.exit_code, 1);
    EXPECT_THAT(dry.err, HasSubstr("service left: listen on " + occupied.address()));
    EXPECT_EQ(problems(), problems_before) << "an attempt is no reload";
    refuse(wanted.text(), {"listen on " + occupied.address() + ": Address already in use"});
  }
}

/// The sockets of the new slots are made before the error is found: with nobody to accept from them
/// they would swallow their share of the connections.
TEST_F(FailedReload, APortInUseWhileWorkersAreAddedSwallowsNoConnection) {
  const Occupied occupied(Occupied::Sharing::Alone);
  auto wanted = sluice.config;
  wanted.workers = 8;
  wanted.add_service("third", "left").listen = {occupied.address()};
  refuse(wanted.text(), {occupied.address()});
  for (int i = 0; i < 100; ++i) {
    auto options = sluice.endpoint("left");
    options.connect_timeout_seconds = 2;
    ASSERT_TRUE(Client::connect(options)) << i;
  }
}

TEST_F(FailedReload, AnUnknownUserIsRefused) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root drops to a user";
  auto wanted = sluice.config;
  wanted.settings = "user = \"no-such-user\"\ngroup = \"nogroup\"\n";
  refuse(wanted.text(), {"there is no user", "no-such-user"});
}

/// The user of a refused configuration is not the one that the next worker gets.
TEST_F(FailedReload, AnotherUserIsNotTakenFromARefusedConfiguration) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root drops to a user";
  const auto other = find_account("games");
  if (!other) GTEST_SKIP() << "no second user on this machine";
  const Occupied occupied(Occupied::Sharing::Alone);
  auto wanted = sluice.config;
  wanted.settings = "user = \"games\"\ngroup = \"games\"\n";
  wanted.add_service("third", "left").listen = {occupied.address()};
  refuse(wanted.text(), {occupied.address()});

  sluice.config.workers = 3;
  ASSERT_EQ(sluice.reload().exit_code, 0);
  for (const auto pid : sluice.worker_pids())
    EXPECT_THAT(read_file("/proc/" + std::to_string(pid) + "/status"),
                Not(HasSubstr("\nUid:\t" + std::to_string(other->uid) + "\t")));
}

TEST_F(FailedReload, AControlSocketOrALogThatCannotBeMadeIsRefused) {
  auto wanted = sluice.config;
  wanted.control_socket = "/proc/no/such/place.sock";
  refuse(wanted.text(), {wanted.control_socket});
  wanted = sluice.config;
  wanted.log_file = "/proc/no/such/place.log";
  refuse(wanted.text(), {wanted.log_file});
  // A FIFO that nobody reads: to wait for a reader would stop the master.
  wanted.log_file = sluice.path("log.fifo");
  ASSERT_EQ(::mkfifo(wanted.log_file.c_str(), 0600), 0);
  refuse(wanted.text(), {wanted.log_file});
}

}  // namespace
}  // namespace sluice::test
