// A session as a worker that has gone mad might hand it over: the state of a real one with some of
// its bytes changed. What is let in runs on, whatever its peers do then, and does no harm.
#include <fuzzer/FuzzedDataProvider.h>

#include <algorithm>

#include "tests/worker/split/steady.h"
#include "worker/session/movable.h"
#include "worker/split/split.h"

namespace {

using namespace sluice;
using namespace sluice::worker;

const Bytes& real_state(config::RouterKind router) {
  static const Bytes connection =
      ipc::encode(split_tests::SteadySession(config::RouterKind::connection).state());
  static const Bytes split =
      ipc::encode(split_tests::SteadySession(config::RouterKind::read_write_split).state());
  return router == config::RouterKind::connection ? connection : split;
}

void spoil(Bytes& bytes, FuzzedDataProvider& input) {
  for (int n = input.ConsumeIntegralInRange(0, 6); n > 0 && !bytes.empty(); --n) {
    const auto at = input.ConsumeIntegralInRange<std::size_t>(0, bytes.size() - 1);
    const auto value = static_cast<std::byte>(input.ConsumeIntegral<uint8_t>());
    const auto place = bytes.begin() + static_cast<std::ptrdiff_t>(at);
    switch (input.ConsumeIntegralInRange(0, 2)) {
      case 0:
        *place = value;
        break;
      case 1:
        bytes.insert(place, value);
        break;
      default:
        bytes.erase(place);
    }
  }
}

class Moved {
 public:
  Moved(FuzzedDataProvider& input, SessionState state, config::RouterKind router)
      : input_(input), state_(std::move(state)) {
    world_.service.router = router;
  }

  void run() {
    on_view(state_, world_.surroundings(), actions_);
    while (state_.phase != Phase::over && input_.remaining_bytes() > 0) {
      actions_.clear();
      act();
    }
  }

 private:
  void act() {
    const auto w = world_.surroundings();
    const auto side = kSides[input_.ConsumeIntegralInRange(0, state_.split ? 2 : 1)];
    switch (input_.ConsumeIntegralInRange(0, 5)) {
      case 0:
        return on_bytes(state_, w, side, bytes(), actions_);
      case 1:
        return on_closed(state_, w, side, actions_);
      case 2:
        world_.now_ns = std::max(world_.now_ns, deadline_of(state_));
        return on_deadline(state_, world_.surroundings(), actions_);
      case 3:
        unsent(state_, side) = {};
        return on_sent(state_, side, actions_);
      case 4:
        world_.server(0).role = world_.server(1).role = input_.PickValueInArray(
            {cluster::Role::none, cluster::Role::primary, cluster::Role::replica});
        return on_view(state_, world_.surroundings(), actions_);
      default:
        return on_order_to_end(state_, w, {1053, "08S01", "ends"}, world_.now_ns, actions_);
    }
  }
  ByteSpan bytes() {
    scratch_ = input_.ConsumeBytes<std::byte>(input_.ConsumeIntegralInRange(0, 100));
    return scratch_;
  }

  FuzzedDataProvider& input_;
  World world_;
  SessionState state_;
  Actions actions_;
  Bytes scratch_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  FuzzedDataProvider input(data, size);
  const auto router =
      input.ConsumeBool() ? config::RouterKind::connection : config::RouterKind::read_write_split;
  auto bytes = real_state(router);
  spoil(bytes, input);
  auto state = ipc::decode<SessionState>(bytes);
  if (state && what_is_wrong(*state).empty()) Moved(input, std::move(*state), router).run();
  return 0;
}
