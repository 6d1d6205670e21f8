#pragma once

#include <array>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tests/support/client.h"

namespace sluice::test {

/// A session that runs steps of a sequence (split_sequence.h) and says all that a client can see of
/// what came of them: columns, rows, errors, warnings, counts, the server's status.
class SplitSession {
 public:
  explicit SplitSession(const ClientOptions& options);
  ~SplitSession();
  SplitSession(SplitSession&&) noexcept;

  /// A statement, or a command of the protocol:
  ///   \prepare SLOT SQL      \execute SLOT VALUE|VALUE   \cursor SLOT VALUE|VALUE
  ///   \fetch SLOT ROWS       \reset_statement SLOT       \close SLOT
  ///   \init_db NAME          \change_user USER NAME      \field_list TABLE
  ///   \ping                  \reset_connection       \several on|off
  ///   \direct SLOT SQL       \bulk SLOT VALUE|VALUE
  /// A value is i5, l5 (64 bits), d1.5, sTEXT, bTEXT (sent ahead as long data) or N. Parameters
  /// without a value of their own get the first ones again. Values of the same types as those of
  /// the execution before are sent without their types. A direct execution comes with its prepare,
  /// in one go and without values; a bulk one gives each value, a number, to a row of its own.
  std::string run(const std::string& step);
  /// Whether the connection is still there.
  bool alive() const { return alive_; }

 private:
  struct Statement;

  std::string query(const std::string& sql);
  std::string command(std::string_view verb, std::string_view rest);
  std::string prepare(std::string_view rest);
  std::string execute(std::string_view rest, bool cursor);
  std::string direct(std::string_view rest);
  std::string bulk(std::string_view rest);
  std::string fetch(std::string_view rest);
  std::string on_statement(std::string_view verb, std::string_view rest);
  std::string field_list(const std::string& table);
  std::string done(bool ok);
  std::string error();

  Client client_;
  bool alive_ = true;
  std::array<std::unique_ptr<Statement>, 3> statements_;
};

}  // namespace sluice::test
