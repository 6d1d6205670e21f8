// sluice-monitor: watches the database servers. Started by the master, with its channel as fd 3.
#include <malloc.h>
#include <signal.h>

#include <cstdio>

#include "monitor/monitor.h"

namespace {

constexpr int kKeptFreeBytes = 128 * 1024;

int run() {
  ::signal(SIGPIPE, SIG_IGN);
  // Left to itself, glibc learns from the first large block that is freed to keep blocks of that
  // size: after a load of many accounts that would be a table's worth of memory, for nothing.
  ::mallopt(M_TRIM_THRESHOLD, kKeptFreeBytes);
  auto loop = sluice::event::Loop::create();
  auto mailbox = sluice::monitor::Mailbox::create();
  if (!loop || !mailbox) {
    std::fputs("sluice-monitor: cannot make an event loop\n", stderr);
    return 1;
  }
  sluice::monitor::Monitor monitor(*loop, *mailbox);
  if (const auto ok = monitor.start(); !ok) {
    std::fprintf(stderr, "sluice-monitor: %s (it is started by sluiced, not by hand)\n",
                 ok.error().message.c_str());
    return 1;
  }
  loop->run();
  return 1;  // only an order to leave or the loss of the master ends this process, with _exit
}

}  // namespace

int main() {
  return run();
}
