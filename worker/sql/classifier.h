// The heads of statements: the first word chooses how what follows it is read. scan.h reads the
// rest of them all.
#pragma once

#include <initializer_list>

#include "worker/sql/assignments.h"
#include "worker/sql/scan.h"

namespace sluice::sql {

class Definition;

/// Classifies one text.
class Classifier {
 public:
  Classifier(std::string_view text, const Mode& mode) : scan_(text, mode), text_(text) {}

  Statement run();

 private:
  bool one_statement();
  void head(const Token& first);
  void head_of_data(Word word);
  void head_of_session(Word word);
  void head_of_server(Word word);

  // classify_data.cc
  void read(Verb verb);
  void table();
  void write(Verb verb);
  void insert(Verb verb);
  void load();
  void create_or_alter(Verb verb);
  void defined(const Definition& definition, Verb verb);
  void drop();
  void rename();
  void definition(Verb verb);

  // classify_session.cc
  void begin();
  void start();
  void commit();
  void rollback();
  void end_modes(Token token);
  void release();
  void savepoint(Token token);
  void set();
  void set_statement();
  void item_effects(const Assignment& item);
  void variable_effects(const Assignment& item);
  void use();
  void prepare();
  void execute();
  void prepared_name(Verb verb, Effect effect);
  void take_prepared_text();

  // classify_server.cc
  void administration(Verb verb, Reason reason);
  void show();
  void analyze();
  void diagnostics();
  void handler();
  void lock();
  void flush();
  void backup();
  void kill();
  void kill_target(Token token);

  void block();
  void not_understood();

  /// The verb of the first statement; that of SET STATEMENT and the like stays.
  void verb(Verb verb);
  void primary(Reason reason) { scan_.primary(reason, first_); }
  void effect(Effects effects) { scan_.effect(effects); }
  /// The next token, observed.
  Token word();
  /// Takes a name, perhaps with a database in front, which begins with `token`.
  void take_name(const Token& token);

  Scan scan_;
  std::string_view text_;
  std::size_t from_ = 0;   ///< where the statement begins
  std::size_t first_ = 0;  ///< offset of its first word
  bool within_set_statement_ = false;
};

}  // namespace sluice::sql
