// The configuration as the rest of the master sees it: from a path to checked structs or problems.
#pragma once

#include <string>

#include "common/ipc/messages.h"
#include "master/config/parse.h"

namespace sluice::config {

/// Reads the file and conf.d/*.toml beside it, in the order of their names; hidden files and
/// backups of editors are left out. Relative paths in them begin beside the file. Never fails
/// otherwise than by problems.
ipc::ParsedConfig load(const std::string& path, Purpose purpose = Purpose::use);

/// No problem is more than a warning.
bool usable(const ipc::ParsedConfig& parsed);

/// For people; no newline at the end:
///   sluice.toml:14:10: service.rw.router: unknown router "read-wirte-split"
///     hint: did you mean "read-write-split"? known: connection, read-write-split
std::string render(const ipc::Problem& problem);

}  // namespace sluice::config
