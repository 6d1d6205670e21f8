#include "tests/support/fetched.h"

#include <fmt/format.h>
#include <stdlib.h>
#include <unistd.h>

#include <filesystem>

#include "tests/support/test_error.h"

namespace sluice::test {
namespace {

namespace fs = std::filesystem;

/// As tests/support/fetch_servers finds it.
std::string cache_directory() {
  const char* named = ::getenv("SLUICE_TEST_CACHE_DIR");
  return named != nullptr && *named != '\0' ? named : SLUICE_TEST_CACHE_DIR;
}

/// Whether users other than the owner may pass through every directory above `path`.
bool open_to_all(const fs::path& path) {
  for (auto directory = path; directory.has_relative_path(); directory = directory.parent_path())
    if ((fs::status(directory).permissions() & fs::perms::others_exec) == fs::perms::none)
      return false;
  return true;
}

}  // namespace

FetchedServer::FetchedServer(std::string name)
    : name_(std::move(name)), root_(cache_directory() + "/servers/" + name_) {}

Available FetchedServer::available() const {
  if (!fs::exists(root_ + "/fetched"))
    return tl::unexpected(fmt::format("no server \"{}\" in {}: run tests/support/fetch_servers",
                                      name_, cache_directory()));
  if (::geteuid() == 0 && !open_to_all(root_))
    return tl::unexpected(fmt::format(
        "the servers' user can't reach {}: set SLUICE_TEST_CACHE_DIR to another directory", root_));
  return {};
}

std::string FetchedServer::library(const std::string& path) const {
  for (const auto& entry : fs::directory_iterator(root_ + "/usr/lib"))
    if (const auto file = entry.path() / path; fs::exists(file)) return file;
  throw TestError(fmt::format("{} has no library {}", root_, path));
}

}  // namespace sluice::test
