#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "tests/support/database_server.h"
#include "tests/support/fetched.h"

namespace sluice::test {

using MariadbOptions = ServerOptions;

/// Which MariaDB a MariadbServer runs.
enum class MariadbRelease {
  Installed,  ///< the machine's own: Debian 12's 10.11
  Newer,      ///< of those that tests/support/fetch_servers got: 11.8
  Older,      ///< the same: 10.5
};

/// A real mariadbd. The accounts of the fixtures exist for 'localhost' too; `sluice` has SELECT and
/// the monitoring privileges on everything.
class MariadbServer : public DatabaseServer {
 public:
  explicit MariadbServer(MariadbOptions options = {}, Start start = Start::Ready,
                         MariadbRelease release = MariadbRelease::Installed);

  static Available available(MariadbRelease release);
  /// The command line client of MariadbRelease::Newer to its end, with its own client plugins.
  static CommandResult run_newer_client(std::vector<std::string> args, Milliseconds deadline = 30s);

  /// A column of SHOW SLAVE STATUS ("Slave_IO_Running").
  std::string replica_status(std::string_view column) override;
  void replicate_from(const DatabaseServer& primary) override;
  void catch_up_with(DatabaseServer& primary, Milliseconds deadline = 20s) override;

 private:
  std::vector<std::string> program() const override;

  MariadbRelease release_;
};

}  // namespace sluice::test
