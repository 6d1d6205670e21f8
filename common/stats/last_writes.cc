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

constexpr unsigned kGenerationAt = 32;

uint32_t generation_of(const WritesSlot& slot) {
  return static_cast<uint32_t>(slot.size.load(std::memory_order_relaxed) >> kGenerationAt);
}

/// False if it was being written. Empty if it is of an earlier generation.
bool copy(const WritesSlot& slot, uint32_t generation, std::string& out) {
  constexpr int kTries = 4;
  for (int i = 0; i < kTries; ++i) {
    const auto sequence = slot.sequence.load(std::memory_order_acquire);
    if (sequence % 2 != 0) continue;
    std::array<uint64_t, WritesSlot::kWords> words;
    for (std::size_t at = 0; at < words.size(); ++at)
      words[at] = slot.words[at].load(std::memory_order_relaxed);
    const auto size = slot.size.load(std::memory_order_relaxed);
    std::atomic_thread_fence(std::memory_order_acquire);
    if (slot.sequence.load(std::memory_order_relaxed) != sequence) continue;
    out.clear();
    if (size >> kGenerationAt < generation) return true;
    out.resize(std::min<std::size_t>(static_cast<uint32_t>(size), WritesSlot::kBytes));
    std::memcpy(out.data(), words.data(), out.size());
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

bool has_all(std::string_view list, std::string_view of) {
  return last_of(list, of) == last_of(list, {});
}

uint64_t LastWrites::used() const {
  return std::max<uint64_t>(used_.load(std::memory_order_relaxed), own_ + 1);
}

void LastWrites::publish(std::string_view gtids) const {
  auto& own = slot(own_);
  const auto sequence = own.sequence.load(std::memory_order_relaxed);
  std::string before;
  const auto now = generation();
  if (sequence % 2 == 0) copy(own, now, before);  // else its last owner died while it wrote
  const auto text = last_of(before, gtids);
  if (text.empty() || text.size() > WritesSlot::kBytes || sequence % 2 != 0) doubt();
  if (text.size() > WritesSlot::kBytes || text.empty() || text == before) return;
  put(text, now);
}

void LastWrites::begin_anew(std::string_view gtids) const {
  put(gtids.size() <= WritesSlot::kBytes ? gtids : std::string_view(), generation() + 1);
  doubt();
}

uint32_t LastWrites::generation() const {
  uint32_t out = 0;
  for (uint64_t i = 0, n = used(); i < n; ++i) out = std::max(out, generation_of(slot(i)));
  return out;
}

void LastWrites::put(std::string_view text, uint32_t generation) const {
  auto& own = slot(own_);
  const auto sequence = own.sequence.load(std::memory_order_relaxed);
  std::array<uint64_t, WritesSlot::kWords> words{};
  std::memcpy(words.data(), text.data(), text.size());
  own.sequence.store(sequence | 1, std::memory_order_relaxed);
  std::atomic_thread_fence(std::memory_order_release);
  for (std::size_t at = 0; at < words.size(); ++at)
    own.words[at].store(words[at], std::memory_order_relaxed);
  own.size.store(text.size() | uint64_t{generation} << kGenerationAt, std::memory_order_relaxed);
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
  const auto now = generation();
  for (uint64_t i = 0, n = used(); i < n; ++i) {
    std::string one;
    if (!copy(slot(i), now, one)) return {{}, true};
    if (one.empty()) continue;
    out.gtids = last_of(out.gtids, one);
    if (out.gtids.empty()) return {{}, true};
  }
  return out;
}

}  // namespace sluice::stats
