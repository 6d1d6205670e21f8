// A checksum that tells different data apart where nobody means harm.
#pragma once

#include "common/base/bytes.h"

namespace sluice {

inline constexpr uint64_t kNoBytes = 0xcbf29ce484222325;

/// FNV-1a of 64 bits, of what came before (its checksum is `sum`) and these bytes.
constexpr uint64_t checksum(ByteSpan bytes, uint64_t sum = kNoBytes) {
  for (const auto byte : bytes) sum = (sum ^ static_cast<uint8_t>(byte)) * 0x100000001b3;
  return sum;
}

}  // namespace sluice
