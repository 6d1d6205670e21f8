// What a control client may send to the root process (ControlRequest, its command and arguments),
// and what a person may type at the prompt.
#include <cstdlib>
#include <string>

#include "common/control/commands.h"
#include "common/ipc/messages.h"

namespace {

void must(bool holds) {
  if (!holds) std::abort();
}

/// As the master does it.
void as_request(sluice::ByteSpan input) {
  const auto request = sluice::ipc::decode<sluice::ipc::ControlRequest>(input);
  if (!request) return;
  const auto* command = sluice::control::find_command(request->command);
  if (command == nullptr) return;
  const auto ok = sluice::control::check_arguments(*command, request->arguments);
  must(ok.has_value() || !ok.error().message.empty());
}

/// As the prompt does it. What it would send, the master must take.
void as_line(std::string_view line) {
  const auto words = sluice::control::split_words(line);
  if (!words) return;
  sluice::control::completions(*words, "");
  if (!words->empty())
    sluice::control::completions(std::span(*words).first(words->size() - 1), words->back());
  const auto invocation = sluice::control::understand(*words);
  if (!invocation) return must(!invocation.error().message.empty());
  must(sluice::control::find_command(invocation->command->words) == invocation->command);
  must(sluice::control::check_arguments(*invocation->command, invocation->arguments).has_value());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const sluice::ByteSpan input(reinterpret_cast<const std::byte*>(data), size);
  as_request(input);
  as_line(sluice::as_text(input));
  return 0;
}
