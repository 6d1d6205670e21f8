// Our records without a handshake: the example of RFC 8448, what both ends may do, and peers that
// have the keys and break the rules.
#include <gmock/gmock.h>

#include "tests/worker/tls/forge.h"
#include "tests/worker/tls/samples.h"
#include "worker/tls/record_layer.h"

namespace sluice::tls {
namespace {

using testing::HasSubstr;
using namespace std::string_literals;
using namespace std::string_view_literals;

constexpr int kCcs = 20, kAlert = 21, kHandshake = 22, kData = 23;

Bytes hex(std::string_view digits) {
  Bytes out;
  for (std::size_t i = 0; i + 1 < digits.size(); i += 2)
    out.push_back(static_cast<std::byte>(std::stoi(std::string(digits.substr(i, 2)), nullptr, 16)));
  return out;
}
Secret secret(std::string_view digits) {
  return Secret(std::string(as_text(hex(digits))));
}

/// RFC 8448, 3: the records behind the handshake.
struct Example {
  RecordsState client, server;
  Bytes data;
  const Bytes by_client = hex(
      "1703030043a23f7054b62c94d0affafe8228ba55cbefacea42f914aa66bcab3f2b9819a8a5b46b395bd54a9a2044"
      "1e2b62974e1f5a6292a2977014bd1e3deae63aeebb21694915e4");
  const Bytes ticket = hex(
      "17030300de3a6b8f90414a97d6959c3487680de5134a2b240e6cffac116e95d41d6af8f6b580dcf3d11d63c758db"
      "289a015940252f55713e061dc13e078891a38efbcf5753ad8ef170ad3c7353d16d9da773b9ca7f2b9fa1b6c0d4a3"
      "d03f75e09c30ba1e62972ac46f75f7b981be63439b2999ce13064615139891d5e4c5b406f16e3fc181a77ca47584"
      "0025db2f0a77f81b5ab05b94c01346755f69232c86519d86cbeeac87aac347d143f9605d64f650db4d023e70e952"
      "ca49fe5137121c74bc2697687e248746d6df353005f3bce18696129c8153556b3b6c6779b37bf15985684f");
  const Bytes by_server = hex(
      "17030300432e937e11ef4ac740e538ad36005fc4a46932fc3225d05f82aa1b36e30efaf97d90e6dffc602dcb501a"
      "59a8fcc49c4bf2e5f0a21c0047c2abf332540dd032e167c2955d");
  const Bytes client_closes = hex("1703030013c9872760655666b74d7ff1153efd6db6d0b0e3");
  const Bytes server_closes = hex("1703030013b58fd67166ebf599d24720cfbe7efa7a8864a9");

  Example() {
    const RecordsOneWay client_way{
        .secret = secret("9e40646ce79a7f9dc05af8889bce6552875afa0b06df0087f792ebb7c17504a5")};
    const RecordsOneWay server_way{
        .secret = secret("a11af9f05531f856ad47116b45a950328204b4f44bfb6b3a4b4f1f3fcb631643")};
    client = {.role = Role::client, .version = Version::tls_1_3, .aead = Aead::aes_128_gcm};
    server = {.role = Role::server, .version = Version::tls_1_3, .aead = Aead::aes_128_gcm};
    client.ours = server.theirs = client_way;
    client.theirs = server.ours = server_way;
    for (int i = 0; i < 0x32; ++i) data.push_back(static_cast<std::byte>(i));
  }
};

TEST(Rfc8448, TheClientsRecords) {
  const Example of;
  End client{must(resume(of.client, {}))};
  client.say(as_text(of.data));
  EXPECT_EQ(client.unsent, of.by_client);
  client.take(of.ticket);
  client.take(of.by_server);
  EXPECT_EQ(client.received, of.data) << client.error;
  client.unsent.clear();
  client.close();
  EXPECT_EQ(client.unsent, of.client_closes);
  client.take(of.server_closes);
  EXPECT_TRUE(client.layer->peer_closed()) << client.error;
}

TEST(Rfc8448, TheServersRecords) {
  Example of;
  of.server.ours.records = 1;  // the ticket was OpenSSL's
  End server{must(resume(of.server, {}))};
  server.say(as_text(of.data));
  EXPECT_EQ(server.unsent, of.by_server);
  server.take(of.by_client);
  EXPECT_EQ(server.received, of.data) << server.error;
  server.unsent.clear();
  server.close();
  EXPECT_EQ(server.unsent, of.server_closes);
  server.take(of.client_closes);
  EXPECT_TRUE(server.layer->peer_closed()) << server.error;
}

struct Kind {
  Version version;
  Aead aead;
};
void PrintTo(const Kind& kind, std::ostream* out) {
  *out << enum_name(kind.version) << ", " << enum_name(kind.aead);
}

/// Two ends of ours. What the peer of an end says may be forged.
class Records : public testing::TestWithParam<Kind> {
 protected:
  bool is_13() const { return GetParam().version == Version::tls_1_3; }
  static Connection connect(const Ends& ends) {
    return {must(resume(ends.client, {})), must(resume(ends.server, {}))};
  }
  Connection connect() const { return connect(ends_); }

  const Ends ends_ = Ends::made(GetParam().version, GetParam().aead);
};

constexpr Kind kKinds13[] = {{Version::tls_1_3, Aead::aes_128_gcm},
                             {Version::tls_1_3, Aead::aes_256_gcm},
                             {Version::tls_1_3, Aead::chacha20_poly1305}};
constexpr Kind kKinds12[] = {{Version::tls_1_2, Aead::aes_128_gcm},
                             {Version::tls_1_2, Aead::aes_256_gcm},
                             {Version::tls_1_2, Aead::chacha20_poly1305}};
INSTANTIATE_TEST_SUITE_P(Tls13, Records, testing::ValuesIn(kKinds13));
INSTANTIATE_TEST_SUITE_P(Tls12, Records, testing::ValuesIn(kKinds12));

/// Broken rules that both versions have.
class BrokenRules : public Records {
 protected:
  /// What the server tells its client of a record, and what its error is, if there is one.
  struct Outcome {
    std::string heard, error, told;
  };
  Outcome outcome(ByteSpan records) const { return outcome_at(&Connection::server, records); }
  Outcome outcome_at(End Connection::*end, ByteSpan records) const {
    auto c = connect();
    auto& peer = end == &Connection::server ? c.client : c.server;
    (c.*end).take(records);
    peer.take((c.*end).unsent);
    return {(c.*end).heard(), (c.*end).error, peer.error};
  }
  void expect_refusal(ByteSpan records, const std::string& error, const std::string& alert) const {
    const auto got = outcome(records);
    EXPECT_EQ(got.error, "broken TLS: " + error);
    EXPECT_EQ(got.told, "peer sent alert: " + alert);
  }
};
INSTANTIATE_TEST_SUITE_P(Tls13, BrokenRules, testing::ValuesIn(kKinds13));
INSTANTIATE_TEST_SUITE_P(Tls12, BrokenRules, testing::ValuesIn(kKinds12));

class BrokenRules13 : public BrokenRules {};
INSTANTIATE_TEST_SUITE_P(Tls13, BrokenRules13, testing::ValuesIn(kKinds13));
class BrokenRules12 : public BrokenRules {};
INSTANTIATE_TEST_SUITE_P(Tls12, BrokenRules12, testing::ValuesIn(kKinds12));

TEST_P(Records, CarryDataBothWaysAndEachSideClosesItsHalf) {
  auto c = connect();
  for (const std::size_t size : {1, 16384, 16385, 100'000}) {
    const std::string text(size, 'x');
    c.client.say(text);
    c.server.say(text);
    c.carry();
    EXPECT_TRUE(std::exchange(c.server.received, {}) == std::exchange(c.client.received, {}));
  }
  c.client.close();
  c.carry();
  EXPECT_TRUE(c.server.layer->peer_closed());
  c.server.say("last words");
  c.carry();
  EXPECT_EQ(c.client.heard(), "last words");
  EXPECT_EQ(c.errors(), "client: , server: ");
  c.client.say("too late");
  EXPECT_EQ(c.client.error, "TLS was closed");
}

TEST_P(Records, KeepToTheFragmentsThatThePeerTakes) {
  auto ends = ends_;
  ends.server.fragment = 512;
  auto c = connect(ends);
  c.server.say(std::string(1025, 'x'));
  const std::size_t overhead = c.server.unsent.size() - 1025;
  EXPECT_EQ(overhead % 3, 0u);
  EXPECT_EQ(c.server.unsent[3], std::byte{2});
  c.carry();
  EXPECT_EQ(c.client.received.size(), 1025u);
}

TEST_P(Records, MoveInTheMiddleOfARecord) {
  auto c = connect();
  c.client.say("one");
  c.client.say("two");
  const Bytes records = std::exchange(c.client.unsent, {});
  for (std::size_t cut = 0; cut < records.size(); ++cut) {
    auto d = connect();
    d.server.take(ByteSpan(records).first(cut));
    auto state = must(d.server.layer->leave());
    EXPECT_FALSE(d.server.layer->established());
    EXPECT_EQ(d.server.layer->why_not_movable(), "it has left");
    EXPECT_FALSE(d.server.layer->leave());
    d.server.layer->close(d.server.unsent);
    EXPECT_TRUE(d.server.unsent.empty()) << "who has left says nothing";
    const auto decoded = ipc::decode<RecordsState>(ipc::encode(state));
    ASSERT_TRUE(decoded);
    EXPECT_EQ(*decoded, state);
    d.server.layer = must(resume(*decoded, {}));
    d.server.take(ByteSpan(records).subspan(cut));
    ASSERT_EQ(d.server.heard(), "onetwo") << "cut at byte " << cut << ": " << d.server.error;
  }
}

TEST_P(Records, MoveWithWhatIsKnownOfThem) {
  const Info info{.version = "TLSv1.3", .cipher = "X", .peer_subject = "/CN=app"};
  const auto layer = must(resume(ends_.client, info));
  EXPECT_EQ(layer->info(), info);
  EXPECT_EQ(must(layer->leave()), ends_.client);
}

TEST_P(Records, OnesThatCloseAreMovedClosed) {
  auto c = connect();
  c.client.close();
  c.carry();
  for (auto* end : {&c.client, &c.server}) end->layer = must(resume(must(end->layer->leave()), {}));
  EXPECT_TRUE(c.server.layer->peer_closed());
  c.client.close();
  EXPECT_TRUE(c.client.unsent.empty()) << "closed twice";
  c.server.say("still open");
  c.carry();
  EXPECT_EQ(c.client.heard(), "still open");
  c.client.say("x");
  EXPECT_EQ(c.client.error, "TLS was closed");
}

TEST_P(Records, StatesThatCantBeAreRefused) {
  using Change = void (*)(RecordsState&);
  const std::pair<const char*, Change> changes[] = {
      {"a name", [](RecordsState& s) { s.aead = static_cast<Aead>(3); }},
      {"a name", [](RecordsState& s) { s.version = static_cast<Version>(2); }},
      {"a name", [](RecordsState& s) { s.role = static_cast<Role>(2); }},
      {"fragments", [](RecordsState& s) { s.fragment = 0; }},
      {"fragments", [](RecordsState& s) { s.fragment = 511; }},
      {"fragments", [](RecordsState& s) { s.fragment = 16385; }},
      {"a secret", [](RecordsState& s) { s.ours.secret = Secret(); }},
      {"a secret", [](RecordsState& s) { s.theirs.secret.reveal().pop_back(); }},
      {"a secret", [](RecordsState& s) { s.theirs.secret.reveal().push_back('x'); }},
      {"a number", [](RecordsState& s) { s.ours.records = UINT64_MAX; }},
      {"a number", [](RecordsState& s) { s.theirs.records = uint64_t{1} << 62; }},
      {"a record", [](RecordsState& s) { s.record = Bytes(5); }},
      {"a record", [](RecordsState& s) { s.record = Bytes(100'000, std::byte{0x17}); }},
      {"a record", [](RecordsState& s) { s.record = hex("1703030002aabb"); }},
      {"behind the end", [](RecordsState& s) { s.theirs.closed = true, s.record = hex("17"); }},
      {"behind the end", [](RecordsState& s) { s.theirs.closed = true, s.message = hex("18"); }},
      {"a message", [](RecordsState& s) { s.message_left = 1; }},
      {"a message", [](RecordsState& s) { s.message = hex("1400000c"), s.message_left = 12; }},
      {"a message", [](RecordsState& s) { s.message = hex("18000001"); }},
      {"a message", [](RecordsState& s) { s.message = hex("1800000100"), s.message_left = 1; }},
      {"a message", [](RecordsState& s) { s.message = hex("180000010000"); }},
      {"a message", [](RecordsState& s) { s.message = hex("1800000100"), s.message_left = 9; }},
  };
  for (const auto& [what, change] : changes) {
    auto state = ends_.server;
    change(state);
    const auto resumed = resume(std::move(state), {});
    ASSERT_FALSE(resumed) << what;
    EXPECT_EQ(resumed.error().code, Errc::ipc_protocol);
    EXPECT_THAT(resumed.error().message, HasSubstr(what));
  }
}

TEST_P(Records, ChangedBitsAreNoticed) {
  auto c = connect();
  c.client.say("some money");
  for (std::size_t bit = 0; bit < 8 * c.client.unsent.size(); ++bit) {
    auto d = connect();
    Bytes changed = c.client.unsent;
    changed[bit / 8] ^= static_cast<std::byte>(1 << bit % 8);
    d.server.take(changed);
    EXPECT_EQ(d.server.heard(), "") << "bit " << bit;
    if (bit / 8 == 3 || bit / 8 == 4) continue;  // the length: more may be waited for
    EXPECT_NE(d.server.error, "") << "bit " << bit;
    EXPECT_FALSE(d.server.layer->established());
  }
}

TEST_P(Records, AreTakenOnceAndInTheirOrder) {
  Forger client(ends_.client);
  const auto one = client.record(kData, "one"), two = client.record(kData, "two");
  for (const auto& records : {std::vector{one, one}, {two}, {one, two, one}, {two, one}}) {
    End server{must(resume(ends_.server, {}))};
    for (const auto& record : records) server.take(record);
    EXPECT_EQ(server.error, "broken TLS: bad record mac");
    EXPECT_TRUE("onetwo"sv.starts_with(server.heard()));
  }
}

TEST_P(Records, ThatAreEmptyAreTaken) {
  Forger client(ends_.client);
  End server{must(resume(ends_.server, {}))};
  for (int i = 0; i < 100; ++i) {
    for (int j = 0; j < 32; ++j) server.take(client.record(kData, ""));
    server.take(client.record(kData, "x"));
  }
  EXPECT_EQ(server.heard(), std::string(100, 'x')) << server.error;
}

TEST_P(BrokenRules, TooManyEmptyRecords) {
  Forger client(ends_.client);
  Bytes records;
  for (int i = 0; i < 33; ++i) ByteWriter(records).raw(client.record(kData, ""));
  expect_refusal(records, "too many empty records", "unexpected_message");
}

TEST_P(BrokenRules, DataThatAreTooLong) {
  EXPECT_EQ(outcome(Forger(ends_.client).record(kData, std::string(16384, 'x'))).heard.size(),
            16384u);
  expect_refusal(Forger(ends_.client).record(kData, std::string(16385, 'x')), "data too long",
                 "record overflow");
}

TEST_P(BrokenRules, RecordsThatAreTooLong) {
  const Bytes header = hex(is_13() ? "1703034101" : "1703034801");
  expect_refusal(header, "record too long", "record overflow");
  expect_refusal(hex("170303ffff"), "record too long", "record overflow");
}

TEST_P(BrokenRules, RecordsThatAreTooShort) {
  for (const auto* record :
       {"1703030000", "170303000100", "170303000f000000000000000000000000000000"})
    expect_refusal(hex(record), "record too short", "bad record mac");
}

TEST_P(BrokenRules, RecordsInAnotherKindOfRecord) {
  expect_refusal(hex("0303030001"), "unexpected record", "unexpected_message");
  expect_refusal(hex("1803030001"), "unexpected record", "unexpected_message");
  expect_refusal(as_bytes("SELECT 1"), "unexpected record", "unexpected_message");
}

TEST_P(BrokenRules, AChangeOfCiphersBehindTheHandshake) {
  expect_refusal(Forger(ends_.client).record(kCcs, "\1"), "unexpected record",
                 "unexpected_message");
}

TEST_P(BrokenRules, AlertsThatAreNone) {
  for (const auto& alert : {""s, "\2"s, "\1\0\0"s, std::string(4, '\0')})
    expect_refusal(Forger(ends_.client).record(kAlert, alert), "invalid alert", "decode error");
}

TEST_P(BrokenRules, TooManyWarnings) {
  Forger client(ends_.client);
  Bytes records;
  for (int i = 0; i < 33; ++i) ByteWriter(records).raw(client.record(kAlert, "\1\x5a"));
  expect_refusal(records, "too many empty records", "unexpected_message");
}

TEST_P(BrokenRules, AnEmptyHandshakeRecord) {
  expect_refusal(Forger(ends_.client).record(kHandshake, ""), "empty handshake record",
                 "unexpected_message");
}

TEST_P(BrokenRules, MessagesOfAHandshake) {
  for (const char type : {1, 2, 4, 8, 11, 13, 15, 20, 67}) {
    if (type == 1 && !is_13()) continue;
    const auto got =
        outcome(Forger(ends_.client).record(kHandshake, std::string({type, 0, 0, 2, 0, 0})));
    EXPECT_EQ(got.error, "broken TLS: unexpected message") << int{type};
    EXPECT_EQ(got.told, "peer sent alert: unexpected_message") << int{type};
  }
}

TEST_P(BrokenRules, AFatalAlertEndsTheConnectionWithoutAnother) {
  const auto got = outcome(Forger(ends_.client).record(kAlert, "\2\x28"));
  EXPECT_EQ(got.error, "peer sent alert: handshake failure");
  EXPECT_EQ(got.told, "");
}

TEST_P(BrokenRules, NothingIsSaidBehindOurClose) {
  auto c = connect();
  c.server.close();
  c.server.unsent.clear();
  c.server.take(Forger(ends_.client).record(kCcs, "\1"));
  EXPECT_NE(c.server.error, "");
  EXPECT_TRUE(c.server.unsent.empty());
}

TEST_P(BrokenRules13, APlainAlert) {
  expect_refusal(hex("15030300020228"), "unexpected record", "unexpected_message");
}

TEST_P(BrokenRules13, ARecordWithoutAType) {
  expect_refusal(Forger(ends_.client).sealed(kData, Bytes(100)), "record without a type",
                 "unexpected_message");
  expect_refusal(Forger(ends_.client).sealed(kData, {}), "record without a type",
                 "unexpected_message");
  expect_refusal(Forger(ends_.client).record(0x80, "abc"), "unexpected record",
                 "unexpected_message");
}

TEST_P(BrokenRules13, PaddingIsTakenOffUpToTheLimit) {
  EXPECT_EQ(outcome(Forger(ends_.client).record(kData, "abc", 16381)).heard, "abc");
  EXPECT_EQ(outcome(Forger(ends_.client).record(kData, "a\0\0"sv, 5)).heard, "a\0\0"sv);
  expect_refusal(Forger(ends_.client).record(kData, "abc", 16382), "data too long",
                 "record overflow");
}

TEST_P(BrokenRules13, KeyUpdatesThatAreNone) {
  Forger client(ends_.client);
  expect_refusal(Forger(ends_.client).record(kHandshake, "\x18\0\0\1\2"sv), "invalid key update",
                 "illegal parameter");
  expect_refusal(Forger(ends_.client).record(kHandshake, "\x18\0\0\2\0\0"sv), "invalid key update",
                 "decode error");
  expect_refusal(Forger(ends_.client).record(kHandshake, "\x18\0\0\0"sv), "invalid key update",
                 "decode error");
  expect_refusal(Forger(ends_.client).record(kHandshake, "\x18\0\0\1\0\x18"sv),
                 "key update not at the end of a record", "unexpected_message");
}

TEST_P(BrokenRules13, OldKeysBehindAKeyUpdate) {
  Forger client(ends_.client);
  Bytes records = client.record(kHandshake, "\x18\0\0\1\0"sv);
  ByteWriter(records).raw(client.record(kData, "x"));
  expect_refusal(records, "bad record mac", "bad record mac");
}

TEST_P(BrokenRules13, ARecordInsideAMessage) {
  for (const int type : {kData, kAlert}) {
    Forger client(ends_.client);
    Bytes records = client.record(kHandshake, "\x18\0\0"sv);
    ByteWriter(records).raw(client.record(type, "\1\0"sv));
    expect_refusal(records, "a record inside a handshake message", "unexpected_message");
  }
}

TEST_P(BrokenRules13, ASplitKeyUpdateIsTaken) {
  for (std::size_t cut = 1; cut < 5; ++cut) {
    const std::string_view message("\x18\0\0\1\1", 5);
    Forger client(ends_.client);
    auto c = connect();
    c.server.take(client.record(kHandshake, message.substr(0, cut)));
    c.server.layer = must(resume(must(c.server.layer->leave()), {}));
    c.server.take(client.record(kHandshake, message.substr(cut)));
    client.next_key();
    c.server.take(client.record(kData, "new key"));
    EXPECT_EQ(c.server.heard(), "new key") << c.server.error;
    c.server.say("here too");
    c.client.take(c.server.unsent);
    EXPECT_EQ(c.client.heard(), "here too") << c.client.error;
    EXPECT_EQ(must(c.server.layer->leave()).ours.records, 1u);
  }
}

TEST_P(BrokenRules13, ManyRequestsForNewKeysGetOneAnswer) {
  Forger client(ends_.client);
  Bytes records;
  for (int i = 0; i < 1000; ++i) {
    ByteWriter(records).raw(client.record(kHandshake, "\x18\0\0\1\1"sv));
    client.next_key();
  }
  auto c = connect();
  c.server.take(records);
  EXPECT_EQ(c.server.error, "");
  EXPECT_EQ(c.server.unsent.size(), 5u + 5 + 1 + 16);
}

TEST_P(BrokenRules13, RequestsForNewKeysBehindOurCloseGetNoAnswer) {
  auto c = connect();
  c.server.close();
  c.server.unsent.clear();
  c.server.take(Forger(ends_.client).record(kHandshake, "\x18\0\0\1\1"sv));
  EXPECT_EQ(c.server.error, "");
  EXPECT_TRUE(c.server.unsent.empty());
}

TEST_P(BrokenRules13, TicketsAreForClientsAndAreDropped) {
  const std::string ticket = "\4\0\2\0"s + std::string(512, 't');
  expect_refusal(Forger(ends_.client).record(kHandshake, ticket), "unexpected message",
                 "unexpected_message");
  for (const std::size_t cut : {1, 3, 4, 5, 6, 300, 515}) {
    Forger server(ends_.server);
    auto c = connect();
    c.client.take(server.record(kHandshake, ticket + ticket.substr(0, cut)));
    c.client.layer = must(resume(must(c.client.layer->leave()), {}));
    c.client.take(server.record(kHandshake, ticket.substr(cut)));
    c.client.take(server.record(kData, "data"));
    EXPECT_EQ(c.client.heard(), "data") << c.client.error;
  }
  const auto got =
      outcome_at(&Connection::client, Forger(ends_.server).record(kHandshake, "\4\xff\xff\xff"sv));
  EXPECT_EQ(got.error, "broken TLS: session ticket too long");
}

TEST_P(BrokenRules13, UserCanceledIsNoEndByItself) {
  Forger client(ends_.client);
  auto c = connect();
  c.server.take(client.record(kAlert, "\1\x5a"));
  EXPECT_EQ(c.server.error, "");
  c.server.take(client.record(kAlert, "\1\0"sv));
  EXPECT_TRUE(c.server.layer->peer_closed());
  const auto other = outcome(Forger(ends_.client).record(kAlert, "\1\x64"));
  EXPECT_EQ(other.error, "peer sent alert: no renegotiation") << "whatever its level";
}

TEST_P(BrokenRules12, AnotherVersionInTheHeader) {
  auto record = Forger(ends_.client).record(kData, "x");
  record[2] = std::byte{1};
  expect_refusal(record, "wrong version number", "protocol version");
}

TEST_P(BrokenRules12, RenegotiationIsRefusedAndTheConnectionGoesOn) {
  Forger client(ends_.client), server(ends_.server);
  const std::string hello = "\1\0\1\0"s + std::string(256, 'h');
  for (int i = 0; i < 2; ++i) {
    auto c = connect();
    End& end = i == 0 ? c.server : c.client;
    end.take(i == 0 ? client.record(kHandshake, hello) : server.record(kHandshake, "\0\0\0\0"sv));
    EXPECT_EQ(end.error, "");
    EXPECT_LT(end.unsent.size(), 40u);
    end.take(i == 0 ? client.record(kData, "on") : server.record(kData, "on"));
    EXPECT_EQ(end.heard(), "on");
    (i == 0 ? c.client : c.server).take(end.unsent);
    EXPECT_EQ(c.errors(), "client: , server: ") << "a warning";
  }
}

TEST_P(BrokenRules12, TooManyRenegotiations) {
  Forger server(ends_.server);
  const auto got =
      outcome_at(&Connection::client, server.record(kHandshake, std::string(33 * 4, '\0')));
  EXPECT_EQ(got.error, "broken TLS: too many empty records");
  const auto lies =
      outcome_at(&Connection::client, Forger(ends_.server).record(kHandshake, "\0\0\0\1"sv));
  EXPECT_EQ(lies.error, "broken TLS: renegotiation with too much to say");
}

/// RFC 8446, 5.5. Nobody can make 2^23 records in a test; a state says that it was done.
TEST(RecordKeys, OfGcmAreChangedBeforeTheyAreWornOut) {
  for (const auto& kind : kKinds13) {
    auto ends = Ends::made(kind.version, kind.aead);
    ends.client.ours.records = ends.server.theirs.records = kRecordsPerKey - 1;
    Connection c(must(resume(ends.client, {})), must(resume(ends.server, {})));
    for (const auto* word : {"one ", "two ", "three"}) c.client.say(word);
    c.carry();
    EXPECT_EQ(c.server.heard(), "one two three") << c.errors();
    const bool changes = kind.aead != Aead::chacha20_poly1305;
    const auto client = must(c.client.layer->leave()), server = must(c.server.layer->leave());
    EXPECT_EQ(client.ours.records, changes ? 2 : kRecordsPerKey + 2);
    EXPECT_EQ(client.ours, server.theirs);
    EXPECT_EQ(client.ours.secret == ends.client.ours.secret, !changes);
    EXPECT_EQ(client.theirs, ends.client.theirs);
  }
}

TEST(RecordKeys, EndWithTheLastNumber) {
  auto ends = Ends::made(Version::tls_1_2, Aead::aes_128_gcm);
  ends.client.ours.records = (uint64_t{1} << 62) - 1;
  End client{must(resume(ends.client, {}))};
  client.say("last");
  EXPECT_EQ(client.error, "");
  client.say("none");
  EXPECT_EQ(client.error, "TLS records can't be made");
  EXPECT_FALSE(client.layer->established());
}

TEST(RecordLayer, IsSmall) {
  // With strings for a certificate's names, and what the allocator adds, under 1.5 KiB.
  EXPECT_LE(sizeof(RecordLayer) + sizeof(OpensslLayer), 800u);
}

}  // namespace
}  // namespace sluice::tls
