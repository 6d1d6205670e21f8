// A session as bytes and back.
#include "worker/session/state.h"

namespace sluice {

static_assert(ipc::complete<worker::SessionState>(),
              "a member has no wire tag, or is of a type that can't cross processes");

template Bytes ipc::encode(const worker::SessionState&);
template Parsed<worker::SessionState> ipc::decode(ByteSpan);

}  // namespace sluice
