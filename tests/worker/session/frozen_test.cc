// The state of a session as earlier releases wrote it: a handoff from the old release to the new
// one depends on that it means the same for ever. The files in tests/data are never made again; a
// release that adds members adds a file.
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>

#include "tests/common/ipc/fill.h"
#include "worker/session/state.h"

namespace sluice::worker {
namespace {

Bytes bytes_of(std::string_view text) {
  const auto bytes = as_bytes(text);
  return {bytes.begin(), bytes.end()};
}

Bytes read_frozen(const std::string& name) {
  std::ifstream in(std::string(SLUICE_TEST_DATA) + "/" + name, std::ios::binary);
  return bytes_of(std::string(std::istreambuf_iterator<char>(in), {}));
}

mysql::Conversation conversation_of_0_1() {
  mysql::Conversation c;
  c.capabilities = 0x0000'0005'01FF'F7DF;
  c.client = {.left = 70'000, .head_size = 3, .continuation = true, .head = {}};
  c.client.head[0] = std::byte{0x11};
  c.server = {.left = 5, .head_size = 28, .continuation = false, .head = {}};
  c.server.head.fill(std::byte{0xFE});
  c.expect = mysql::Expect::rows;
  c.command = 3;
  c.client_sequence = 1;
  c.server_sequence = 200;
  c.columns_left = 4;
  c.columns_next = 2;
  c.pending_count = 2;
  c.pending[0] = std::byte{0x0E};
  c.pending[1] = std::byte{0x16};
  c.commands = 1'000'000'007;
  return c;
}

/// What tests/data/session_state_v0_1.bin holds: everything that a session of 0.1 could be.
SessionState state_of_0_1() {
  SessionState s;
  s.id = 7ULL << 32 | 42;
  s.phase = Phase::ending;
  s.service = "shop";
  s.server = "db1";
  s.client_ip = "10.0.0.5";
  s.client_port = 54'321;
  s.outgoing_ip = "10.0.0.2";
  s.user = "app";
  s.database = "sh\xC3\xB6p";
  s.server_connection_id = 4711;
  s.accepted_ns = 1'000'000'000'001;
  s.active_ns = 1'000'000'000'002;
  s.deadline_ns = 1'000'000'000'003;
  s.bytes_in = 12'345'678'901;
  s.bytes_out = 98'765'432'109;
  s.conversation = conversation_of_0_1();
  s.judged = true;
  s.login = std::make_unique<Login>(Login{{"db3", "db2"},
                                          bytes_of("from the client"),
                                          bytes_of("from the server"),
                                          "no greeting in time",
                                          17});
  s.end = std::make_unique<End>(End{1053, "08S01", "sluice is shutting down"});
  s.held = bytes_of("held");
  s.awaits_accounts = true;
  s.unsent_to_client = bytes_of("to the client");
  s.unsent_to_server = bytes_of("to the server");
  return s;
}

TEST(Frozen, TheStateOfASessionOf0_1MeansTheSame) {
  const auto frozen = read_frozen("session_state_v0_1.bin");
  ASSERT_FALSE(frozen.empty());
  const auto state = ipc::decode<SessionState>(frozen);
  ASSERT_TRUE(state) << state.error().field;
  // Member by member: both sides leave what came later at its default.
  EXPECT_EQ(ipc::encode(*state), ipc::encode(state_of_0_1()));
}

TEST(Frozen, EveryMemberOfASessionTravels) {
  const auto state = ipc::test::filled<SessionState>();
  const auto whole = ipc::encode(state);
  const auto back = ipc::decode<SessionState>(whole);
  ASSERT_TRUE(back);
  EXPECT_EQ(ipc::encode(*back), whole);
  EXPECT_EQ(back->unsent_to_server, state.unsent_to_server);
  for (std::size_t n = 0; n < whole.size(); ++n) {
    const auto cut = ipc::decode<SessionState>(ByteSpan(whole).first(n));
    EXPECT_TRUE(!cut || ipc::encode(*cut) != whole) << "cut at " << n;
  }
}

}  // namespace
}  // namespace sluice::worker
