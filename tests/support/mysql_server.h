#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "tests/support/database_server.h"
#include "tests/support/fetched.h"

namespace sluice::test {

/// Which of the MySQLs that tests/support/fetch_servers got a MysqlServer runs.
enum class MysqlRelease { V9, V8_4, V8_0 };

/// A real mysqld. GTIDs on. All accounts of the
/// fixtures are caching_sha2_password; `sluice` has what README.md grants on MySQL, and no more.
class MysqlServer : public DatabaseServer {
 public:
  explicit MysqlServer(ServerOptions options = {}, Start start = Start::Ready,
                       MysqlRelease release = MysqlRelease::V9);

  static Available available(MysqlRelease release = MysqlRelease::V9);

  /// MySQL 9's own command line client to its end: {"-h127.0.0.1", "-P4406", "-e", "SELECT 1"}.
  static CommandResult run_client(std::vector<std::string> args, Milliseconds deadline = 30s);

  /// A column of SHOW REPLICA STATUS ("Replica_IO_Running").
  std::string replica_status(std::string_view column) override;
  void replicate_from(const DatabaseServer& primary) override;
  void catch_up_with(DatabaseServer& primary, Milliseconds deadline = 20s) override;

 private:
  std::vector<std::string> program() const override;

  MysqlRelease release_;
};

}  // namespace sluice::test
