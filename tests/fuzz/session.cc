// The session engine between two hostile peers. The input is a list of actions: bytes from a side,
// packets, a close, a deadline, a change of the cluster, an order to end, a move to another
// process, the end of a TLS handshake. Whatever comes in whatever order: the session has always
// something to wait for until it is over, it keeps few bytes, and nothing is said in clear on a leg
// whose TLS is being settled.
#include <fuzzer/FuzzedDataProvider.h>

#include <cstdlib>

#include "common/mysql/packets.h"
#include "common/proxy_protocol/header.h"
#include "tests/worker/auth/players.h"
#include "tests/worker/session/world.h"

namespace {

using namespace sluice;
using namespace sluice::worker;

void must(bool holds) {
  if (!holds) std::abort();
}

const std::vector<std::string> kLoopback{"127.0.0.0/8"};

class Fuzzed {
 public:
  explicit Fuzzed(FuzzedDataProvider& input) : input_(input) {
    state_.service = world_.service.name;
    state_.client_ip = input.ConsumeBool() ? "127.0.0.1" : "10.1.2.3";
    world_.known = input.ConsumeBool();
    world_.service.target = config::Target::any;
    settings();
    if (input.ConsumeBool()) world_.load_accounts({{"app", "%"}, {"split", "10.1.%"}});
    on_connected(state_, "10.9.9.9");
    on_accepted(state_, world_.surroundings(), actions_);
    carry_out();
    if (input.ConsumeBool()) answer_greeting();
  }

  void run() {
    while (state_.phase != Phase::over && input_.remaining_bytes() > 0) act();
    for (int i = 0; i < 20 && state_.phase != Phase::over; ++i) {  // both leave; deadlines pass
      on_closed(state_, world_.surroundings(), i % 2 ? Side::client : Side::server, actions_);
      carry_out();
    }
    must(state_.phase == Phase::over);
  }

 private:
  void settings() {
    constexpr config::TlsMode kModes[] = {config::TlsMode::off, config::TlsMode::preferred,
                                          config::TlsMode::required};
    world_.service.tls.mode = input_.PickValueInArray(kModes);
    if (input_.ConsumeBool()) world_.announced_from = *Networks::from(kLoopback);
    for (auto& server : world_.configured) {
      server.tls.mode = input_.PickValueInArray(kModes);
      server.proxy_protocol = input_.ConsumeBool();
      server.public_key_retrieval = input_.ConsumeBool();
    }
    world_.own_key = input_.ConsumeBool() ? &own_key() : nullptr;
  }

  /// Up to where the server has the client's answer: what is interesting comes after that.
  void answer_greeting() {
    mysql::Greeting greeting;
    greeting.version = "11.4.2-MariaDB";
    greeting.capabilities = ~uint64_t{0} & ~uint64_t{mysql::kLongPassword};
    Bytes out;
    mysql::append_packet(out, 0, mysql::encode_greeting(greeting));
    bytes(Side::server, out);
    carry_out();
    out.clear();
    mysql::append_packet(out, 1, mysql::encode_handshake_response("app"));
    bytes(Side::client, out);
    carry_out();
  }

  void act() {
    const auto w = world_.surroundings();
    const auto side = input_.ConsumeBool() ? Side::client : Side::server;
    switch (input_.ConsumeIntegralInRange(0, 13)) {
      case 0:
        bytes(side, input_.ConsumeBytes<std::byte>(input_.ConsumeIntegralInRange(0, 300)));
        break;
      case 1:
        bytes(side, packet());
        break;
      case 2:
        bytes(side, known_packet());
        break;
      case 3:
        on_closed(state_, w, side, actions_);
        break;
      case 4:
        deadline();
        break;
      case 5:
        view();
        break;
      case 6:
        on_order_to_end(state_, w, {1053, "08S01", "ends"}, world_.now_ns + 1000, actions_);
        break;
      case 7:
        on_connect_failed(state_, w, Side::server, "refused", actions_);
        break;
      case 8:
        on_accounts(state_, w, actions_);
        break;
      case 9:
        world_.load_accounts({{"app", "%"}, {"other", "%"}});
        break;
      case 10:
        flush(side);
        break;
      case 11:
        tls_ends(side);
        break;
      case 12:
        bytes(side, header());
        break;
      default:
        move();
    }
    carry_out();
  }

  /// The handshake of a side is over, one way or another; or what came later was no TLS.
  void tls_ends(Side side) {
    const auto w = world_.surroundings();
    auto& shaking = side == Side::client ? client_shakes_ : server_shakes_;
    const auto& info = side == Side::client ? state_.client_tls : state_.home.tls;
    if (shaking && input_.ConsumeBool())
      on_secured(state_, w, side, {.version = "TLSv1.3"}, actions_);
    else if (shaking || info)
      on_tls_failed(state_, w, side, "no TLS", actions_);
    shaking = false;
  }
  Bytes header() {
    const std::string_view line("PROXY TCP4 10.1.2.3 10.0.0.9 4711 3306\r\n");
    if (input_.ConsumeBool()) return {as_bytes(line).begin(), as_bytes(line).end()};
    return *proxy_protocol::encode_tcp({.ip = "10.1.2.3", .port = 4711}, {"10.0.0.9", 3306});
  }

  /// As a worker's scratch buffer, the bytes live until the actions are carried out.
  void bytes(Side side, Bytes all) {
    scratch_ = std::move(all);
    if (side == Side::client ? client_shakes_ : server_shakes_) return;  // TLS takes them
    if (wants_read(state_, side) && !scratch_.empty())
      on_bytes(state_, world_.surroundings(), side, scratch_, actions_);
  }
  Bytes packet() {
    Bytes out;
    const auto sequence = input_.ConsumeIntegral<uint8_t>();
    mysql::append_packet(out, sequence,
                         input_.ConsumeBytes<std::byte>(input_.ConsumeIntegralInRange(0, 120)));
    return out;
  }
  /// What gets a session further.
  Bytes known_packet() {
    const std::string ok("\0\0\0\2\0\0\0", 7);
    Bytes out;
    mysql::Greeting greeting;
    greeting.version = "5.5.5-10.11.6-MariaDB";
    greeting.capabilities = input_.ConsumeIntegral<uint64_t>();
    switch (input_.ConsumeIntegralInRange(0, 7)) {
      case 0:
        mysql::append_packet(out, 0, mysql::encode_greeting(greeting));
        break;
      case 5: {
        const auto wish = mysql::encode_ssl_request(mysql::encode_handshake_response("app"));
        mysql::append_packet(out, 1, wish);
        break;
      }
      case 6:
        mysql::append_packet(out, input_.ConsumeIntegralInRange<uint8_t>(2, 5),
                             as_bytes(std::string_view("\1\4")));
        break;
      case 7:
        mysql::append_packet(
            out, input_.ConsumeIntegralInRange<uint8_t>(2, 3),
            as_bytes(std::string_view("\xFE"
                                      "caching_sha2_password\0twenty bytes of salt",
                                      43)));
        break;
      case 1:
        mysql::append_packet(out, 1, mysql::encode_handshake_response("app"));
        break;
      case 2:
        mysql::append_packet(out, 2, as_bytes(ok));
        break;
      case 3:
        mysql::append_packet(
            out, 0, as_bytes(std::string_view("\x11split\0\0shop\0and more than a head", 33)));
        break;
      default:
        mysql::append_packet(out, 0, as_bytes("\3SELECT 1"));
        break;
    }
    return out;
  }
  void deadline() {
    if (deadline_of(state_) == 0) return;
    world_.now_ns = std::max(world_.now_ns, deadline_of(state_));
    on_deadline(state_, world_.surroundings(), actions_);
  }
  void view() {
    world_.known = true;
    for (std::size_t i = 0; i < 2; ++i)
      world_.server(i).role = input_.PickValueInArray(
          {cluster::Role::none, cluster::Role::primary, cluster::Role::replica});
    on_view(state_, world_.surroundings(), actions_);
  }
  void flush(Side side) {
    if (unsent(state_, side).empty()) return;
    unsent(state_, side) = {};
    on_sent(state_, side, actions_);
  }
  void move() {
    auto back = ipc::decode<SessionState>(ipc::encode(state_));
    must(back.has_value());
    state_ = std::move(*back);
  }

  void carry_out() {
    for (std::size_t i = 0; i < actions_.list().size(); ++i) {
      const Action action = actions_.list()[i];
      const bool shaking = action.side == Side::client ? client_shakes_ : server_shakes_;
      must(action.kind != Action::Kind::send || !shaking || state_.phase >= Phase::closing);
      if (action.kind == Action::Kind::start_tls)
        (action.side == Side::client ? client_shakes_ : server_shakes_) = true;
      if (action.kind == Action::Kind::send && input_.ConsumeBool()) {  // not all is taken
        auto& waiting = unsent(state_, action.side);
        waiting.insert(waiting.end(), action.bytes.begin(), action.bytes.end());
      }
      if (action.kind == Action::Kind::connect && input_.ConsumeBool())
        on_connect_failed(state_, world_.surroundings(), Side::server, "refused", actions_);
      if (action.kind == Action::Kind::close) {
        unsent(state_, action.side) = {};
        (action.side == Side::client ? client_shakes_ : server_shakes_) = false;
      }
    }
    actions_.clear();
    must(state_.held.size() <= 2 * kMaxLoginPacket && state_.unsent_to_client.size() < 1 << 20);
    if (state_.phase == Phase::over) return;
    must(wants_read(state_, Side::client) || wants_read(state_, Side::server) ||
         deadline_of(state_) != 0 || !state_.unsent_to_client.empty() ||
         !state_.home.unsent.empty());
  }

  FuzzedDataProvider& input_;
  World world_;
  SessionState state_{.id = 1};
  Actions actions_;
  Bytes scratch_;
  bool client_shakes_ = false, server_shakes_ = false;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  FuzzedDataProvider input(data, size);
  Fuzzed(input).run();
  return 0;
}
