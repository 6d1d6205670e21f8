// What SET sets, item by item.
#pragma once

#include <optional>
#include <string_view>

#include "worker/sql/lexer.h"
#include "worker/sql/mode.h"
#include "worker/sql/statement.h"

namespace sluice::sql {

/// One item of a SET. Views lie in the text.
struct Assignment {
  enum class Kind : uint8_t {
    SystemVariable,
    UserVariable,  ///< @name
    Names,         ///< SET NAMES value [COLLATE collation]
    CharacterSet,  ///< SET CHARACTER SET value
    Transaction,   ///< SET [SESSION|GLOBAL] TRANSACTION value
    Role,          ///< SET ROLE value
    DefaultRole,   ///< SET DEFAULT ROLE value
    Password,      ///< SET PASSWORD value
    User,          ///< SET SESSION AUTHORIZATION value
    Other,         ///< SET RESOURCE GROUP and what is not understood
  };
  enum class Scope : uint8_t {
    Session,  ///< also where nothing is said
    Global,
    Persist,
    PersistOnly,
    Next,       ///< SET TRANSACTION: the next transaction
    Statement,  ///< SET STATEMENT … FOR: for that statement only
  };
  Kind kind = Kind::Other;
  Scope scope = Scope::Session;
  Name name;                   ///< of a variable
  std::string_view value;      ///< the text to the right, without blanks around it
  std::string_view collation;  ///< of Names; empty if none was named
  /// `value` is one literal, or a word that means the same on every server: it can be set again
  /// elsewhere. DEFAULT is not: it is whatever that server's global value is.
  bool constant = false;
};

/// Iterates over all items of all SETs in a text, in their order:
///   for (Assignments items(text, mode); auto item = items.next();) …
class Assignments {
 public:
  Assignments(std::string_view text, const Mode& mode);
  std::optional<Assignment> next();

 private:
  bool find_set();
  Assignment read_item();
  Assignment read_special(const Token& word);
  void read_value(Assignment& item);

  Lexer lexer_;
  Token token_;  ///< the next one
  enum class At : uint8_t { Start, Item, Between } at_ = At::Start;
  bool statement_ = false;  ///< within SET STATEMENT
};

/// Iterates over the user variables that a text mentions, outside of SET's left sides too.
class UserVariables {
 public:
  struct Mention {
    Name name;
    bool written = false;  ///< @x := …, INTO @x, SET @x =
  };
  UserVariables(std::string_view text, const Mode& mode) : lexer_(text, mode) {}
  std::optional<Mention> next();

 private:
  Lexer lexer_;
};

}  // namespace sluice::sql
