// Statements that have statements inside: where they end.
#pragma once

#include "worker/sql/lexer.h"
#include "worker/sql/words.h"

namespace sluice::sql {

/// Whether a statement that begins with `first` is a block, which MariaDB runs at once: IF, CASE,
/// loops, labels. (BEGIN is one too unless it begins a transaction.) The lexer stands behind it.
bool begins_block(const Token& first, Word word, Lexer& lexer);

/// Follows the tokens behind CREATE or ALTER. Within the body of a stored program, semicolons don't
/// end the statement.
class Definition {
 public:
  enum class Object : uint8_t { Unknown, Table, Sequence, Program, Other };

  /// Takes the next token. Whether it ends the statement.
  bool ends(const Token& token);
  Object object() const { return object_; }
  bool temporary() const { return temporary_; }
  /// The blocks of a program did not add up.
  bool unbalanced() const { return depth_ != 0; }

 private:
  void read_head(const Token& token);
  void count_blocks(const Token& token);

  Object object_ = Object::Unknown;
  bool temporary_ = false;
  bool after_end_ = false;  ///< the last token was END
  int depth_ = 0;           ///< of BEGIN and CASE
};

}  // namespace sluice::sql
