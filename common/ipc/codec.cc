#include "common/ipc/codec.h"

namespace sluice::ipc {

Parsed<uint64_t> get_varint(ByteReader& in, std::string_view field) {
  uint64_t value = 0;
  for (int shift = 0; shift < 64; shift += 7) {
    const auto byte = SLUICE_TRY(in.fixed<uint8_t>(field));
    if (shift == 63 && byte > 1) return in.error(ParseErrc::bad_value, field);
    value |= static_cast<uint64_t>(byte & 0x7F) << shift;
    if (!(byte & 0x80)) return value;
  }
  return in.error(ParseErrc::bad_value, field);
}

Parsed<ByteSpan> get_sized(ByteReader& in, std::string_view field) {
  const auto size = SLUICE_TRY(get_varint(in, field));
  if (size > in.left()) return in.error(ParseErrc::truncated, field);
  return in.bytes(static_cast<std::size_t>(size), field);
}

}  // namespace sluice::ipc
