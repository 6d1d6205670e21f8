#include "tests/support/split_bystanders.h"

#include <fmt/format.h>

#include "tests/support/test_error.h"

namespace sluice::test {

SplitBystanders::SplitBystanders(const ClientOptions& service, std::size_t count, bool mixed) {
  for (std::size_t i = 0; i < count; ++i) {
    auto options = service;
    options.database = "bystander";
    if (mixed && i + 1 == count) options.user = "other", options.password = "other-secret";
    options.compressed = mixed && i % 2 == 0;
    Session session{.client = Client(options), .expected = {}};
    const auto zone = fmt::format("+{:02}:00", 7 + i);
    session.client.exec(fmt::format(
        "SET NAMES latin1, time_zone = '{}', sql_mode = 'ANSI_QUOTES', sql_select_limit = {}, "
        "group_concat_max_len = {}",
        zone, 10 + i, 100 + i));
    session.client.exec(fmt::format("SET @v = 'bystander {}'", i));
    session.expected = fmt::format("{} {} {} bystander {} bystander latin1 {} 7", zone, 10 + i,
                                   100 + i, i, options.user);
    sessions_.push_back(std::move(session));
  }
}

void SplitBystanders::borrow(std::string_view where) {
  const auto sql = fmt::format(
      "SELECT CONCAT_WS(' ', @@time_zone, @@sql_select_limit, @@group_concat_max_len, @v, "
      "DATABASE(), CHARSET('a'), SUBSTRING_INDEX(CURRENT_USER(), '@', 1), \"a\") FROM t "
      "/* sluice route to {} */",
      where);
  for (auto& session : sessions_)
    if (const auto found = session.client.value(sql); found != session.expected)
      throw TestError(
          fmt::format("a bystander finds '{}' instead of '{}'", found, session.expected));
}

}  // namespace sluice::test
