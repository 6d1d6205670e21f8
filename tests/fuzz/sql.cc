// The text of statements, under any mode: what is read stays within the text, a read has no effect
// that a read must not have, and no word that writes stands in it outside of literals, by a lexer
// without tricks.
#include <algorithm>
#include <cstdlib>

#include "common/base/bytes.h"
#include "tests/worker/sql/naive_lexer.h"
#include "worker/sql/assignments.h"
#include "worker/sql/classify.h"
#include "worker/sql/explain.h"
#include "worker/sql/holdings.h"

namespace {

using namespace sluice::sql;

void must(bool holds) {
  if (!holds) std::abort();
}

bool within(std::string_view part, std::string_view text) {
  return part.empty() ||
         (part.data() >= text.data() && part.data() + part.size() <= text.data() + text.size());
}

Mode mode_of(uint8_t a, uint8_t b) {
  Mode mode;
  mode.no_backslash_escapes = a & 1;
  mode.ansi_quotes = a & 2;
  mode.ignore_space = a & 4;
  mode.multi_statements = a & 8;
  mode.flavour = a & 16 ? Flavour::Mysql : Flavour::Mariadb;
  mode.version = a & 32 ? 0 : mode.flavour == Flavour::Mysql ? 80042 : 101119;
  mode.charset = static_cast<Charset>(b % 7);
  return mode;
}

/// By the words alone, whatever stands around them.
void check_read(std::string_view text, const Mode& mode) {
  NaiveToken before;
  for (const auto& token : NaiveLexer(text, mode).all()) {
    const auto word = text.substr(token.from, token.to - token.from);
    const auto previous = text.substr(before.from, before.to - before.from);
    must(token.kind != Token::Kind::Assign || before.kind != Token::Kind::UserVariable);
    if (token.kind == Token::Kind::Word) {
      must(!equal_ignoring_case(word, "INTO") || previous == ".");
      must(!equal_ignoring_case(word, "UPDATE") || previous == "." ||
           !equal_ignoring_case(previous, "FOR"));
    }
    before = token;
  }
}

void check(std::string_view text, const Mode& mode) {
  const Statement statement = classify(text, mode);
  must((statement.need == Need::Read) == (statement.reason == Reason::Read));
  const Effects harmless = Effect::CountsFoundRows | Effect::ReadsUserVariable;
  if (statement.read()) must((statement.effects.bits() & ~harmless.bits()) == 0);
  if (statement.read()) check_read(text, mode);
  must(statement.decided_at <= text.size());
  must(within(statement.name.text, text) && within(statement.database.text, text));
  must(within(statement.prepared_text, text) && within(statement.hint.server, text));
  must(within(statement.kill.id_text, text));
  must(!statement.name.empty() == !statement.name.value().empty());
}

void check_parts(std::string_view text, const Mode& mode) {
  std::size_t items = 0;
  for (Assignments list(text, mode); const auto item = list.next();) {
    must(within(item->name.text, text) && within(item->value, text));
    must(within(item->collation, text));
    must(++items <= text.size());
  }
  for (UserVariables list(text, mode); const auto name = list.next();)
    must(within(name->text, text));

  must(variables_for_statement(text, mode).size() <= text.size());
  must(dropped_tables(text, mode, "d").size() <= text.size());
  must(within(lock_call(text, mode).name, text));
  must(handler_name(text, mode).size() <= text.size());

  const uint64_t mentioned = classify(text, mode).mentioned;
  const auto expected = NaiveLexer(text, mode).all();
  Lexer lexer(text, mode);
  for (const auto& token : expected) {
    const Token found = lexer.next();
    must(found.kind == token.kind && found.at == token.from);
    must(found.at + found.text.size() == token.to);
    if (!found.identifier()) continue;
    const auto name = found.name().value();
    must(mentions(text, mode, name));
    // Without several statements, the first may be all that is read.
    if (mode.multi_statements) must((mentioned & identifier_bits(name)) == identifier_bits(name));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  const Mode mode = mode_of(data[0], data[1]);
  const auto text =
      sluice::as_text(sluice::ByteSpan(reinterpret_cast<const std::byte*>(data) + 2, size - 2));
  check(text, mode);
  must(!explain(text, mode).empty());
  if (mode.charset != Charset::Unknown && size < 256) check_parts(text, mode);
  return 0;
}
