// The release, for people and for Hello.
#pragma once

#include <string_view>

namespace sluice {
extern const std::string_view kRelease;
}
