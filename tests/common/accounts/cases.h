// Reads tests/data/accounts.cases, for the unit test and for the test against a real server.
#pragma once

#include <fstream>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "common/accounts/table.h"

namespace sluice::accounts {

/// One line: who gets which row.
struct MatchCase {
  int line = 0;  ///< in the file, for messages
  Flavour flavour = Flavour::mariadb;
  bool skip_name_resolve = false;
  std::string expected;               ///< "user@host", or "none"
  std::vector<std::string> accounts;  ///< "user@host"
  std::string user;
  Peer client;  ///< empty for a Unix socket
};

/// "user@host" of an account; the host is what follows the last @.
inline std::pair<std::string, std::string> split_account(const std::string& text) {
  const auto at = text.rfind('@');
  return {text.substr(0, at), text.substr(at + 1)};
}
inline std::string name_of(std::string_view user, std::string_view host) {
  return std::string(user) + "@" + std::string(host);
}

/// Rows that anybody may log in with: native passwords, all of them empty.
inline Contents contents_of(const MatchCase& test) {
  Contents contents;
  contents.flavour = test.flavour;
  contents.skip_name_resolve = test.skip_name_resolve;
  for (const auto& account : test.accounts) {
    const auto [user, host] = split_account(account);
    contents.rows.push_back({user, host, {{"mysql_native_password", ""}}});
  }
  return contents;
}

inline std::vector<MatchCase> read_match_cases(const std::string& path) {
  std::vector<MatchCase> cases;
  std::ifstream file(path);
  MatchCase now;
  for (std::string text; std::getline(file, text);) {
    ++now.line;
    if (text.empty() || text[0] == '#') continue;
    if (text[0] == '[') {
      now.flavour = *enum_from_name<Flavour>(text.substr(1, text.find(' ') - 1));
      now.skip_name_resolve = text.ends_with("=on]");
      continue;
    }
    MatchCase test = now;
    const auto second = text.find('|'), third = text.find('|', second + 1);
    std::istringstream(text.substr(0, second)) >> test.expected;
    std::istringstream accounts(text.substr(second + 1, third - second - 1));
    for (std::string account; accounts >> account;) test.accounts.push_back(account);
    std::istringstream(text.substr(third + 1)) >> test.user >> test.client.ip >> test.client.name;
    if (test.user == "-") test.user.clear();
    if (test.client.ip == "socket") test.client.ip.clear();
    cases.push_back(std::move(test));
  }
  return cases;
}

}  // namespace sluice::accounts
