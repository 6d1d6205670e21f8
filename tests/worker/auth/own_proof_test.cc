// The proofs that sluice makes by itself: every plugin whose secret it can know, whatever the leg
// allows, and what it never says.
#include "worker/auth/own_proof.h"

#include <fmt/format.h>
#include <gmock/gmock.h>

#include "tests/worker/auth/players.h"
#include "worker/auth/native.h"
#include "worker/auth/sha2.h"

namespace sluice::worker {
namespace {

using testing::HasSubstr;
using Verdict = OwnTurn::Verdict;

const std::string kPassword = "a password";
constexpr OwnLeg kSecure{.secure = true}, kOpen{}, kBelieving{.believes_key = true};

AccountSecret known() {
  return {.password = Secret(kPassword)};
}
Bytes sha2_answer() {
  const auto answer = *sha2_response(Secret(kPassword), as_bytes(kScramble));
  return {answer.begin(), answer.end()};
}
Bytes native_answer() {
  const auto answer = *native_response_of(Secret(kPassword), as_bytes(kScramble));
  return {answer.begin(), answer.end()};
}

OwnProof greeted(std::string plugin) {
  const auto scramble = as_bytes(kScramble);
  return {.plugin = std::move(plugin), .scramble = {scramble.begin(), scramble.end()}};
}
std::string switch_to(std::string_view plugin) {
  return fmt::format("\xFE{}{}{}{}", plugin, '\0', kScramble, '\0');
}
OwnTurn server(OwnProof& proof, std::string_view payload, const OwnLeg& leg = kOpen,
               const AccountSecret& secret = known()) {
  return own_turn(proof, secret, leg, as_bytes(payload));
}
std::string said(const OwnTurn& turn) {
  return turn.say ? std::string(as_text(*turn.say)) : "(nothing)";
}

TEST(OwnProof, AnswersTheGreetingByItsPlugin) {
  EXPECT_EQ(own_response(greeted("caching_sha2_password"), known(), kOpen), sha2_answer());
  EXPECT_EQ(own_response(greeted("mysql_native_password"), known(), kOpen), native_answer());
  EXPECT_EQ(as_text(own_response(greeted("sha256_password"), known(), kSecure)), kPassword + '\0');
  EXPECT_TRUE(own_response(greeted("sha256_password"), known(), kBelieving).empty());
  for (const char* plugin : {"client_ed25519", "mysql_clear_password", "dialog", ""})
    EXPECT_TRUE(own_response(greeted(plugin), known(), kSecure).empty()) << plugin;
}

TEST(OwnProof, WithoutAPasswordThereIsNothingToSay) {
  for (const char* plugin : {"caching_sha2_password", "mysql_native_password", "sha256_password"})
    EXPECT_TRUE(own_response(greeted(plugin), {}, kSecure).empty()) << plugin;
}

TEST(OwnProof, OfNativePasswordTheFirstHashIsEnough) {
  // SHA1('a password')
  constexpr std::string_view kSha1 =
      "\x78\x47\xeb\x99\x57\x1f\xc7\xa6\x72\x8a\xd2\x7b\xee\x9e\x74\x47\xdb\x41\xd0\xa2";
  EXPECT_EQ(
      own_response(greeted("mysql_native_password"), {.sha1 = Secret(std::string(kSha1))}, kOpen),
      native_answer());
}

TEST(OwnProof, TheFastWay) {
  auto proof = greeted("caching_sha2_password");
  const auto content = server(proof, kFastSuccess);
  EXPECT_EQ(content.verdict, Verdict::open);
  EXPECT_FALSE(content.say);
  EXPECT_EQ(server(proof, kOk).verdict, Verdict::accepted);
}

TEST(OwnProof, AServerThatHasForgottenGetsThePassword) {
  auto proof = greeted("caching_sha2_password");
  EXPECT_EQ(said(server(proof, kFullAuthentication, kSecure)), kPassword + '\0');
  EXPECT_EQ(server(proof, kOk).verdict, Verdict::accepted);
}

TEST(OwnProof, AndOverAnOpenLegOnlyUnderAKeyThatIsBelieved) {
  for (const auto& [plugin, ask] :
       {std::pair("caching_sha2_password", "\2"), {"sha256_password", "\1"}}) {
    OwnProof proof;
    if (std::string_view(plugin) == "sha256_password") {
      EXPECT_EQ(said(server(proof, switch_to(plugin), kBelieving)), ask);
    } else {
      proof = greeted(plugin);
      EXPECT_EQ(said(server(proof, kFullAuthentication, kBelieving)), ask);
    }
    const auto turn = server(proof, '\1' + server_key().public_pem(), kBelieving);
    ASSERT_TRUE(turn.say);
    const auto got = server_key().decrypt_password(*turn.say, scramble_of(kScramble));
    ASSERT_TRUE(got);
    EXPECT_EQ(got->reveal(), kPassword);
    EXPECT_EQ(server(proof, kOk).verdict, Verdict::accepted);
  }
}

TEST(OwnProof, AKeyThatIsNoneFails) {
  auto proof = greeted("caching_sha2_password");
  server(proof, kFullAuthentication, kBelieving);
  const auto turn = server(proof, "\1no key", kBelieving);
  EXPECT_EQ(turn.verdict, Verdict::failed);
  EXPECT_THAT(turn.why, HasSubstr("public key"));
}

/// The server refuses it then, which does not count towards its max_connect_errors.
TEST(OwnProof, WhatCannotBeSaidIsGivenUpInGoodOrder) {
  auto proof = greeted("caching_sha2_password");
  EXPECT_EQ(said(server(proof, kFullAuthentication)), std::string(1, '\0'));
  const auto turn = server(proof, "\xFF\x15\x04#28000Access denied");
  EXPECT_EQ(turn.verdict, Verdict::failed);
  EXPECT_THAT(turn.why, HasSubstr("public_key_retrieval"));
  auto again = greeted("caching_sha2_password");
  server(again, kFullAuthentication);
  EXPECT_EQ(server(again, kFullAuthentication).verdict, Verdict::failed) << "it is asked once";
}

TEST(OwnProof, ASwitchIsFollowedWhereTheSecretIsKnown) {
  OwnProof proof = greeted("client_ed25519");
  EXPECT_EQ(server(proof, switch_to("caching_sha2_password")).say, sha2_answer());
  EXPECT_EQ(server(proof, switch_to("mysql_native_password")).say, native_answer());
  EXPECT_EQ(said(server(proof, switch_to("sha256_password"), kSecure)), kPassword + '\0');
  for (const char* plugin : {"client_ed25519", "mysql_clear_password", "dialog", "parsec"}) {
    const auto turn = server(proof, switch_to(plugin), kSecure);
    EXPECT_EQ(turn.verdict, Verdict::failed);
    EXPECT_FALSE(turn.say) << plugin;
    EXPECT_THAT(turn.why, HasSubstr(plugin));
  }
}

TEST(OwnProof, TheServersErrorIsTheReason) {
  auto proof = greeted("caching_sha2_password");
  EXPECT_EQ(server(proof, "\xFF\x15\x04#28000Access denied").why, "Access denied");
  EXPECT_EQ(server(proof, "\4what").verdict, Verdict::failed);
  EXPECT_EQ(server(proof, "").verdict, Verdict::failed);
}

/// Whatever a server says, an open leg never carries the password as it is.
TEST(OwnProof, NoOpenLegCarriesThePassword) {
  const std::string messages[] = {kFullAuthentication,
                                  kFastSuccess,
                                  '\1' + server_key().public_pem(),
                                  "\1x",
                                  switch_to("caching_sha2_password"),
                                  switch_to("sha256_password"),
                                  switch_to("mysql_clear_password")};
  for (const auto& first : messages)
    for (const auto& second : messages)
      for (const auto& third : messages)
        for (const auto& leg : {kOpen, kBelieving}) {
          auto proof = greeted("caching_sha2_password");
          for (const auto& message : {first, second, third})
            EXPECT_THAT(said(server(proof, message, leg)), testing::Not(HasSubstr(kPassword)));
        }
}

}  // namespace
}  // namespace sluice::worker
