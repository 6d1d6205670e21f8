// What programs leave in a session without the client's text saying so: procedures, functions,
// triggers, and texts that are put together at run time. Home is the one to tell.
#pragma once

#include <string_view>

#include "worker/session/actions.h"
#include "worker/session/engine.h"
#include "worker/split/state.h"

namespace sluice::worker::split {

/// What may do anything, or was not read: the server is asked whether the session changed.
inline constexpr sql::Effects kProgram = sql::Effects(sql::Effect::RunsProgram) |
                                         sql::Effect::CallsUnknownFunction | sql::Effect::Executes |
                                         sql::Effect::ExecutesImmediate | sql::Effect::InDoubt |
                                         sql::Effect::NotReadToEnd;

/// Takes up that a statement may run programs, triggers among them.
void take_programs(Split& split, const sql::Statement& statement, std::string_view text);
/// Home has answered one. Keeps the session there if it says that it has changed.
void note_programs(SessionState& s);

/// Whether there is something that home has had no place to tell, or does not tell by itself.
bool has_untold(const Split& split);
/// Asks home for what has changed in the session.
void ask_news(SessionState& s, Actions& out);
/// Asks home for all that.
void ask_untold_by_programs(SessionState& s, Actions& out);
/// What home alone can tell, of variables too, is asked for before it can be lost: at the end of a
/// transaction that could be run again, or when the session has been idle for a while.
void ask_in_time(SessionState& s, const Surroundings& w, Actions& out);
/// That while is over. Nothing is asked if the session is not idle.
void ask_when_idle(SessionState& s, Actions& out);
/// How many temporary tables home says that were made, and how many user variables there are;
/// empty: it does not.
void note_traces(Split& split, std::string_view said);

}  // namespace sluice::worker::split
