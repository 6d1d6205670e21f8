// The release, for people and for Hello.
#pragma once

#include <string_view>

namespace sluice {
inline constexpr std::string_view kRelease = SLUICE_RELEASE;  // from CMakeLists.txt
}
