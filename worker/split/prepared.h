// Commands that name a prepared statement, as packets: servers know the same statement by different
// numbers, and want the types of its parameters once.
#pragma once

#include "common/mysql/packets.h"
#include "worker/session/actions.h"
#include "worker/split/state.h"

namespace sluice::worker::split {

bool names_statement(mysql::Command kind);
/// The id in such a command.
uint32_t id_in(ByteSpan command);
/// By the client's id; null if there is none.
Statement* statement_by_id(Split& split, uint32_t id);
/// The one that a command names; null if there is none.
Statement* statement_of(Split& split, ByteSpan command);
/// By the client's id: that of one may be among them that it has closed, if the open transaction
/// executes it. Null if there is none.
Statement* known_statement(Split& split, uint32_t id);
/// The same, as a command that was recorded names it.
Statement* recorded_statement(Split& split, ByteSpan command);
/// The id for the client of one that home has prepared: home's own, unless an earlier home has
/// given that away.
uint32_t new_id(Split& split, uint32_t home_id);
/// A command that names none. Home may know another one by that id, which it must not get.
ByteSpan unknown_at_home(const Split& split, ByteSpan command, Actions& out);
/// The command with the id by which a server knows the statement.
ByteSpan with_id(ByteSpan command, uint32_t id, Actions& out);
/// COM_STMT_EXECUTE as a server has to get it: its own id, and the parameters' types where it has
/// not seen them: clients send them once. MySQL manual, "COM_STMT_EXECUTE". Empty if it can't be
/// made.
ByteSpan execution_for(Statement& statement, Side side, ByteSpan command, Actions& out);
/// The same with the client's id, and the types in any case.
ByteSpan execution_with_types(Statement& statement, ByteSpan command, Actions& out);
/// The id in the answer to a COM_STMT_PREPARE, and how many parameters the statement has.
/// MySQL manual, "COM_STMT_PREPARE_OK".
struct Prepared {
  uint32_t id = 0;
  uint16_t parameters = 0;
};
/// Nothing if it is an error, or not whole.
std::optional<Prepared> parse_prepared(ByteSpan answer);
/// Up to this length the answer to a COM_STMT_PREPARE is looked at.
inline constexpr std::size_t kMaxPrepared = 64 * 1024;
/// Checksum of the parameters and columns in such an answer, which is whole; 0 if it is too long.
uint64_t shape_of(ByteSpan answer);
/// Whether the client keeps what it was told of them (MARIADB_CLIENT_CACHE_METADATA).
bool keeps_shapes(uint64_t capabilities);
/// For one that would take its columns for others (MariaDB errmsg-utf8.txt, ER_NEED_REPREPARE).
inline constexpr uint16_t kNeedsPrepare = 1615;
inline constexpr std::string_view kColumnsChanged =
    "Prepared statement needs to be re-prepared (sluice: its columns have changed)";
/// Whether a server would read its text as home did when it was prepared.
bool is_as_prepared(const Split& split, const Statement& statement);

}  // namespace sluice::worker::split
