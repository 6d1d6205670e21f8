#include "worker/sql/statement.h"

#include <algorithm>

namespace sluice::sql {
namespace {

#define SLUICE_SQL_ROW(name, key, sentence) std::string_view(sentence),
constexpr std::string_view kReasons[] = {SLUICE_SQL_REASONS(SLUICE_SQL_ROW)};
constexpr std::string_view kEffects[] = {SLUICE_SQL_EFFECTS(SLUICE_SQL_ROW)};
#undef SLUICE_SQL_ROW

}  // namespace

std::string_view sentence(Reason reason) {
  return kReasons[static_cast<std::size_t>(reason)];
}

std::string_view sentence(Effect effect) {
  return kEffects[static_cast<std::size_t>(effect)];
}

bool writes_tables(Verb verb) {
  constexpr Verb kThose[] = {Verb::Insert, Verb::Replace, Verb::Update,
                             Verb::Delete, Verb::Load,    Verb::Truncate};
  return std::ranges::find(kThose, verb) != std::end(kThose);
}

std::string Name::value() const {
  std::string plain;
  plain.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    plain.push_back(text[i]);
    if (quote != 0 && text[i] == quote && i + 1 < text.size() && text[i + 1] == quote) ++i;
  }
  return plain;
}

}  // namespace sluice::sql
