// mysql_native_password against values that MariaDB computed.
#include "worker/auth/native.h"

#include <gtest/gtest.h>

#include <string>

namespace sluice::worker {
namespace {

/// SELECT PASSWORD('secret'), and the answer to the scramble by the formula in the manual.
constexpr std::string_view kHash = "*14E65567ABDB5135D0CFD9A70B3032C179A49EE7";
constexpr std::string_view kScramble = "01234567890123456789";
constexpr std::string_view kResponse = "7abe1a8776b59e931059451f81e596a60dbbf7a8";
constexpr std::string_view kStage1 =
    "e5e9fa1ba31ecd1ae84f75caaa474f3a663f05f4";  ///< SHA1('secret')

Bytes from_hex(std::string_view hex) {
  Bytes out;
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2)
    out.push_back(static_cast<std::byte>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16)));
  return out;
}

TEST(Native, TheHashIsReadInEitherCase) {
  const auto hash = native_hash(kHash);
  ASSERT_TRUE(hash);
  EXPECT_EQ(Bytes(hash->begin(), hash->end()), from_hex(kHash.substr(1)));
  std::string small(kHash);
  for (auto& c : small) c = static_cast<char>(std::tolower(c));
  EXPECT_EQ(native_hash(small), hash);
}

TEST(Native, EveryTruncationOfAHashIsNone) {
  for (std::size_t n = 0; n < kHash.size(); ++n) EXPECT_FALSE(native_hash(kHash.substr(0, n)));
  EXPECT_FALSE(native_hash(std::string(kHash) + "0"));
  EXPECT_FALSE(native_hash("14E65567ABDB5135D0CFD9A70B3032C179A49EE70"));
  EXPECT_FALSE(native_hash("*14E65567ABDB5135D0CFD9A70B3032C179A49EEG"));
  EXPECT_FALSE(native_hash("5d2e19393cc5ef67"));  // of before 4.1
}

TEST(Native, TheRightResponseProvesAndGivesTheFirstHash) {
  const auto hash = *native_hash(kHash);
  const auto proof = native_proof(hash, as_bytes(kScramble), from_hex(kResponse));
  ASSERT_TRUE(proof);
  EXPECT_EQ(Bytes(proof->begin(), proof->end()), from_hex(kStage1));
}

TEST(Native, NoOtherResponseDoes) {
  const auto hash = *native_hash(kHash);
  const auto right = from_hex(kResponse);
  for (std::size_t i = 0; i < right.size(); ++i) {
    auto wrong = right;
    wrong[i] ^= std::byte{1};
    EXPECT_FALSE(native_proof(hash, as_bytes(kScramble), wrong));
    EXPECT_FALSE(native_proof(hash, as_bytes(kScramble), ByteSpan(right).first(i)));
  }
  auto longer = right;
  longer.push_back(std::byte{0});
  EXPECT_FALSE(native_proof(hash, as_bytes(kScramble), longer));
  EXPECT_FALSE(native_proof(hash, as_bytes("another scramble 123"), right));
  EXPECT_FALSE(native_proof(hash, {}, right));
  EXPECT_FALSE(native_proof(Sha1{}, as_bytes(kScramble), right));
}

}  // namespace
}  // namespace sluice::worker
