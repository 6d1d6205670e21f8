#pragma once

#include <string>
#include <tl/expected.hpp>

namespace sluice::test {

/// Whether a fixture can be used on this machine, and the reason where it can't:
///   if (const auto can = MysqlServer::available(); !can) GTEST_SKIP() << can.error();
using Available = tl::expected<void, std::string>;

/// One of the servers that tests/support/fetch_servers unpacks: "mysql", "mysql-8.0", "ldap".
class FetchedServer {
 public:
  explicit FetchedServer(std::string name);

  const std::string& name() const { return name_; }

  /// It was fetched, and the account that servers run as can reach it.
  Available available() const;
  /// A path below the server's own root: "usr/sbin/mysqld".
  std::string operator/(const std::string& path) const { return root_ + "/" + path; }
  /// The same below its directory of libraries ("usr/lib/x86_64-linux-gnu").
  std::string library(const std::string& path) const;

 private:
  std::string name_;
  std::string root_;
};

}  // namespace sluice::test
