#include "master/expiry_reminder.h"

#include <gmock/gmock.h>

#include "common/base/clock.h"
#include "common/base/log.h"

namespace sluice::master {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr int64_t kDayS = 86'400, kDayNs = kDayS * kSecondNs;
constexpr int64_t kNow = 1'795'521'600;  // 2026-11-24, noon

class Reminder : public testing::Test {
 protected:
  Reminder() {
    log::set_sink(
        [](void* context, log::Level level, std::string_view component, std::string_view text) {
          EXPECT_EQ(level, log::Level::warning);
          EXPECT_EQ(component, "tls");
          static_cast<Reminder*>(context)->said_.emplace_back(text);
        },
        this);
    config_.services = {{.name = "shop", .tls = {.mode = config::TlsMode::required}}};
    config_.services[0].tls.not_after_s = kNow + 12 * kDayS;
  }
  ~Reminder() override { log::set_sink(nullptr, nullptr); }
  std::vector<std::string> said_at(int64_t days) {
    said_.clear();
    reminder_.tick(config_, days * kDayNs, kNow + days * kDayS);
    return said_;
  }

  config::Config config_;
  ExpiryReminder reminder_;
  std::vector<std::string> said_;
};

TEST_F(Reminder, SpeaksOnceADay) {
  reminder_.put_off(0);
  EXPECT_THAT(said_at(0), IsEmpty());
  EXPECT_THAT(said_at(1), ElementsAre("certificate expires soon service=shop expires=2026-12-06 "
                                      "days=11"));
  EXPECT_THAT(said_at(1), IsEmpty());
  EXPECT_THAT(said_at(2), ElementsAre("certificate expires soon service=shop expires=2026-12-06 "
                                      "days=10"));
  reminder_.put_off(3 * kDayNs);
  EXPECT_THAT(said_at(3), IsEmpty());
  EXPECT_THAT(said_at(4), ElementsAre("certificate expires soon service=shop expires=2026-12-06 "
                                      "days=8"));
  EXPECT_THAT(said_at(13), ElementsAre("certificate has expired service=shop expires=2026-12-06 "
                                       "days=-1"));
}

TEST_F(Reminder, NamesServersToo) {
  config_.services.clear();
  config_.clusters = {{.name = "shop"}};
  config_.clusters[0].servers = {{.name = "db1", .tls = {.mode = config::TlsMode::preferred}}};
  config_.clusters[0].servers[0].tls.not_after_s = kNow;
  EXPECT_THAT(said_at(0), ElementsAre("certificate expires soon server=shop/db1 "
                                      "expires=2026-11-24 days=0"));
}

TEST_F(Reminder, HasNothingToSayOfThoseThatLast) {
  config_.services[0].tls.not_after_s = kNow + 1000 * kDayS;
  EXPECT_THAT(said_at(0), IsEmpty());
}

}  // namespace
}  // namespace sluice::master
