#include "common/event/event.h"

#include <fmt/format.h>

namespace sluice::event {

Result<Loop> Loop::create() {
  event_config* config = event_config_new();
  if (config == nullptr) return fail(Errc::event_loop, "no memory for an event loop");
  event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);  // one loop, one thread
  event_base* base = event_base_new_with_config(config);
  event_config_free(config);
  if (base == nullptr) return fail(Errc::event_loop, "cannot make an event loop");
  return Loop(base);
}

tl::unexpected<Error> IoWatch::broken(int fd) {
  return fail(Errc::event_loop, fmt::format("cannot watch fd {}", fd));
}

}  // namespace sluice::event
