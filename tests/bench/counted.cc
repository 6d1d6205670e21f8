// bench_counted, in the place of sluice-worker: sluiced gives its children no environment in which
// to name user_cycles.cc. Starts the real one with it. All that belongs to it is where
// harness/cycles.py put it, beside this program.

#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>

int main(int, char** argv) {
  const auto folder = std::filesystem::read_symlink("/proc/self/exe").parent_path();
  setenv("LD_PRELOAD", (folder / "user_cycles.so").c_str(), 1);
  setenv("SLUICE_BENCH_CYCLES", (folder / "counters").c_str(), 1);
  execv((folder / "real" / "sluice-worker").c_str(), argv);
  std::perror("bench_counted");
  return 1;
}
