#include "worker/session/engine.h"

#include <fmt/format.h>

#include <algorithm>

#include "common/base/clock.h"
#include "common/mysql/packets.h"
#include "worker/session/login.h"

namespace sluice::worker {
namespace {

/// Sequence number of a packet of ours that stands where the server's next one would.
uint8_t next_sequence(const SessionState& s) {
  if (s.conversation.expect == mysql::Expect::nothing)
    return 1;  // clients take it for the answer to their next command
  return static_cast<uint8_t>(s.conversation.server_sequence + 1);
}

void forward(SessionState& s, Side from, ByteSpan bytes, Actions& out) {
  (from == Side::client ? s.bytes_in : s.bytes_out) += bytes.size();
  out.send(other(from), bytes);
}

void end_now(SessionState& s, int64_t now_ns, Actions& out) {
  if (s.end && s.conversation.between_server_packets()) {
    Bytes packet;
    mysql::append_packet(packet, next_sequence(s),
                         mysql::encode_error(s.end->number, s.end->sql_state, s.end->message));
    s.bytes_out += packet.size();
    out.send_made(Side::client, std::move(packet));
  }
  out.log(s.end ? s.end->message : "ended");
  begin_closing(s, now_ns, out);
}

void over(SessionState& s, Actions& out) {
  s.phase = Phase::over;
  s.deadline_ns = 0;
  out.close(Side::server);
  out.close(Side::client);
}

/// The account that is asked for may be younger than the tables: `bytes`, which begin with the
/// command, wait until these were read again.
void await_accounts(SessionState& s, int64_t now_ns, ByteSpan bytes, Actions& out) {
  s.held.assign(bytes.begin(), bytes.end());
  s.awaits_accounts = true;
  s.deadline_ns = now_ns + kRefreshNs;
  out.refresh_accounts();
}

/// Bytes of a client whose COM_CHANGE_USER has to be judged by us before the server gets it.
void relay_judged(SessionState& s, const Surroundings& w, ByteSpan bytes, Actions& out) {
  bool waited = std::exchange(s.awaits_accounts, false);
  Bytes joined;
  if (!s.held.empty()) {
    joined = std::move(s.held);
    s.held = {};
    joined.insert(joined.end(), bytes.begin(), bytes.end());
    bytes = joined;
  }
  while (!bytes.empty()) {
    const auto taken = s.conversation.from_client(bytes, mysql::Command::change_user);
    if (taken > 0) {
      s.bytes_in += taken;
      out.send_made(Side::server,
                    Bytes(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(taken)));
      bytes = bytes.subspan(taken);
    }
    if (bytes.empty()) return;
    const auto packet = first_packet(bytes);
    if (!packet) {  // not whole yet
      if (bytes.size() > kMaxLoginPacket) {
        s.end = std::make_unique<End>(
            End{mysql::kMalformedPacket, "HY000", "malformed COM_CHANGE_USER"});
        return end_now(s, w.now_ns, out);
      }
      s.held.assign(bytes.begin(), bytes.end());
      return;
    }
    if (auto refusal = judge_change_user(s, w, packet->payload)) {
      if (!waited && refusal->number == mysql::kAccessDenied)
        return await_accounts(s, w.now_ns, bytes, out);
      s.end = std::make_unique<End>(std::move(*refusal));
      return end_now(s, w.now_ns, out);
    }
    waited = false;
    const auto whole = bytes.first(packet->size);
    s.conversation.from_client(whole);
    s.bytes_in += whole.size();
    out.send_made(Side::server, Bytes(whole.begin(), whole.end()));
    bytes = bytes.subspan(whole.size());
  }
}

/// The accounts were read again, or that took too long: the command that waited is judged by what
/// is known.
void stop_waiting(SessionState& s, const Surroundings& w, Actions& out) {
  s.deadline_ns = 0;
  if (s.awaits_accounts) relay_judged(s, w, {}, out);
}

void relay(SessionState& s, const Surroundings& w, Side from, ByteSpan bytes, Actions& out) {
  if (from == Side::server) {
    s.conversation.from_server(bytes);
    forward(s, from, bytes, out);
  } else if (s.judged) {
    relay_judged(s, w, bytes, out);
  } else {
    s.conversation.from_client(bytes);
    forward(s, from, bytes, out);
  }
  if (s.phase == Phase::ending && s.conversation.at_boundary()) end_now(s, w.now_ns, out);
}

}  // namespace

void relay_held(SessionState& s, const Surroundings& w, Actions& out) {
  relay_judged(s, w, {}, out);
}

void on_bytes(SessionState& s, const Surroundings& w, Side from, ByteSpan bytes, Actions& out) {
  s.active_ns = w.now_ns;
  switch (s.phase) {
    case Phase::relaying:
    case Phase::ending:
      return relay(s, w, from, bytes, out);
    case Phase::connecting:
    case Phase::greeted:
    case Phase::proving:
      return login_bytes(s, w, from, bytes, out);
    case Phase::waiting:
    case Phase::judging:
    case Phase::closing:
    case Phase::over:
      return;  // not listened to
  }
}

void on_closed(SessionState& s, const Surroundings& w, Side side, Actions& out) {
  if (side == Side::client && s.phase == Phase::greeted) excuse_absent_client(out);
  if (side == Side::client || s.phase == Phase::closing) {
    out.log(side == Side::client ? "closed by the client" : "closed");
    return over(s, out);
  }
  switch (s.phase) {
    case Phase::connecting:
    case Phase::greeted:
    case Phase::judging:
    case Phase::proving:
      return login_server_closed(s, w, out);
    default:
      break;
  }
  out.log("closed by the server");
  if (s.unsent_to_client.empty()) return over(s, out);
  begin_closing(s, w.now_ns, out);
}

void on_sent(SessionState& s, Side side, Actions& out) {
  if (s.phase == Phase::closing && side == Side::client) out.finish_client();
}

void on_deadline(SessionState& s, const Surroundings& w, Actions& out) {
  switch (s.phase) {
    case Phase::waiting:
    case Phase::connecting:
    case Phase::greeted:
    case Phase::judging:
    case Phase::proving:
      return login_deadline(s, w, out);
    case Phase::ending:
      return end_now(s, w.now_ns, out);
    case Phase::closing:
      return over(s, out);
    case Phase::relaying:
      return stop_waiting(s, w, out);
    case Phase::over:
      s.deadline_ns = 0;
  }
}

void on_accounts(SessionState& s, const Surroundings& w, Actions& out) {
  if (s.phase == Phase::judging) return login_accounts(s, w, out);
  if (s.phase == Phase::relaying && s.awaits_accounts) stop_waiting(s, w, out);
}

void on_view(SessionState& s, const Surroundings& w, Actions& out) {
  if (s.phase == Phase::waiting && w.known) return choose_server(s, w, out);
  if (s.phase != Phase::relaying) return;
  const auto server = std::ranges::find_if(
      w.servers, [&](const ServerView& view) { return view.state->name == s.server; });
  if (server == w.servers.end()) return;  // no longer configured: the old generation's business
  auto why = w.router.must_leave(w.service, *server->state);
  if (why.empty()) return;
  const auto primary = std::ranges::find_if(
      w.servers, [](const ServerView& view) { return view.state->role == cluster::Role::primary; });
  std::string message = fmt::format("sluice: this session was on {}: {}", s.server, why);
  if (primary != w.servers.end() && primary->state->name != s.server)
    message += fmt::format("; the primary is now {}", primary->state->name);
  constexpr int64_t kGraceNs = 3 * kSecondNs;  // a statement on it will hardly end well
  on_order_to_end(s, End{mysql::kServerShutdown, "08S01", message + "; please connect again"},
                  w.now_ns, w.now_ns + kGraceNs, out);
}

void on_order_to_end(SessionState& s, End end, int64_t now_ns, int64_t deadline_ns, Actions& out) {
  switch (s.phase) {
    case Phase::closing:
    case Phase::over:
      return;
    case Phase::relaying:
    case Phase::ending:
      s.phase = Phase::ending;
      s.end = std::make_unique<End>(std::move(end));
      s.deadline_ns = deadline_ns;
      if (s.conversation.at_boundary()) end_now(s, now_ns, out);
      return;
    default:
      return refuse(s, now_ns, std::move(end), out);
  }
}

bool wants_read(const SessionState& s, Side side) {
  if (!unsent(s, other(side)).empty() && s.phase != Phase::closing) return false;  // a slow reader
  switch (s.phase) {
    case Phase::connecting:
      return side == Side::server;
    case Phase::greeted:
    case Phase::proving:
      return true;
    case Phase::relaying:
      return side == Side::server || !s.awaits_accounts;
    case Phase::judging:
      return side == Side::server;
    case Phase::ending:
      return side == Side::server || s.conversation.client_owes();
    case Phase::closing:
      return side == Side::client;
    case Phase::waiting:
    case Phase::over:
      return false;
  }
  return false;
}

}  // namespace sluice::worker
