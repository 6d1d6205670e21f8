// sluicectl: what operators and scripts use. Parses the command line from the same table that the
// master serves (common/control/commands.h), so that there is nothing to set up before main().
#include <cstdlib>

#include "master/ctl/prompt.h"
#include "master/ctl/run.h"

int main(int argc, char** argv) {
  using namespace sluice::ctl;
  CommandLine defaults;
  if (const char* socket = std::getenv("SLUICE_SOCKET"); socket != nullptr && *socket != '\0')
    defaults.socket = socket;
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  const auto line = parse_command_line(arguments, defaults);
  if (!line) return print(failure(kUsage, line.error().message));
  if (line->words.empty() && !line->help && !line->version) return run_prompt(*line);
  return print(run(*line));
}
