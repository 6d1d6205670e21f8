// From the accepted connection to the server's greeting.
#include <fmt/format.h>

#include "common/mysql/packets.h"
#include "common/proxy_protocol/header.h"
#include "worker/auth/identity.h"
#include "worker/session/steps.h"
#include "worker/split/split.h"

namespace sluice::worker {
namespace {

int64_t login_deadline_ns(const SessionState& s, const Surroundings& w) {
  return s.accepted_ns + int64_t{w.service.login_timeout_ms} * kMillisecondNs;
}

/// The client's address is known: a server is chosen, now or when there is something to choose
/// from.
void arrive(SessionState& s, const Surroundings& w, Actions& out) {
  s.phase = Phase::waiting;
  s.deadline_ns = login_deadline_ns(s, w);
  if (w.known) choose_server(s, w, out);
}

void try_next(SessionState& s, const Surroundings& w, std::string why, Actions& out) {
  out.log(fmt::format("server {} failed the connection: {}", s.home.server, why));
  out.close(Side::server);
  s.login->tried.push_back(std::exchange(s.home.server, {}));
  s.login->last_failure = std::move(why);
  s.login->from_server.clear();
  choose_server(s, w, out);
}

/// What tells a server with `proxy_protocol` who the client is. One on this host is judged by the
/// address that this host connects from: the server sees that by itself.
Bytes proxy_header(const SessionState& s, const config::Service& service,
                   const cluster::Address& to) {
  namespace pp = proxy_protocol;
  if (!judged_by_own_address(service, s.client_ip)) return pp::encode_local();
  if (s.client_ip.empty()) return pp::encode_unix();
  return pp::encode_tcp({s.client_ip, s.client_port}, {to.ip, to.port})
      .value_or(pp::encode_local());
}

void connect_home(SessionState& s, const Surroundings& w, Actions& out) {
  s.phase = Phase::connecting;
  s.deadline_ns = connect_deadline_ns(s.home, w);
  connect(s, w, Side::server, out);
}

/// The server's greeting goes to the client as it is, less what sluice can't carry.
void greet(SessionState& s, const Surroundings& w, const PacketView& packet, Actions& out) {
  auto greeting = mysql::parse_greeting(packet.payload);
  if (!greeting)
    return try_next(s, w, fmt::format("malformed greeting ({})", greeting.error().field), out);
  const auto* server = w.server(s.home.server);
  if (server && server->tls.mode == config::TlsMode::required &&
      !(greeting->capabilities & mysql::kSsl))
    return try_next(s, w, "does not offer TLS, which is required", out);
  auto& login = *s.login;
  login.server_capabilities = greeting->capabilities;
  login.scramble.assign(greeting->scramble.begin(), greeting->scramble.end());
  login.server_sequence = packet.sequence;
  login.client_sequence = 1;
  greeting->capabilities &= ~not_offered(w);
  if (w.service.tls.mode != config::TlsMode::off) greeting->capabilities |= mysql::kSsl;
  if (w.service.compression) greeting->capabilities |= mysql::kCompress;
  s.conversation.capabilities = greeting->capabilities;  // what was offered
  s.home.connection_id = s.told_id = greeting->connection_id;
  s.told_server = s.home.server;
  Bytes bytes;
  mysql::append_packet(bytes, 0, mysql::encode_greeting(*greeting));
  out.send_made(Side::client, std::move(bytes));
  s.phase = Phase::greeted;
  s.deadline_ns = login_deadline_ns(s, w);
}

/// MariaDB reads a PROXY header when it has greeted, and may know no account for the address in it
/// (sql/net_serv.cc handle_proxy_header()).
bool begins_error(ByteSpan bytes) {
  return bytes.size() > mysql::kHeaderSize && bytes[mysql::kHeaderSize] == std::byte{0xFF};
}

}  // namespace

int64_t connect_deadline_ns(const ServerLeg& leg, const Surroundings& w) {
  const auto* server = w.server(leg.server);
  return w.now_ns + int64_t{server ? server->connect_timeout_ms : 3000} * kMillisecondNs;
}

void connect(const SessionState& s, const Surroundings& w, Side side, Actions& out) {
  const auto& name = leg(s, side).server;
  out.connect(side, name);
  const auto* server = w.server(name);
  if (server == nullptr || !server->proxy_protocol) return;
  for (const auto& view : w.servers)
    if (view.state->name == name && !view.state->addresses.empty())
      out.send_made(side, proxy_header(s, w.service, view.state->addresses.front()));
}

const config::Server* Surroundings::server(std::string_view name) const {
  for (const auto& server : configured)
    if (server.name == name) return &server;
  return nullptr;
}

const cluster::ServerState* Surroundings::state(std::string_view name) const {
  const auto found = std::ranges::find(states, name, &cluster::ServerState::name);
  return found == states.end() ? nullptr : &*found;
}

std::optional<PacketView> first_packet(ByteSpan bytes) {
  ByteReader in(bytes);
  const auto length = in.fixed<uint32_t>("length", 3);
  const auto sequence = in.fixed<uint8_t>("sequence");
  if (!length || !sequence) return std::nullopt;
  const auto payload = in.bytes(*length, "payload");
  if (!payload) return std::nullopt;
  return PacketView{*sequence, *payload, mysql::kHeaderSize + *length};
}

void on_accepted(SessionState& s, const Surroundings& w, Actions& out) {
  s.login = std::make_unique<Login>();
  s.accepted_ns = s.active_ns = w.now_ns;
  if (!w.announced_from.contain(s.client_ip)) return arrive(s, w, out);
  s.phase = Phase::announced;
  s.deadline_ns = login_deadline_ns(s, w);
}

void on_limit(SessionState& s, const Surroundings& w, Actions& out) {
  refuse(s, w,
         {mysql::kTooManyConnections, "08004",
          fmt::format("Too many connections (sluice: service {} allows {})", w.service.name,
                      w.service.max_connections)},
         out);
}

void header_bytes(SessionState& s, const Surroundings& w, ByteSpan bytes, Actions& out) {
  auto& buffered = s.login->from_client;
  buffered.insert(buffered.end(), bytes.begin(), bytes.end());
  const auto header = proxy_protocol::parse(buffered);
  if (!header) {
    out.warn(fmt::format("no PROXY header from a trusted address: {}", header.error().field));
    return over(s, out);
  }
  if (!*header) return;
  const auto& found = **header;
  if (found.size != buffered.size()) {  // the server speaks first: nothing can follow yet
    out.warn("bytes behind the PROXY header");
    return over(s, out);
  }
  if (!found.local) {
    s.client_ip = found.source.ip;
    s.client_port = found.source.port;
  }
  release(buffered);
  arrive(s, w, out);
}

void header_late(SessionState& s, const Surroundings&, Actions& out) {
  out.warn("no PROXY header came from a trusted address");
  over(s, out);
}

void choose_server(SessionState& s, const Surroundings& w, Actions& out) {
  const auto route = w.router.route(w.service, w.servers, s.login->tried);
  if (!route) {
    if (s.end) return refuse(s, w, std::move(*std::exchange(s.end, nullptr)), out);
    auto why = "sluice: " + route.error().message;
    if (!s.login->last_failure.empty()) why += " (" + s.login->last_failure + ")";
    return refuse(s, w, {mysql::kCantConnect, "08S01", std::move(why)}, out);
  }
  s.home.server = route->server;
  connect_home(s, w, out);
}

void on_connected(SessionState& s, std::string outgoing_ip) {
  s.outgoing_ip = std::move(outgoing_ip);
}

void on_connect_failed(SessionState& s, const Surroundings& w, Side side, std::string why,
                       Actions& out) {
  if (s.split && s.phase >= Phase::relaying)
    return split::on_leg_failed(s, w, side, std::move(why), out);
  if (s.phase == Phase::connecting) try_next(s, w, std::move(why), out);
}

void greeting_bytes(SessionState& s, const Surroundings& w, ByteSpan bytes, Actions& out) {
  auto& buffered = s.login->from_server;
  buffered.insert(buffered.end(), bytes.begin(), bytes.end());
  const auto packet = first_packet(buffered);
  if (!packet) {
    if (buffered.size() > kMaxLoginPacket) try_next(s, w, "greeting too large", out);
    return;
  }
  if (const auto error = mysql::parse_error(packet->payload)) {
    // Its own words (1040 Too many connections, 1129 host blocked) for the client, if no other
    // serves.
    End end{error->number, std::string(error->state.empty() ? "08004" : error->state),
            std::string(error->message)};
    s.end = std::make_unique<End>(std::move(end));
    return try_next(s, w, std::string(error->message), out);
  }
  const auto behind = ByteSpan(buffered).subspan(packet->size);
  if (!behind.empty() && !begins_error(behind))
    return try_next(s, w, "bytes behind the greeting", out);
  s.end.reset();
  const Bytes whole = std::exchange(buffered, {});
  const auto greeting = *first_packet(whole);
  greet(s, w, greeting, out);
  if (whole.size() > greeting.size && s.phase == Phase::greeted)
    bytes_out_of_turn(s, w, ByteSpan(whole).subspan(greeting.size), out);
}

void greeting_cut(SessionState& s, const Surroundings& w, Actions& out) {
  try_next(s, w, "closed the connection before its greeting", out);
}

/// No greeting in time: another server is tried. Where there is none, the same one is asked again
/// as long as the login may take and the monitor calls it up. A server whose queue of connections
/// is full is late, not down: the kernel drops what comes and tries again after 1, 3, 7 s.
void greeting_late(SessionState& s, const Surroundings& w, Actions& out) {
  auto tried = s.login->tried;
  tried.push_back(s.home.server);
  if (connect_deadline_ns(s.home, w) > login_deadline_ns(s, w) ||
      w.router.route(w.service, w.servers, tried))
    return try_next(s, w, "no greeting in time", out);
  out.log(fmt::format("server {} is late with its greeting; connecting again", s.home.server));
  out.close(Side::server);
  s.login->from_server.clear();
  choose_server(s, w, out);
}

void cluster_unknown(SessionState& s, const Surroundings& w, Actions& out) {
  refuse(s, w,
         {mysql::kCantConnect, "08S01",
          fmt::format("sluice: nothing is known about cluster {} yet", w.service.cluster)},
         out);
}

}  // namespace sluice::worker
