// Where the log goes: syslog, a file or stderr. Only the master writes it; children send records.
#pragma once

#include <string>

#include "common/base/log.h"
#include "common/base/result.h"
#include "common/base/unique_fd.h"
#include "common/config/config.h"
#include "master/inheritance.h"

namespace sluice::master {

class LogOutput {
 public:
  LogOutput() = default;
  /// Opens what the configuration names. On an error the old target stays.
  Result<> open(const config::Log& config);
  inheritance::Log export_() const;
  void import_(inheritance::Log log);
  /// Opens the log file anew, after somebody moved it away.
  Result<> rotate();
  /// Writes a record of `process` ("sluiced[1]", "sluice-worker[812]"). Never waits: neither a full
  /// disk nor a slow reader may stop the master; what can't be written at once is lost, and
  /// counted.
  void write(std::string_view process, log::Level level, std::string_view component,
             std::string_view text);
  /// Becomes the sink of this process.
  void take_over();

 private:
  bool put(std::string_view process, log::Level level, std::string_view component,
           std::string_view text);
  static void sink(void* self, log::Level level, std::string_view component, std::string_view text);
  config::Log config_{.target = config::LogTarget::stderr_};
  UniqueFd file_;      ///< or the socket of the system's log
  uint64_t lost_ = 0;  ///< records, since the last one that was written
};

}  // namespace sluice::master
