// Where a statement of a split session may run: what its text says (sql/classify.h), and what the
// session is in.
#pragma once

#include <string_view>

#include "worker/session/engine.h"
#include "worker/split/state.h"

namespace sluice::worker::split {

/// Whether the session is in nothing that keeps its reads at home.
bool reads_anywhere(const Split& split);
/// Whether it has something at home that a stored function could look at, though reads do not.
bool ties_functions(const Split& split);
/// Why they stay there, if they do.
stats::Route why_kept(const Split& split);

struct Plan {
  Side side = Side::server;    ///< the reader: it may run there
  Side wished = Side::server;  ///< the same, if the client wants it to
  bool kept = false;           ///< then only what the session is in keeps it home
  sql::Hint hint;              ///< lies in the text
  bool variables = false;      ///< it has user variables
  bool at_once = false;     ///< nothing may be sent ahead of it: it asks about the statement before
  std::string_view gone{};  ///< what it asks about went with a connection that was lent
  bool asks_id = false;     ///< it asks for the id of its connection
};
/// For the text of a COM_QUERY. Takes up what it does to the session that no server tells.
Plan plan_query(Split& split, std::string_view text);
/// What becomes of a wish: the replica that has to run the statement, any, or home.
struct Target {
  enum class To : uint8_t { wherever, home, replica };
  To to = To::wherever;
  std::string_view server;  ///< for replica; empty: any
};
/// Sees to it that a wish that can't be heeded is counted with its command, and logged once.
Target target_of(SessionState& s, const Surroundings& w, const sql::Hint& hint, Actions& out);
/// For the text of a COM_STMT_PREPARE: what `statement` says of itself.
void plan_prepared(Split& split, std::string_view text, Statement& statement);

}  // namespace sluice::worker::split
