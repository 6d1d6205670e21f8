#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>

#include "tests/support/process.h"

namespace sluice::test {

/// The user that database servers run as when the test runs as root (they refuse to be root);
/// nothing otherwise: the invoking user.
std::optional<Account> server_account();

/// Gives the file or directory to server_account().
void give_to_server(const std::filesystem::path& path);

/// Copies a template data directory to `datadir` (which must not exist). The first call of the run
/// for this `name` makes the template: `install` gets a directory that belongs to server_account(),
/// and leaves the template in its "data". Shared by all processes of a run when tests/run names a
/// directory ($SLUICE_TEST_CACHE), else made once a process.
void copy_template(const std::string& name,
                   const std::function<void(const std::filesystem::path& directory)>& install,
                   const std::filesystem::path& datadir);

}  // namespace sluice::test
