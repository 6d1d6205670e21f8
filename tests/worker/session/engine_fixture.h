// What the tests of the engine share: packets, and a session with a world around it.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/base/clock.h"
#include "common/mysql/packets.h"
#include "common/proxy_protocol/header.h"
#include "tests/worker/session/world.h"
#include "worker/session/engine.h"

namespace sluice::worker::engine_tests {

using testing::HasSubstr;
using Kind = Action::Kind;

inline const auto kCantConnect = std::to_string(mysql::kCantConnect) + " ";
inline const std::string kOk("\0\0\0\2\0\0\0", 7);

inline Bytes packet(uint8_t sequence, std::string_view payload) {
  Bytes out;
  mysql::append_packet(out, sequence, as_bytes(payload));
  return out;
}

inline Bytes error_packet(uint8_t sequence, uint16_t number, std::string_view message) {
  return packet(sequence, as_text(mysql::encode_error(number, "HY000", message)));
}

inline Bytes greeting(uint64_t capabilities = ~uint64_t{0} & ~uint64_t{mysql::kLongPassword}) {
  mysql::Greeting g;
  g.version = "5.5.5-10.11.6-MariaDB";
  g.connection_id = 4711;
  g.capabilities = capabilities;
  g.plugin = "mysql_native_password";
  return packet(0, as_text(mysql::encode_greeting(g)));
}

inline Bytes login(std::string_view user = "app", uint64_t extra = 0, uint8_t sequence = 1) {
  Bytes payload;
  ByteWriter w(payload);
  w.fixed<uint32_t>(static_cast<uint32_t>(mysql::kProtocol41 | mysql::kSecureConnection | extra));
  w.fixed<uint32_t>(mysql::kMaxPayload);
  w.byte(45);
  w.zeros(23);
  w.nul_text(user);
  w.byte(0);
  return packet(sequence, as_text(payload));
}

inline const std::vector<std::string> kLoopback{"127.0.0.0/8"};

inline Bytes ssl_request() {
  const auto answer = login("", mysql::kSsl);
  return packet(1, as_text(ByteSpan(answer).subspan(4, 32)));
}

inline Bytes change_user(std::string_view user) {
  Bytes payload;
  ByteWriter w(payload);
  w.byte(0x11);
  w.nul_text(user);
  w.byte(0);
  w.nul_text("shop");
  w.nul_text("padding, so that its head is whole");
  return packet(0, as_text(payload));
}

inline Bytes joined(std::initializer_list<Bytes> parts) {
  Bytes out;
  for (const auto& part : parts) out.insert(out.end(), part.begin(), part.end());
  return out;
}

class EngineTest : public testing::Test {
 protected:
  World world;
  SessionState s{.id = 1, .service = "shop", .client_ip = "127.0.0.1"};
  // What the engine wanted done at the last event.
  Bytes to_client, to_server;
  std::vector<std::string> connects;
  bool closed_client = false, closed_server = false, finished = false, refresh = false;
  bool tls_client = false, tls_server = false, compresses = false;
  std::vector<std::string> resolved;
  std::string logged, warned;

  void note(Actions& actions) {
    to_client.clear(), to_server.clear(), connects.clear(), logged.clear();
    closed_client = closed_server = finished = refresh = tls_client = tls_server = compresses =
        false;
    resolved.clear(), warned.clear();
    for (const auto& a : actions.list()) {
      auto& target = a.side == Side::client ? to_client : to_server;
      switch (a.kind) {
        case Kind::send:
          target.insert(target.end(), a.bytes.begin(), a.bytes.end());
          break;
        case Kind::connect:
          connects.emplace_back(a.text);
          break;
        case Kind::close:
          (a.side == Side::client ? closed_client : closed_server) = true;
          break;
        case Kind::finish_client:
          finished = true;
          break;
        case Kind::start_tls:
          (a.side == Side::client ? tls_client : tls_server) = true;
          break;
        case Kind::refresh_accounts:
          refresh = true;
          break;
        case Kind::resolve:
          resolved.emplace_back(a.text);
          break;
        case Kind::compress:
          compresses = true;
          break;
        case Kind::count:
        case Kind::acquire:
        case Kind::unserved:
        case Kind::unheeded:
        case Kind::seek:
          break;
        case Kind::log:
          logged = a.text;
          break;
        case Kind::warn:
          warned = a.text;
          break;
      }
    }
  }
  template <class Event>
  void event(Event happens) {
    Actions actions;
    happens(actions);
    note(actions);
  }
  void accept() {
    event([&](Actions& out) { on_accepted(s, world.surroundings(), out); });
  }
  void bytes(Side from, const Bytes& all) {
    event([&](Actions& out) { on_bytes(s, world.surroundings(), from, all, out); });
  }
  void client(const Bytes& all) { bytes(Side::client, all); }
  void server(const Bytes& all) { bytes(Side::server, all); }
  void closed(Side side) {
    event([&](Actions& out) { on_closed(s, world.surroundings(), side, out); });
  }
  void late() {
    world.now_ns = deadline_of(s);
    event([&](Actions& out) { on_deadline(s, world.surroundings(), out); });
  }
  void view() {
    event([&](Actions& out) { on_view(s, world.surroundings(), out); });
  }
  /// The load that was asked for is over.
  void accounts() {
    world.accounts_began_ns = world.now_ns;
    event([&](Actions& out) { on_accounts(s, world.surroundings(), out); });
  }
  void failed(std::string why) {
    event([&](Actions& out) {
      on_connect_failed(s, world.surroundings(), Side::server, std::move(why), out);
    });
  }
  void secured(Side side) {
    event([&](Actions& out) {
      on_secured(s, world.surroundings(), side, {.version = "TLSv1.3", .cipher = "C"}, out);
    });
  }
  void tls_failed(Side side) {
    event([&](Actions& out) {
      on_tls_failed(s, world.surroundings(), side, "certificate verify failed", out);
    });
  }
  void order(int64_t deadline_ns = 1'000 * kSecondNs) {
    event([&](Actions& out) {
      on_order_to_end(s, world.surroundings(), {1053, "08S01", "going"}, deadline_ns, out);
    });
  }

  void fail_often() {
    world.failures = std::make_unique<stats::LoginGuardPage>();
    stats::LoginGuard guard(*world.failures);
    for (int i = 0; i < 100; ++i) guard.failed(s.client_ip, "app", world.now_ns);
  }
  /// A new session on its way to the phase, by whatever leads there.
  void reach(Phase phase) {
    world.known = phase != Phase::waiting;
    if (phase == Phase::announced) world.announced_from = *Networks::from(kLoopback);
    if (phase == Phase::securing_client) world.service.tls.mode = config::TlsMode::preferred;
    if (phase == Phase::securing_server) world.configured[0].tls.mode = config::TlsMode::preferred;
    if (phase == Phase::slowed) fail_often();
    accept();
    if (phase >= Phase::greeted) server(greeting());
    if (phase == Phase::securing_client) return client(ssl_request());
    if (phase >= Phase::slowed) client(login());
    if (phase == Phase::refusing) return server(error_packet(2, 1045, "Access denied"));
    if (phase >= Phase::relaying) server(packet(2, kOk));
    if (phase == Phase::ending) client(packet(0, "\3SELECT 1")), order();
    if (phase == Phase::closing) order();
    ASSERT_EQ(s.phase, phase);
  }
  /// A client that needs an account of its own.
  void come_from_elsewhere() {
    s.client_ip = "10.1.2.3";
    on_connected(s, "10.9.9.9");
  }
  /// The server got an answer that it can refuse, and no word of the client.
  bool excused() const {
    const auto absent = mysql::encode_handshake_response("client_left");
    auto words = packet(1, as_text(absent));
    const auto proof = packet(3, "");
    words.insert(words.end(), proof.begin(), proof.end());
    return closed_server && to_server == words;
  }
  /// The error that the client was sent, checked for its number.
  std::string error(uint8_t sequence) {
    if (to_client.size() < 5) return "nothing";
    EXPECT_EQ(static_cast<uint8_t>(to_client[3]), sequence);
    const auto e = mysql::parse_error(ByteSpan(to_client).subspan(4));
    return e ? std::to_string(e->number) + " " + std::string(e->message) : "no error";
  }
};

/// A client of another host, and accounts to judge it by.
class JudgedTest : public EngineTest {
 protected:
  void SetUp() override {
    world.load_accounts({{"app", "%"}, {"other", "%"}, {"split", "10.1.%"}, {"split", "10.9.%"}});
    come_from_elsewhere();
  }
};

}  // namespace sluice::worker::engine_tests
