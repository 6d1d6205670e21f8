#include "worker/sql/program.h"

namespace sluice::sql {
namespace {

bool is_any(const Token& token, std::initializer_list<std::string_view> words) {
  for (const auto word : words)
    if (token.is(word)) return true;
  return false;
}

}  // namespace

bool begins_block(const Token& first, Word word, Lexer& lexer) {
  switch (word) {
    case Word::If:
    case Word::Case:
    case Word::Loop:
    case Word::While:
    case Word::Repeat:
    case Word::For:
    case Word::Declare:
      return true;
    default:
      return first.identifier() && lexer.at(':');  // a label, or Oracle mode's assignment
  }
}

bool Definition::ends(const Token& token) {
  if (object_ == Object::Unknown) read_head(token);
  if (object_ == Object::Program) count_blocks(token);
  return token.kind == Token::Kind::End || (token.kind == Token::Kind::Semicolon && depth_ == 0);
}

void Definition::read_head(const Token& token) {
  if (token.is("TEMPORARY")) temporary_ = true;
  if (token.is("TABLE")) object_ = Object::Table;
  if (token.is("SEQUENCE")) object_ = Object::Sequence;
  if (is_any(token, {"PROCEDURE", "FUNCTION", "TRIGGER", "EVENT", "PACKAGE"}))
    object_ = Object::Program;
  if (is_any(token, {"DATABASE", "INDEX", "ROLE", "SCHEMA", "SERVER", "USER", "VIEW"}))
    object_ = Object::Other;
}

/// BEGIN ... END and CASE ... END count; END IF and its like end what was not counted. (One of
/// those as a whole body has semicolons that end the statement here: its END IF is not understood
/// then.)
void Definition::count_blocks(const Token& token) {
  const bool after_end = after_end_;
  after_end_ = token.is("END");
  if (after_end) {
    if (is_any(token, {"IF", "LOOP", "WHILE", "REPEAT", "FOR"})) return;
    if (depth_ > 0) --depth_;
    if (token.is("CASE")) return;
  }
  if (is_any(token, {"BEGIN", "CASE"})) ++depth_;
}

}  // namespace sluice::sql
