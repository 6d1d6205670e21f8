#include "worker/split/split.h"

#include <algorithm>

#include "common/mysql/packets.h"
#include "worker/split/lending.h"
#include "worker/split/steps.h"
#include "worker/sql/charset.h"

namespace sluice::worker::split {

void track(SessionState& s, Actions& out) {
  run_errand(s, Side::server, Errand::track, mysql::Command::query,
             "SET @@session.session_track_system_variables='*', "
             "@@session.session_track_schema=1, @@session.session_track_state_change=1",
             out);
  if (s.split->settings.mode.flavour == sql::Flavour::Mysql)
    run_errand(s, Side::server, Errand::track, mysql::Command::query,
               "SET @@session.session_track_gtids=OWN_GTID", out);
}

namespace {

/// The variables that decide how statements are read are set to what they are: so they are told,
/// and other servers get the primary's, should their own defaults be others.
void ask_what_is(SessionState& s, Actions& out) {
  run_errand(s, Side::server, Errand::track, mysql::Command::query,
             "SET @@session.sql_mode=@@session.sql_mode, "
             "@@session.time_zone=@@session.time_zone, "
             "@@session.character_set_client=@@session.character_set_client, "
             "@@session.collation_connection=@@session.collation_connection",
             out);
}

}  // namespace

std::unique_ptr<Split> prepared(const SessionState& s, const Surroundings& w) {
  const auto& login = *s.login;
  const auto answer = mysql::parse_handshake_response(login.answer);
  auto out = std::make_unique<Split>();
  out->credentials.answer = mysql::with_auth_response(login.answer, *answer, {});
  const auto* server = w.server(s.home.server);
  out->credentials.announced = server != nullptr && server->proxy_protocol;
  out->told_scramble = login.scramble;
  out->settings.told_to_client = (answer->capabilities & mysql::kSessionTrack) != 0;
  out->settings.database = login.database;
  out->settings.mode.multi_statements = (answer->capabilities & mysql::kMultiStatements) != 0;
  // MariaDB leaves the flag out of its greeting: there it says that 64 more of them follow.
  out->settings.mode.flavour = (login.server_capabilities & mysql::kLongPassword)
                                   ? sql::Flavour::Mysql
                                   : sql::Flavour::Mariadb;
  out->settings.mode.charset = sql::charset_of_collation(answer->collation);
  return out;
}

Bytes ok_for_client(const Split& split, ByteSpan payload) {
  Bytes packet, out;
  mysql::append_packet(packet, 0, payload);
  for_client(split, packet, out);
  return {out.begin() + mysql::kHeaderSize, out.end()};
}

void begin(SessionState& s, const Surroundings& w, Actions& out) {
  auto& split = *s.split;
  forget_settings(split);
  if (s.login) drop_leg(s, Side::reader, out);
  auto& reader = split.reader_link;
  reader.resets = reader.step == Step::ready;
  reader.settings_version = reader.variables_version = 0;
  split.home_link.step = Step::ready;
  split.status = s.conversation.status = mysql::kAutocommit;
  split.transaction = {};
  if (s.login && s.login->change_user) {
    split.credentials = {};
    split.settings.database = s.login->database;
  } else if (s.login) {
    keep_proof(s, w);
  }
  if (w.service.pool > 0) {
    if (s.login) split.lending.at_login.clear();
    can_log_in(s, w);
    ask_account(s, Side::server, out);
  }
  track(s, out);
  ask_what_is(s, out);
  note_use_of_home(split, w);
}

void on_accounts(SessionState& s, const Surroundings& w) {
  if (w.service.pool > 0) can_log_in(s, w);
}

void on_view(SessionState& s, const Surroundings& w, Actions& out) {
  auto& split = *s.split;
  if (w.service.pool == 0)  // it has come from a worker that had one
    for (const Side side : {Side::server, Side::reader})
      if (link(s, side).step == Step::queued) on_granted(s, w, side, out);
  if (split.home_link.step == Step::queued) {
    const auto route = w.router.route(w.service, w.servers, {});
    if (!route || route->server != s.home.server) {
      drop_leg(s, Side::server, out);
      split.look_ns = w.now_ns + kAgainNs;
    }
  }
  const auto* gone = w.state(split.lost);
  if (gone != nullptr && gone->health == cluster::Health::down) split.lost.clear();
  if (split.home_by_ns != 0 && split.home_link.step == Step::none) call_home(s, w, out);
  if (split.reader_link.step == Step::none) {
    split.reader_after_ns = 0;  // a replica may have come
    return;
  }
  const auto* state = w.state(split.reader.server);
  if (state != nullptr &&
      (state->role == cluster::Role::replica || state->health == cluster::Health::unknown))
    return;
  // One that has gone without a word never answers; what the client has nothing of is read again.
  const bool down = state != nullptr && state->health == cluster::Health::down;
  if (runs_on(s, Side::reader) && !(down && !split.now.delivered)) {
    if (down && split.stalled_by_ns <= w.now_ns) watch_stalled(s, w);
    return;
  }
  on_leg_failed(s, w, Side::reader,
                state == nullptr ? "it is not configured any more" : state->reason, out);
}

void ask_for_tracking(Bytes& answer) {
  answer[2] |= static_cast<std::byte>(mysql::kSessionTrack >> 16);
}

}  // namespace sluice::worker::split
