#include "worker/pool.h"

#include <algorithm>
#include <utility>

namespace sluice::worker {

using What = Pool::Decision::What;

void Pool::came(std::string_view server, Place place) {
  left(place);
  servers_[std::string(server)].holders.push_back(place);
}

void Pool::wants(std::string_view server, Place place, bool counted) {
  left(place);
  servers_[std::string(server)].queue.push_back({place, counted});
}

void Pool::left(Place place) {
  for (auto it = servers_.begin(); it != servers_.end();) {
    auto& [name, server] = *it;
    std::erase(server.holders, place);
    std::erase_if(server.queue, [&](const Waiter& one) { return one.place == place; });
    it = server.holders.empty() && server.queue.empty() ? servers_.erase(it) : std::next(it);
  }
}

std::optional<Pool::Decision> Pool::next(const Lenders& lenders) {
  for (auto& [name, server] : servers_) {
    if (!server.queue.empty())
      if (auto decision = serve(server, lenders)) return decision;
    if (server.holders.size() > limit_)
      if (auto decision = shrink(server, lenders)) return decision;
  }
  return std::nullopt;
}

std::optional<Pool::Decision> Pool::serve(Server& server, const Lenders& lenders) {
  const auto first = server.queue.front().place;
  if (server.holders.size() < limit_) {
    server.queue.pop_front();
    server.holders.push_back(first);
    return Decision{What::connect, {}, first};
  }
  // One too many is closed before one changes hands.
  const auto lender = server.holders.size() > limit_
                          ? std::nullopt
                          : least_active(server, lenders, Lenders::Answer::yes);
  if (lender) {
    server.queue.pop_front();
    *std::ranges::find(server.holders, *lender) = first;
    return Decision{lenders.fits(*lender, first) ? What::lend : What::replace, *lender, first};
  }
  const auto reads = [](const Waiter& one) { return one.place.side == Side::reader; };
  if (const auto reader = std::ranges::find_if(server.queue, reads); reader != server.queue.end()) {
    const auto to = reader->place;
    server.queue.erase(reader);
    return Decision{What::none, {}, to};
  }
  return ask(server, lenders, server.queue.size());
}

std::optional<Pool::Decision> Pool::shrink(Server& server, const Lenders& lenders) {
  const auto lender = least_active(server, lenders, Lenders::Answer::yes);
  if (!lender) return ask(server, lenders, server.holders.size() - limit_);
  std::erase(server.holders, *lender);
  return Decision{What::close, *lender, {}};
}

/// So many are to be asking at a time.
std::optional<Pool::Decision> Pool::ask(const Server& server, const Lenders& lenders,
                                        std::size_t wanted) {
  const auto asking = std::ranges::count_if(server.holders, [&](Place place) {
    return lenders.may_lend(place) == Lenders::Answer::asked;
  });
  if (static_cast<std::size_t>(asking) >= wanted) return std::nullopt;
  const auto place = least_active(server, lenders, Lenders::Answer::if_told);
  if (!place) return std::nullopt;
  return Decision{What::ask, *place, {}};
}

std::optional<Place> Pool::least_active(const Server& server, const Lenders& lenders,
                                        Lenders::Answer answer) {
  std::optional<Place> found;
  int64_t since = 0;
  for (const auto& place : server.holders) {
    const auto active = lenders.active_ns(place);
    if (found && active >= since) continue;
    if (lenders.may_lend(place) != answer) continue;
    found = place;
    since = active;
  }
  return found;
}

std::size_t Pool::open() const {
  std::size_t sum = 0;
  for (const auto& [name, server] : servers_) sum += server.holders.size();
  return sum;
}

std::size_t Pool::waiting() const {
  std::size_t sum = 0;
  for (const auto& [name, server] : servers_) sum += server.queue.size();
  return sum;
}

std::size_t Pool::take_waited() {
  std::size_t found = 0;
  for (auto& [name, server] : servers_)
    for (auto& one : server.queue) found += std::exchange(one.counted, true) ? 0 : 1;
  return found;
}

std::vector<Place> Pool::holders(std::string_view server) const {
  std::vector<Place> out;
  for (const auto& [name, one] : servers_)
    if (server.empty() || name == server)
      out.insert(out.end(), one.holders.begin(), one.holders.end());
  return out;
}

}  // namespace sluice::worker
