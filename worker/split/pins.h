// The reasons to keep a session with its primary that are counted each by its own name.
#pragma once

#include <string_view>

namespace sluice::worker::split::why {

inline constexpr std::string_view kTemporaryTable = "it has made a temporary table";
inline constexpr std::string_view kRole = "it has chosen a role";
inline constexpr std::string_view kUserVariables = "it has user variables";
inline constexpr std::string_view kNamedLock = "it has taken a named lock";
inline constexpr std::string_view kHandler = "it has opened a handler";
inline constexpr std::string_view kNamedStatement = "it has prepared a statement by name";
inline constexpr std::string_view kTracking = "it has set what its server tells of it";
inline constexpr std::string_view kNotReplicated = "what it writes does not reach replicas";
inline constexpr std::string_view kProgram = "a program has changed the session";

}  // namespace sluice::worker::split::why
