// Every message that travels between sluice's processes, as hostile bytes: what decodes is the same
// when it was written and read again. The first byte chooses the message.
#include <cstdlib>

#include "common/ipc/messages.h"

namespace {

using namespace sluice;

template <class Message>
void decode_one(ByteSpan input) {
  const auto message = ipc::decode<Message>(input);
  if (!message) {
    if (message.error().field.empty()) std::abort();
    return;
  }
  const auto bytes = ipc::encode(*message);
  const auto back = ipc::decode<Message>(bytes);
  if (!back || ipc::encode(*back) != bytes) std::abort();
}

using Decode = void (*)(ByteSpan);
#define SLUICE_FUZZ_ROW(id, message, from, to, when, fds) decode_one<ipc::message>,
constexpr Decode kDecoders[] = {SLUICE_IPC_MESSAGES(SLUICE_FUZZ_ROW)};
#undef SLUICE_FUZZ_ROW

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const ByteSpan input(reinterpret_cast<const std::byte*>(data + 1), size - 1);
  kDecoders[data[0] % std::size(kDecoders)](input);
  return 0;
}
