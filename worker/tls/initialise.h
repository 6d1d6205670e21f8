#pragma once

#include "common/base/result.h"

namespace sluice::tls {

/// Has the TLS library do now, once, all that takes a file or more of the system than memory and
/// random numbers: its configuration (openssl.cnf, with what that loads), the time zone, the state
/// of its random generators. To be called before the process locks itself in.
Result<> initialise();

}  // namespace sluice::tls
