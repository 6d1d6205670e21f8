// sluice-worker: started by sluiced, which talks to it on fd 3.
#include <fcntl.h>
#include <signal.h>

#include <cstdio>
#include <exception>

#include "common/base/log.h"
#include "worker/worker.h"

int main() {
  using namespace sluice;
  if (::fcntl(process::kChannelFd, F_GETFD) < 0) {
    std::fputs("sluice-worker is started by sluiced, not by hand; see sluiced(8)\n", stderr);
    return 2;
  }
  ::signal(SIGPIPE, SIG_IGN);
  // A terminal's signals reach the whole group; the master alone decides.
  ::signal(SIGINT, SIG_IGN);
  ::signal(SIGHUP, SIG_IGN);
  try {
    auto loop = sluice::event::Loop::create();
    if (!loop) return 1;
    worker::Worker worker(*loop);
    return worker.run() ? 0 : 1;
  } catch (const std::exception& e) {  // bad_alloc, most likely
    log::error("worker", "ends", log::kv("error", e.what()));
    return 1;
  }
}
