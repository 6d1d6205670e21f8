#include "tests/support/temp_dir.h"

#include <fmt/format.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <fstream>
#include <sstream>

#include "tests/support/test_error.h"

namespace sluice::test {

TempDir::TempDir() {
  const char* root = ::getenv("TMPDIR");
  std::string pattern = fmt::format("{}/sluice-test-XXXXXX", root && *root ? root : "/tmp");
  if (::mkdtemp(pattern.data()) == nullptr || ::chmod(pattern.c_str(), 0755) != 0)
    throw TestError(fmt::format("cannot make {}: {}", pattern, ::strerror(errno)));
  path_ = pattern;
}

TempDir::~TempDir() {
  std::error_code ignored;  // a failed clean-up must not hide the result of the test
  std::filesystem::remove_all(path_, ignored);
}

std::string read_file(const std::filesystem::path& path) {
  const std::ifstream in(path, std::ios::binary);
  std::ostringstream out;
  out << in.rdbuf();  // what breaks off (a process that ends) ends the text
  return std::move(out).str();
}

void write_file(const std::filesystem::path& path, std::string_view text) {
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  out.write(text.data(), static_cast<std::streamsize>(text.size()));
  out.close();
  if (!out) throw TestError(fmt::format("cannot write {}", path.string()));
}

std::string tail(const std::string& text, int lines) {
  auto start = text.size();
  if (start > 0 && text.back() == '\n') --start;
  while (start > 0 && !(text[start - 1] == '\n' && --lines == 0)) --start;
  return text.substr(start);
}

}  // namespace sluice::test
