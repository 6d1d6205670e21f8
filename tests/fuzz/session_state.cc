// A session's state as another process (of another release, or gone mad) might send it: what
// decodes is the same when it was written and read again, and asking it what it waits for does no
// harm.
#include <cstdlib>

#include "worker/session/engine.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sluice;
  const auto state =
      ipc::decode<worker::SessionState>({reinterpret_cast<const std::byte*>(data), size});
  if (!state) return 0;
  for (const auto side : {worker::Side::client, worker::Side::server})
    (void)worker::wants_read(*state, side);
  const auto bytes = ipc::encode(*state);
  const auto back = ipc::decode<worker::SessionState>(bytes);
  if (!back || ipc::encode(*back) != bytes) std::abort();
  return 0;
}
