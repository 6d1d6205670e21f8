#include "master/expiry_reminder.h"

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/units.h"
#include "master/config/expiry.h"

namespace sluice::master {
namespace {

constexpr int64_t kDayNs = 24 * 3600 * kSecondNs;

}  // namespace

void ExpiryReminder::put_off(int64_t now_ns) {
  due_ns_ = now_ns + kDayNs;
}

void ExpiryReminder::tick(const config::Config& config, int64_t now_ns, int64_t now_s) {
  if (now_ns < due_ns_) return;
  put_off(now_ns);
  for (const auto& found : config::expiring(config, now_s)) {
    const bool over = found.not_after_s < now_s;
    log::warning(
        "tls", over ? "certificate has expired" : "certificate expires soon",
        found.server.empty() ? log::kv("service", found.service) : log::kv("server", found.server),
        log::kv("expires", format_date(found.not_after_s)),
        log::kv("days", config::days_until(found.not_after_s, now_s)));
  }
}

}  // namespace sluice::master
