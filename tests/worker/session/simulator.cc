#include "tests/worker/session/simulator.h"

#include <fmt/format.h>

#include <algorithm>

#include "common/base/clock.h"
#include "common/mysql/packets.h"

namespace sluice::worker {
namespace {

constexpr std::size_t kScratch = 64 * 1024;  // as large as a worker's (worker/worker.h)
constexpr int64_t kEventNs = 1000;
constexpr Side kBoth[] = {Side::client, Side::server};

std::size_t index(Side side) {
  return static_cast<std::size_t>(side);
}

/// What is left in a cutter's head after it was used says nothing.
void forget_unused_bytes(mysql::PacketCutter& cutter) {
  std::fill(cutter.head.begin() + cutter.head_size, cutter.head.end(), std::byte{0});
}

/// A COM_CHANGE_USER, or too little to tell.
bool may_be_held(ByteSpan bytes) {
  return bytes.size() <= mysql::kHeaderSize ||
         static_cast<mysql::Command>(bytes[mysql::kHeaderSize]) == mysql::Command::change_user;
}

Bytes full_server() {
  Bytes packet;
  mysql::append_packet(packet, 0, mysql::encode_error(1040, "08004", "Too many connections"));
  return packet;
}

}  // namespace

Simulator::Simulator(const Script& script, Plan plan, uint64_t seed)
    : script_(script), plan_(plan), random_(seed) {
  state_.id = 7;
  state_.service = world_.service.name;
  state_.client_ip = plan.judged ? "10.1.2.3" : "127.0.0.1";
  if (plan.judged && chance(2) == 0)
    world_.load_accounts({{"app", "%"}, {"other", "%"}, {"curve", "%"}});
  world_.service.target = config::Target::any;  // the second server is there when the first fails
}

// Running.

void Simulator::run() {
  if (state_.phase == Phase::waiting) accept();
  const auto limit = 10'000 + 8 * (script_.sent[0].size() + script_.sent[1].size());
  while (state_.phase != Phase::over && problem_.empty()) {
    if (++events_ > limit) return fail("does not end");
    step();
  }
  if (problem_.empty()) check_at_end();
}

void Simulator::step() {
  world_.now_ns += kEventNs;
  if (plan_.moves && chance(10) == 0) move();
  if (!trouble_made_ && plan_.trouble != Trouble::none && events_ >= plan_.after) make_trouble();
  if (state_.phase == Phase::over) return;
  if (deadline_of(state_) != 0 && world_.now_ns >= deadline_of(state_))
    return happen({Event::deadline, Side::client});
  find_choices();
  if (choices_.empty()) return nothing_can_happen();
  happen(choices_[chance(choices_.size())]);
}

void Simulator::find_choices() {
  choices_.clear();
  for (const Side side : kBoth) {
    const Peer& p = peer(side);
    const bool active = p.present && !p.silent;
    const auto may = [&](bool holds, Event event) {
      if (holds) choices_.push_back({event, side});
    };
    const bool writes = active && !mute_ && !(full_ && side == Side::server);
    may(writes && p.written < script_.may_write(side, p.taken) && p.written - p.read < plan_.room,
        Event::write);
    const bool readable = p.read < p.written || !p.present || (full_ && side == Side::server);
    may(p.connected && wants_read(state_, side) && readable, Event::read);
    may(p.connected && !unsent(state_, side).empty() && (p.lying < plan_.room || !p.present),
        Event::flush);
    may(active && p.lying > 0, Event::take);
    const bool done = done_writing(side) && p.taken == script_.stream(other(side)).size();
    may(active && p.lying == 0 && (done || p.finished || !p.connected), Event::leave);
  }
  if (accounts_asked_) choices_.push_back({Event::accounts, Side::client});
}

void Simulator::happen(Choice choice) {
  Peer& p = peer(choice.side);
  const auto some = [this](std::size_t most) {
    const auto limit = std::min({most, plan_.piece, kScratch});
    return chance(3) == 0 ? limit : 1 + chance(limit);
  };
  switch (choice.event) {
    case Event::write: {
      const auto left = script_.may_write(choice.side, p.taken) - p.written;
      p.written += some(std::min(left, plan_.room - (p.written - p.read)));
      return;
    }
    case Event::read:
      return read(choice.side, p.read < p.written ? some(p.written - p.read) : 0);
    case Event::flush:
      return flush(choice.side);
    case Event::take: {
      const auto n = some(p.lying);
      p.lying -= n;
      p.taken = std::min(p.arrived, p.taken + n);  // what is sluice's own comes last
      return;
    }
    case Event::leave:
      p.present = false;
      return;
    case Event::deadline:
      world_.now_ns = std::max(world_.now_ns, deadline_of(state_));
      on_deadline(state_, world_.surroundings(), actions_);
      return carry_out();
    case Event::accounts:
      accounts_asked_ = false;
      world_.load_accounts({{"app", "%"}, {"other", "%"}, {"curve", "%"}});
      world_.accounts_began_ns = world_.now_ns;
      on_accounts(state_, world_.surroundings(), actions_);
      return carry_out();
  }
}

void Simulator::nothing_can_happen() {
  if (deadline_of(state_) != 0) return happen({Event::deadline, Side::client});
  for (const Side side : kBoth)  // a silent peer is found dead, one that is mute leaves
    if (peer(side).present && (peer(side).silent || mute_)) {
      peer(side).present = false;
      return;
    }
  fail(fmt::format("stuck in phase {}", enum_name(state_.phase)));
}

void Simulator::make_trouble() {
  using T = Trouble;
  const auto leave = [this](Side side, bool reset) {
    Peer& p = peer(side);
    if (!p.connected) return false;  // not yet
    p.present = false;
    if (reset) p.written = p.read;
    return true;
  };
  const auto silence = [this](Side side) {
    if (!peer(side).connected) return false;
    return peer(side).silent = true;
  };
  const auto end_by = [this](int64_t deadline_ns) {
    ordered_ = logged_in_ && state_.phase == Phase::relaying;
    on_order_to_end(state_, world_.surroundings(), End{1053, "08S01", "sluice: ends"}, deadline_ns,
                    actions_);
    carry_out();
    return true;
  };
  switch (plan_.trouble) {
    case T::client_closes:
      trouble_made_ = leave(Side::client, false);
      break;
    case T::client_resets:
      trouble_made_ = leave(Side::client, true);
      break;
    case T::server_closes:
      trouble_made_ = leave(Side::server, false);
      break;
    case T::server_resets:
      trouble_made_ = leave(Side::server, true);
      break;
    case T::client_falls_silent:
      trouble_made_ = silence(Side::client);
      break;
    case T::server_falls_silent:
      trouble_made_ = silence(Side::server);
      break;
    case T::order_to_end:
      trouble_made_ = end_by(world_.now_ns + 3600 * kSecondNs);
      break;
    case T::order_with_short_deadline:
      trouble_made_ = end_by(world_.now_ns + 30 * kEventNs);
      break;
    case T::primary_moves:
      trouble_made_ = true;
      world_.service.target = config::Target::primary;
      ordered_ = logged_in_ && state_.phase == Phase::relaying;
      std::swap(world_.server(0).role, world_.server(1).role);
      on_view(state_, world_.surroundings(), actions_);
      return carry_out();
    default:
      trouble_made_ = true;  // made by connect()
  }
}

// By hand.

void Simulator::accept() {
  peer(Side::client).connected = peer(Side::client).present = true;
  on_accepted(state_, world_.surroundings(), actions_);
  carry_out();
}

void Simulator::deliver(Side side, std::size_t n) {
  Peer& p = peer(side);
  p.written += n;
  while (n > 0 && p.connected && problem_.empty()) {
    const auto piece = std::min(n, kScratch);
    if (!wants_read(state_, side)) return fail("does not read");
    read(side, piece);
    n -= piece;
  }
  for (Peer& reader : peers_) {
    reader.lying = 0;
    reader.taken = reader.arrived;
  }
}

void Simulator::close(Side side) {
  peer(side).present = false;
  if (peer(side).connected && wants_read(state_, side)) read(side, 0);
}

void Simulator::order_to_end() {
  plan_.trouble = Trouble::order_to_end;
  make_trouble();
}

void Simulator::let_end() {
  mute_ = true;
  run();
}

void Simulator::move() {
  auto back = ipc::decode<SessionState>(ipc::encode(state_));
  if (!back) return fail("its state can't be read back");
  state_ = std::move(*back);
}

Simulator::Snapshot Simulator::snapshot() const {
  auto copy = ipc::decode<SessionState>(ipc::encode(state_));
  forget_unused_bytes(copy->conversation.client);
  forget_unused_bytes(copy->conversation.server);
  return {
      ipc::encode(*copy), {peers_[0].read, peers_[1].read}, {peers_[0].arrived, peers_[1].arrived}};
}

void Simulator::restore(const Snapshot& from) {
  state_ = std::move(*ipc::decode<SessionState>(from.state));
  for (const Side side : kBoth) {
    peer(side) = {.written = from.read[index(side)],
                  .read = from.read[index(side)],
                  .arrived = from.arrived[index(side)],
                  .taken = from.arrived[index(side)],
                  .connected = side == Side::client || !state_.home.server.empty(),
                  .present = true};
    sent_[index(side)] = from.arrived[index(side)];
  }
  logged_in_ = state_.phase == Phase::relaying || (state_.login && state_.login->change_user);
  connects_ = 1;
  server_closes_ = events_ = own_arrived_ = 0;
  own_.clear();
  trouble_made_ = ordered_ = mute_ = fresh_ = false;
}

// What worker/session/session.cc does with sockets.

void Simulator::read(Side side, std::size_t n) {
  Peer& p = peer(side);
  if (std::exchange(fresh_, fresh_ && side != Side::server) && side == Side::server && plan_.judged)
    on_connected(state_, "10.9.9.9");
  if (full_ && side == Side::server) {
    full_ = false;
    p.present = false;
    scratch_ = full_server();
    on_bytes(state_, world_.surroundings(), side, scratch_, actions_);
  } else if (n > 0) {
    const auto bytes = script_.stream(side).subspan(p.read, n);
    scratch_.assign(bytes.begin(), bytes.end());
    p.read += n;
    on_bytes(state_, world_.surroundings(), side, scratch_, actions_);
  } else {
    changing_ |= side == Side::server && logged_in_ && state_.phase == Phase::proving;
    on_closed(state_, world_.surroundings(), side, actions_);
  }
  carry_out();
  std::ranges::fill(scratch_, std::byte{0xDD});  // the next session's bytes
}

void Simulator::flush(Side side) {
  auto& bytes = unsent(state_, side);
  if (!peer(side).present) {
    bytes = {};
    return;
  }
  const auto n = put(side, bytes);
  bytes.erase(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(n));
  if (!bytes.empty()) return;
  bytes = {};
  on_sent(state_, side, actions_);
  carry_out();
}

void Simulator::carry_out() {
  for (std::size_t i = 0; i < actions_.list().size(); ++i) {
    const Action action = actions_.list()[i];
    switch (action.kind) {
      case Action::Kind::send:
        send(action.side, action.bytes);
        break;
      case Action::Kind::connect:
        connect();
        break;
      case Action::Kind::close:
        close_ours(action.side);
        break;
      case Action::Kind::finish_client:
        if (peer(Side::client).connected && state_.unsent_to_client.empty())
          peer(Side::client).finished = true;
        break;
      case Action::Kind::refresh_accounts:
        accounts_asked_ = true;
        break;
      case Action::Kind::start_tls:
      case Action::Kind::compress:
      case Action::Kind::resolve:
      case Action::Kind::acquire:
      case Action::Kind::unserved:
      case Action::Kind::seek:
        fail("asks for what no recording has");
        break;
      case Action::Kind::count:
      case Action::Kind::unheeded:
      case Action::Kind::log:
      case Action::Kind::warn:
        break;
    }
  }
  actions_.clear();
  check_after_event();
}

void Simulator::send(Side side, ByteSpan bytes) {
  check_sent(side, bytes);
  if (!peer(side).connected || !peer(side).present) return;
  auto& waiting = unsent(state_, side);
  if (waiting.empty()) bytes = bytes.subspan(put(side, bytes));
  waiting.insert(waiting.end(), bytes.begin(), bytes.end());
}

/// What the kernel takes now. What lies in the socket arrives, whatever happens to us.
std::size_t Simulator::put(Side side, ByteSpan bytes) {
  Peer& p = peer(side);
  auto n = std::min(bytes.size(), plan_.room - std::min(plan_.room, p.lying));
  if (plan_.room != SIZE_MAX && n > 0 && chance(2) == 0) n = 1 + chance(n);
  p.lying += n;
  const auto genuine = std::min(n, sent_[index(side)] - p.arrived);
  const auto expected = script_.arrives_from(other(side)).subspan(p.arrived, genuine);
  if (!std::ranges::equal(bytes.first(genuine), expected)) fail("bytes changed on their way");
  p.arrived += genuine;
  if (side == Side::client) own_arrived_ += n - genuine;
  return n;
}

void Simulator::connect() {
  Peer& server = peer(Side::server);
  server = {};
  sent_[index(Side::server)] = 0;
  const bool first = ++connects_ == 1;
  if (first && plan_.trouble == Trouble::connect_fails) {
    ++server_closes_;  // never open
    return on_connect_failed(state_, world_.surroundings(), Side::server, "Connection refused",
                             actions_);
  }
  server.connected = server.present = true;
  server.silent = first && plan_.trouble == Trouble::connect_hangs;
  full_ = first && plan_.trouble == Trouble::server_is_full;
  fresh_ = true;
}

void Simulator::close_ours(Side side) {
  if (!peer(side).connected) return;
  if (side == Side::server) ++server_closes_;
  peer(side).connected = false;
  unsent(state_, side) = {};
}

// What may never happen.

void Simulator::fail(std::string what) {
  if (!problem_.empty()) return;
  problem_ = fmt::format(
      "{} [{}, event {}, phase {}, expects {}; the client's bytes read {} sent {} arrived {}, the "
      "server's read {} sent {} arrived {}]",
      what, script_.name, events_, enum_name(state_.phase), enum_name(state_.conversation.expect),
      peers_[0].read, sent_[1], peers_[1].arrived, peers_[1].read, sent_[0], peers_[0].arrived);
}

/// What is sent is the next of what the other side wrote, or sluice's own last words.
void Simulator::check_sent(Side side, ByteSpan bytes) {
  auto& sent = sent_[index(side)];
  const auto readable = std::min(peer(other(side)).read, script_.stream(other(side)).size());
  const auto expected = script_.arrives_from(other(side)).first(readable);
  if (own_.empty() && bytes.size() <= expected.size() - sent &&
      std::ranges::equal(bytes, expected.subspan(sent, bytes.size()))) {
    sent += bytes.size();
    return;
  }
  if (side == Side::client) return check_own_error(bytes);
  // A login that nobody ends is ended with a wrong one, or with a wrong proof.
  const bool zeros = std::ranges::all_of(bytes.subspan(mysql::kHeaderSize),
                                         [](std::byte b) { return b == std::byte{0}; });
  const bool excuse =
      state_.phase >= Phase::closing && state_.conversation.commands == 0 && (sent == 0 || zeros);
  if (!excuse) fail("the server gets bytes that the client did not send");
}

/// Number of the packet that would follow in the recording at this place.
uint8_t Simulator::next_sequence() const {
  const Script::Position at{sent_[1], sent_[0]};  // of the client's stream, of the server's
  uint8_t last = 0xFF;
  for (const auto& turn : script_.turns) {
    const auto end = std::min(turn.end, at[index(turn.from)]);
    const auto& ends = script_.packet_ends[index(turn.from)];
    if (end <= turn.begin) continue;
    const auto packet = *std::prev(ends.lower_bound(end));
    last = static_cast<uint8_t>(script_.stream(turn.from)[packet + 3]);
  }
  return static_cast<uint8_t>(last + 1);
}

void Simulator::check_own_error(ByteSpan packet) {
  if (!own_.empty()) return fail("speaks twice");
  own_.assign(packet.begin(), packet.end());
  if (state_.phase != Phase::closing)
    return fail("the client gets bytes that the server did not send");
  if (!script_.packet_ends[1].contains(sent_[0]))
    return fail("speaks inside a packet of the server");
  if (packet.size() < 5 || packet.size() != 4 + static_cast<std::size_t>(packet[0]) +
                                                (static_cast<std::size_t>(packet[1]) << 8))
    return fail("its own words are not one packet");
  if (!mysql::parse_error(packet.subspan(4))) return fail("its own words are no error");
  const bool boundary = logged_in_ && script_.is_boundary({sent_[1], sent_[0]});
  if (!boundary && sent_[1] > script_.answer_end &&
      (script_.pipelined || !script_.packet_ends[0].contains(sent_[1])))
    return;  // which packet comes next is a matter of taste
  uint8_t expected = next_sequence();
  if (boundary) expected = 1;
  if (!logged_in_ && sent_[0] == script_.greeting_end) expected = 2;
  if (static_cast<uint8_t>(packet[3]) != expected)
    fail(fmt::format("its error has number {}, not {}", static_cast<int>(packet[3]), expected));
}

void Simulator::check_after_event() {
  if (state_.phase == Phase::relaying) logged_in_ = true;
  for (const Side side : kBoth)
    if (unsent(state_, side).size() > 3 * kScratch) fail("keeps too many bytes");
  if (state_.phase != Phase::relaying && state_.phase != Phase::ending) return;
  // Everything goes on at once; only a command that has to be judged is kept, and what follows it.
  if (peers_[1].read != sent_[0]) return fail("keeps bytes of the server back");
  if (peers_[0].read != sent_[1] + state_.held.size())
    return fail("keeps bytes of the client back");
  if (!state_.held.empty() && !may_be_held(state_.held)) return fail("holds bytes for nothing");
  if (state_.phase == Phase::ending && state_.conversation.at_boundary())
    return fail("ought to have ended");
  if (state_.conversation.at_boundary() != script_.is_boundary({sent_[1], sent_[0]}))
    fail(state_.conversation.at_boundary() ? "takes this for a command boundary"
                                           : "does not see the command boundary");
}

void Simulator::check_at_end() {
  if (peers_[0].connected || peers_[1].connected) return fail("over, with an open socket");
  if (connects_ != server_closes_) return fail("did not close each connection to a server once");
  switch (plan_.trouble) {
    case Trouble::none:
    case Trouble::connect_fails:
    case Trouble::connect_hangs:
    case Trouble::server_is_full:
      return mute_ ? void() : check_complete();
    case Trouble::order_to_end:
    case Trouble::primary_moves:
      return ordered_ ? check_ordered_end() : void();
    case Trouble::client_closes:
      if (logged_in_ && peers_[1].arrived + state_.held.size() != peers_[0].written &&
          !done_writing(Side::server))
        fail("what the client wrote did not all arrive");
      return;
    case Trouble::server_closes:
      if (logged_in_ && !changing_ && peers_[0].arrived != peers_[1].written &&
          !done_writing(Side::client))
        fail("what the server wrote did not all arrive");
      return;
    default:
      return;
  }
}

void Simulator::check_complete() {
  // A refusal names the address of the client, not the one that the server sees.
  const bool reworded = plan_.judged && !own_.empty() && script_.refusal_begin != 0 &&
                        peers_[0].arrived == script_.refusal_begin;
  if (reworded) return;
  if (peers_[0].arrived != script_.sent[1].size()) return fail("the client did not get everything");
  if (peers_[1].arrived != script_.sent[0].size()) return fail("the server did not get everything");
  if (!own_.empty()) fail("an error though nothing was wrong");
}

/// Every command that reached the server was answered, the answer reached the client, and so did
/// the reason of the end, unless the client had finished before.
void Simulator::check_ordered_end() {
  if (script_.pipelined) return;  // its server does not answer before it has all the commands
  if (own_.empty()) {
    if (peers_[0].arrived != script_.sent[1].size()) fail("ended without a word");
    return;
  }
  // A command without an answer may still lie in the state: it ends with its connection.
  if (!script_.is_boundary({sent_[1], peers_[0].arrived})) return fail("an answer is lost");
  if (own_arrived_ != own_.size() && !done_writing(Side::client))
    fail("the reason did not reach the client");
}

}  // namespace sluice::worker
