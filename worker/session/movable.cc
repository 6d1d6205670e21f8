#include "worker/session/movable.h"

#include <algorithm>

namespace sluice::worker {
namespace {

using split::KillStep;
using split::Step;

bool is_settled(Step step) {
  return step == Step::none || step == Step::ready || step == Step::queued;
}

bool is_sound(const mysql::PacketCutter& cutter) {
  constexpr uint32_t kMaxPayload = 0xffffff;
  return cutter.head_size <= mysql::PacketCutter::kHead && cutter.left <= kMaxPayload;
}

bool is_sound(const mysql::Conversation& conversation) {
  return is_sound(conversation.client) && is_sound(conversation.server) &&
         conversation.pending_count <= mysql::Conversation::kMaxPending;
}

bool is_server(Side side) {
  return side == Side::server || side == Side::reader;
}

bool is_sound(const split::Split& split) {
  return is_sound(split.home_link.own) && is_sound(split.reader_link.own) &&
         is_server(split.now.at) &&
         std::ranges::is_sorted(split.statements, {}, &split::Statement::id);
}

}  // namespace

std::string_view why_not_movable(const SessionState& s) {
  if (s.phase < Phase::relaying) return "its login is not over";
  if (s.phase > Phase::relaying) return "it is about to end";
  if (!s.split) return {};
  const auto& split = *s.split;
  if (!is_settled(split.home_link.step) || !is_settled(split.reader_link.step))
    return "it is connecting to a server";
  if (split.kill.step > KillStep::judging) return "it is about to stop what another session runs";
  return {};
}

std::string_view what_is_wrong(const SessionState& s) {
  if (!why_not_movable(s).empty()) return why_not_movable(s);
  if (s.login || s.end) return "it is in two phases";
  if (!is_sound(s.conversation) || (s.split && !is_sound(*s.split))) return "it makes no sense";
  return {};
}

}  // namespace sluice::worker
