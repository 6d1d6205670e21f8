// What is the same in all statements: the words, functions and variables that decide, wherever they
// stand.
#pragma once

#include "worker/sql/lexer.h"
#include "worker/sql/statement.h"
#include "worker/sql/words.h"

namespace sluice::sql {

/// The bits of Statement::mentioned for an identifier with this hash.
constexpr uint64_t mention_bits(uint64_t hash) {
  return uint64_t{1} << (hash >> 40 & 63);
}

/// Reads the statements of a text one after the other, and writes down what their tokens say. A
/// statement is a read until something in it decides otherwise.
class Scan {
 public:
  Scan(std::string_view text, const Mode& mode) : lexer_(text, mode), mode_(mode) {
    out_.need = Need::Read;
    out_.reason = Reason::Read;
  }

  Statement& out() { return out_; }
  Lexer& lexer() { return lexer_; }
  const Mode& mode() const { return mode_; }

  /// Before the first token of a statement.
  void begin_statement();
  /// The next token, for whoever knows what it means: only what it mentions is written down. The
  /// reference is to last().
  const Token& take();
  /// What any token says. take() and then observe() is how all of a statement is read.
  void observe(const Token& token);
  /// All to the end of the statement. Nothing if that was taken already.
  void rest();
  /// The token that ends the statement was taken; it is the last one.
  bool ended() const { return last_.ends(); }
  const Token& last() const { return last_; }

  /// The statement needs the primary; the first reason stays.
  void primary(Reason reason, std::size_t at);
  void effect(Effects effects) { out_.effects |= effects; }
  /// Of a definition, whose calls don't happen now, unless there is a SELECT.
  void evaluates_nothing() { evaluates_ = false; }
  /// Behind SET: the items' own `@x =` are not reads, nor assignments of another kind.
  void begin_assignments() { assigns_ = item_next_ = true; }
  void end_assignments() { assigns_ = item_next_ = false; }
  /// Every user variable is assigned to.
  void writes_variables() { into_ = true, keep_into_ = true; }
  /// Behind a WITH that begins a statement.
  void begin_with();

 private:
  /// In WITH x (a, b) AS (...), y AS (...) SELECT, x is no function.
  struct With {
    bool active = false;
    bool name_next = false;
    int depth = 0;
  };

  void mention(const Token& token);
  void observe_plain(const Token& token);
  void observe_word(const Token& token);
  void observe_keyword(const Token& token, Word word);
  void observe_name(const Token& token);
  void observe_quoted(const Token& token);
  void observe_user_variable(const Token& token);
  void observe_system_variable(const Token& token);
  void observe_call(const Token& token, Call call);
  bool observe_with(const Token& token);
  void unknown_function(const Token& token);

  Lexer lexer_;
  const Mode& mode_;
  Statement out_;
  Token last_;
  Word word_before_ = Word::Other;  ///< the token before, if it is a word
  bool into_ = false;               ///< variables here stand behind INTO
  bool keep_into_ = false;
  bool evaluates_ = true;
  bool assigns_ = false;
  bool item_next_ = false;  ///< an item of SET begins with the next token
  int assign_depth_ = 0;    ///< of parentheses in SET
  With with_;
};

}  // namespace sluice::sql
