#include "worker/sql/hint.h"

#include "worker/sql/characters.h"

namespace sluice::sql {
namespace {

/// Takes the next word off `text`.
std::string_view take_word(std::string_view& text) {
  std::size_t from = 0;
  while (from < text.size() && byte_class(text[from]) == Byte::Blank) ++from;
  std::size_t to = from;
  while (to < text.size() && byte_class(text[to]) != Byte::Blank) ++to;
  const auto word = text.substr(from, to - from);
  text.remove_prefix(to);
  return word;
}

}  // namespace

Hint parse_hint(std::string_view comment) {
  for (const auto expected : {"SLUICE", "ROUTE", "TO"})
    if (!equal_ignoring_case(take_word(comment), expected)) return {};
  const auto target = take_word(comment);
  Hint hint;
  if (equal_ignoring_case(target, "PRIMARY")) hint.to = Hint::To::Primary;
  if (equal_ignoring_case(target, "REPLICA")) hint.to = Hint::To::Replica;
  if (equal_ignoring_case(target, "SERVER")) {
    hint.server = take_word(comment);
    if (!hint.server.empty()) hint.to = Hint::To::Server;
  }
  if (!take_word(comment).empty()) return {};
  return hint;
}

}  // namespace sluice::sql
