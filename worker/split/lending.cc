#include "worker/split/lending.h"

#include <fmt/format.h>

#include <algorithm>

#include "common/mysql/packets.h"
#include "worker/auth/identity.h"
#include "worker/split/asking.h"
#include "worker/split/pins.h"
#include "worker/split/programs.h"
#include "worker/split/steps.h"
#include "worker/split/warnings.h"

namespace sluice::worker::split {
namespace {

/// Ends what a server says of an account whose connections have run statements that a reset does
/// not run again.
constexpr std::string_view kInitialised = " init_connect";

/// Everything was answered and delivered, and the client has sent nothing more.
bool is_at_rest(const SessionState& s, Side side) {
  const auto& to = side == Side::server ? s.split->home_link : s.split->reader_link;
  return s.phase == Phase::relaying && s.split->kill.step == KillStep::none && !s.login && !s.end &&
         s.conversation.at_boundary() && s.held.empty() && s.unsent_to_client.empty() &&
         !s.split->waiting && to.step == Step::ready && to.errands.empty() && to.received.empty() &&
         !to.restoring && to.own.expect == mysql::Expect::nothing && leg(s, side).unsent.empty();
}

/// What of the session is in its connection to the primary, and can't be brought to another one.
std::optional<stats::Pin> kept_at_home(const SessionState& s) {
  const auto& split = *s.split;
  if ((split.status & mysql::kInTransaction) != 0 || split.transaction.due)
    return stats::Pin::transaction;
  if (!(split.status & mysql::kAutocommit)) return stats::Pin::autocommit;
  if (const auto tie = why_tied(split); !tie.why.empty()) return tie.by;
  if (std::ranges::any_of(split.statements, &Statement::cursor)) return stats::Pin::cursor;
  const bool counted = split.last.counted && split.last.found_rows == Knows::home;
  if (counted || split.kept.asks_rows) return stats::Pin::diagnostics;
  const bool lost_database = split.settings.database.empty() && !s.database.empty();
  // The id that "IS NULL" asks for is not the one that can be set.
  if (split.kept.auto_is_null || split.kept.next_at_home || split.settings.collation_due ||
      !split.left.empty() || lost_database || split.kept.profiled ||
      split.lending.account.empty() || !has_options_of_login(split))
    return stats::Pin::other;
  return std::nullopt;
}

/// What an answer to the greeting says of the protocol: capabilities, packet size, collation.
ByteSpan protocol_of(const Split& split) {
  constexpr std::size_t kHead = 32;
  const ByteSpan answer(split.credentials.answer);
  return answer.first(std::min(kHead, answer.size()));
}

/// Whether servers are told, or see, the same of both clients.
bool come_from_the_same(const SessionState& a, const SessionState& b, const Surroundings& w) {
  if (a.outgoing_ip != b.outgoing_ip) return false;
  if (!a.split->credentials.announced && !b.split->credentials.announced) return true;
  return a.split->credentials.announced == b.split->credentials.announced &&
         a.client_ip == b.client_ip &&
         judged_by_own_address(w.service, a.client_ip) ==
             judged_by_own_address(w.service, b.client_ip);
}

/// Whether the connection is encrypted as one that is made now would be.
bool is_secured_as_wanted(const ServerLeg& leg, const Surroundings& w) {
  const auto* server = w.server(leg.server);
  return server != nullptr && (leg.tls != nullptr) == (server->tls.mode != config::TlsMode::off);
}

}  // namespace

bool has_options_of_login(const Split& split) {
  const auto login = mysql::parse_handshake_response(split.credentials.answer);
  return login && split.settings.mode.multi_statements ==
                      ((login->capabilities & mysql::kMultiStatements) != 0);
}

bool is_interactive(const Split& split) {
  const auto login = mysql::parse_handshake_response(split.credentials.answer);
  return !login || (login->capabilities & mysql::kInteractive) != 0;
}

bool has_to_ask(const Split& split) {
  return split.last.insert_id_due || split.writes.uncertain || has_untold(split) ||
         has_unsure_variables(split) || has_untold_warnings(split);
}

bool can_be_replaced(const SessionState& s) {
  return s.split->credentials.known && s.split->home_link.errands.empty() &&
         can_do_without(*s.split, Side::server) && !kept_at_home(s);
}

std::optional<stats::Pin> why_kept_by(const SessionState& s, Side side) {
  if (!s.split) return stats::Pin::other;
  const auto& split = *s.split;
  if (!is_at_rest(s, side) || split.quits) return stats::Pin::command;
  if (!can_do_without(split, side)) return stats::Pin::diagnostics;
  if (!split.credentials.known) return stats::Pin::password;
  if (side == Side::server)
    return split.kept.knows_id ? stats::Pin::connection_id : kept_at_home(s);
  return std::nullopt;
}

bool may_lend(const SessionState& s, Side side) {
  return !why_kept_by(s, side) && (side == Side::reader || !has_to_ask(*s.split));
}

void prepare_to_lend(SessionState& s, Actions& out) {
  auto& split = *s.split;
  if (has_untold_warnings(split)) ask_warnings(s, out);  // before what may warn itself
  if (split.last.insert_id_due)
    run_errand(s, Side::server, Errand::insert_id, mysql::Command::query, "SELECT LAST_INSERT_ID()",
               out);
  if (std::exchange(split.writes.uncertain, false)) ask_what_is_written(s, out);
  if (has_unsure_variables(split)) ask_variables(s, out);
  if (has_untold(split)) ask_untold_by_programs(s, out);
}

bool has_own_id(SessionState& s, Actions& out) {
  auto& split = *s.split;
  split.lending.own = split.lending.own || split.home_link.step == Step::none;
  if (split.home_link.step != Step::ready || !split.home_link.borrowed) return true;
  if (!can_be_replaced(s)) return true;
  if (has_to_ask(split)) {
    prepare_to_lend(s, out);
    return false;
  }
  split.lending.own = true;
  lend(s, Side::server);
  out.close(Side::server);
  return true;
}

bool is_preparing_to_lend(const SessionState& s) {
  if (!s.split) return false;
  const auto& errands = s.split->home_link.errands;
  return std::ranges::any_of(errands, [](Errand errand) {
    return errand == Errand::insert_id || errand == Errand::written ||
           errand == Errand::variables || errand == Errand::news || errand == Errand::traces ||
           errand == Errand::warnings;
  });
}

bool fits(const SessionState& lender, const SessionState& borrower, Side side,
          const Surroundings& w) {
  const auto& from = *lender.split;
  const auto& to = *borrower.split;
  const auto& own = leg(lender, side);
  if (own.server != leg(borrower, side).server || !is_secured_as_wanted(own, w)) return false;
  // COM_RESET_CONNECTION leaves the current database, and nothing chooses none.
  const bool had_none = from.settings.database.empty() && from.settings.database_version == 0;
  if (to.settings.database.empty() && !had_none) return false;
  if (to.lending.own && side == Side::server) return false;
  return lender.user == borrower.user && from.credentials.known && to.credentials.known &&
         from.credentials.secret == to.credentials.secret &&
         std::ranges::equal(protocol_of(from), protocol_of(to)) &&
         lender.conversation.capabilities == borrower.conversation.capabilities &&
         !is_interactive(from) && come_from_the_same(lender, borrower, w) &&
         !from.lending.account.empty() && from.lending.account == to.lending.account &&
         !from.lending.account.ends_with(kInitialised);
}

ServerLeg lend(SessionState& s, Side side) {
  if (side == Side::reader) s.split->reader_after_ns = 0;
  if (side == Side::server) s.split->lending.from = s.home.server;
  auto lent = std::move(leg_of(s, side));
  forget_leg(s, side);
  return lent;
}

void on_granted(SessionState& s, const Surroundings& w, Side side, Actions& out) {
  if (link(s, side).step != Step::queued) return out.close(side);
  if (side == Side::server && !std::exchange(s.split->lending.granted, true))
    s.split->home_by_ns = w.now_ns + int64_t{w.service.login_timeout_ms} * kMillisecondNs;
  dial(s, w, side, out);
}

void on_lent(SessionState& s, const Surroundings& w, Side side, ServerLeg leg, Actions& out) {
  auto& split = *s.split;
  auto& to = link(s, side);
  if (to.step != Step::queued) return out.close(side);
  leg_of(s, side) = std::move(leg);
  to = {};
  to.step = Step::ready;
  to.borrowed = to.restoring = true;
  run_errand(s, side, Errand::reset, mysql::Command::reset_connection, "", out);
  ask_account(s, side, out);
  if (side == Side::server) {
    split.home_by_ns = w.now_ns + int64_t{w.service.login_timeout_ms} * kMillisecondNs;
    return restore(s, w, out);
  }
  split.waiting = true;
  to.by_ns = connect_deadline_ns(split.reader, w);
  read_only(s, out);
  const bool none = split.settings.database.empty();  // then the lender had none: fits()
  to.database_version = split.settings.database_version - (none ? 0 : 1);  // it has the lender's
}

void on_none_lent(SessionState& s, const Surroundings& w, Side side, Actions& out) {
  auto& split = *s.split;
  if (side != Side::reader || split.reader_link.step != Step::queued) return;
  drop_leg(s, side, out);
  split.reader_after_ns = 0;  // one may be free in a moment
  if (split.kill.step == KillStep::calling) return give_up_kill(s, w, "none is free", out);
  if (split.waiting) again_at_home(s, w, out, stats::Route::no_replica);
}

void ask_account(SessionState& s, Side side, Actions& out) {
  run_errand(s, side, Errand::account, mysql::Command::query,
             fmt::format("SELECT CONCAT('{} ', CURRENT_USER(), ' ', IFNULL(CURRENT_ROLE(), ''), "
                         "IF(IFNULL(@@global.init_connect, '') = '', '', '{}'))",
                         mark_of(s, side), kInitialised),
             out);
}

std::string mark_of(const SessionState& s, Side side) {
  return fmt::format("sluice-{}-{}", s.id, leg(s, side).connection_id);
}

bool note_account(SessionState& s, Side side, std::string_view said) {
  auto& known = s.split->lending.account;
  const auto mark = mark_of(s, side) + ' ';
  const auto account = said.starts_with(mark) ? said.substr(mark.size()) : std::string_view();
  const auto& from = link(s, side);
  if (known.empty() && side == Side::server && !(from.borrowed && from.restoring)) {
    known = account;  // at the login, or after a reset; empty: nothing is lent
    auto& at_login = s.split->lending.at_login;
    if (at_login.empty()) at_login = account;
    if (at_login != account) s.split->kept.pinned = why::kRole;
    return true;
  }
  return !account.empty() && account == known;
}

}  // namespace sluice::worker::split
