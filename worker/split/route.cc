#include "worker/split/route.h"

#include "common/mysql/protocol.h"
#include "worker/sql/classify.h"

namespace sluice::worker::split {
namespace {

using sql::Effect;
using sql::Effects;

/// What may do anything, or was not read: the server is asked whether the session changed.
constexpr Effects kProgram = Effect::RunsProgram | Effect::CallsUnknownFunction | Effect::Executes |
                             Effect::ExecutesImmediate | Effect::InDoubt | Effect::NotReadToEnd;

bool may_read(const Split& split, const sql::Statement& statement) {
  return statement.read() && statement.user_variables_read == 0 &&
         !sql::is_server_schema(split.database);
}

}  // namespace

bool reads_anywhere(const Split& split) {
  constexpr auto kPlain = mysql::kAutocommit;
  return (split.status & (mysql::kAutocommit | mysql::kInTransaction)) == kPlain &&
         split.pinned.empty() && !split.tables_locked && !split.serializable;
}

Plan plan_query(Split& split, std::string_view text) {
  const auto statement = sql::classify(text, split.mode);
  const auto& effects = statement.effects;
  split.program = effects.any(kProgram);
  split.changed = false;
  if (effects.has(Effect::CreatesTemporaryTable)) split.pinned = "it has made a temporary table";
  if (effects.any(Effect::SetsRole | Effect::SetsUser)) split.pinned = "it has chosen a role";
  if (effects.any(Effect::SetsUserVariable | Effect::WritesUserVariable))
    split.tied = "it has user variables";
  if (effects.has(Effect::TakesNamedLock)) split.tied = "it has taken a named lock";
  if (effects.has(Effect::OpensHandler)) split.tied = "it has opened a handler";
  if (effects.has(Effect::Prepares)) split.tied = "it has prepared a statement by name";
  if (effects.has(Effect::LocksTables)) split.tables_locked = true;
  if (effects.has(Effect::UnlocksTables)) split.tables_locked = false;
  if (effects.has(Effect::ReadsDiagnostics)) return {.belongs_to_last = true};
  const bool reader = may_read(split, statement) && reads_anywhere(split);
  return {.side = reader ? Side::reader : Side::server,
          .next_at_home = effects.has(Effect::SetsNextTransaction)};
}

void plan_prepared(const Split& split, std::string_view text, Statement& statement) {
  const auto said = sql::classify(text, split.mode);
  constexpr Effects kPlainReads = Effect::CountsFoundRows;
  statement.reads = may_read(split, said) && !said.effects.has(Effect::ReadsDiagnostics) &&
                    (said.effects.bits() & ~kPlainReads.bits()) == 0;
  statement.program = !said.effects.empty() && !statement.reads;
}

}  // namespace sluice::worker::split
