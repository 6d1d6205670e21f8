#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/support/client.h"
#include "tests/support/process.h"
#include "tests/support/temp_dir.h"

namespace sluice::test {

/// The accounts that every server of the fixtures has from the start, for '%':
///   sluice / sluice-secret   what sluice watches with
///   repl / repl-secret       replication
///   app / app-secret         everything in the (empty) database `test`
/// root has no password and comes in by the Unix socket only. There are no anonymous accounts.
inline constexpr const char* kWatchUser = "sluice";
inline constexpr const char* kWatchPassword = "sluice-secret";

struct ServerOptions {
  std::string name = "db1";                ///< as in the configuration's `servers`
  uint32_t server_id = 0;                  ///< 0: the next number of this process
  std::string host = "127.0.0.1";          ///< where others find it
  std::string bind_address = "127.0.0.1";  ///< may be a list: "127.0.0.1,::1"
  std::vector<std::string> extra_args{};   ///< appended, so they win
  std::vector<std::pair<std::string, std::string>> environment{};  ///< set on top of ours
  std::vector<Mount> mounts{};  ///< seen by this server alone; for root only
};

/// A real database server with its own data directory, socket and port. The data directory is a
/// copy of a template (server_template.h). Binary log on; durability is given up for speed, except
/// that what was committed survives kill9(). Everything is gone with the object.
class DatabaseServer {
 public:
  /// What a constructor waits for. Not ready in time: TestError with the end of the error log.
  enum class Start { Ready, Launched, Stopped };

  virtual ~DatabaseServer();
  DatabaseServer(const DatabaseServer&) = delete;
  DatabaseServer& operator=(const DatabaseServer&) = delete;

  const std::string& name() const { return options_.name; }
  uint32_t server_id() const { return options_.server_id; }
  uint16_t port() const { return port_; }
  /// "HOST:PORT", as it is written in the configuration.
  std::string address() const;
  std::string socket_path() const { return dir_ / "sock"; }
  pid_t pid() const { return process_.pid(); }
  bool running() { return process_.running(); }
  /// The server's error log and what it printed.
  std::string log() const { return read_file(dir_ / "error.log"); }

  /// Where `user` connects to this server directly.
  ClientOptions endpoint(std::string user = "app", std::string password = "app-secret") const;
  /// As root over the Unix socket, in one session that is opened on first use.
  void exec(std::string_view sql) { root().exec(sql); }
  std::string value(std::string_view sql) { return root().value(sql); }
  Rows query(std::string_view sql) { return root().rows(sql); }
  Client& root();
  void set_read_only(bool on);

  /// One column of the first row of replication status, by the server's own name for it; empty when
  /// it is not a replica.
  virtual std::string replica_status(std::string_view column) = 0;
  /// Follows `primary` by GTID from what this server has applied; waits until both threads run.
  virtual void replicate_from(const DatabaseServer& primary) = 0;
  /// Waits until everything that `primary` has logged is applied here. Throws after the deadline.
  virtual void catch_up_with(DatabaseServer& primary, Milliseconds deadline = 20s) = 0;

  /// launch() only starts the process, wait_ready() waits for it: several servers start at once.
  void launch(const std::vector<std::string>& once = {});
  void wait_ready(Milliseconds deadline = 60s);
  void start() { launch(), wait_ready(); }
  /// An orderly shutdown; the exit code.
  int stop(Milliseconds deadline = 60s);
  void kill9();
  /// Takes everything out of the data directory of a server that does not run.
  void lose_data();
  void suspend() { process_.suspend(); }
  void resume() { process_.resume(); }
  void restart() { stop(), start(); }

  /// The options that the next start() uses after the fixed ones.
  std::vector<std::string>& extra_args() { return options_.extra_args; }

 protected:
  explicit DatabaseServer(ServerOptions options);
  /// For the end of a constructor, when the data directory is there.
  void begin(Start start);
  std::string data_directory() const { return dir_ / "data"; }
  /// The named column of the first row that `sql` gives; empty where there is none.
  std::string column_of(std::string_view sql, std::string_view column);
  /// The options that every server of this kind shares, with the program in front.
  virtual std::vector<std::string> program() const = 0;

 private:
  ServerOptions options_;
  TempDir dir_;
  uint16_t port_;
  Process process_;
  std::unique_ptr<Client> root_;
};

}  // namespace sluice::test
