#include "worker/split/checksum.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace sluice::worker::split {
namespace {

Bytes counted(std::size_t size) {
  Bytes bytes(size);
  for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::byte>(i * 7 + 1);
  return bytes;
}

Checksum of(ByteSpan bytes) {
  Checksum sum;
  sum.add(bytes);
  return sum;
}

TEST(Checksum, IsTheSameHoweverTheBytesAreCut) {
  const auto bytes = counted(61);
  const auto whole = of(bytes);
  for (std::size_t first = 0; first <= bytes.size(); ++first) {
    for (std::size_t second = first; second <= bytes.size(); ++second) {
      Checksum pieces;
      pieces.add(ByteSpan(bytes).first(first));
      pieces.add(ByteSpan(bytes).subspan(first, second - first));
      pieces.add(ByteSpan(bytes).subspan(second));
      ASSERT_EQ(pieces, whole) << first << " " << second;
    }
  }
}

TEST(Checksum, EveryBitCounts) {
  auto bytes = counted(37);
  const auto whole = of(bytes);
  for (auto& byte : bytes) {
    for (int bit = 0; bit < 8; ++bit) {
      byte ^= std::byte(1 << bit);
      EXPECT_NE(of(bytes), whole);
      EXPECT_NE(of(bytes).sum, whole.sum);
      byte ^= std::byte(1 << bit);
    }
  }
  EXPECT_EQ(of(bytes), whole);
}

TEST(Checksum, TwoChangesDoNotCancelEachOther) {
  const auto bytes = counted(24);
  const auto whole = of(bytes);
  for (int first = 0; first < 64; ++first) {
    for (int second = 64; second < 128; ++second) {
      auto changed = bytes;
      for (const int bit : {first, second}) changed[bit / 8] ^= std::byte(1 << (bit % 8));
      ASSERT_NE(of(changed).sum, whole.sum) << first << " " << second;
    }
  }
}

TEST(Checksum, CountsZerosAndTheirOrder) {
  EXPECT_NE(of(Bytes(1)), of(Bytes(2)));
  EXPECT_NE(of(Bytes(8)), of(Bytes(16)));
  auto bytes = counted(16), swapped = bytes;
  std::rotate(swapped.begin(), swapped.begin() + 8, swapped.end());
  EXPECT_NE(of(bytes), of(swapped));
}

}  // namespace
}  // namespace sluice::worker::split
