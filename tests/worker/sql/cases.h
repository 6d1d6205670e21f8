// How tests write down what the classifier should say.
#pragma once

#include <fmt/format.h>

#include <string>
#include <string_view>

#include "common/base/enum_names.h"
#include "worker/sql/classify.h"

namespace sluice::sql {

inline constexpr Mode kMariadb{.flavour = Flavour::Mariadb, .version = 101119};
inline constexpr Mode kMysql{.flavour = Flavour::Mysql, .version = 80042};
inline constexpr Mode kMulti{.multi_statements = true, .version = 101119};

/// "transaction: begins_transaction implicit_commit": the reason, and all effects.
inline std::string said(const Statement& statement) {
  std::string text(enum_name(statement.reason));
  for (std::size_t i = 0; i < kEnumNames<Effect>.size(); ++i)
    if (statement.effects.has(static_cast<Effect>(i)))
      text += fmt::format("{}{}", text.find(':') == text.npos ? ": " : " ", kEnumNames<Effect>[i]);
  return text;
}
inline std::string said(std::string_view text, const Mode& mode = kMariadb) {
  return said(classify(text, mode));
}

}  // namespace sluice::sql
