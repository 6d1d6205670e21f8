// A checksum that tells answers apart where nobody means harm.
#pragma once

#include <bit>
#include <cstring>

#include "common/base/bytes.h"
#include "common/ipc/codec.h"

namespace sluice::worker::split {

/// Of bytes that come in pieces: the same however they are cut. Every byte of an answer in a
/// transaction goes through it, hence whole words, in the rounds of xxHash64 (the specification of
/// xxHash, "XXH64 algorithm", step 2), with one accumulator. A word's bytes can be added one by
/// one, so that none have to be kept.
struct Checksum {
  uint64_t sum = kPrime1;
  uint64_t size = 0;  ///< bytes so far

  void add(ByteSpan bytes) {
    while (!bytes.empty() && size % 8 != 0) bytes = add_byte(bytes);
    size += bytes.size() / 8 * 8;
    for (; bytes.size() >= 8; bytes = bytes.subspan(8)) {
      uint64_t word = 0;
      std::memcpy(&word, bytes.data(), 8);
      sum = end_of_round(sum + word * kPrime2);
    }
    while (!bytes.empty()) bytes = add_byte(bytes);
  }

  bool operator==(const Checksum&) const = default;
  static auto fields(auto& m) {
    using ipc::tag;
    return std::tuple(tag<1>(m.sum), tag<2>(m.size));
  }

 private:
  static constexpr uint64_t kPrime1 = 0x9e3779b185ebca87, kPrime2 = 0xc2b2ae3d27d4eb4f;
  static_assert(std::endian::native == std::endian::little, "a word's first byte is its lowest");

  static constexpr uint64_t end_of_round(uint64_t sum) { return std::rotl(sum, 31) * kPrime1; }

  ByteSpan add_byte(ByteSpan bytes) {
    sum += (std::to_integer<uint64_t>(bytes.front()) << (8 * (size % 8))) * kPrime2;
    if (++size % 8 == 0) sum = end_of_round(sum);
    return bytes.subspan(1);
  }
};

}  // namespace sluice::worker::split
