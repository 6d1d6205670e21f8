// The warnings and errors that a session may ask for: which connection has them. What home has is
// asked for before its connection goes to another session, and told from here afterwards.
#pragma once

#include <string_view>

#include "worker/session/actions.h"
#include "worker/split/state.h"

namespace sluice::worker::split {

/// Takes up those of the command that was answered. Whether it has left its own.
bool note_diagnostics(SessionState& s);
/// Whether the connection of that side has some that may be asked for.
bool has_diagnostics(const Last& last, Side side);
/// What that side had is lost.
void forget_diagnostics(Last& last, Side side);

/// Whether home has some that it was not asked for.
bool has_untold_warnings(const Split& split);
void ask_warnings(SessionState& s, Actions& out);
/// More of the answer.
void keep_warnings(Bytes& answer, ByteSpan more);
/// All of it, and the error or 0.
void note_warnings(Split& split, Bytes answer, uint16_t error);
/// Whether that answer is the one to a command's text, after home's connection went.
bool are_kept_warnings(const Split& split, std::string_view text);
/// Tells it to the client, which is all that is done about its command.
void answer_with_warnings(SessionState& s, Actions& out);

}  // namespace sluice::worker::split
