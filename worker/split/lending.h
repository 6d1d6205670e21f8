// Sessions of a service with a pool lend each other their server connections (worker/pool.h says
// who to whom). What may be lent, and what fits whom, is a function of the state. The rule that all
// else is for: a connection changes hands only when every answer that was due on it has come whole,
// and nothing is sent to the next client before the server has answered a question that it can't
// have been asked before.
#pragma once

#include <optional>

#include "common/stats/pins.h"
#include "worker/session/engine.h"

namespace sluice::worker::split {

/// What keeps a session's connection of that side with it; nothing: it may be lent, maybe after
/// prepare_to_lend(). Of a side that has no connection: Pin::other.
std::optional<stats::Pin> why_kept_by(const SessionState& s, Side side);
/// Whether the connection may be lent as things are.
bool may_lend(const SessionState& s, Side side);
/// Whether the session would be the same with another connection to its primary, as far as
/// prepare_to_lend() goes; a command may have come already.
bool can_be_replaced(const SessionState& s);
/// Whether the client says that a human is at it (CLIENT_INTERACTIVE).
bool is_interactive(const Split& split);
/// Whether multi-statements are as the login has said (COM_SET_OPTION): a new connection has that.
bool has_options_of_login(const Split& split);
/// Whether prepare_to_lend() would ask anything.
bool has_to_ask(const Split& split);
/// Asks the primary what the session will want to know of it afterwards; when that is answered, it
/// may lend.
void prepare_to_lend(SessionState& s, Actions& out);
/// Whether that is under way.
bool is_preparing_to_lend(const SessionState& s);
/// Whether the borrower can use the lender's connection as it is, once it was reset: the server
/// would have given it the same account, privileges and protocol. In doubt it can't.
bool fits(const SessionState& lender, const SessionState& borrower, Side side,
          const Surroundings& w);
/// Takes a connection from a session, which may_lend() it; it will borrow one when it needs it.
ServerLeg lend(SessionState& s, Side side);

/// The client will know its connection by the id, so it must be one that nobody else knows so.
/// False if it is about to be replaced.
bool has_own_id(SessionState& s, Actions& out);

/// There is room for one more: it may connect.
void on_granted(SessionState& s, const Surroundings& w, Side side, Actions& out);
/// Here is one that was another session's.
void on_lent(SessionState& s, const Surroundings& w, Side side, ServerLeg leg, Actions& out);
/// None is to be had for its reads, which do not wait.
void on_none_lent(SessionState& s, const Surroundings& w, Side side, Actions& out);

}  // namespace sluice::worker::split
