#include "worker/routers/router.h"

namespace sluice::worker {

// Each row of modules.def has its `make_<type>()` in a file of its own; forget it and the link
// fails.
#define SLUICE_ROUTER(type, name, help) const Router& make_##type();
#include "common/config/modules.def"
#undef SLUICE_ROUTER

const Router& router_of(config::RouterKind kind) {
  switch (kind) {
#define SLUICE_ROUTER(type, name, help) \
  case config::RouterKind::type:        \
    return make_##type();
#include "common/config/modules.def"
#undef SLUICE_ROUTER
  }
  return make_connection();
}

}  // namespace sluice::worker
