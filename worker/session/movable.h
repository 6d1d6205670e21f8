// Which sessions can go to another worker, and which states from another worker can be gone on
// with.
#pragma once

#include <string>

#include "worker/session/state.h"

namespace sluice::worker {

/// Of the format of SessionState: a worker takes states of this one and of those before it. Goes up
/// when a member is added that can't be missed.
inline constexpr uint32_t kStateVersion = 2;

/// Why a session can't move now, as far as its state knows; empty: it can. Between two events that
/// is nearly always: what was received and what is unsent is in the state, all else in the sockets.
std::string_view why_not_movable(const SessionState& s);

/// What is wrong with a state that another worker has sent; empty: nothing that the engine would
/// fall over.
std::string_view what_is_wrong(const SessionState& s);

}  // namespace sluice::worker
