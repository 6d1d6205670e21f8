#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "tests/support/client.h"

namespace sluice::test {

/// Other sessions of a service with a pool: each of their statements wants a connection, which is
/// somebody else's if the pool has no more. They have settings of their own, and see to it that
/// these are what they find.
class SplitBystanders {
 public:
  /// What a server must have for them; run on the primary.
  static constexpr std::string_view kTables =
      "CREATE DATABASE bystander; CREATE TABLE bystander.t AS SELECT 7 AS a; "
      "GRANT SELECT ON bystander.* TO app@'%', other@'%'";

  /// `mixed`: the last one is of another account, and some ask for compression.
  SplitBystanders(const ClientOptions& service, std::size_t count, bool mixed);

  /// All of them, one after the other, run a statement on that server ("primary", "server db2").
  /// Throws TestError if one does not find what is its own.
  void borrow(std::string_view where);

 private:
  struct Session {
    Client client;
    std::string expected;
  };
  std::vector<Session> sessions_;
};

}  // namespace sluice::test
