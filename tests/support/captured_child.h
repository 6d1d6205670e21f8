/// What programs have in common that are run in place of a worker or monitor and are its enemy's:
/// where they are, and how they talk to the master.
#pragma once

#include <poll.h>

#include <string>

#include "common/ipc/channel.h"

namespace sluice::test {

/// The directory of the running program.
std::string own_directory();

/// By the name that the master has started the program under.
ipc::Role role_by_name(const char* name);

/// Becomes the program `good-worker` or `good-monitor` beside this one. Returns only if it can't.
void become_good(char* const argv[]);

void wait_for(const ipc::Channel& channel, short what);

/// Sends a message and waits until it is on its way. Ends with the master.
template <class Message>
void say(ipc::Channel& channel, const Message& message, std::span<const int> fds = {}) {
  (void)channel.send(message, fds);
  while (channel.wants_write()) {
    wait_for(channel, POLLOUT);
    if (!channel.flush()) ::_exit(0);
  }
}

/// The next message, however long it takes. Ends with the master.
ipc::Frame hear(ipc::Channel& channel);

}  // namespace sluice::test
