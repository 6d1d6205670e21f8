#include "worker/split/holdings.h"

#include <algorithm>

#include "worker/split/asking.h"
#include "worker/split/pins.h"
#include "worker/split/programs.h"
#include "worker/sql/characters.h"
#include "worker/sql/holdings.h"

namespace sluice::worker::split {
namespace {

using sql::Effect;
using sql::Effects;
using sql::LockCall;
using stats::Pin;

/// What a statement may hold by an effect of its.
struct Taken {
  Effect effect;
  Pin kind;
};
constexpr Taken kTaken[] = {{Effect::CreatesTemporaryTable, Pin::temporary_table},
                            {Effect::LocksTables, Pin::locked_tables},
                            {Effect::TakesNamedLock, Pin::named_lock},
                            {Effect::OpensHandler, Pin::handler},
                            {Effect::Prepares, Pin::named_statement}};

/// What may rename a temporary table.
constexpr auto kRenames =
    kProgram.without(Effect::CallsUnknownFunction) | Effect::AltersTable | Effect::Prepares;

void add(Split& split, Pin kind, std::string name) {
  constexpr std::size_t kMost = 64;
  auto& all = split.kept.holdings;
  // Locks are taken as often as they have to be released.
  const bool again = kind != Pin::named_lock || name.empty();
  const auto same = [&](const Holding& one) { return one.kind == kind && one.name == name; };
  if (again && std::ranges::any_of(all, same)) return;
  if (all.size() >= kMost) {
    std::erase_if(all, [&](const Holding& one) { return one.kind == kind; });
    name.clear();
  }
  all.push_back({kind, std::move(name)});
}

/// UNLOCK TABLES leaves the locks of backups, and the other way round.
std::string lock_name(const sql::Statement& statement) {
  return statement.verb == sql::Verb::Administration ? "backup" : "tables";
}

/// By which name it is let go; empty: nobody knows.
std::string name_of(const Split& split, Pin kind, const sql::Statement& statement,
                    std::string_view text) {
  if (kind == Pin::locked_tables) return lock_name(statement);
  if (statement.statements != 1) return {};
  const auto& mode = split.settings.mode;
  switch (kind) {
    case Pin::temporary_table:
      if (split.kept.may_rename) return {};
      return sql::full_name(
          statement.database.empty() ? split.settings.database : statement.database.value(),
          statement.name.value());
    case Pin::named_statement:
      return sql::in_small_letters(statement.name.value());
    case Pin::named_lock: {
      const auto call = sql::lock_call(text, mode);
      return call.what == LockCall::What::takes ? std::string(call.name) : std::string();
    }
    case Pin::handler:
      return sql::handler_name(text, mode);
    default:
      return {};
  }
}

/// All that the session says runs at home while it has it.
bool pins(const Holding& one) {
  return one.kind == Pin::temporary_table || one.kind == Pin::locked_tables;
}

void forget_names(Split& split, Pin kind) {
  for (auto& one : split.kept.holdings)
    if (one.kind == kind) one.name.clear();
}

void take_release(Split& split, const sql::Statement& statement, std::string_view text) {
  auto& releases = split.now.holdings.released;
  const auto& effects = statement.effects;
  const auto& mode = split.settings.mode;
  if (split.kept.holdings.empty() || statement.statements != 1) return;
  if (effects.has(Effect::UnlocksTables))
    releases.push_back({Pin::locked_tables, lock_name(statement)});
  if (effects.has(Effect::Deallocates) && !statement.name.empty())
    releases.push_back({Pin::named_statement, sql::in_small_letters(statement.name.value())});
  if (effects.has(Effect::DropsTable))
    for (auto& name : sql::dropped_tables(text, mode, split.settings.database))
      releases.push_back({Pin::temporary_table, std::move(name)});
  if (effects.has(Effect::ClosesHandler))
    if (auto name = sql::handler_name(text, mode); !name.empty())
      releases.push_back({Pin::handler, std::move(name)});
  if (!effects.has(Effect::ReleasesNamedLock)) return;
  const auto call = sql::lock_call(text, mode);
  if (call.what == LockCall::What::releases || call.what == LockCall::What::releases_all)
    releases.push_back({Pin::named_lock, std::string(call.name)});
}

/// A text that is put together at run time is not read; but for these words it would be.
void take_hidden(Split& split, const Effects& effects, std::string_view text) {
  auto& taken = split.now.holdings.taken;
  if (effects.has(Effect::Executes) && split.kept.locks_by_name)
    taken.push_back({Pin::named_lock, {}});
  if (!effects.any(Effects(Effect::Prepares) | Effect::ExecutesImmediate)) return;
  const bool locks = contains(text, "get_lock");
  if (effects.has(Effect::Prepares)) split.kept.locks_by_name |= locks;
  if (effects.has(Effect::ExecutesImmediate) && locks) taken.push_back({Pin::named_lock, {}});
  if (contains(text, "lock table")) taken.push_back({Pin::locked_tables, "tables"});
}

}  // namespace

void take_holdings(Split& split, const sql::Statement& statement, std::string_view text) {
  split.now.holdings.taken.clear();
  split.now.holdings.released.clear();
  if (statement.effects.empty()) return;
  split.kept.may_rename |= statement.effects.any(Effects(Effect::AltersTable) | Effect::Prepares);
  if (statement.effects.any(kRenames)) forget_names(split, Pin::temporary_table);
  for (const auto& [effect, kind] : kTaken)
    if (statement.effects.has(effect))
      split.now.holdings.taken.push_back({kind, name_of(split, kind, statement, text)});
  take_hidden(split, statement.effects, text);
  take_release(split, statement, text);
}

HoldingsChange holdings_of_executions(Split& split, const sql::Statement& statement) {
  const auto& effects = statement.effects;
  HoldingsChange change;
  split.kept.may_rename |= effects.any(kRenames);
  if (split.kept.may_rename) forget_names(split, Pin::temporary_table);
  for (const auto& [effect, kind] : kTaken)
    if (effects.has(effect))
      change.taken.push_back(
          {kind, kind == Pin::locked_tables ? lock_name(statement) : std::string()});
  if (effects.has(Effect::UnlocksTables) && statement.statements == 1)
    change.released.push_back({Pin::locked_tables, lock_name(statement)});
  return change;
}

void note_holdings(SessionState& s) {
  if (s.split->now.holdings.empty()) [[likely]]
    return;
  auto& [takes, releases] = s.split->now.holdings;
  auto& all = s.split->kept.holdings;
  for (auto& taken : takes) add(*s.split, taken.kind, std::move(taken.name));
  if (s.conversation.error == 0)
    for (const auto& let : releases) {
      if (let.name.empty()) {
        std::erase_if(all, [&](const Holding& one) { return one.kind == let.kind; });
      } else if (const auto one = std::ranges::find(all, let); one != all.end()) {
        all.erase(one);
      }
    }
  takes.clear();
  releases.clear();
}

const Holding* first_holding(const Split& split) {
  const auto& all = split.kept.holdings;
  if (all.empty()) return nullptr;
  const auto pinning = std::ranges::find_if(all, pins);
  return pinning != all.end() ? &*pinning : &all.front();
}

std::string_view in_words(const Holding& holding) {
  switch (holding.kind) {
    case Pin::temporary_table:
      return why::kTemporaryTable;
    case Pin::locked_tables:
      return "it has locked tables";
    case Pin::named_lock:
      return why::kNamedLock;
    case Pin::handler:
      return why::kHandler;
    default:
      return why::kNamedStatement;
  }
}

std::string_view why_pinned(const Split& split) {
  if (!split.kept.pinned.empty()) return split.kept.pinned;
  const auto* holding = first_holding(split);
  return holding != nullptr && pins(*holding) ? in_words(*holding) : std::string_view();
}

}  // namespace sluice::worker::split
