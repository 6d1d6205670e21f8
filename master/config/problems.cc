#include "master/config/problems.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

namespace sluice::config {

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

std::string suggest(std::span<const std::string_view> known, std::string_view word) {
  const auto all = fmt::format("known: {}", fmt::join(known, ", "));
  const auto near = closest(known, word);
  return near.empty() ? all : fmt::format("did you mean \"{}\"? {}", near, all);
}

}  // namespace sluice::config
