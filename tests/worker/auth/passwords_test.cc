// Passwords that were shown: known again by their fast answers, bounded, and forgotten when the
// account changes.
#include "worker/auth/passwords.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "worker/auth/sha2.h"

namespace sluice::worker {
namespace {

constexpr std::string_view kScramble = "twenty bytes of salt";

/// Computed by the formula in MySQL's manual, with Python's hashlib.
TEST(Sha2, TheFastAnswerIsThatOfTheManual) {
  constexpr unsigned char kAnswer[] = {0xfa, 0x69, 0x4b, 0x08, 0xc6, 0xf0, 0xbd, 0x20,
                                       0x69, 0x7e, 0x1a, 0x9d, 0x9d, 0x12, 0x22, 0xde,
                                       0x2a, 0x8b, 0x9e, 0x0f, 0x8b, 0x49, 0x6b, 0x71,
                                       0x86, 0x45, 0x4d, 0xa9, 0xfc, 0x17, 0x58, 0xa1};
  const auto answer = sha2_response(Secret("a password"), as_bytes(kScramble));
  ASSERT_TRUE(answer);
  EXPECT_TRUE(std::ranges::equal(*answer, std::as_bytes(std::span(kAnswer))));
}

TEST(Sha2, NoOtherAnswerProvesAnything) {
  const Secret password("a password");
  const auto right = *sha2_response(password, as_bytes(kScramble));
  EXPECT_TRUE(sha2_proves(password, as_bytes(kScramble), right));
  EXPECT_FALSE(sha2_proves(Secret("another"), as_bytes(kScramble), right));
  EXPECT_FALSE(sha2_proves(password, as_bytes("another scramble 123"), right));
  for (std::size_t i = 0; i < right.size(); ++i) {
    auto wrong = right;
    wrong[i] ^= std::byte{1};
    EXPECT_FALSE(sha2_proves(password, as_bytes(kScramble), wrong));
    EXPECT_FALSE(sha2_proves(password, as_bytes(kScramble), ByteSpan(right).first(i)));
  }
}

bool knows(const Passwords& passwords, std::string_view user, std::string password) {
  const auto answer = *sha2_response(Secret(std::move(password)), as_bytes(kScramble));
  return passwords.find(user, as_bytes(kScramble), answer) != nullptr;
}

TEST(Passwords, AreKnownByUserAndAnswer) {
  Passwords passwords;
  passwords.remember("app", Secret("one"), 1);
  passwords.remember("app", Secret("two"), 2);
  EXPECT_TRUE(knows(passwords, "app", "one"));
  EXPECT_TRUE(knows(passwords, "app", "two"));
  EXPECT_FALSE(knows(passwords, "app", "three"));
  EXPECT_FALSE(knows(passwords, "other", "one"));
  EXPECT_EQ(passwords.find("app", as_bytes(kScramble), {}), nullptr);
}

TEST(Passwords, TheOneUsedLeastLatelyGoes) {
  Passwords passwords;
  for (std::size_t i = 0; i < Passwords::kMost; ++i)
    passwords.remember(fmt::to_string(i), Secret("x"), static_cast<int64_t>(i));
  passwords.remember("0", Secret("x"), 100'000);
  passwords.remember("new", Secret("x"), 100'001);
  EXPECT_EQ(passwords.size(), Passwords::kMost);
  EXPECT_TRUE(knows(passwords, "0", "x"));
  EXPECT_FALSE(knows(passwords, "1", "x"));
  EXPECT_TRUE(knows(passwords, "new", "x"));
}

/// What the tables say of `app`, and of somebody else.
void load(Passwords& passwords, const std::string& text, const std::string& others,
          int64_t now_ns) {
  accounts::Contents contents{.source = "db1"};
  contents.rows = {{"app", "%", {{"caching_sha2_password", text}}},
                   {"other", "%", {{"caching_sha2_password", others}}}};
  const auto bytes = accounts::encode(contents);
  passwords.accounts_loaded(*accounts::Table::open(bytes), now_ns);
}

TEST(Passwords, AreForgottenWhenTheAccountChanges) {
  constexpr auto kFresh = Passwords::kFreshNs;
  Passwords passwords;
  passwords.remember("app", Secret("old"), 1);
  load(passwords, "hash of old", "x", 10 * kFresh);
  EXPECT_TRUE(knows(passwords, "app", "old")) << "nothing was known of the account before";
  load(passwords, "hash of old", "y", 20 * kFresh);
  EXPECT_TRUE(knows(passwords, "app", "old")) << "another account has changed";
  passwords.remember("app", Secret("new"), 30 * kFresh - 1);
  load(passwords, "hash of new", "y", 30 * kFresh);
  EXPECT_FALSE(knows(passwords, "app", "old"));
  EXPECT_TRUE(knows(passwords, "app", "new")) << "it may be what the change was about";
  load(passwords, "hash of new", "y", 40 * kFresh);
  EXPECT_TRUE(knows(passwords, "app", "new"));
}

TEST(Passwords, AreForgottenWithTheAccount) {
  Passwords passwords;
  passwords.remember("app", Secret("x"), 1);
  load(passwords, "hash", "x", Passwords::kFreshNs);
  passwords.accounts_loaded(accounts::Table(), 3 * Passwords::kFreshNs);
  EXPECT_EQ(passwords.size(), 0u);
}

}  // namespace
}  // namespace sluice::worker
