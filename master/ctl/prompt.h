// sluicectl without a command: a prompt with history and completion on a terminal, else one command
// a line from stdin.
#pragma once

#include <cstdio>
#include <optional>
#include <string_view>

#include "master/ctl/run.h"

namespace sluice::ctl {

/// Runs commands from stdin until its end, `quit` or `exit`. A failed one does not end it. Returns
/// kDone from a terminal, where the operator has seen everything, else what run_batch() returns.
int run_prompt(const CommandLine& defaults);

/// Runs each line of a file. Returns the worst exit code of all.
int run_batch(std::FILE* input, const CommandLine& defaults);

/// One line: empty and #-lines do nothing. Nothing: the line says `quit` or `exit`.
std::optional<Outcome> run_line(std::string_view text, const CommandLine& defaults);

}  // namespace sluice::ctl
