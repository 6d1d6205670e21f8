// The throw-away child that reads the configuration, so that a fault of the parser can't harm the
// master (DESIGN 10).
#pragma once

#include <string>

#include "common/ipc/messages.h"
#include "master/config/keys.h"
#include "master/config/parse.h"

namespace sluice::master {

/// Reads the configuration, and looks up the user and group that children are to run as. In the
/// calling process: for `--check` (to judge), and for the child.
ipc::ParsedConfig read_configuration(const std::string& path, config::Purpose purpose);

/// The child's whole life: reads the configuration, makes the keys that are wanted and needed, and
/// sends both over fd 3. Returns the exit code.
int parse_for_master(const std::string& path, const config::KeyKinds& wanted);

}  // namespace sluice::master
