// Nanoseconds for the classification of short statements, megabytes a second for long ones, and how
// the time grows with the length (never faster than it).
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "worker/sql/classify.h"

namespace {

using sluice::sql::classify;
using sluice::sql::Mode;

/// Nanoseconds for one classification: the best of several rounds, for the machine is shared.
double nanoseconds(std::string_view text, const Mode& mode = {}) {
  using Clock = std::chrono::steady_clock;
  const std::size_t count = std::max<std::size_t>(1, 4'000'000 / (text.size() + 20));
  double best = 1e18;
  for (int round = 0; round < 9; ++round) {
    uint64_t sum = 0;
    const auto start = Clock::now();
    for (std::size_t i = 0; i < count; ++i) {
      sum += classify(text, mode).mentioned;
      asm volatile("" : "+r"(sum) : : "memory");
    }
    const std::chrono::duration<double, std::nano> took = Clock::now() - start;
    best = std::min(best, took.count() / static_cast<double>(count));
  }
  return best;
}

std::string repeated(std::string_view head, std::string_view part, std::size_t size) {
  std::string text(head);
  while (text.size() < size) text += part;
  return text;
}

void short_statement(std::string_view name, std::string_view text) {
  fmt::print("{:<34} {:>5} bytes {:>9.0f} ns\n", name, text.size(), nanoseconds(text));
}

/// `part` over and over, to 64 KiB and to 1 MiB: 16 times the length should take 16 times as long.
void long_statement(std::string_view name, std::string_view head, std::string_view part,
                    const Mode& mode = {}) {
  const double small = nanoseconds(repeated(head, part, 64 * 1024 - 100), mode);
  const auto text = repeated(head, part, 1024 * 1024 - 100);
  const double large = nanoseconds(text, mode);
  fmt::print("{:<34} {:>9.0f} MB/s   x{:.1f} for 16 times the length\n", name,
             static_cast<double>(text.size()) / large * 1e3, large / small);
}

}  // namespace

int main() {
  short_statement("point select", "SELECT c FROM sbtest1 WHERE id=12345 AND k=1 /* abc */ ");
  short_statement("range select",
                  "SELECT DISTINCT c FROM sbtest7 WHERE id BETWEEN 400 AND 500 ORDER BY c");
  short_statement("join",
                  "SELECT u.name, COUNT(*) FROM users u JOIN orders o ON o.user_id = u.id "
                  "WHERE u.email = 'somebody@example.net' AND o.created > NOW() - INTERVAL 7 DAY "
                  "GROUP BY u.name HAVING COUNT(*) > 3 ORDER BY 2 DESC LIMIT 20");
  short_statement("update", "UPDATE sbtest1 SET k=k+1 WHERE id=12345");
  short_statement("begin", "BEGIN");
  short_statement("set", "SET NAMES utf8mb4 COLLATE utf8mb4_general_ci");
  long_statement("insert of numbers", "INSERT INTO t VALUES (0)", ",(1,2,3)");
  long_statement("insert of reals", "INSERT INTO t VALUES (0)", ",(1.5,-2e3,NULL)");
  long_statement("insert of strings", "INSERT INTO t VALUES (0)",
                 ",(17,'a text of some words, it\\'s one','2026-01-01 00:00:00')");
  long_statement("select IN (...)", "SELECT * FROM t WHERE id IN (0", ",12345");
  long_statement("string, gbk", "SELECT '", "abc\xB0\xA1", {.charset = sluice::sql::Charset::Gbk});
  long_statement("words", "SELECT ", "abc, ");
  long_statement("calls", "SELECT ", "abs(1)+");
  long_statement("open parentheses", "SELECT ", "(");
  long_statement("blanks behind a name", "SELECT a", " ");
  long_statement("points and digits", "SELECT ", "1.");
  long_statement("points, digits and a word", "SELECT ", "1.2e");
  long_statement("stars in a comment", "SELECT /*", "*");
  long_statement("slashes in a skipped comment", "SELECT /*!99999 ", "/");
  long_statement("comments", "SELECT 1 ", "/**/");
  long_statement("executable comments", "SELECT 1 ", "/*!*/", {.version = 101100});
  long_statement("backticks", "SELECT ", "`");
  long_statement("quotes", "SELECT ", "'");
  long_statement("backslashes", "SELECT '", "\\");
  long_statement("at signs", "SELECT ", "@");
  long_statement("empty statements", "", ";", {.multi_statements = true});
  long_statement("selects", "", "SELECT 1;", {.multi_statements = true});
  long_statement("sets", "", "SET @a=1;", {.multi_statements = true});
  long_statement("items of a set", "SET @a=1", ",@b=f(2)");
  long_statement("set statements", "", "SET STATEMENT a=1 FOR ");
  long_statement("common table expressions", "WITH ", "x(a) AS (SELECT 1), ");
}
