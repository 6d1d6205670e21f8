/// Hostile clients and control clients against the running daemon: an error or a closed connection,
/// a log line, and nothing else harmed. A good session that is open all the while proves that.
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <random>

#include "common/mysql/packets.h"
#include "tests/support/raw_client.h"
#include "tests/support/sluice.h"
#include "tests/support/topologies.h"

namespace sluice::test {
namespace {

class BadInput : public testing::Test {
 protected:
  BadInput() : sluice_(config()), good_(sluice_.connect("shop")) {
    workers_ = sluice_.worker_pids();
  }

  /// The daemon is as it was: same workers, the open session lives, a new one is served.
  void expect_unharmed() {
    EXPECT_EQ(sluice_.worker_pids(), workers_);
    EXPECT_EQ(good_.value("SELECT 42"), "42");
    EXPECT_EQ(sluice_.connect("shop").value("SELECT 43"), "43");
    EXPECT_EQ(sluice_.ctl({"status"}).exit_code, 0);
  }
  RawClient greeted() {
    RawClient client(sluice_.port("shop"));
    const auto greeting = client.read_packet();
    EXPECT_TRUE(greeting && !greeting->is_error());
    return client;
  }
  /// A login that the server accepts: the account without a password.
  static std::string login(std::string_view user) {
    return std::string(as_text(mysql::encode_handshake_response(user)));
  }
  RawClient logged_in() {
    server_.exec("CREATE OR REPLACE USER nopassword@'%', nopassword@localhost");
    auto client = greeted();
    EXPECT_TRUE(client.send_packet(1, login("nopassword")));
    const auto ok = client.read_packet();
    EXPECT_TRUE(ok && !ok->is_error()) << (ok ? ok->error_text() : "closed");
    return client;
  }

 private:
  SluiceConfig config() {
    SluiceConfig config;
    config.add_cluster("shop", "single", {&server_});
    config.add_service("shop", "shop").extra = "login_timeout = \"2s\"";
    return config;
  }

 protected:
  MariadbServer server_;
  Sluice sluice_;
  Client good_;
  std::vector<pid_t> workers_;
};

TEST_F(BadInput, GarbageBeforeTheLoginIsAnswered) {
  const auto good = login("app");
  const std::string cases[] = {"",
                               std::string(1, '\0'),
                               std::string(31, '\xff'),
                               std::string(32, '\0'),
                               good.substr(0, 20),
                               good.substr(0, good.size() - 30),
                               std::string(60'000, 'A')};
  for (const auto& payload : cases) {
    auto client = greeted();
    ASSERT_TRUE(client.send_packet(1, payload));
    const auto answer = client.read_packet();
    EXPECT_TRUE(answer && answer->is_error()) << "payload of " << payload.size() << " bytes";
    EXPECT_TRUE(client.closed_by_peer());
  }
  expect_unharmed();
}

TEST_F(BadInput, WrongOrderAndWrongSizeAreAnswered) {
  for (const uint8_t sequence : {0, 2, 255}) {
    auto client = greeted();
    ASSERT_TRUE(client.send_packet(sequence, login("app")));
    const auto answer = client.read_packet();
    EXPECT_TRUE(answer && answer->is_error()) << int{sequence};
  }
  auto oversized = greeted();  // announces 16 MiB, sends much: cut off long before
  ASSERT_TRUE(oversized.send("\xff\xff\xff\x01"));
  oversized.send(std::string(200'000, 'x'));
  EXPECT_TRUE(oversized.closed_by_peer());
  expect_unharmed();
}

TEST_F(BadInput, BytesBehindAnSslRequestAreRefused) {
  auto client = greeted();
  std::string request(32, '\0');
  request[1] = '\x0a';  // CLIENT_PROTOCOL_41 is 0x200, CLIENT_SSL 0x800
  ASSERT_TRUE(client.send(std::string("\x20\0\0\x01", 4) + request + "\x03\0\0\x02SELECT 1"));
  const auto answer = client.read_packet();
  EXPECT_TRUE(answer && answer->is_error());
  EXPECT_TRUE(client.closed_by_peer());
  expect_unharmed();
}

TEST_F(BadInput, ASlowHandshakeHasADeadline) {
  RawClient silent(sluice_.port("shop"));
  auto slow = greeted();
  ASSERT_TRUE(slow.send("\x50"));
  EXPECT_TRUE(silent.closed_by_peer());
  EXPECT_TRUE(slow.closed_by_peer());
  expect_unharmed();
}

TEST_F(BadInput, AClientThatLeavesBeforeItsLoginDoesNotCountAsAHandshakeError) {
  const auto errors = [this] {
    return server_.value(
        "SELECT VARIABLE_VALUE FROM information_schema.GLOBAL_STATUS "
        "WHERE VARIABLE_NAME = 'ABORTED_CONNECTS_PREAUTH'");
  };
  const auto before = errors();
  for (int i = 0; i < 20; ++i) greeted();
  const auto left = [this] {
    return server_.value(
        "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE USER='unauthenticated user'");
  };
  EXPECT_TRUE(eventually(5s, [&] { return left() == "0"; }));
  EXPECT_EQ(errors(), before);
}

TEST_F(BadInput, GarbageAfterTheLoginIsTheServersToJudge) {
  std::mt19937 random(20261123);
  for (int round = 0; round < 20; ++round) {
    auto client = logged_in();
    std::string noise(200 + random() % 5000, '\0');
    for (auto& c : noise) c = static_cast<char>(random());
    client.send(noise);
    client.half_close();
    EXPECT_TRUE(client.closed_by_peer());
  }
  auto wrong = logged_in();
  ASSERT_TRUE(wrong.send_packet(7, "\x03SELECT 1"));  // a command out of order
  EXPECT_TRUE(wrong.closed_by_peer());
  auto unknown = logged_in();
  ASSERT_TRUE(unknown.send_packet(0, "\x7f"));
  const auto answer = unknown.read_packet();
  EXPECT_TRUE(answer && answer->is_error());  // 1047, and the session lives
  ASSERT_TRUE(unknown.send_packet(0, "\x0e"));
  EXPECT_TRUE(unknown.read_packet().has_value());
  expect_unharmed();
}

TEST_F(BadInput, AControlClientThatSendsGarbageIsDisconnected) {
  const auto connect = [this] {
    UniqueFd fd(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    sluice_.control_socket().copy(address.sun_path, sizeof address.sun_path - 1);
    EXPECT_EQ(::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    return fd;
  };
  const std::string cases[] = {
      "x", std::string(16'000, '\xff'), std::string("\x01\0\0\0\xff\xff", 6),
      std::string("\x16\0\0\0", 4),     // a request without a greeting
      std::string("\x01\0\x01\0", 4)};  // a spilled message without its file
  for (const auto& bytes : cases) {
    const auto fd = connect();
    ASSERT_GT(::send(fd.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL), 0);
    char answer[64];
    EXPECT_TRUE(
        eventually(5s, [&] { return ::recv(fd.get(), answer, sizeof answer, MSG_DONTWAIT) == 0; }));
  }
  EXPECT_NE(sluice_.log().find("control: disconnected"), std::string::npos) << sluice_.log();
  expect_unharmed();
}

}  // namespace
}  // namespace sluice::test
