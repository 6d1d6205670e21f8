// Servers that are lost, and what becomes of the session and of the command under way.
#include <fmt/format.h>

#include <algorithm>

#include "common/mysql/packets.h"
#include "worker/split/steps.h"

namespace sluice::worker::split {
namespace {

constexpr int64_t kLookNs = 200 * kMillisecondNs;  // between looks for a primary

/// Why the session ends with its primary; empty if it can go on with another one.
std::string why_tied(const Split& split) {
  if (!split.credentials.known && split.credentials.response.empty())
    return "its password is not known to sluice";
  if (auto why = why_not_again(split); !why.empty()) return why;
  if (split.kept.next_at_home) return "it has said what its next transaction is like";
  if (split.kept.tables_locked) return "it has locked tables";
  if (!split.kept.pinned.empty()) return split.kept.pinned;
  const auto can_be_prepared = [&](const Statement& one) {
    return !one.text.empty() && !one.long_data && one.settings_version == split.settings.version &&
           one.database_version == split.settings.database_version;
  };
  if (!std::ranges::all_of(split.statements, can_be_prepared))
    return "a statement that it has prepared can't be prepared in the same way";
  return split.kept.tied;
}

void end(SessionState& s, const Surroundings& w, End why, Actions& out) {
  s.end = std::make_unique<End>(std::move(why));
  end_now(s, w, out);
}

void reader_failed(SessionState& s, const Surroundings& w, const std::string& why, Actions& out) {
  auto& split = *s.split;
  if (split.reader_link.step == Step::none) return;
  out.log(fmt::format("replica {}: {}", split.reader.server, why));
  const bool asked = runs_on(s, Side::reader);
  drop_leg(s, Side::reader, out);
  split.reader_after_ns = w.now_ns + kAgainNs;
  if (split.home_by_ns == 0 && s.phase == Phase::relaying) s.deadline_ns = split.kill.by_ns;
  if (split.kill.step >= KillStep::calling) return give_up_kill(s, w, why, out);
  if (asked && split.now.delivered)
    return end(s, w,
               {mysql::kServerShutdown, "08S01",
                "sluice: the replica was lost while its answer came: " + why},
               out);
  if (asked || (split.waiting && split.home_by_ns == 0)) again_at_home(s, w, out);
}

/// Nobody knows what became of the command: it is never sent again.
void answer_lost(SessionState& s, const std::string& server, Actions& out) {
  Bytes packet;
  mysql::append_packet(
      packet, static_cast<uint8_t>(s.conversation.server_sequence + 1),
      mysql::encode_error(mysql::kNetReadInterrupted, "08S01",
                          fmt::format("sluice: {} was lost while it ran this command; whether the "
                                      "command took effect is not known",
                                      server)));
  s.bytes_out += packet.size();
  out.send_made(Side::client, std::move(packet));
  s.conversation.take_back();
  ++s.conversation.commands;
}

void home_lost(SessionState& s, const Surroundings& w, const std::string& why, Actions& out) {
  auto& split = *s.split;
  const auto server = s.home.server;
  const bool asked = runs_on(s, Side::server);
  auto tied = why_tied(split);
  const bool within = (split.status & mysql::kInTransaction) != 0;
  const bool again = asked && w.service.transaction_replay && may_be_sent_again(split);
  if (tied.empty() && asked && within && !again) tied = "a command may have ended its transaction";
  out.log(fmt::format("{}: {}", server, why));
  if (!tied.empty() || (asked && !s.conversation.between_server_packets()) ||
      s.conversation.client_owes())
    return end(s, w,
               {mysql::kServerShutdown, "08S01",
                fmt::format("sluice: this session was on {}: {}; it can't go on elsewhere: {}; "
                            "please connect again",
                            server, why, tied.empty() ? "a command was cut" : tied)},
               out);
  const auto waits = [](Errand errand) { return errand >= Errand::prepare; };
  if (std::ranges::any_of(split.home_link.errands, waits)) split.waiting = false;
  drop_leg(s, Side::server, out);
  split.left.clear();
  if (split.kill.step == KillStep::judging) split.kill = {.round = split.kill.round};
  if (again)
    put_back(s);
  else if (asked)
    answer_lost(s, server, out);
  transaction_lost(split);
  split.now.bytes.clear();
  if (s.phase == Phase::ending) return end_now(s, w, out);
  if (split.said_killed && s.deadline_ns == 0) s.deadline_ns = w.now_ns;
  go_on(s, w, out);
}

}  // namespace

void on_leg_failed(SessionState& s, const Surroundings& w, Side side, std::string why,
                   Actions& out) {
  if (side == Side::reader) return reader_failed(s, w, why, out);
  const auto step = s.split->home_link.step;
  if (step == Step::ready) {
    s.split->lost = s.home.server;
    return home_lost(s, w, why, out);
  }
  if (step == Step::none) return;
  out.log(fmt::format("{}: {}", s.home.server, why));
  drop_leg(s, Side::server, out);
  s.deadline_ns = w.now_ns + kLookNs;
}

bool leave_home(SessionState& s, const Surroundings& w, const std::string& why, Actions& out) {
  auto& split = *s.split;
  if (split.home_link.step != Step::ready) {  // it is being called, for a command that waits
    on_leg_failed(s, w, Side::server, why, out);
    await_home(s, w, out);
    return true;
  }
  if (!why_tied(split).empty()) return false;
  if (runs_on(s, Side::server) || s.conversation.client_owes())
    split.left = why;
  else
    home_lost(s, w, why, out);
  return true;
}

void await_home(SessionState& s, const Surroundings& w, Actions& out) {
  auto& split = *s.split;
  split.waiting = true;
  if (split.home_by_ns == 0)
    split.home_by_ns = w.now_ns + int64_t{w.service.login_timeout_ms} * kMillisecondNs;
  if (split.transaction.due) {
    start_replay_clock(s, w);
    split.home_by_ns = split.transaction.by_ns;
  }
  if (split.home_link.step == Step::none && !call_home(s, w, out))
    s.deadline_ns = w.now_ns + kLookNs;
}

void home_late(SessionState& s, const Surroundings& w, Actions& out) {
  auto& split = *s.split;
  const auto& t = split.transaction;
  if (t.due && t.by_ns != 0 && w.now_ns >= t.by_ns)
    return end(s, w,
               {mysql::kServerShutdown, "08S01",
                "sluice: the primary was lost, and its transaction could not be run again within "
                "transaction_replay_timeout; please connect again"},
               out);
  if (split.home_by_ns == 0) return look_at_home(s, w, out);
  if (w.now_ns < split.home_by_ns) return await_home(s, w, out);
  split.home_by_ns = 0;
  split.waiting = false;
  const auto route = w.router.route(w.service, w.servers, {});
  refuse_next(s, w,
              {mysql::kCantConnect, "08S01",
               "sluice: " + (route ? "the primary can't be reached" : route.error().message)},
              out);
}

/// Once: where home can't be reached, nobody has killed the session.
void look_at_home(SessionState& s, const Surroundings& w, Actions& out) {
  auto& split = *s.split;
  if (split.home_link.step != Step::none || split.lost.empty()) return;
  if (std::exchange(split.said_killed, false)) call_home(s, w, out);
}

void home_is_alive(SessionState& s, const Surroundings& w, Actions& out) {
  end(s, w,
      {mysql::kConnectionKilled, "70100",
       fmt::format("Connection was killed (sluice: {} has ended it, and is alive)", s.home.server)},
      out);
}

void restore(SessionState& s, Actions& out) {
  auto& split = *s.split;
  split.lost.clear();
  split.home_by_ns = 0;
  split.status &= mysql::kAutocommit;
  if (const auto statement = settings_statement(split, 0); !statement.empty())
    run_errand(s, Side::server, Errand::settings, mysql::Command::query, statement, out);
  if (split.settings.database != s.database)
    run_errand(s, Side::server, Errand::database, mysql::Command::init_db, split.settings.database,
               out);
  if (split.status == 0)
    run_errand(s, Side::server, Errand::settings, mysql::Command::query,
               "SET @@session.autocommit=0", out);
  track(s, out);
}

}  // namespace sluice::worker::split
