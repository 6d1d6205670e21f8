// What SET sets, item by item.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "worker/sql/lexer.h"
#include "worker/sql/mode.h"
#include "worker/sql/statement.h"

namespace sluice::sql {

/// One item of a SET. Views lie in the text. A value is to be sent elsewhere before sql_mode or
/// character sets change that the same SET changes: they decide how it is read.
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
    Other,         ///< not understood
  };
  enum class Scope : uint8_t {
    Session,  ///< also where nothing is said
    Global,
    Persist,
    PersistOnly,
    Next,  ///< SET TRANSACTION, SET @@transaction_isolation: for the next transaction
  };
  Kind kind = Kind::Other;
  Scope scope = Scope::Session;
  Name name;                   ///< of a variable
  std::string_view value;      ///< the text to the right, without blanks around it
  std::string_view collation;  ///< of Names; empty if none was named
  /// `value` is one literal, or a word that means the same on every server: it can be set again
  /// elsewhere. DEFAULT is none: it is that server's global value.
  bool constant = false;
  /// @@name of a session, without a word for the scope: MariaDB does not tell that it was set
  /// (sql/set_var.cc, sys_var::update()).
  bool untold = false;
};

/// The items of all SETs in a text, in their order. SET STATEMENT has none, for nothing of it
/// stays; what a block or a stored program would set has none either.
class Assignments {
 public:
  Assignments(std::string_view text, const Mode& mode) : lexer_(text, mode) { take(); }
  std::optional<Assignment> next();

 private:
  void take() { token_ = lexer_.next(); }
  /// Takes `word`, if it comes next.
  bool take_word(std::string_view upper);
  bool find_set();
  void skip_definition();
  void skip_statement();
  bool skip_to_for();

  Assignment item();
  bool special(Assignment& item);
  void variable(Assignment& item);
  void system_variable(Assignment& item);
  void value(Assignment& item, bool to_end);
  void names(Assignment& item);

  Lexer lexer_;
  Token token_;          ///< comes next
  bool within_ = false;  ///< of a SET, at the beginning of an item
};

/// What the SET STATEMENT sets that a text begins with: for the statement behind its FOR, no
/// longer.
std::vector<std::string> variables_for_statement(std::string_view text, const Mode& mode);

/// The user variables that a text mentions.
class UserVariables {
 public:
  UserVariables(std::string_view text, const Mode& mode) : lexer_(text, mode) {}
  std::optional<Name> next();

 private:
  Lexer lexer_;
};

}  // namespace sluice::sql
