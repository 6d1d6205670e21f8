#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "tests/support/process.h"

namespace sluice::test {

/// The user that mariadbd runs as when the test runs as root (it refuses to be root); nothing
/// otherwise: the invoking user.
std::optional<Account> mariadb_account();

/// Options that decide how the files in a data directory look: the same for the template and for
/// every server that starts from a copy of it.
const std::vector<std::string>& mariadb_storage_args();

/// Copies the template data directory to `datadir` (which must not exist), installing it first if
/// this is the first call of the run.
void copy_template_datadir(const std::filesystem::path& datadir);

/// Gives the file or directory to mariadb_account().
void give_to_mariadb(const std::filesystem::path& path);

}  // namespace sluice::test
