// What a worker does with the decisions of the pools of its services.
#include <fmt/format.h>

#include <array>

#include "worker/split/lending.h"
#include "worker/worker.h"

namespace sluice::worker {
namespace {

class Sessions final : public Lenders {
 public:
  Sessions(const std::unordered_map<uint64_t, std::unique_ptr<Session>>& all, const Surroundings& w)
      : all_(all), w_(w) {}

  /// Where the server has spoken, or gone, that has to be heard first.
  Answer may_lend(Place place) const override {
    const auto found = all_.find(place.session);
    if (found == all_.end() || found->second->frozen()) return Answer::no;
    const auto& state = found->second->state();
    if (state.split && w_.now_ns < state.split->lending.held_ns) return Answer::no;
    if (split::may_lend(state, place.side))
      return found->second->is_silent(place.side) ? Answer::yes : Answer::no;
    if (place.side != Side::server) return Answer::no;
    if (split::is_preparing_to_lend(state)) return Answer::asked;
    return split::why_kept_by(state, place.side) ? Answer::no : Answer::if_told;
  }
  int64_t active_ns(Place place) const override {
    const auto* state = of(place);
    return state != nullptr ? state->active_ns : 0;
  }
  bool fits(Place from, Place to) const override {
    const auto* lender = of(from);
    const auto* borrower = of(to);
    return from.side == to.side && lender != nullptr && borrower != nullptr &&
           split::fits(*lender, *borrower, from.side, w_);
  }

 private:
  const SessionState* of(Place place) const {
    const auto found = all_.find(place.session);
    return found == all_.end() ? nullptr : &found->second->state();
  }
  const std::unordered_map<uint64_t, std::unique_ptr<Session>>& all_;
  const Surroundings& w_;
};

using PinCounts = std::array<uint64_t, stats::kPins>;

}  // namespace

void Worker::serve_pool(ServiceEntry& service) {
  if (serves_pool_) return;  // what is carried out now comes back to here
  serves_pool_ = true;
  const Sessions lenders(sessions_, *service.surroundings);
  while (const auto decision = service.pool->next(lenders)) carry_out(service, *decision);
  serves_pool_ = false;
  auto& counters = service.counters->pool;
  counters.open.store(service.pool->open(), std::memory_order_relaxed);
  stats::add(counters.waited, service.pool->take_waited());
  counters.waiting.store(service.pool->waiting(), std::memory_order_relaxed);
}

void Worker::carry_out(ServiceEntry& service, const Pool::Decision& decision) {
  using What = Pool::Decision::What;
  auto* from = session(decision.from.session);
  auto* to = session(decision.to.session);
  const auto lent =
      decision.what == What::lend || decision.what == What::replace || decision.what == What::close;
  if (lent) stats::add(service.counters->pool.lent);
  switch (decision.what) {
    case What::connect:
      return to->granted(decision.to.side);
    case What::lend:
      return to->take(decision.to.side, from->lend(decision.from.side));
    case What::replace:
      from->give_up(decision.from.side);
      return to->granted(decision.to.side);
    case What::close:
      return from->give_up(decision.from.side);
    case What::ask:
      return from->prepare_to_lend();
    case What::none:
      return to->none_lent(decision.to.side);
  }
}

std::string Worker::pool_use(const ServiceEntry& service, std::string_view server) const {
  PinCounts counts{};
  for (const auto& place : service.pool->holders(server))
    if (const auto* one = session(place.session))
      if (const auto pin = split::why_kept_by(one->state(), place.side))
        ++counts[static_cast<std::size_t>(*pin)];
  std::string out;
  for (std::size_t i = 0; i < stats::kPins; ++i)
    if (counts[i] > 0)
      out += fmt::format("{}{} {}", out.empty() ? "" : ", ", counts[i], kEnumNames<stats::Pin>[i]);
  return out;
}

void Worker::count_pins() {
  for (auto& [name, service] : services_) {
    if (!service->pool) continue;
    PinCounts counts{};
    for (const auto& place : service->pool->holders("")) {
      const auto* one = place.side == Side::server ? session(place.session) : nullptr;
      const auto pin = one ? split::why_kept_by(one->state(), place.side) : std::nullopt;
      if (pin) ++counts[static_cast<std::size_t>(*pin)];
    }
    for (std::size_t i = 0; i < stats::kPins; ++i)
      service->counters->pool.pins[i].store(counts[i], std::memory_order_relaxed);
  }
}

}  // namespace sluice::worker
