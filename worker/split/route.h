// Where a statement of a split session may run: what its text says (sql/classify.h), and what the
// session is in.
#pragma once

#include <string_view>

#include "worker/split/state.h"

namespace sluice::worker::split {

/// Whether the session is in nothing that keeps its reads at home.
bool reads_anywhere(const Split& split);
/// Why they stay there, if they do.
stats::Route why_kept(const Split& split);

struct Plan {
  Side side = Side::server;  ///< the reader: it may run there
  bool at_once = false;  ///< nothing may be sent ahead of it: it asks about the statement before
  bool gone = false;     ///< what it asks about went with a connection that was lent
  bool asks_id = false;  ///< it asks for the id of its connection
};
/// For the text of a COM_QUERY. Takes up what it does to the session that no server tells.
Plan plan_query(Split& split, std::string_view text);
/// Whether the text asks for the id of its connection.
bool asks_for_id(const Split& split, std::string_view text);
/// For the text of a COM_STMT_PREPARE: what `statement` says of itself.
void plan_prepared(Split& split, std::string_view text, Statement& statement);

}  // namespace sluice::worker::split
