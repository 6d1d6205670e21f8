#include "master/keys.h"

#include <gtest/gtest.h>

#include "common/base/clock.h"

namespace sluice::master {
namespace {

using config::KeyKinds;

constexpr int64_t kNow = 1000 * kSecondNs, kDay = 86'400 * kSecondNs;

ipc::KeyMaterial made(const std::string& ticket, const std::string& rsa,
                      const std::string& certificate) {
  return {.ticket_key = Secret(ticket),
          .rsa_key_pem = Secret(rsa),
          .certificate_pem = certificate,
          .certificate_key_pem = Secret(certificate.empty() ? "" : "key of " + certificate)};
}

TEST(Keys, AllAreWantedAtFirst) {
  EXPECT_EQ(wanted({}, kNow), (KeyKinds{true, true, true}));
  EXPECT_EQ(
      arguments(wanted({}, kNow)),
      (std::vector<std::string>{"--make-ticket-key", "--make-rsa-key", "--make-certificate"}));
  EXPECT_TRUE(arguments({}).empty());
}

TEST(Keys, WhatThereIsIsKept) {
  auto keys = joined({}, made("ticket", "", ""), kNow);
  EXPECT_EQ(wanted(keys, kNow), (KeyKinds{false, true, true}));
  keys = joined(keys, made("", "rsa", ""), kNow + 1);
  EXPECT_EQ(wanted(keys, kNow), (KeyKinds{false, false, true}));
  keys = joined(keys, made("", "", "certificate"), kNow + 2);
  EXPECT_EQ(wanted(keys, kNow), KeyKinds{});
  EXPECT_EQ(ipc::encode(keys.material), ipc::encode(made("ticket", "rsa", "certificate")));
  EXPECT_EQ(keys.ticket_made_ns, kNow);
}

TEST(Keys, TheTicketKeyIsRenewedAfterADay) {
  auto keys = joined({}, made("first", "rsa", "certificate"), kNow);
  EXPECT_EQ(wanted(keys, kNow + kDay - 1), KeyKinds{});
  EXPECT_EQ(wanted(keys, kNow + kDay), (KeyKinds{true, false, false}));
  keys = joined(keys, made("second", "", ""), kNow + kDay);
  EXPECT_EQ(keys.material.ticket_key.reveal(), "second");
  EXPECT_EQ(keys.material.ticket_key_before.reveal(), "first");
  EXPECT_EQ(keys.material.rsa_key_pem.reveal(), "rsa");
  EXPECT_EQ(wanted(keys, kNow + 2 * kDay - 1), KeyKinds{});
  keys = joined(keys, made("third", "", ""), kNow + 9 * kDay);
  EXPECT_EQ(keys.material.ticket_key_before.reveal(), "second");
}

}  // namespace
}  // namespace sluice::master
