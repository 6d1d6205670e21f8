// Statements that ask what only one connection knows: its id, what it has drawn from sequences, and
// above all about the statements before, how many rows those had and what they warned of. The
// server that ran them answers. Where that was the replica, and the statement that asks has to run
// at home, home reads once more what the replica has read; nobody sees that answer.
#pragma once

#include <string_view>

#include "worker/session/actions.h"
#include "worker/split/state.h"

namespace sluice::worker::split {

/// Whether a text has this somewhere, which is in small letters.
bool contains(std::string_view text, std::string_view lower);
/// Whether the text of a COM_STMT_PREPARE asks for the id of its connection.
bool asks_for_id(const Split& split, std::string_view text);

struct Questions {
  bool id = false;          ///< the id of its connection
  std::string_view gone{};  ///< this is not known any more: its connection went
  Asked before;             ///< of the statements before it
  bool only = false;        ///< and it wants nothing else: whatever server ran those can answer
};
/// What a statement asks.
Questions take_questions(Split& split, const sql::Statement& statement, std::string_view text);
inline constexpr std::string_view kRows = "how many rows the statement before had";
/// What of it nobody knows any more; empty: all is known.
std::string_view what_is_gone(const Split& split, const Asked& asked);
/// Whether a program at home could leave warnings that are not the session's: who knows whether it
/// raises some, or clears those that are there.
bool would_mix_up(const Split& split);
/// Whether the reader has all of that.
bool can_reader_tell(const Split& split, const Asked& asked);

/// A server gets an errand: its own question may be the last one that found rows there.
void note_errand(Split& split, Side side, Errand errand);
/// The reader has answered the statement in `now`. It found rows, or has left its own warnings.
void note_read(Split& split, bool selected, bool diagnosed);
/// A statement is closed: what it has read can't be read again.
void forget_read_of(Split& split, const Statement& statement);

/// Has home read again what the command in `now` asks about, if only the reader knows it.
enum class Again : uint8_t { not_needed, begun, impossible };
Again read_again(SessionState& s, Actions& out);
/// Home has, or could not.
void note_read_again(Split& split, bool done);

/// What a side knew of the rows of the statements before is lost.
void forget_rows(Last& last, Side side);
/// Whether what may be asked about the statements before can be told without that connection: home
/// reads again what the reader has read, and is asked for its warnings before.
bool can_do_without(const Split& split, Side side);

/// Statements that do nothing but ask are prepared by the reader before what they ask about: that
/// could change the answer. False if one is due.
bool are_questions_prepared(SessionState& s, Actions& out);

}  // namespace sluice::worker::split
