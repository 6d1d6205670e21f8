// A command of the client's, as the packet that it came in.
#pragma once

#include <cstdint>

#include "common/base/bytes.h"
#include "common/mysql/packets.h"

namespace sluice::worker::split {

/// Commands up to this length are held until they are whole, and looked at; longer ones go home.
inline constexpr std::size_t kMaxLookedAt = 1024 * 1024;

inline uint8_t byte_at(ByteSpan bytes, std::size_t i) {
  return static_cast<uint8_t>(bytes[i]);
}

/// A packet without a byte is a command to servers: one that they don't know.
inline mysql::Command kind_of(ByteSpan command) {
  return static_cast<mysql::Command>(
      command.size() > mysql::kHeaderSize ? byte_at(command, mysql::kHeaderSize) : 0);
}

inline std::string_view text_of(ByteSpan command) {
  return as_text(command.subspan(mysql::kHeaderSize + 1));
}

inline std::size_t payload_length(ByteSpan header) {
  return byte_at(header, 0) | byte_at(header, 1) << 8 | byte_at(header, 2) << 16;
}

/// Whether it is all there, and short enough to be looked at.
inline bool is_whole(ByteSpan command) {
  return command.size() == mysql::kHeaderSize + payload_length(command) &&
         command.size() <= kMaxLookedAt;
}

}  // namespace sluice::worker::split
