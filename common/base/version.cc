#include "common/base/version.h"

namespace sluice {

const std::string_view kRelease = SLUICE_RELEASE;  // from CMakeLists.txt

}  // namespace sluice
