// Certificates of the configuration in force that expire soon: said once a day, for as long as
// nobody reloads. A reload says it by itself.
#pragma once

#include "common/config/config.h"

namespace sluice::master {

class ExpiryReminder {
 public:
  /// A configuration has been read at that time (CLOCK_MONOTONIC): its reader has said it.
  void put_off(int64_t now_ns);
  /// Warns, a day after the last time. `now_s`: seconds since the epoch.
  void tick(const config::Config& config, int64_t now_ns, int64_t now_s);

  int64_t export_() const { return due_ns_; }
  void import_(int64_t due_ns) { due_ns_ = due_ns; }

 private:
  int64_t due_ns_ = 0;
};

}  // namespace sluice::master
