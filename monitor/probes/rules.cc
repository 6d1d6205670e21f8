#include "monitor/probes/rules.h"

#include <fmt/format.h>

#include <algorithm>

#include "common/base/clock.h"

namespace sluice::monitor {
namespace {

using cluster::Role;

bool is_address_of(const ReplicationLink& link, const Subject& subject) {
  if (subject.server.address.host == link.host && subject.server.address.port == link.port)
    return true;
  return std::ranges::any_of(subject.seen.addresses, [&](const cluster::Address& address) {
    return address.ip == link.host && address.port == link.port;
  });
}

std::optional<std::size_t> find_other(const Scene& scene, std::size_t self, auto&& matches) {
  for (std::size_t i = 0; i < scene.subjects.size(); ++i)
    if (i != self && matches(scene.subjects[i])) return i;
  return std::nullopt;
}

/// Which server of the cluster a link comes from. The id of a source that is connected is a fact;
/// an address may mean another machine there than here, so it comes second.
std::optional<std::size_t> source_of(const Scene& scene, std::size_t self,
                                     const ReplicationLink& link) {
  const auto by_id = find_other(scene, self, [&](const Subject& s) {
    return link.source_id != 0 && s.seen.server_id == link.source_id;
  });
  if (by_id && link.io == Running::yes) return by_id;
  if (const auto by_address =
          find_other(scene, self, [&](const Subject& s) { return is_address_of(link, s); }))
    return by_address;
  if (by_id || link.io == Running::yes) return by_id;
  // A dead source with a name that we don't know, while one of ours has never answered: that one.
  return find_other(scene, self, [](const Subject& s) { return s.seen.server_id == 0; });
}

/// Without the statement that failed, which stands at the end: there may be a password in it.
std::string error_text(uint32_t number, std::string_view text) {
  if (number == 0) return "";
  return fmt::format(": error {} {}", number, text.substr(0, text.find(" Query: '")));
}

/// Where a chain of sources ends, and how much it lags altogether.
struct Chain {
  std::size_t end = 0;                 ///< last server of the cluster in it
  std::optional<uint64_t> lag_ms = 0;  ///< unknown where a link in between does not know
};

std::optional<uint64_t> lag_of(const Scene& scene, const Observation& seen,
                               const ReplicationLink& link) {
  if (link.behind_s) return uint64_t{*link.behind_s} * 1000;
  if (seen.linked_ns == 0) return std::nullopt;
  return static_cast<uint64_t>(scene.now.monotonic_ns - seen.linked_ns) / kMillisecondNs;
}

Chain follow(const Scene& scene, std::size_t self, std::optional<std::size_t> primary) {
  Chain chain{self, 0};
  // As many steps as there are servers: a ring without a primary ends somewhere, too.
  for (std::size_t step = 0; step < scene.subjects.size() && chain.end != primary; ++step) {
    if (step > 0 && !scene.subjects[chain.end].up()) break;  // passes nothing on
    const auto tie = following(scene, chain.end);
    if (!tie || !tie->source || !tie->link->active()) break;
    const auto lag = lag_of(scene, scene.subjects[chain.end].seen, *tie->link);
    chain.lag_ms = chain.lag_ms && lag ? std::optional(*chain.lag_ms + *lag) : std::nullopt;
    chain.end = *tie->source;
  }
  return chain;
}

/// Why a server's replication is out of order; empty if both threads are at work.
std::string broken_link(const ReplicationLink& link) {
  if (link.sql != Running::yes)
    return "replication SQL thread stopped" + error_text(link.sql_errno, link.sql_error);
  if (link.io == Running::no)
    return "replication IO thread stopped" + error_text(link.io_errno, link.io_error);
  return "";
}

std::string without_source(const Subject& subject, const std::optional<Following>& tie) {
  if (!subject.seen.links_error.empty()) return subject.seen.links_error;
  if (tie)
    return fmt::format("replicates from {}:{}, which is not in the cluster", tie->link->host,
                       tie->link->port);
  return fmt::format("read_only={} and no replication source", subject.seen.read_only ? 1 : 0);
}

/// "replica of db1, 2 s behind", or how the link stands while there is no connection.
std::string reader_text(const Subject& source, const ReplicationLink& link,
                        std::optional<uint64_t> lag_ms) {
  if (!source.up())  // its replicas may not have noticed yet
    return fmt::format("replica of {}, which is down: serves what it has", source.server.name);
  if (link.io == Running::yes)
    return lag_ms ? fmt::format("replica of {}, {} s behind", source.server.name,
                                coarse_seconds(*lag_ms / 1000))
                  : fmt::format("replica of {}", source.server.name);
  return fmt::format("replica of {}, connecting to it{}", source.server.name,
                     error_text(link.io_errno, link.io_error));
}

}  // namespace

std::optional<std::size_t> Scene::previous_primary() const {
  const auto* primary = previous.primary();
  if (primary == nullptr) return std::nullopt;
  for (std::size_t i = 0; i < subjects.size(); ++i)
    if (subjects[i].server.name == primary->name) return i;
  return std::nullopt;
}

std::optional<Following> following(const Scene& scene, std::size_t self) {
  std::optional<Following> best;
  for (const auto& link : scene.subjects[self].seen.links) {
    const Following tie{&link, source_of(scene, self, link)};
    if (tie.source && link.active()) return tie;
    if (!best || (tie.source && !best->source)) best = tie;
  }
  return best;
}

std::string names_of(const Scene& scene, const std::vector<std::size_t>& indices) {
  std::string text;
  for (std::size_t n = 0; n < indices.size(); ++n) {
    if (n > 0) text += n + 1 == indices.size() ? " and " : ", ";
    text += scene.subjects[indices[n]].server.name;
  }
  return text;
}

std::optional<std::size_t> choose_only_writer(Scene& scene,
                                              const std::vector<std::size_t>& candidates) {
  if (candidates.empty()) {
    scene.next.problem = "no primary: no server that answers and may be used is writable";
    return std::nullopt;
  }
  auto chosen = candidates.size() == 1 ? std::optional(candidates[0]) : std::nullopt;
  const auto previous = scene.previous_primary();
  if (!chosen && previous && std::ranges::count(candidates, *previous)) chosen = previous;
  if (chosen && !scene.subjects[*chosen].usable()) chosen.reset();

  const auto names = names_of(scene, candidates);
  if (!chosen && candidates.size() > 1)
    scene.next.problem =
        fmt::format("{} are writable: nothing is written until all but one are read-only", names);
  else if (!chosen)
    scene.next.problem = fmt::format("no primary: {} is {}", names,
                                     enum_name(scene.subjects[candidates[0]].state.admin));
  else if (candidates.size() > 1)
    scene.next.problem = fmt::format("{} are writable; {}, the primary until now, stays it", names,
                                     scene.subjects[*chosen].server.name);
  return chosen;
}

void judge_reader(Scene& scene, std::size_t self, std::optional<std::size_t> primary) {
  const Subject& subject = scene.subjects[self];
  const auto tie = following(scene, self);
  if (!tie || !tie->source || !subject.seen.links_error.empty())
    return subject.set(Role::none, without_source(subject, tie));
  if (auto broken = broken_link(*tie->link); !broken.empty())
    return subject.set(Role::none, std::move(broken));

  const Subject& source = scene.subjects[*tie->source];
  const auto chain = follow(scene, self, primary);
  if (primary && chain.end != *primary)
    return subject.set(Role::none, fmt::format("follows {}{}, not the primary {}",
                                               source.server.name, source.up() ? "" : " (down)",
                                               scene.subjects[*primary].server.name));

  // While nobody writes, what a cut-off replica has does not get older.
  const bool ages = primary || (tie->link->io == Running::yes && source.up());
  const uint64_t limit = scene.cluster.max_lag_ms;
  if (chain.lag_ms && ages)
    subject.state.lag_ms = static_cast<uint32_t>(
        std::min<uint64_t>(coarse_seconds(*chain.lag_ms / 1000) * 1000, UINT32_MAX));
  if (limit > 0 && ages && !chain.lag_ms)
    return subject.set(Role::none, fmt::format("replica of {}, lag unknown", source.server.name));
  if (limit > 0 && ages && *chain.lag_ms > limit)
    return subject.set(
        Role::none, fmt::format("{} s behind {}, more than max_lag {} ms",
                                coarse_seconds(*chain.lag_ms / 1000), source.server.name, limit));
  auto text = reader_text(source, *tie->link, chain.lag_ms);
  if (!subject.seen.read_only) text += " (read_only=0)";
  subject.set(Role::replica, std::move(text));
}

}  // namespace sluice::monitor
