// What a session holds in its connection home by its own statements, until others of them let it
// go: temporary and locked tables, named locks, handlers, statements prepared by name. No server
// tells of them.
#pragma once

#include <string_view>

#include "worker/session/state.h"
#include "worker/split/state.h"

namespace sluice::worker::split {

/// Takes up what a statement takes, and what it lets go.
void take_holdings(Split& split, const sql::Statement& statement, std::string_view text);
/// What each execution of a prepared one does: for which of them is not known.
HoldingsChange holdings_of_executions(Split& split, const sql::Statement& statement);
/// The statement has run. It may have taken what it should even if it failed.
void note_holdings(SessionState& s);

/// Null if there are none; those that why_pinned() is about come first.
const Holding* first_holding(const Split& split);
std::string_view in_words(const Holding& holding);

/// Why all that the session says runs at home; empty: it does not. It has temporary or
/// locked tables, or is `kept.pinned`.
std::string_view why_pinned(const Split& split);

}  // namespace sluice::worker::split
