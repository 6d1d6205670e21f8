// What the text of a statement says about where it may run and what it does to its session. Plain
// values; the views lie in the text that was classified.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "common/base/enum_names.h"

namespace sluice::sql {

/// Where a statement may run, as far as its text tells. The session knows more: an open
/// transaction, temporary tables, server schemas as current database.
enum class Need : uint8_t {
  Read,     ///< any server that has the data; it changes neither data nor session
  Primary,  ///< all else, and all doubts
};

/// Why: the first thing in the text that decided.
///   name, key (counters, JSON), sentence (`explain sql`)
#define SLUICE_SQL_REASONS(X)                                                                     \
  X(Read, "read", "It only reads, and nothing that differs from server to server.")               \
  X(Write, "write", "It changes data.")                                                           \
  X(Definition, "definition", "It changes tables, accounts or other objects.")                    \
  X(Administration, "administration", "It administers a server.")                                 \
  X(Transaction, "transaction", "It begins, ends or shapes a transaction.")                       \
  X(SessionState, "session_state", "It sets something for the session.")                          \
  X(Use, "use", "It chooses the current database.")                                               \
  X(LockingRead, "locking_read", "It locks the rows that it reads.")                              \
  X(Into, "into", "Its result goes into a file or a variable.")                                   \
  X(VariableWritten, "variable_written", "It assigns to a user variable.")                        \
  X(SystemVariable, "system_variable", "It reads a system variable, which belongs to a server.")  \
  X(InsertId, "insert_id", "It asks for the last insert id, which the primary has.")              \
  X(Diagnostics, "diagnostics", "It asks about the statement before, so it goes where that ran.") \
  X(NamedLock, "named_lock", "It uses named locks, which belong to a server.")                    \
  X(TableLock, "table_lock", "It locks or unlocks tables.")                                       \
  X(Sequence, "sequence", "It uses a sequence.")                                                  \
  X(UnknownFunction, "unknown_function",                                                          \
    "It calls a function that may write: no harmless one is so called.")                          \
  X(ServerFunction, "server_function", "It calls a function whose result belongs to a server.")   \
  X(ServerSchema, "server_schema", "It names a schema whose contents belong to a server.")        \
  X(Show, "show", "It shows something of a server.")                                              \
  X(Explain, "explain", "It explains a statement, for the server that would run it.")             \
  X(Call, "call", "It calls a procedure, which may do anything.")                                 \
  X(Do, "do", "It evaluates expressions for what they do.")                                       \
  X(Handler, "handler", "It uses HANDLER, which holds tables open.")                              \
  X(PreparedText, "prepared_text", "It prepares or executes a statement by name.")                \
  X(Kill, "kill", "It ends a statement or a connection.")                                         \
  X(Load, "load", "It loads a file.")                                                             \
  X(Xa, "xa", "It is part of a distributed transaction.")                                         \
  X(Compound, "compound", "It is a block of statements.")                                         \
  X(ExecutableComment, "executable_comment", "It has text for some server versions only.")        \
  X(OptimizerHint, "optimizer_hint", "An optimizer hint in it sets variables, or can't be read.") \
  X(SeveralStatements, "several_statements",                                                      \
    "It is several statements, and the client did not ask for that.")                             \
  X(Empty, "empty", "There is no statement in it.")                                               \
  X(TooLong, "too_long", "It is too long to be read to its end.")                                 \
  X(CharacterSet, "character_set", "It has bytes that its character set leaves in doubt.")        \
  X(NotUnderstood, "not_understood", "It was not understood.")

enum class Reason : uint8_t {
#define SLUICE_SQL_ROW(name, key, sentence) name,
  SLUICE_SQL_REASONS(SLUICE_SQL_ROW)
#undef SLUICE_SQL_ROW
};
std::string_view sentence(Reason reason);

/// What a statement does to its session, or needs of it. Of several statements: of any of them.
///   name, key, sentence
#define SLUICE_SQL_EFFECTS(X)                                                                    \
  X(SetsSession, "sets_session", "SET of a system variable of the session")                      \
  X(SetsGlobal, "sets_global", "SET GLOBAL, PERSIST, or another that is not of the session")     \
  X(SetsCharset, "sets_charset", "SET NAMES, SET CHARACTER SET, or a character set variable")    \
  X(SetsSqlMode, "sets_sql_mode", "sql_mode: later statements may be read differently")          \
  X(SetsAutocommit, "sets_autocommit", "SET autocommit")                                         \
  X(SetsNextTransaction, "sets_next_transaction", "SET TRANSACTION: for the next one only")      \
  X(SetsTransaction, "sets_transaction", "SET SESSION TRANSACTION")                              \
  X(SetsRole, "sets_role", "SET ROLE")                                                           \
  X(SetsUser, "sets_user", "SET SESSION AUTHORIZATION")                                          \
  X(SetsUserVariable, "sets_user_variable", "SET @x = ...: see Assignments")                     \
  X(WritesUserVariable, "writes_user_variable", "@x := ..., INTO @x: the value is the server's") \
  X(ReadsUserVariable, "reads_user_variable", "@x: see UserVariables")                           \
  X(UsesDatabase, "uses_database", "USE; the database is `name`")                                \
  X(BeginsTransaction, "begins_transaction", "BEGIN, START TRANSACTION")                         \
  X(ReadOnlyTransaction, "read_only_transaction", "... READ ONLY")                               \
  X(ReadWriteTransaction, "read_write_transaction", "... READ WRITE, said so")                   \
  X(Snapshot, "snapshot", "... WITH CONSISTENT SNAPSHOT")                                        \
  X(Commits, "commits", "COMMIT")                                                                \
  X(RollsBack, "rolls_back", "ROLLBACK, not to a savepoint")                                     \
  X(Chains, "chains", "... AND CHAIN: the next transaction begins at once")                      \
  X(Releases, "releases", "... RELEASE: the server closes the connection")                       \
  X(ImplicitCommit, "implicit_commit", "may commit the open transaction")                        \
  X(Savepoint, "savepoint", "SAVEPOINT, ROLLBACK TO, RELEASE SAVEPOINT")                         \
  X(Xa, "xa", "XA")                                                                              \
  X(TakesNamedLock, "takes_named_lock", "GET_LOCK: held until released or disconnected")         \
  X(ReleasesNamedLock, "releases_named_lock", "RELEASE_LOCK, RELEASE_ALL_LOCKS")                 \
  X(LocksTables, "locks_tables",                                                                 \
    "LOCK TABLES, FLUSH ... WITH READ LOCK, BACKUP STAGE and the like")                          \
  X(UnlocksTables, "unlocks_tables", "UNLOCK TABLES")                                            \
  X(OpensHandler, "opens_handler", "HANDLER ... OPEN")                                           \
  X(ClosesHandler, "closes_handler", "HANDLER ... CLOSE")                                        \
  X(CreatesTemporaryTable, "creates_temporary_table", "its name is `database`.`name`")           \
  X(DropsTable, "drops_table",                                                                   \
    "DROP TABLE: a temporary one, where the session has it; ask mentions()")                     \
  X(AltersTable, "alters_table",                                                                 \
    "ALTER or RENAME TABLE: may rename a temporary one; ask mentions()")                         \
  X(DropsDatabase, "drops_database",                                                             \
    "DROP DATABASE: the session has none after, if it was `name`")                               \
  X(Prepares, "prepares", "PREPARE of statement `name`")                                         \
  X(Executes, "executes", "EXECUTE of statement `name`")                                         \
  X(ExecutesImmediate, "executes_immediate", "EXECUTE IMMEDIATE: any text")                      \
  X(Deallocates, "deallocates", "DEALLOCATE PREPARE of statement `name`")                        \
  X(LoadsLocalFile, "loads_local_file",                                                          \
    "LOAD ... LOCAL: the server will ask the client for a file")                                 \
  X(ReadsDiagnostics, "reads_diagnostics", "must run where the statement before ran")            \
  X(CountsFoundRows, "counts_found_rows", "SQL_CALC_FOUND_ROWS: FOUND_ROWS() may follow")        \
  X(WritesInsertId, "writes_insert_id", "LAST_INSERT_ID(...), or SET of it")                     \
  X(CallsUnknownFunction, "calls_unknown_function", "may set user variables, take locks")        \
  X(RunsProgram, "runs_program", "CALL or a block: effects on the session are not known")        \
  X(NotReadToEnd, "not_read_to_end", "the rest of the text was not looked at")                   \
  X(InDoubt, "in_doubt", "the text can be read in two ways, or not at all: effects are a guess")

enum class Effect : uint8_t {
#define SLUICE_SQL_ROW(name, key, sentence) name,
  SLUICE_SQL_EFFECTS(SLUICE_SQL_ROW)
#undef SLUICE_SQL_ROW
};
std::string_view sentence(Effect effect);

/// A set of effects.
class Effects {
 public:
  constexpr Effects() = default;
  constexpr Effects(Effect effect) : bits_(uint64_t{1} << static_cast<unsigned>(effect)) {}

  constexpr bool has(Effect effect) const { return any(effect); }
  constexpr bool any(Effects other) const { return (bits_ & other.bits_) != 0; }
  constexpr bool empty() const { return bits_ == 0; }
  constexpr uint64_t bits() const { return bits_; }
  constexpr Effects without(Effects other) const {
    Effects rest = *this;
    rest.bits_ &= ~other.bits_;
    return rest;
  }
  constexpr Effects& operator|=(Effects other) {
    bits_ |= other.bits_;
    return *this;
  }
  friend constexpr Effects operator|(Effects a, Effects b) { return a |= b; }
  bool operator==(const Effects&) const = default;

 private:
  uint64_t bits_ = 0;
};
constexpr Effects operator|(Effect a, Effect b) {
  return Effects(a) | Effects(b);
}

/// Which statement it is: of several, the first.
enum class Verb : uint8_t {
  None,  ///< empty, or not understood
  Select,
  Values,
  Table,
  With,
  Insert,
  Replace,
  Update,
  Delete,
  Load,
  Truncate,
  Create,
  Alter,
  Drop,
  Rename,
  Grant,
  Revoke,
  Set,
  SetStatement,
  Use,
  Begin,
  Commit,
  Rollback,
  Savepoint,
  Xa,
  Show,
  Explain,
  Help,
  Call,
  Do,
  Handler,
  Lock,
  Unlock,
  Flush,
  Kill,
  Prepare,
  Execute,
  Deallocate,
  Diagnostics,
  Compound,
  Administration,
};
/// INSERT and the like: they are sure to use tables, which may have triggers.
bool writes_tables(Verb verb);

/// An identifier as it is written, without its quotes.
struct Name {
  std::string_view text;
  char quote = 0;  ///< the quotes it had; doubled ones within `text` stand for one

  bool empty() const { return text.empty(); }
  std::string value() const;
  bool operator==(const Name&) const = default;
};

/// A wish of the client, in a comment: -- sluice route to primary|replica|server NAME
struct Hint {
  enum class To : uint8_t { None, Primary, Replica, Server };
  To to = To::None;
  std::string_view server;  ///< for To::Server

  bool operator==(const Hint&) const = default;
};

/// KILL [HARD|SOFT] [CONNECTION|QUERY [ID]] ID, or ... USER NAME.
struct Kill {
  enum class What : uint8_t { None, Connection, Query, QueryById, User };
  What what = What::None;
  bool known = false;        ///< `id` is a number in the text, and all of it
  uint64_t id = 0;           ///< of a connection; for QueryById of a query
  std::string_view id_text;  ///< the digits within the text, to write another number there

  bool operator==(const Kill&) const = default;
};

struct Statement {
  Need need = Need::Primary;
  Reason reason = Reason::Empty;
  Verb verb = Verb::None;
  Effects effects;
  uint32_t decided_at = 0;           ///< offset of what gave `reason`
  uint32_t statements = 0;           ///< in the text, without empty ones
  uint32_t user_variables_read = 0;  ///< mentions, one variable may have several
  /// Which identifiers the text may mention: the union of their identifier_bits().
  uint64_t mentioned = 0;
  /// Of a temporary table, database, prepared statement, savepoint or HANDLER; of several
  /// statements, the last that has one.
  Name name;
  Name database;  ///< in front of `name`
  /// Of PREPARE ... FROM and EXECUTE IMMEDIATE, when it is one literal: with its quotes, as
  /// written.
  std::string_view prepared_text;
  Hint hint;
  Kill kill;

  bool read() const { return need == Need::Read; }
};

}  // namespace sluice::sql

namespace sluice {

#define SLUICE_SQL_ROW(name, key, sentence) std::string_view(key),
template <>
inline constexpr auto kEnumNames<sql::Reason> = std::array{SLUICE_SQL_REASONS(SLUICE_SQL_ROW)};
template <>
inline constexpr auto kEnumNames<sql::Effect> = std::array{SLUICE_SQL_EFFECTS(SLUICE_SQL_ROW)};
#undef SLUICE_SQL_ROW
template <>
inline constexpr auto kEnumNames<sql::Hint::To> = names("none", "primary", "replica", "server");
static_assert(kEnumNames<sql::Effect>.size() <= 64, "Effects is a set of 64 bits");

}  // namespace sluice
