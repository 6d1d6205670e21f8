// `sluicectl encrypt`: the work is sluiced's, which has the key and libcrypto; it needs no daemon.
#pragma once

#include <string>

#include "master/ctl/run.h"

namespace sluice::ctl {

/// Runs `sluiced --encrypt` on our terminal and waits for it. Its output goes where ours goes.
Outcome encrypt();

/// The sluiced that belongs to a program in `folder`: beside it (a build tree), or in ../sbin (an
/// installation). Empty if there is none.
std::string find_sluiced(const std::string& folder);

}  // namespace sluice::ctl
