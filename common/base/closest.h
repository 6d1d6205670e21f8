// The nearest right word to a wrong one, for "did you mean".
#pragma once

#include <algorithm>
#include <cstddef>
#include <string_view>
#include <utility>
#include <vector>

namespace sluice {

/// How many insertions, deletions, substitutions and swaps of neighbours lead from `a` to `b`
/// (optimal string alignment: no part is edited twice).
inline std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> before(b.size() + 1), last(b.size() + 1), row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) last[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t change = a[i - 1] == b[j - 1] ? 0 : 1;
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + change});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        row[j] = std::min(row[j], before[j - 2] + 1);
    }
    std::swap(before, last);
    std::swap(last, row);
  }
  return last[b.size()];
}

/// Whether `distance` edits still look like a slip of the hand in a word of this length.
constexpr bool is_slip(std::size_t distance, std::size_t length) {
  return distance <= (length < 3 ? 1 : length < 9 ? 2 : 3) && distance < length;
}

/// The known word that `word` was probably meant to be; empty if none is near.
template <class Words>
std::string_view closest(const Words& known, std::string_view word) {
  constexpr std::size_t kLongest = 64;  // of any word of ours; keeps the work for garbage small
  if (word.size() > kLongest) return {};
  constexpr std::size_t kTelling = 3;  // characters that a shortened word ("warn") must have
  for (const std::string_view candidate : known)
    if (word.size() >= kTelling && candidate.starts_with(word)) return candidate;
  std::string_view best;
  std::size_t distance = kLongest;
  for (const std::string_view candidate : known) {
    const auto d = edit_distance(word, candidate);
    if (d >= distance || !is_slip(d, candidate.size())) continue;
    best = candidate;
    distance = d;
  }
  return best;
}

}  // namespace sluice
