#include "worker/session/session.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "worker/sessions_table.h"
#include "worker/split/lending.h"
#include "worker/split/split.h"
#include "worker/worker.h"

namespace sluice::worker {
namespace {

void set_option(int fd, int level, int option, int value) {
  ::setsockopt(fd, level, option, &value, sizeof value);  // an optimisation or a safety net at most
}

/// A server that died without a word is noticed while a session is idle, too.
void prepare_tcp(int fd) {
  set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
  set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
  set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, 30);
  set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, 10);
}

struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t size = 0;
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
};

SocketAddress to_socket_address(const cluster::Address& from) {
  SocketAddress out;
  if (!from.path.empty()) {
    auto& un = reinterpret_cast<sockaddr_un&>(out.storage);
    un.sun_family = AF_UNIX;
    from.path.copy(un.sun_path, sizeof un.sun_path - 1);
    out.size = sizeof un;
  } else if (from.ip.find(':') != std::string::npos) {
    auto& in = reinterpret_cast<sockaddr_in6&>(out.storage);
    in.sin6_family = AF_INET6;
    in.sin6_port = htons(from.port);
    ::inet_pton(AF_INET6, from.ip.c_str(), &in.sin6_addr);
    out.size = sizeof in;
  } else {
    auto& in = reinterpret_cast<sockaddr_in&>(out.storage);
    in.sin_family = AF_INET;
    in.sin_port = htons(from.port);
    ::inet_pton(AF_INET, from.ip.c_str(), &in.sin_addr);
    out.size = sizeof in;
  }
  return out;
}

Result<UniqueFd> start_connecting(const cluster::Address& to) {
  const auto address = to_socket_address(to);
  UniqueFd fd(::socket(address.storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd) return fail_errno("socket");
  if (to.path.empty()) prepare_tcp(fd.get());
  if (::connect(fd.get(), address.get(), address.size) != 0 && errno != EINPROGRESS)
    return fail_errno("connect");
  return fd;
}

/// Our own address on a connected socket, as the peer sees it; empty for a Unix socket.
std::string local_ip(int fd) {
  sockaddr_storage own{};
  socklen_t size = sizeof own;
  char text[INET6_ADDRSTRLEN] = "";
  if (::getsockname(fd, reinterpret_cast<sockaddr*>(&own), &size) != 0) return {};
  if (own.ss_family == AF_INET)
    ::inet_ntop(AF_INET, &reinterpret_cast<sockaddr_in&>(own).sin_addr, text, sizeof text);
  if (own.ss_family == AF_INET6)
    ::inet_ntop(AF_INET6, &reinterpret_cast<sockaddr_in6&>(own).sin6_addr, text, sizeof text);
  return text;
}

}  // namespace

Session::Session(Worker& worker, ServiceEntry& service, SessionState state, UniqueFd client)
    : worker_(worker), service_(service), state_(std::move(state)) {
  leg(Side::client).fd = std::move(client);
  stats::add(service_.counters->open);
}

Session::~Session() {
  if (busy_) stats::subtract(worker_.lane().servers[*busy_].busy);
  close(Side::server);
  close(Side::reader);
  stats::subtract(service_.counters->open);
}

Result<> Session::restore() {
  for (const Side side : kSides)
    if (leg(side).fd) SLUICE_TRY(watch(side, 0));
  update_interest();
  return {};
}

/// Before the login more is looked at, and times of other processes are compared with.
const Surroundings& Session::surroundings(bool lost) {
  if (state_.phase < Phase::relaying) worker_.read_exact_clock();
  const bool choosing = lost || may_choose(state_, worker_.now_ns());
  return worker_.surroundings(service_,
                              choosing ? Worker::Servers::with_load : Worker::Servers::none);
}

/// Everything that happens to a session ends in what the engine wants done, and is counted. What it
/// changes for others that share connections with it comes last: this may be deleted then.
template <class Event>
void Session::happen(Event event) {
  auto& worker = worker_;
  auto& service = service_;
  const auto phase = state_.phase;
  const auto commands = state_.conversation.commands;
  event();
  count_busy();
  auto& counters = *service_.counters;
  const auto new_commands = state_.conversation.commands - commands;
  stats::add(counters.commands, new_commands);
  if (phase != state_.phase) {
    const bool changed_user = new_commands > 0;
    if (phase == Phase::proving && state_.phase == Phase::relaying && !changed_user) {
      stats::add(counters.logins);
      if (service.pool) service.pool->came(state_.home.server, {state_.id, Side::server});
    }
    if (phase < Phase::relaying && state_.phase == Phase::closing) stats::add(counters.refused);
  }
  carry_out();
  if (service.pool) worker.serve_pool(service);
}

void Session::count_busy() {
  const bool runs = state_.split && split::runs_on_reader(state_);
  if (runs == busy_.has_value()) return;
  if (!busy_) {
    busy_ = leg(Side::reader).row;
    return stats::add(worker_.lane().servers[*busy_].busy);
  }
  stats::subtract(worker_.lane().servers[*busy_].busy);
  busy_.reset();
}

void Session::accepted(bool over_limit) {
  happen([&] { (over_limit ? on_limit : on_accepted)(state_, surroundings(), worker_.actions()); });
}

void Session::view_changed() {
  if (frozen_) return;
  happen([&] {
    on_view(state_, worker_.surroundings(service_, Worker::Servers::with_load), worker_.actions());
  });
}

void Session::accounts_changed() {
  if (frozen_) return;
  happen([&] { on_accounts(state_, surroundings(), worker_.actions()); });
}

void Session::deadline_passed() {
  if (frozen_) return;
  happen([&] {
    auto w = surroundings();
    const auto use = service_.pool && state_.split ? worker_.pool_use(service_, state_.home.server)
                                                   : std::string();
    w.pool_use = use;
    on_deadline(state_, w, worker_.actions());
  });
}

void Session::granted(Side side) {
  happen([&] {
    split::on_granted(state_, worker_.surroundings(service_, Worker::Servers::with_load), side,
                      worker_.actions());
  });
}

void Session::none_lent(Side side) {
  happen([&] { split::on_none_lent(state_, surroundings(), side, worker_.actions()); });
}

void Session::prepare_to_lend() {
  happen([&] { split::prepare_to_lend(state_, worker_.actions()); });
}

bool Session::is_silent(Side side) const {
  std::byte unasked{};
  return ::recv(leg(side).fd.get(), &unasked, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && errno == EAGAIN;
}

Session::Loan Session::lend(Side side) {
  auto& own = leg(side);
  own.watch.stop();
  Loan loan{split::lend(state_, side), std::move(own.fd), std::move(own.tls), own.row};
  own.fresh = false;
  update_interest();
  return loan;
}

/// Goodbye is said, so that the server does not count the connection as one that broke.
void Session::give_up(Side side) {
  constexpr std::array kQuit = {std::byte{1}, std::byte{0}, std::byte{0}, std::byte{0},
                                static_cast<std::byte>(mysql::Command::quit)};
  send(side, kQuit);
  disconnect(side);
  split::lend(state_, side);
  update_interest();
}

void Session::take(Side side, Loan loan) {
  happen([&] {
    auto& own = leg(side);
    own.fd = std::move(loan.fd);
    own.tls = std::move(loan.tls);
    own.row = loan.row;
    split::on_lent(state_, surroundings(), side, std::move(loan.leg), worker_.actions());
    if (auto ok = watch(side, event::kRead); !ok)
      on_connect_failed(state_, surroundings(), side, ok.error().message, worker_.actions());
  });
}

void Session::order_to_end(const End& end, int64_t deadline_ns) {
  if (frozen_ && !worker_.take_back(*this)) return;
  happen([&] { on_order_to_end(state_, surroundings(), end, deadline_ns, worker_.actions()); });
}

/// A replica or a primary may have to be called now.
void Session::sought(uint32_t round, const split::OnReplica& victim) {
  happen([&] {
    split::on_sought(state_, worker_.surroundings(service_, Worker::Servers::with_load), round,
                     victim, worker_.actions());
  });
}

void Session::said_killed() {
  if (frozen_ && !worker_.take_back(*this)) return;
  happen([&] {
    split::on_said_killed(state_, worker_.surroundings(service_, Worker::Servers::with_load),
                          worker_.actions());
  });
}

uint32_t Session::hold_home() {
  if (frozen_ && !worker_.take_back(*this)) return 0;
  uint32_t id = 0;
  happen([&] {
    id = split::hold_home(state_, worker_.surroundings(service_, Worker::Servers::with_load),
                          worker_.actions());
  });
  return id;
}

void Session::on_ready(Side side, event::Bits what) {
  worker_.read_clock();
  happen([&] {
    if (what & event::kWrite) flush(side);
    if ((what & event::kRead) && leg(side).fd) read(side);
  });
}

inline void Session::take(Side side, ByteSpan bytes) {
  if (side == Side::client && state_.frames) return take_frames(bytes);
  on_bytes(state_, surroundings(), side, bytes, worker_.actions());
}

void Session::read(Side side) {
  const auto scratch = worker_.scratch();
  const auto limit = read_limit(state_, side, scratch.size());
  const ssize_t n = ::recv(leg(side).fd.get(), scratch.data(), limit, 0);
  const int error = n < 0 ? errno : 0;
  if (error == EAGAIN) return;
  if (error == EINTR) return leg(side).watch.left_unread();
  if (n <= 0) {
    if (leg(side).fresh && n < 0)
      on_connect_failed(state_, surroundings(true), side, std::strerror(error), worker_.actions());
    else
      on_closed(state_, surroundings(true), side, worker_.actions());
    return;
  }
  if (static_cast<std::size_t>(n) == limit) leg(side).watch.left_unread();
  if (std::exchange(leg(side).fresh, false) && service_.needs_outgoing_address(state_)) {
    auto ip = local_ip(leg(side).fd.get());
    // It was of no use before, under another configuration: then it is empty.
    if (state_.phase < Phase::relaying || state_.outgoing_ip.empty())
      on_connected(state_, std::move(ip));
    else if (ip != state_.outgoing_ip)  // the account was judged for that one
      return on_connect_failed(state_, surroundings(), side, "it sees sluice at another address",
                               worker_.actions());
  }
  auto& counters = *service_.counters;
  stats::add(side == Side::client ? counters.bytes_in : counters.bytes_out,
             static_cast<uint64_t>(n));
  const auto bytes = scratch.first(static_cast<std::size_t>(n));
  if (leg(side).tls) return take_records(side, bytes);
  const bool secret = is_logging_in();
  take(side, bytes);
  if (secret && is_logging_in()) ::explicit_bzero(bytes.data(), bytes.size());
}

void Session::take_records(Side side, ByteSpan bytes) {
  auto& tls = *leg(side).tls;
  auto& [plain, cipher] = worker_.tls_buffers();
  const bool was_established = tls.established();
  const auto taken = tls.receive(bytes, plain, cipher);
  write(side, cipher);
  if (!was_established && tls.established())
    on_secured(state_, surroundings(), side, tls.info(), worker_.actions());
  const bool secret = is_logging_in();
  if (!plain.empty()) take(side, plain);
  if (secret && is_logging_in()) wipe(plain);
  if (!taken)
    on_tls_failed(state_, surroundings(), side, taken.error().message, worker_.actions());
  else if (tls.peer_closed())
    on_closed(state_, surroundings(true), side, worker_.actions());
}

void Session::take_frames(ByteSpan bytes) {
  auto& plain = worker_.opened();
  const auto opened = worker_.zlib().open(*state_.frames, bytes, plain);
  mysql::number_packets(*state_.frames, plain, number_due(state_));
  const bool secret = is_logging_in();
  if (!plain.empty()) on_bytes(state_, surroundings(), Side::client, plain, worker_.actions());
  if (secret && is_logging_in()) wipe(plain);
  if (!opened) on_frames_failed(state_, opened.error().message, worker_.actions());
}

void Session::flush(Side side) {
  auto& bytes = unsent(state_, side);
  if (bytes.empty()) return;
  const ssize_t n = ::send(leg(side).fd.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
  if (n < 0) {
    // A peer that is gone may have said why: that, and its end, come by reading from it.
    if (errno != EAGAIN && errno != EINTR) release(bytes);
    return;
  }
  bytes.erase(bytes.begin(), bytes.begin() + n);
  if (!bytes.empty()) return;
  release(bytes);  // an idle session owns no buffer
  on_sent(state_, side, worker_.actions());
}

void Session::carry_out() {
  // Carrying out one thing can bring the next (a connect that fails at once), so by index.
  auto& actions = worker_.actions();
  const Actions::InUse use(actions);
  for (std::size_t i = 0; i < actions.list().size(); ++i) carry_out(Action(actions.list()[i]));
  actions.clear();
  if (state_.phase == Phase::over) return worker_.forget(*this);
  update_interest();
  if (!has_deadline_ && deadline_of(state_) != 0) worker_.watch_deadline(*this);
}

void Session::carry_out(const Action& action) {
  switch (action.kind) {
    case Action::Kind::send:
      return send(action.side, action.bytes);
    case Action::Kind::connect:
      return connect(action.side, action.text);
    case Action::Kind::close:
      return close(action.side);
    case Action::Kind::acquire:
      return service_.pool->wants(
          action.side == Side::server ? state_.home.server : state_.split->reader.server,
          {state_.id, action.side});
    case Action::Kind::unserved:
      return stats::add(service_.counters->pool.refused);
    case Action::Kind::finish_client:
      return finish_client();
    case Action::Kind::start_tls:
      return start_tls(action.side);
    case Action::Kind::compress:
      state_.frames = std::make_unique<mysql::Frames>();
      return;
    case Action::Kind::refresh_accounts:
      return worker_.refresh_accounts(*service_.cluster);
    case Action::Kind::resolve:
      return worker_.resolve(action.text);
    case Action::Kind::seek:
      return worker_.seek(state_.id);
    case Action::Kind::count:
      return stats::add(service_.counters->routes[static_cast<std::size_t>(action.route)]);
    case Action::Kind::unheeded:
      return stats::add(service_.counters->hints_unheeded);
    case Action::Kind::log:
      return log(log::Level::info, action.text);
    case Action::Kind::warn:
      return log(log::Level::warning, action.text);
  }
}

void Session::compress(ByteSpan bytes, Bytes& frames) {
  auto& at = *state_.frames;
  // An error where no answer is due is taken for the first packet of the next one.
  constexpr std::byte kFirst{1};
  if (state_.phase == Phase::closing && bytes.size() > 3 && bytes[3] == kFirst) at.next = 1;
  worker_.zlib().make(at, bytes, frames);
}

void Session::send(Side side, ByteSpan bytes) {
  if (side == Side::client && state_.frames && !bytes.empty()) {
    auto& frames = worker_.frames();
    compress(bytes, frames);
    bytes = frames;
  }
  auto& tls = leg(side).tls;
  if (!tls) return write(side, bytes);
  auto& cipher = worker_.records();
  if (tls->send(bytes, cipher)) write(side, cipher);  // else it has failed, and reading says so
}

void Session::write(Side side, ByteSpan bytes) {
  if (!leg(side).fd || bytes.empty()) return;
  auto& waiting = unsent(state_, side);
  if (waiting.empty()) {
    const ssize_t n = ::send(leg(side).fd.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n > 0) bytes = bytes.subspan(static_cast<std::size_t>(n));
    if (n < 0 && errno != EAGAIN && errno != EINTR)
      return;  // the peer is gone: reading from it says so, in its turn
    if (bytes.empty()) return;
  }
  waiting.insert(waiting.end(), bytes.begin(), bytes.end());
}

void Session::connect(Side side, std::string_view server) {
  auto& cluster = *service_.cluster;
  const auto* state = cluster.state ? cluster.state->server(server) : nullptr;
  std::string why = "its address is not known";
  if (state != nullptr) {
    for (const auto& address : state->addresses) {
      auto connecting = start_connecting(address);
      if (!connecting) {
        why = connecting.error().message;
        continue;
      }
      disconnect(side);
      auto& to = leg(side);
      to.fd = std::move(*connecting);
      to.row = cluster.server_row(server);
      stats::add(worker_.lane().servers[to.row].open);
      stats::add(worker_.lane().servers[to.row].connected);
      to.fresh = true;
      if (watch(side, event::kRead)) return;
      why = "no memory";
    }
  }
  on_connect_failed(state_, surroundings(), side, why, worker_.actions());
}

Result<> Session::watch(Side side, event::Bits what) {
  constexpr auto kNews = event::Trigger::news;
  auto& one = leg(side);
  const int fd = one.fd.get();
  switch (side) {
    case Side::client:
      return one.watch.start<&Session::on_client>(worker_.loop(), fd, what, this, kNews);
    case Side::server:
      return one.watch.start<&Session::on_server>(worker_.loop(), fd, what, this, kNews);
    case Side::reader:
      return one.watch.start<&Session::on_reader>(worker_.loop(), fd, what, this, kNews);
  }
  return {};
}

/// A client begins its handshake by receiving nothing.
void Session::start_tls(Side side) {
  auto layer = side == Side::client
                   ? service_.tls->start()
                   : service_.cluster->start_tls(
                         side == Side::server ? state_.home.server : state_.split->reader.server);
  if (!layer)
    return on_tls_failed(state_, surroundings(), side, layer.error().message, worker_.actions());
  leg(side).tls = std::move(*layer);
  if (side != Side::client) take_records(side, {});
}

void Session::close(Side side) {
  if (service_.pool && side != Side::client) service_.pool->left({state_.id, side});
  disconnect(side);
}

void Session::disconnect(Side side) {
  auto& closing = leg(side);
  if (!closing.fd) return;
  if (closing.tls && closing.tls->established()) {
    auto& cipher = worker_.records();
    closing.tls->close(cipher);
    write(side, cipher);
  }
  if (side != Side::client) stats::subtract(worker_.lane().servers[closing.row].open);
  closing.watch.stop();
  closing.fd.reset();
  closing.tls.reset();
  release(unsent(state_, side));
}

void Session::finish_client() {
  auto& client = leg(Side::client);
  if (!client.fd || !state_.unsent_to_client.empty()) return;
  if (client.tls && client.tls->established()) {
    auto& cipher = worker_.records();
    client.tls->close(cipher);
    write(Side::client, cipher);
    if (!state_.unsent_to_client.empty()) return;
  }
  ::shutdown(client.fd.get(), SHUT_WR);
}

void Session::log(log::Level level, std::string_view why) {
  if (log::level() < level) return;
  log::write(level, "session", why,
             {log::kv("session", session_name(state_.id)), log::kv("service", state_.service),
              log::kv("client", client_name(state_)), log::kv("user", state_.user),
              log::kv("server", state_.home.server)});
}

void Session::update_interest() {
  const auto reads = [this](Side side) { return leg(side).watch.interest() == event::kRead; };
  // The usual case by far, told without asking each side.
  const auto& split = state_.split;
  if (state_.phase == Phase::relaying && reads(Side::client) && reads(Side::server) &&
      state_.unsent_to_client.empty() && state_.home.unsent.empty() && state_.held.empty() &&
      (!split || (split->reader.unsent.empty() && (!leg(Side::reader).fd || reads(Side::reader)))))
    return;
  for (const Side side : kSides) {
    auto& one = leg(side);
    if (!one.fd) continue;
    one.watch.want((wants_read(state_, side) ? event::kRead : 0) |
                   (unsent(state_, side).empty() ? 0 : event::kWrite));
  }
}

}  // namespace sluice::worker
