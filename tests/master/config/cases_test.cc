// Configurations as data: tests/data/config/X.toml and what is to be said about it, X.problems.
// SLUICE_UPDATE_CASES=1 writes the .problems anew; read the difference before it is kept.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "common/ipc/codec.h"
#include "master/config/load.h"
#include "tests/master/config/fixture.h"

namespace sluice::config {
namespace {

namespace fs = std::filesystem;

std::string read_file(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

std::vector<fs::path> cases() {
  std::vector<fs::path> paths;
  for (const auto& entry : fs::directory_iterator(SLUICE_TEST_DATA "/config"))
    if (entry.path().extension() == ".toml") paths.push_back(entry.path());
  std::ranges::sort(paths);
  return paths;
}

class Cases : public testing::TestWithParam<fs::path> {};

TEST_P(Cases, SaysWhatIsWrong) {
  const fs::path& path = GetParam();
  const auto parsed = parse(test::inputs_of(path.filename().string(), read_file(path)));
  std::string said;
  for (const auto& problem : parsed.problems) said += render(problem) + "\n";

  const auto expected = fs::path(path).replace_extension(".problems");
  if (std::getenv("SLUICE_UPDATE_CASES")) std::ofstream(expected) << said;
  EXPECT_EQ(said, read_file(expected));
  EXPECT_EQ(path.stem().string().starts_with("good_"), said.empty());
  EXPECT_EQ(said.find("s3cret"), std::string::npos) << "a password was shown";
}

TEST_P(Cases, TravelsBetweenProcesses) {
  const auto parsed = parse(test::inputs_of("sluice.toml", read_file(GetParam())));
  const auto back = ipc::decode<ipc::ParsedConfig>(ipc::encode(parsed));
  ASSERT_TRUE(back);
  EXPECT_EQ(back->config, parsed.config);
  ASSERT_EQ(back->problems.size(), parsed.problems.size());
  for (std::size_t i = 0; i < parsed.problems.size(); ++i)
    EXPECT_EQ(render(back->problems[i]), render(parsed.problems[i]));
}

INSTANTIATE_TEST_SUITE_P(Config, Cases, testing::ValuesIn(cases()),
                         [](const auto& info) { return info.param.stem().string(); });

TEST(Cases, CutAnywhereAreProblemsAndNothingWorse) {
  for (const auto& path : cases()) {
    const auto text = read_file(path);
    for (std::size_t n = 0; n < text.size(); n += 7) {
      const auto parsed = test::parse_text(text.substr(0, n));
      for (const auto& problem : parsed.problems) EXPECT_FALSE(problem.text.empty());
    }
  }
}

}  // namespace
}  // namespace sluice::config
