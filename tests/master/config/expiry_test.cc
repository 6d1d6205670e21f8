#include "master/config/expiry.h"

#include <gtest/gtest.h>

namespace sluice::config {
namespace {

constexpr int64_t kDay = 86'400, kNow = 20'000 * kDay + kDay / 2;

TEST(Expiry, DaysAreWholeOnes) {
  EXPECT_EQ(days_until(kNow, kNow), 0);
  EXPECT_EQ(days_until(kNow + kDay - 1, kNow), 0);
  EXPECT_EQ(days_until(kNow + kDay, kNow), 1);
  EXPECT_EQ(days_until(kNow - 1, kNow), -1);
  EXPECT_EQ(days_until(kNow - kDay, kNow), -1);
  EXPECT_EQ(days_until(kNow - kDay - 1, kNow), -2);
}

Tls tls(TlsMode mode, int64_t not_after_s) {
  return {.mode = mode, .not_after_s = not_after_s};
}

TEST(Expiry, IsSaidThirtyDaysBefore) {
  Config config;
  config.services = {
      {.name = "expired", .tls = tls(TlsMode::required, kNow - 1)},
      {.name = "fine", .tls = tls(TlsMode::required, kNow + 30 * kDay)},
      {.name = "off", .tls = tls(TlsMode::off, kNow - 1)},
      {.name = "selfsigned", .tls = tls(TlsMode::preferred, 0)},
      {.name = "soon", .tls = tls(TlsMode::preferred, kNow + 30 * kDay - 1)},
  };
  config.clusters = {{.name = "shop"}};
  config.clusters[0].servers = {{.name = "db1", .tls = tls(TlsMode::required, kNow + kDay)},
                                {.name = "db2"}};
  const std::vector<Expiring> expected = {
      {"expired", "", kNow - 1}, {"soon", "", kNow + 30 * kDay - 1}, {"", "shop/db1", kNow + kDay}};
  EXPECT_EQ(expiring(config, kNow), expected);
}

}  // namespace
}  // namespace sluice::config
