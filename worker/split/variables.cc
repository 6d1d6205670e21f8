// The session's user variables, as far as their values are constants that were written in a SET:
// those are known here, and can be set again on another server. A string is written with its
// character set and collation, so that it is the same whatever the session has chosen by then.
#include <fmt/format.h>

#include <algorithm>

#include "worker/split/pins.h"
#include "worker/split/steps.h"
#include "worker/sql/assignments.h"
#include "worker/sql/characters.h"

namespace sluice::worker::split {
namespace {

using sql::lower;

constexpr std::size_t kMaxVariables = 64, kMaxBytes = 4096;
constexpr std::size_t kMaxNumber = 40;  ///< servers cut longer ones, with a warning

/// In small letters; empty if servers may take it for the same as another one that is not.
std::string name_of(const sql::Name& name) {
  constexpr std::size_t kLongest = 64;
  std::string out;
  for (const char c : name.text) {
    const bool plain = (lower(c) >= 'a' && lower(c) <= 'z') || (c >= '0' && c <= '9') || c == '_' ||
                       c == '$' || c == '.';
    if (!plain) return {};
    out += lower(c);
  }
  return out.size() <= kLongest ? out : std::string();
}

/// "_utf8mb4'text' COLLATE utf8mb4_bin" of 'text'; empty where it can't be sure to be the same.
std::string string_of(const Split& split, std::string_view literal) {
  constexpr std::string_view kSets[] = {"utf8mb4", "utf8mb3", "utf8", "latin1"};
  const auto text = literal.substr(1, literal.size() - 2);
  const auto is_plain = [](char c) { return c >= ' ' && c <= '~' && c != '\'' && c != '\\'; };
  const auto charset = split.settings.mode.charset;
  if (!std::ranges::all_of(text, is_plain) || split.settings.collation_due ||
      (charset != sql::Charset::Utf8 && charset != sql::Charset::SingleByte))
    return {};
  const auto& all = split.settings.list;
  const auto collation = std::ranges::find(all, "collation_connection", &Setting::name);
  if (collation == all.end()) return {};
  const std::string_view name = collation->value;
  const auto set = name.substr(0, name.find('_'));
  if (std::ranges::find(kSets, set) == std::end(kSets)) return {};
  return fmt::format("_{}'{}' COLLATE {}", set, text, name);
}

std::string number_of(std::string_view literal) {
  constexpr std::string_view kOfNumbers = "0123456789+-.eExXabcdABCDfF";
  const bool is_one = literal.size() <= kMaxNumber &&
                      literal.find_first_not_of(kOfNumbers) == std::string_view::npos;
  return is_one ? std::string(literal) : std::string();
}

/// A constant as it is to be set again; empty if that can't be done.
std::string value_of(const Split& split, std::string_view literal) {
  if (literal.empty()) return {};
  const char first = literal.front();
  const bool quoted = literal.size() >= 2 && literal.back() == first;
  if (quoted && (first == '\'' || (first == '"' && !split.settings.mode.ansi_quotes)))
    return string_of(split, literal);
  const auto word = sql::in_small_letters(std::string(literal));
  if (word == "null" || word == "true" || word == "false") return word;
  const bool number =
      (first >= '0' && first <= '9') || first == '-' || first == '+' || first == '.';
  return number ? number_of(literal) : std::string();
}

std::size_t size_of(const std::vector<UserVariable>& list) {
  std::size_t out = 0;
  for (const auto& one : list) out += one.name.size() + one.value.size();
  return out;
}

/// What a SET may do beside: that is seen to elsewhere, and changes nothing of what is said in it.
constexpr auto kOfSet = sql::Effects(sql::Effect::SetsUserVariable) | sql::Effect::SetsSession |
                        sql::Effect::SetsCharset | sql::Effect::SetsSqlMode |
                        sql::Effect::SetsAutocommit;

/// False if not all user variables that the SET sets can be set again.
bool take_constants(Split& split, std::string_view text) {
  sql::Assignments items(text, split.settings.mode);
  std::vector<UserVariable> found;
  while (const auto item = items.next()) {
    if (item->kind != sql::Assignment::Kind::UserVariable) continue;
    if (!item->constant) return false;
    found.push_back({name_of(item->name), value_of(split, item->value)});
    if (found.back().name.empty() || found.back().value.empty()) return false;
  }
  auto& all = split.variables;
  for (auto& one : found) {
    const auto known = std::ranges::find(all.list, one.name, &UserVariable::name);
    if (known != all.list.end() && known->value == one.value && !known->unsure) continue;
    if (known != all.list.end()) all.list.erase(known);
    one.version = ++all.version;
    all.list.push_back(std::move(one));
  }
  return all.list.size() <= kMaxVariables && size_of(all.list) <= kMaxBytes;
}

}  // namespace

void tie_to_variables(Split& split) {
  split.kept.tied = why::kUserVariables;
  split.variables.list.clear();
  ++split.variables.version;
}

void take_variables(Split& split, const sql::Statement& statement, std::string_view text) {
  using sql::Effect;
  const auto& effects = statement.effects;
  // It is run anew when home is there, which has to get the values of before.
  if (split.home_link.step != Step::ready || split.home_link.restoring) return;
  if (!effects.any(Effect::SetsUserVariable | Effect::WritesUserVariable)) return;
  split.now.sets_variables = statement.statements == 1 && effects.without(kOfSet).empty() &&
                             statement.user_variables_read == 0 && take_constants(split, text);
  if (!split.now.sets_variables) tie_to_variables(split);
}

bool are_carried(const Split& split, std::string_view text) {
  if (split.variables.list.empty()) return false;
  sql::UserVariables mentioned(text, split.settings.mode);
  while (const auto name = mentioned.next())
    if (std::ranges::find(split.variables.list, name_of(*name), &UserVariable::name) ==
        split.variables.list.end())
      return false;
  return true;
}

void note_variables(SessionState& s, bool ran) {
  auto& split = *s.split;
  auto& list = split.variables.list;
  if (split.now.sets_variables) {
    if (s.conversation.error != 0) tie_to_variables(split);
    return;
  }
  const bool read = split.now.statement && split.now.proved_read;
  if (!ran || list.empty() || read || split.now.leaves_variables) return;
  if (split.now.at == Side::reader) {  // and there they are set again
    split.reader_link.variables_version = 0;
    return;
  }
  for (auto& one : list) one.unsure = true;
}

bool has_unsure_variables(const Split& split) {
  return std::ranges::any_of(split.variables.list, &UserVariable::unsure);
}

void ask_variables(SessionState& s, Actions& out) {
  std::string text;
  for (const auto& one : s.split->variables.list)
    text += fmt::format("{}CAST(@{} AS BINARY) <=> CAST({} AS BINARY)",
                        text.empty() ? "SELECT " : " AND ", one.name, one.value);
  run_errand(s, Side::server, Errand::variables, mysql::Command::query, text, out);
}

void note_variables_are(Split& split, std::string_view said) {
  if (said != "1") return tie_to_variables(split);
  for (auto& one : split.variables.list) one.unsure = false;
}

std::string variables_statement(const Split& split, uint32_t since) {
  std::string out;
  for (const auto& one : split.variables.list)
    if (one.version > since)
      out += fmt::format("{}@{}={}", out.empty() ? "SET " : ",", one.name, one.value);
  return out;
}

}  // namespace sluice::worker::split
