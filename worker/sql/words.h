// The words that the classifier knows: keywords, and the functions of servers with what calling
// them means.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "worker/sql/characters.h"
#include "worker/sql/mode.h"

namespace sluice::sql {

/// Keywords that decide something.
enum class Word : uint8_t {
  Other,
  // that begin statements
  Alter,
  Analyze,
  Administration,
  Backup,
  Begin,
  Call,
  Case,
  Commit,
  Create,
  Deallocate,
  Declare,
  Delete,
  Describe,
  Do,
  Drop,
  Execute,
  Explain,
  Flush,
  For,
  Get,
  Grant,
  Handler,
  Help,
  If,
  Insert,
  Kill,
  Load,
  Lock,
  Loop,
  Prepare,
  Release,
  Rename,
  Repeat,
  Replace,
  Resignal,
  Revoke,
  Rollback,
  Savepoint,
  Select,
  Set,
  Show,
  Signal,
  Start,
  Table,
  Truncate,
  Unlock,
  Update,
  Use,
  Values,
  While,
  With,
  Xa,
  // within them
  End,
  Into,
  Next,  ///< or PREVIOUS
  Nextval,
  Procedure,
  Recursive,
  Share,
  SqlCalcFoundRows,
  Value,
  // schemas of the server's own
  ServerSchema,
};

/// What a word means with a parenthesis behind it.
enum class Call : uint8_t {
  Unknown,   ///< a stored function, or one that isn't known to be harmless
  None,      ///< no call: IN (
  Operator,  ///< no call behind a parenthesis: MATCH (a) AGAINST (
  Pure,  ///< the same on each server, without side effect; a stored function can't take its name
  Adjacent,  ///< as Pure, but with blanks before the parenthesis a stored function
  InsertId,
  Diagnostics,
  TakesNamedLock,
  ReleasesNamedLock,
  AsksNamedLock,
  Sequence,
  Server,  ///< its result, or its effect, belongs to a server
};

struct WordEntry {
  std::string_view text;  ///< in capitals
  Word word = Word::Other;
  Call call = Call::Unknown;
  bool on_mariadb = true;  ///< whether servers of that flavour have it: else its call is Unknown
  bool on_mysql = true;

  Call call_on(Flavour flavour) const {
    return (flavour == Flavour::Mariadb ? on_mariadb : on_mysql) ? call : Call::Unknown;
  }
};

/// nullptr if the word isn't known. Letters of both cases are equal.
const WordEntry* find_word(std::string_view word, const FoldedWord& folded);
const WordEntry* find_word(std::string_view word);
/// All of them, for tests that ask servers about each.
std::span<const WordEntry> all_words();

}  // namespace sluice::sql
