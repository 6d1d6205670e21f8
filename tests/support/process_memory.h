#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>
#include <vector>

namespace sluice::test {

/// Names of the mappings of a process that hold `needle` ("[heap]", "/memfd:sluice-accounts
/// (deleted)", "anonymous 7f..."), each once. For root only.
std::vector<std::string> memory_with(pid_t pid, std::string_view needle);

}  // namespace sluice::test
