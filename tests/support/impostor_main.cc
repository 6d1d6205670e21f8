/// Stands where sluiced was, and is none. What it does instead is the text of `impostor.mode`
/// beside it (tests/e2e/upgrade_test.cc).
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "common/base/version.h"
#include "common/ipc/channel.h"
#include "master/succession.h"
#include "tests/support/temp_dir.h"

namespace {

using namespace sluice;

/// As the trial of a program that could go on, or that could not and says why.
int answer(const std::string& error) {
  ipc::Channel channel{master::trial_channel()};
  (void)channel.send(ipc::Hello{.role = ipc::Role::trial, .release = std::string(kRelease)});
  (void)channel.send(ipc::StateVerdict{error});
  return 0;
}

/// The value of an option of the command line.
int value_of(const std::vector<std::string>& words, std::string_view option) {
  const auto at = std::ranges::find(words, option);
  return at == words.end() ? -1 : std::stoi(at[1]);
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> words(argv, argv + argc);
  const auto place = std::filesystem::read_symlink("/proc/self/exe").parent_path();
  const auto mode = test::read_file(place / "impostor.mode");
  if (mode == "hangs") ::pause();
  if (mode == "crashes") ::raise(SIGABRT);
  if (mode == "refuses") return answer("this is the state of another proxy");
  if (mode == "gives way") {
    if (std::ranges::count(words, master::kTrialOption) > 0) return answer("");
    const auto own = master::own_arguments({argv, static_cast<std::size_t>(argc)});
    master::become(
        value_of(words, master::kReturnOption), own,
        {.state_fd = value_of(words, master::kInheritOption), .trouble = "it was an impostor"});
  }
  return 1;
}
