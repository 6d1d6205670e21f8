#include "common/stats/last_writes.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <optional>
#include <vector>

namespace sluice::stats {
namespace {

/// One GTID: whose number it is, and what that is.
struct Numbered {
  std::string_view domain, text;
  uint64_t number = 0;
  bool of_source = false;  ///< MySQL: domain is a UUID
};

/// "0-1-42" of MariaDB; "UUID:42" or "UUID:1-5:7-42" of MySQL, without tags.
std::optional<Numbered> parse(std::string_view text) {
  const auto colon = text.find(':');
  Numbered out{.text = text, .of_source = colon != text.npos};
  out.domain = text.substr(0, out.of_source ? colon : text.find('-'));
  if (out.of_source && text.find_first_not_of("0123456789-:", colon) != text.npos)
    return std::nullopt;
  const auto digits = text.substr(text.find_last_of("-:") + 1);
  const auto [end, error] =
      std::from_chars(digits.data(), digits.data() + digits.size(), out.number);
  const bool whole = error == std::errc() && end == digits.data() + digits.size();
  if (out.domain.empty() || out.domain.size() == text.size() || !whole) return std::nullopt;
  return out;
}

bool add(std::vector<Numbered>& all, std::string_view list) {
  while (!list.empty()) {
    const auto end = std::min(list.find(','), list.size());
    auto one = list.substr(0, end);
    list.remove_prefix(std::min(end + 1, list.size()));
    while (!one.empty() && (one.front() == ' ' || one.front() == '\n')) one.remove_prefix(1);
    const auto numbered = parse(one);
    if (!numbered) return false;
    const auto known = std::ranges::find(all, numbered->domain, &Numbered::domain);
    if (known == all.end())
      all.push_back(*numbered);
    else if (known->number <= numbered->number)
      *known = *numbered;
  }
  return true;
}

/// False if it was being written.
bool copy(const WritesSlot& slot, std::string& out) {
  constexpr int kTries = 4;
  for (int i = 0; i < kTries; ++i) {
    const auto sequence = slot.sequence.load(std::memory_order_acquire);
    if (sequence % 2 != 0) continue;
    std::array<uint64_t, WritesSlot::kWords> words;
    for (std::size_t at = 0; at < words.size(); ++at)
      words[at] = slot.words[at].load(std::memory_order_relaxed);
    const auto size = std::min(slot.size.load(std::memory_order_relaxed), WritesSlot::kBytes);
    std::atomic_thread_fence(std::memory_order_acquire);
    if (slot.sequence.load(std::memory_order_relaxed) != sequence) continue;
    out.resize(size);
    std::memcpy(out.data(), words.data(), size);
    return true;
  }
  return false;
}

}  // namespace

std::string last_of(std::string_view a, std::string_view b) {
  std::vector<Numbered> all;
  if (!add(all, a) || !add(all, b)) return {};
  std::string out;
  for (const auto& one : all) {
    if (!out.empty()) out += ',';
    if (one.of_source)
      out.append(one.domain).append(":1-").append(std::to_string(one.number));
    else
      out += one.text;
  }
  return out;
}

uint64_t LastWrites::used() const {
  return std::max<uint64_t>(used_.load(std::memory_order_relaxed), own_ + 1);
}

void LastWrites::publish(std::string_view gtids) const {
  auto& own = slot(own_);
  const auto sequence = own.sequence.load(std::memory_order_relaxed);
  std::string before;
  if (sequence % 2 == 0) copy(own, before);  // else its last owner died while it wrote
  const auto text = last_of(before, gtids);
  if (text.empty() || text.size() > WritesSlot::kBytes || sequence % 2 != 0) doubt();
  if (text.size() > WritesSlot::kBytes || text.empty() || text == before) return;
  std::array<uint64_t, WritesSlot::kWords> words{};
  std::memcpy(words.data(), text.data(), text.size());
  own.sequence.store(sequence | 1, std::memory_order_relaxed);
  std::atomic_thread_fence(std::memory_order_release);
  for (std::size_t at = 0; at < words.size(); ++at)
    own.words[at].store(words[at], std::memory_order_relaxed);
  own.size.store(text.size(), std::memory_order_relaxed);
  own.sequence.store((sequence | 1) + 1, std::memory_order_release);
}

void LastWrites::doubt() const {
  slot(own_).doubts.fetch_add(1, std::memory_order_release);
}

uint64_t LastWrites::version() const {
  uint64_t out = 0;
  for (uint64_t i = 0, n = used(); i < n; ++i)
    out += slot(i).sequence.load(std::memory_order_acquire) +
           slot(i).doubts.load(std::memory_order_acquire);
  return out;
}

uint64_t LastWrites::doubts() const {
  uint64_t out = 0;
  for (uint64_t i = 0, n = used(); i < n; ++i)
    out += slot(i).doubts.load(std::memory_order_acquire);
  return out;
}

LastWrites::Known LastWrites::read() const {
  Known out;
  for (uint64_t i = 0, n = used(); i < n; ++i) {
    std::string one;
    if (!copy(slot(i), one)) return {{}, true};
    if (one.empty()) continue;
    out.gtids = last_of(out.gtids, one);
    if (out.gtids.empty()) return {{}, true};
  }
  return out;
}

}  // namespace sluice::stats
