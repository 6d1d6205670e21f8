/// The files of TLS are part of the configuration: a renewed certificate takes effect by a reload,
/// one that is no good by none, and whoever wants to know when it expires is told. What TLS does on
/// a connection is not in here.
#include <gmock/gmock.h>
#include <sys/stat.h>

#include "common/base/clock.h"
#include "common/base/units.h"
#include "tests/master/config/certificates.h"
#include "tests/support/reload_fixture.h"

namespace sluice::test {
namespace {

using config::test::kDay;
using config::test::PemPair;
using testing::HasSubstr;
using testing::Not;

class TlsReload : public ReloadTest {
 protected:
  TlsReload() : sluice(two_services(), Sluice::Start::Stopped), now_s(wall_clock_s()) {
    sluice.config.services["left"].extra =
        "tls = { mode = \"preferred\", certificate = \"left.pem\", key = \"left.key\" }\n";
  }
  PemPair lasting(int64_t days) const {
    return config::test::make_certificate(now_s - kDay, now_s + days * kDay + kDay / 2);
  }
  void put(const PemPair& pair) const {
    write_file(sluice.path("left.pem"), pair.certificate);
    write_file(sluice.path("left.key"), pair.key);
    ::chmod(sluice.path("left.key").c_str(), 0600);
  }
  std::string expires() const {
    return sluice.ctl_json({"show", "service", "left"}).at("tls_certificate_expires");
  }
  std::string day(int64_t days) const { return format_date(now_s + days * kDay + kDay / 2); }
  int generation() const { return sluice.ctl_json({"status"}).at("generation"); }

  Sluice sluice;
  const int64_t now_s;
};

/// A line from the middle of a key.
std::string part_of(const PemPair& pair) {
  return pair.key.substr(pair.key.find('\n') + 1, 40);
}

TEST_F(TlsReload, ARenewedCertificateIsAChange) {
  const auto first = lasting(100), renewed = lasting(200);
  put(first);
  sluice.start();
  EXPECT_EQ(expires(), day(100));
  const auto shown = sluice.ctl_json({"show", "service", "left"});
  EXPECT_EQ(shown.at("tls"), "preferred");
  EXPECT_EQ(shown.at("tls_client_ca"), false);
  EXPECT_THAT(sluice.reload().out, HasSubstr("nothing has changed"));
  EXPECT_EQ(generation(), 1);

  put(renewed);
  const auto dry = sluice.ctl({"reload", "--dry-run"});
  EXPECT_EQ(dry.exit_code, 0) << dry.err;
  EXPECT_THAT(dry.out, HasSubstr("tls.certificate: changed content, expires " + day(200)));
  EXPECT_THAT(dry.out, HasSubstr("tls.key: changed content"));
  EXPECT_EQ(expires(), day(100));

  EXPECT_EQ(sluice.reload().exit_code, 0);
  EXPECT_EQ(expires(), day(200));
  EXPECT_EQ(generation(), 2);
  EXPECT_EQ(answering(sluice, "left"), id(left()));
  for (const auto& text : {sluice.log(), dry.out, sluice.printed()})
    for (const auto& pair : {first, renewed}) EXPECT_THAT(text, Not(HasSubstr(part_of(pair))));
}

TEST_F(TlsReload, WhatIsNoGoodIsRefusedAndNothingChanges) {
  const auto good = lasting(100);
  put(good);
  sluice.start();
  const PemPair wrong{good.certificate, lasting(200).key};
  put(wrong);
  const auto refused = sluice.reload();
  EXPECT_EQ(refused.exit_code, 1);
  EXPECT_THAT(refused.err, HasSubstr("left.key is not the key of "));
  EXPECT_THAT(refused.err, Not(HasSubstr(part_of(wrong))));
  EXPECT_EQ(expires(), day(100));
  EXPECT_EQ(generation(), 1);
  EXPECT_EQ(answering(sluice, "left"), id(left()));
}

TEST_F(TlsReload, ACertificateThatExpiresSoonIsAWarning) {
  put(lasting(12));
  sluice.start();
  EXPECT_THAT(sluice.log(), HasSubstr("expires soon: " + day(12) + ", 12 days from now"));
  EXPECT_EQ(answering(sluice, "left"), id(left()));
}

/// Keys that were not needed at the start are made by the reload that needs them: workers that
/// serve get them too, and go on.
TEST_F(TlsReload, TurnsOnAndOff) {
  put(lasting(100));
  auto& service = sluice.config.services["left"];
  const auto with_certificate = std::exchange(service.extra, "");
  sluice.start();
  EXPECT_EQ(sluice.ctl_json({"show", "service", "left"}).at("tls"), "off");
  for (const std::string& extra : {std::string("tls.mode = \"preferred\"\n"), with_certificate,
                                   std::string(), std::string("tls.mode = \"preferred\"\n")}) {
    service.extra = extra;
    const auto reloaded = sluice.reload();
    EXPECT_EQ(reloaded.exit_code, 0) << reloaded.err;
    EXPECT_EQ(sluice.ctl_json({"show", "service", "left"}).at("tls"),
              extra.empty() ? "off" : "preferred");
    EXPECT_EQ(answering(sluice, "left"), id(left()));
  }
  EXPECT_THAT(sluice.log(), Not(HasSubstr("a worker is gone")));
}

}  // namespace
}  // namespace sluice::test
