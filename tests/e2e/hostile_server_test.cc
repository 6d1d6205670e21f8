/// Servers that lie, or speak nonsense: an error for the client, never an accepted login, and the
/// next client is served.
#include <fmt/format.h>
#include <gmock/gmock.h>

#include "common/mysql/packets.h"
#include "common/mysql/protocol.h"
#include "tests/support/login_attempt.h"
#include "tests/support/scripted_server.h"
#include "tests/support/sluice.h"

namespace sluice::test {
namespace {

using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

const std::string kOk("\0\0\0\2\0\0\0", 7);
const std::string kSalt = "twenty bytes of salt";

std::string text_of(const Bytes& bytes) {
  return std::string(as_text(bytes));
}

mysql::Greeting good_greeting(const std::string& plugin = "mysql_native_password") {
  mysql::Greeting greeting;
  greeting.version = "10.11.6-MariaDB";
  greeting.connection_id = 7;
  std::ranges::copy(as_bytes(kSalt), greeting.scramble.begin());
  greeting.capabilities = mysql::kProtocol41 | mysql::kSecureConnection | mysql::kPluginAuth;
  greeting.collation = 45;
  greeting.status = 2;
  greeting.plugin = plugin;
  return greeting;
}
std::string greeting(const std::string& plugin = "mysql_native_password", uint64_t more = 0) {
  auto values = good_greeting(plugin);
  values.capabilities |= more;
  return text_of(mysql::encode_greeting(values));
}
std::string packet(uint8_t sequence, const std::string& payload) {
  Bytes out;
  mysql::append_packet(out, sequence, as_bytes(payload));
  return text_of(out);
}

/// Where the byte that tells the scramble's length stands: behind the version and 20 bytes more.
std::size_t length_at(const std::string& payload) {
  return payload.find('\0') + 21;
}

struct Case {
  std::string name;
  ScriptedServer::Script script;
};
void PrintTo(const Case& value, std::ostream* out) {
  *out << value.name;
}

/// Says `said` in place of a greeting, and waits for the end.
Case at_once(std::string name, std::string said) {
  return {std::move(name), [said = std::move(said)](RawClient& peer) {
            peer.send(said);
            static_cast<void>(peer.closed_by_peer());
          }};
}
/// Greets, takes the client's answer and then says what it says.
Case after_answer(std::string name, std::vector<std::string> payloads,
                  std::string greeted = greeting()) {
  return {std::move(name),
          [payloads = std::move(payloads), greeted = std::move(greeted)](RawClient& peer) {
            peer.send_packet(0, greeted);
            if (!peer.read_packet()) return;
            std::string said;  // in one go: none of it can be an answer to what comes meanwhile
            uint8_t sequence = 2;
            for (const auto& payload : payloads) said += packet(sequence++, payload);
            peer.send(said);
            static_cast<void>(peer.closed_by_peer());
          }};
}
/// The same with bytes that are no whole packets.
Case bytes_after_answer(std::string name, std::string bytes, uint64_t capabilities = 0) {
  return {std::move(name), [bytes = std::move(bytes), capabilities](RawClient& peer) {
            peer.send_packet(0, greeting("mysql_native_password", capabilities));
            if (!peer.read_packet()) return;
            peer.send(bytes);
            static_cast<void>(peer.closed_by_peer());
          }};
}

std::vector<Case> greetings() {
  auto lie_long = greeting(), lie_short = greeting(), old = greeting(), long_scramble = greeting();
  lie_long[length_at(lie_long)] = '\xff';
  lie_short[length_at(lie_short)] = '\1';
  old[0] = '\x09';
  long_scramble.insert(length_at(long_scramble) + 11, std::string(60'000, 's'));
  std::vector<Case> out{
      at_once("nothing", ""),
      at_once("a scramble longer than the packet", packet(0, lie_long)),
      at_once("a scramble of one byte", packet(0, lie_short)),
      at_once("protocol 9", packet(0, old)),
      at_once("an over-long scramble", packet(0, long_scramble)),
      at_once("OK", packet(0, kOk)),
      at_once("bytes behind the greeting", packet(0, greeting()) + packet(2, kOk)),
      at_once("no packet", "SSH-2.0-OpenSSH_9.2p1\r\n" + std::string(200'000, 'x')),
      at_once("without end", "\xff\xff\xff" + std::string(1 << 20, '\n')),
      at_once("an empty packet", packet(0, "")),
      at_once("half an error", packet(0, "\xff\x15"))};
  const auto whole = greeting();
  for (std::size_t size = 1; size < whole.size(); size += 5)
    out.push_back(at_once(fmt::format("{} bytes", size), packet(0, whole.substr(0, size))));
  return out;
}

std::vector<Case> answers() {
  const std::string salt = kSalt + '\0';
  const auto switch_to = [](const std::string& plugin, const std::string& data) {
    return '\xfe' + plugin + '\0' + data;
  };
  const std::string error = "\xff\x15\x04#28000";
  return {
      after_answer("questions without end", std::vector<std::string>(1000, "\1and now?")),
      after_answer("switches without end",
                   std::vector<std::string>(1000, switch_to("mysql_native_password", salt))),
      after_answer("a plugin that nobody knows", {switch_to("no_such_plugin", salt)}),
      after_answer("the oldest switch", {"\xfe"}),
      after_answer("an old switch", {switch_to("mysql_old_password", "8 bytes.")}),
      after_answer("a clear password", {switch_to("mysql_clear_password", "")}),
      after_answer("a question for a clear password", {switch_to("dialog", "\4Password: ")}),
      after_answer("OK behind a switch, before the proof",
                   {switch_to("mysql_native_password", salt), kOk}),
      after_answer("OK in place of the password", {"\1\4", kOk}, greeting("caching_sha2_password")),
      after_answer("a key that nobody asked for", {"\1\4", "\1-----BEGIN PUBLIC KEY-----", kOk},
                   greeting("caching_sha2_password")),
      after_answer("half an OK", {kOk.substr(0, 2)}),
      after_answer("an empty packet", {""}),
      after_answer("an error of 64 KiB", {error + std::string(65'000, 'e')}),
      after_answer("half an error", {"\xff\x15"}),
      bytes_after_answer("a packet without end", "\xff\xff\xff\2" + std::string(1 << 20, '\1')),
      bytes_after_answer("half a packet", std::string("\x40\0\0\2\0", 5)),
      bytes_after_answer("garbage in place of TLS", std::string(5000, 'g'), mysql::kSsl),
      bytes_after_answer("OK in place of TLS", packet(2, kOk), mysql::kSsl),
      bytes_after_answer("a record that is none", "\x16\x03\x03\xff\xff" + std::string(70'000, 'r'),
                         mysql::kSsl),
      bytes_after_answer("an alert in place of TLS", std::string("\x15\x03\x03\0\2\2\x28", 7),
                         mysql::kSsl)};
}

class HostileServer : public testing::TestWithParam<Case> {
 protected:
  static void SetUpTestSuite() {
    real_ = std::make_unique<MariadbServer>();
    hostile_ = std::make_unique<ScriptedServer>(real_->port());
    SluiceConfig config;
    config.workers = 1;
    config.add_service("shop", "shop").extra = "max_failed_logins = 0\nlogin_timeout = \"500ms\"\n";
    config.extra = fmt::format(
        "[cluster.shop]\nservers = {{ db = \"127.0.0.1:{}\" }}\ntopology = \"single\"\n"
        "account = {{ user = \"{}\", password = \"{}\" }}\ntls.mode = "
        "\"preferred\"\nconnect_timeout = \"250ms\"\n",
        hostile_->port(), kWatchUser, kWatchPassword);
    sluice_ = std::make_unique<Sluice>(std::move(config));
    EXPECT_TRUE(eventually(10s, [] { return login().accepted(); })) << login().describe();
    EXPECT_EQ(sluice_->ctl({"reload", "accounts"}).exit_code, 0);
  }
  static void TearDownTestSuite() {
    sluice_.reset();
    hostile_.reset();
    real_.reset();
  }
  static LoginOutcome login() {
    LoginAttempt attempt;
    attempt.port = sluice_->port("shop");
    attempt.user = "app";
    attempt.password = "app-secret";
    return try_login(attempt, {});
  }

  static inline std::unique_ptr<MariadbServer> real_;
  static inline std::unique_ptr<ScriptedServer> hostile_;
  static inline std::unique_ptr<Sluice> sluice_;
};

std::string name_of(const testing::TestParamInfo<Case>& info) {
  std::string out = std::to_string(info.index);
  for (const char c : info.param.name) out += std::isalnum(static_cast<unsigned char>(c)) ? c : '_';
  return out;
}
INSTANTIATE_TEST_SUITE_P(Greeting, HostileServer, testing::ValuesIn(greetings()), name_of);
INSTANTIATE_TEST_SUITE_P(Answer, HostileServer, testing::ValuesIn(answers()), name_of);

/// An answer that goes along with the plugin that the greeting names.
std::string answer_to(const std::string& greeting) {
  const auto flags = mysql::kProtocol41 | mysql::kSecureConnection | mysql::kPluginAuth;
  const auto name = greeting.find_last_of('\0', greeting.size() - 2);
  Bytes out;
  ByteWriter w(out);
  w.fixed(static_cast<uint32_t>(flags));
  w.fixed(uint32_t{1 << 24});
  w.byte(45);
  w.zeros(23);
  w.nul_text("app");
  w.text(
      "\x14"
      "a proof of 20 bytes.");
  w.text(greeting.substr(name + 1));
  return text_of(out);
}

/// A client that never gives up: it answers whatever it is asked.
std::string persistent_login(uint16_t port) {
  RawClient client(port);
  const auto greeting = client.read_packet();
  if (!greeting || greeting->is_error()) return greeting ? greeting->error_text() : "closed";
  client.send_packet(1, answer_to(greeting->payload));
  while (const auto said = client.read_packet()) {
    if (said->is_error()) return said->error_text();
    if (said->payload.starts_with('\0')) return "logged in";
    client.send_packet(static_cast<uint8_t>(said->sequence + 1), "a proof of 20 bytes.");
  }
  return "closed";
}

TEST_P(HostileServer, GetsNobodyIn) {
  const auto start = sluice_->log().size();
  const auto workers = sluice_->worker_pids();
  hostile_->play(GetParam().script);
  EXPECT_THAT(persistent_login(sluice_->port("shop")), StartsWith("1"));
  EXPECT_FALSE(login().accepted());
  hostile_->play({});
  EXPECT_THAT(sluice_->log().substr(start), Not(HasSubstr("logged in")));
  EXPECT_TRUE(eventually(10s, [] { return login().accepted(); })) << login().describe();
  EXPECT_TRUE(eventually(
      10s, [&] { return sluice_->log().find("logged in", start) != std::string::npos; }));
  EXPECT_EQ(sluice_->worker_pids(), workers);
}

}  // namespace
}  // namespace sluice::test
