#include "master/config/problems.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

namespace sluice::config {
namespace {

/// Insertions, deletions, replacements and swaps of neighbours (optimal string alignment).
std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> before_last(b.size() + 1), last(b.size() + 1), row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::swap(before_last, last);
    std::swap(last, row);
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + (a[i - 1] != b[j - 1])});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        row[j] = std::min(row[j], before_last[j - 2] + 1);
    }
  }
  return row[b.size()];
}

constexpr std::size_t kLongestGuess = 64;  // no word of ours is longer; bounds the work

}  // namespace

void Problems::error(Place at, std::string key, std::string text, std::string hint) {
  add(at, {.key = std::move(key), .text = std::move(text), .hint = std::move(hint)});
}

void Problems::warning(Place at, std::string key, std::string text, std::string hint) {
  add(at,
      {.warning = true, .key = std::move(key), .text = std::move(text), .hint = std::move(hint)});
}

void Problems::add(Place at, ipc::Problem problem) {
  problem.file = files_.at(at.file);
  problem.line = at.line;
  problem.column = at.column;
  entries_.push_back({at, std::move(problem)});
}

std::string Problems::name(Place at) const {
  if (at.line == 0) return files_.at(at.file);
  return fmt::format("{}:{}:{}", files_.at(at.file), at.line, at.column);
}

std::vector<ipc::Problem> Problems::sorted() const {
  auto entries = entries_;
  std::ranges::stable_sort(entries, {}, &Entry::at);
  std::vector<ipc::Problem> problems;
  for (Entry& entry : entries) problems.push_back(std::move(entry.problem));
  return problems;
}

Place Places::of(std::string_view path) const {
  for (;;) {
    if (const auto it = places_.find(path); it != places_.end()) return it->second;
    const auto cut = path.find_last_of(".[");
    if (cut == std::string_view::npos) return {};
    path = path.substr(0, cut);
  }
}

std::string join(std::string_view path, std::string_view name) {
  const auto is_bare = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-';
  };
  const bool bare = !name.empty() && std::ranges::all_of(name, is_bare);
  return fmt::format("{}{}{}", path, path.empty() ? "" : ".",
                     bare ? std::string(name) : fmt::format("{:?}", name));
}

std::string_view closest(std::span<const std::string_view> words, std::string_view word) {
  if (word.size() > kLongestGuess) return {};
  constexpr std::size_t kTelling = 3;  // characters that a shortened word ("warn") must have
  for (const std::string_view candidate : words)
    if (word.size() >= kTelling && candidate.starts_with(word)) return candidate;
  std::string_view best;
  std::size_t best_distance = std::max<std::size_t>(1, word.size() / 3) + 1;
  for (const std::string_view candidate : words) {
    const auto distance = edit_distance(candidate, word);
    if (distance >= best_distance) continue;
    best = candidate;
    best_distance = distance;
  }
  return best;
}

std::string suggest(std::span<const std::string_view> known, std::string_view word) {
  const auto all = fmt::format("known: {}", fmt::join(known, ", "));
  const auto near = closest(known, word);
  return near.empty() ? all : fmt::format("did you mean \"{}\"? {}", near, all);
}

}  // namespace sluice::config
