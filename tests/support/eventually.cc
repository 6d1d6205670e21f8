#include "tests/support/eventually.h"

#include <poll.h>

namespace sluice::test {

void pause_for(Milliseconds time) {
  ::poll(nullptr, 0, static_cast<int>(time.count()));
}

}  // namespace sluice::test
