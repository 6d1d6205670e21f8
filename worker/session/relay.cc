// Bytes of a session that is logged in: followed where they lie, and sent on.
#include "common/mysql/packets.h"
#include "worker/session/steps.h"
#include "worker/split/split.h"

namespace sluice::worker {
namespace {

void forward(SessionState& s, Side from, ByteSpan bytes, Actions& out) {
  (from == Side::client ? s.bytes_in : s.bytes_out) += bytes.size();
  out.send(other(from), bytes);
}

void malformed_change_user(SessionState& s, const Surroundings& w, Actions& out) {
  s.end = std::make_unique<End>(
      End{mysql::kMalformedPacket, "HY000", "sluice: malformed COM_CHANGE_USER"});
  end_now(s, w, out);
}

bool holds_command(const SessionState& s) {
  constexpr auto kChangeUser = static_cast<std::byte>(mysql::Command::change_user);
  return s.held.size() > mysql::kHeaderSize && s.held[mysql::kHeaderSize] == kChangeUser;
}

/// What is held stopped us, or was too short to tell; `bytes` are behind it.
void relay_joined(SessionState& s, ByteSpan bytes, Actions& out) {
  Bytes joined = std::exchange(s.held, {});
  joined.insert(joined.end(), bytes.begin(), bytes.end());
  const auto taken = s.conversation.from_client(joined);
  s.held.assign(joined.begin() + static_cast<std::ptrdiff_t>(taken), joined.end());
  joined.resize(taken);
  s.bytes_in += taken;
  if (taken > 0) out.send_made(Side::server, std::move(joined));
}

/// After anything that could have been the last answer.
void look_for_boundary(SessionState& s, const Surroundings& w, Actions& out) {
  if (!s.conversation.at_boundary()) return;
  if (s.phase == Phase::ending) return end_now(s, w, out);
  if (holds_command(s)) change_user(s, w, out);
}

}  // namespace

void change_user(SessionState& s, const Surroundings& w, Actions& out) {
  const auto packet = first_packet(s.held);
  if (!packet) {
    if (s.held.size() > kMaxLoginPacket) malformed_change_user(s, w, out);
    return;
  }
  const auto change = mysql::parse_change_user(packet->payload, s.conversation.capabilities);
  if (!change) return malformed_change_user(s, w, out);
  auto login = std::make_unique<Login>();
  login->change_user = true;
  login->user = change->user;
  login->database = change->database;
  login->plugin = change->plugin;
  login->with_password = !change->auth_response.empty();
  login->answer.assign(packet->payload.begin(), packet->payload.end());
  s.login = std::move(login);
  s.held.erase(s.held.begin(), s.held.begin() + static_cast<std::ptrdiff_t>(packet->size));
  await_turn(s, w, out);
}

void relay_from_client(SessionState& s, const Surroundings& w, ByteSpan bytes, Actions& out) {
  if (s.split) return split::from_client(s, w, bytes, out);
  if (s.held.empty()) {
    const auto taken = s.conversation.from_client(bytes);
    if (taken > 0) forward(s, Side::client, bytes.first(taken), out);
    if (taken < bytes.size())
      s.held.assign(bytes.begin() + static_cast<std::ptrdiff_t>(taken), bytes.end());
  } else {
    relay_joined(s, bytes, out);
  }
  look_for_boundary(s, w, out);
}

void relay_from_server(SessionState& s, const Surroundings& w, ByteSpan bytes, Actions& out) {
  if (s.split) return split::from_server(s, w, Side::server, bytes, out);
  s.conversation.from_server(bytes);
  forward(s, Side::server, bytes, out);
  if (s.phase == Phase::ending || !s.held.empty()) look_for_boundary(s, w, out);
}

}  // namespace sluice::worker
