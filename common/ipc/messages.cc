// Every message as bytes and back.
#include "common/ipc/messages.h"

namespace sluice {

#define SLUICE_IPC_HERE(number, message, from, to, when, fds) \
  template Bytes ipc::encode(const ipc::message&);            \
  template Parsed<ipc::message> ipc::decode(ByteSpan);
SLUICE_IPC_MESSAGES(SLUICE_IPC_HERE)
#undef SLUICE_IPC_HERE

}  // namespace sluice
