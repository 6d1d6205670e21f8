#include "monitor/resolver.h"

namespace sluice::monitor {

using ipc::NameResolved;

std::optional<NameResolved> NameCache::known(const std::string& ip, int64_t now_ns) const {
  const auto entry = entries_.find(ip);
  if (entry == entries_.end() || entry->second.until_ns <= now_ns) return std::nullopt;
  return NameResolved{ip, entry->second.name, entry->second.until_ns};
}

NameCache::Lookup NameCache::ask(const std::string& ip, int64_t now_ns) {
  if (waiting_.contains(ip)) return Lookup::joined;
  if (waiting_.size() >= kMaxWaiting) return Lookup::refused;
  waiting_.emplace(ip, now_ns);
  return Lookup::begin;
}

NameResolved NameCache::found(const std::string& ip, std::string name, int64_t now_ns) {
  waiting_.erase(ip);
  return keep(ip, std::move(name), now_ns);
}

std::vector<NameResolved> NameCache::overdue(int64_t now_ns) {
  std::vector<std::string> late;
  for (const auto& [ip, since_ns] : waiting_)
    if (now_ns - since_ns >= kDeadlineNs) late.push_back(ip);
  std::vector<NameResolved> out;
  for (const auto& ip : late) out.push_back(found(ip, "", now_ns));
  return out;
}

NameResolved NameCache::keep(const std::string& ip, std::string name, int64_t now_ns) {
  auto& entry = entries_[ip];
  entry = {std::move(name), now_ns, ++changes_};
  entry.until_ns += entry.name.empty() ? kKeepNoneNs : kKeepNs;
  const NameResolved known{ip, entry.name, entry.until_ns};
  order_.emplace_back(changes_, ip);
  // Entries that have expired or were changed since are of no use; those of the last change are.
  while (order_.size() > kMaxEntries) {
    const auto oldest = entries_.find(order_.front().second);
    if (oldest != entries_.end() && oldest->second.age == order_.front().first)
      entries_.erase(oldest);
    order_.pop_front();
  }
  return known;
}

}  // namespace sluice::monitor
