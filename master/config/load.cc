#include "master/config/load.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <algorithm>
#include <memory>

#include "common/base/clock.h"
#include "common/base/unique_fd.h"
#include "master/config/parse.h"

namespace sluice::config {
namespace {

constexpr off_t kMaxFile = 4 << 20;  // as in document.cc; here it bounds memory

/// The text of a file, or Source::error. `missing` is set if there is none of that name.
Source read_source(const std::string& path, bool* missing = nullptr) {
  Source source{path, "", false, ""};
  const auto failed = [&](std::string_view why) {
    source.error = fmt::format("can't read the file: {}", why);
    return source;
  };
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (missing) *missing = !fd && errno == ENOENT;
  if (!fd) return failed(std::strerror(errno));
  struct stat status {};
  if (::fstat(fd.get(), &status) != 0) return failed(std::strerror(errno));
  if (!S_ISREG(status.st_mode)) return failed("not a regular file");
  if (status.st_size > kMaxFile) return failed("larger than 4 MiB");
  source.others_can_read = (status.st_mode & S_IROTH) != 0;
  char buffer[16384];
  while (source.text.size() <= static_cast<std::size_t>(kMaxFile)) {
    const auto n = ::read(fd.get(), buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return failed(std::strerror(errno));
    if (n == 0) break;
    source.text.append(buffer, static_cast<std::size_t>(n));
  }
  return source;
}

/// "shop.toml", but not ".shop.toml.swp", ".#shop.toml", "#shop.toml#", "shop.toml~",
/// "shop.toml.bak".
bool is_part(std::string_view name) {
  return name.ends_with(".toml") && !name.starts_with('.') && !name.starts_with('#');
}

/// Adds the files of conf.d, or one Source with an error if the directory can't be read.
void read_parts(const std::string& directory, std::vector<Source>& sources) {
  struct Close {
    void operator()(DIR* open) const noexcept { ::closedir(open); }
  };
  const std::unique_ptr<DIR, Close> open(::opendir(directory.c_str()));
  if (!open) {
    if (errno == ENOENT) return;
    const auto error = fmt::format("can't read the directory: {}", std::strerror(errno));
    sources.push_back({directory, "", false, error});
    return;
  }
  std::vector<std::string> names;
  while (const dirent* entry = ::readdir(open.get()))
    if (is_part(entry->d_name)) names.emplace_back(entry->d_name);
  std::ranges::sort(names);
  for (const std::string& name : names)
    sources.push_back(read_source(fmt::format("{}/{}", directory, name)));
}

ipc::Problem no_configuration(const std::string& path, const std::string& parts) {
  return {.file = path,
          .text = "there is no configuration",
          .hint = fmt::format("looked for {} (and {}/*.toml beside it); --config names another "
                              "file; a whole configuration:\n\n{}",
                              path, parts, kMinimalConfiguration)};
}

}  // namespace

ipc::ParsedConfig load(const std::string& path, Purpose purpose) {
  const auto slash = path.rfind('/');
  const std::string directory = slash == std::string::npos ? "."
                                : slash == 0               ? "/"
                                                           : path.substr(0, slash);
  const std::string parts = directory + "/conf.d";

  bool missing = false;
  Inputs inputs;
  inputs.sources.push_back(read_source(path, &missing));
  if (missing) return {{}, {no_configuration(path, parts)}};
  read_parts(parts, inputs.sources);
  inputs.directory = directory;
  if (const char* credentials = ::getenv("CREDENTIALS_DIRECTORY")) inputs.credentials = credentials;
  inputs.read_secret = read_secret_file;
  inputs.read_pem = read_pem_file;
  inputs.now_s = wall_clock_s();
  inputs.purpose = purpose;
  inputs.judge_tls = judge_with_libssl;
  return parse(inputs);
}

bool usable(const ipc::ParsedConfig& parsed) {
  return std::ranges::all_of(parsed.problems, &ipc::Problem::warning);
}

std::string render(const ipc::Problem& problem) {
  std::string text = problem.file;
  if (problem.line != 0) text += fmt::format(":{}:{}", problem.line, problem.column);
  if (!text.empty()) text += ": ";
  if (problem.warning) text += "warning: ";
  if (!problem.key.empty()) text += problem.key + ": ";
  text += problem.text;
  if (problem.hint.empty()) return text;
  text += "\n  hint: ";
  for (std::size_t i = 0; i < problem.hint.size(); ++i) {
    if (i > 0 && problem.hint[i - 1] == '\n' && problem.hint[i] != '\n') text += "    ";
    text += problem.hint[i];
  }
  return text;
}

}  // namespace sluice::config
