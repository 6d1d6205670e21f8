#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace sluice::test {

/// A fresh directory under $TMPDIR (or /tmp), removed with everything in it at the end. Mode 0755,
/// since the servers in it run as other users than the test.
class TempDir {
 public:
  TempDir();
  ~TempDir();
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;

  const std::filesystem::path& path() const { return path_; }
  /// The path of `name` inside; made by nobody yet.
  std::string operator/(std::string_view name) const { return (path_ / name).string(); }

 private:
  std::filesystem::path path_;
};

/// The whole file; empty when it can't be read.
std::string read_file(const std::filesystem::path& path);

/// Replaces the file. Throws TestError when that fails.
void write_file(const std::filesystem::path& path, std::string_view text);

/// The last `lines` lines of `text`, for messages of failed tests.
std::string tail(const std::string& text, int lines);

}  // namespace sluice::test
