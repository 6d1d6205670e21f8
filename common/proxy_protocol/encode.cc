#include "common/base/ip_address.h"
#include "common/proxy_protocol/header.h"
#include "common/proxy_protocol/wire.h"

namespace sluice::proxy_protocol {
namespace {

void put_big_endian(ByteWriter& out, std::size_t value) {
  out.byte(static_cast<uint8_t>(value >> 8));
  out.byte(static_cast<uint8_t>(value));
}

/// The fixed part.
ByteWriter begin(Bytes& out, uint8_t command, uint8_t protocol, std::size_t rest) {
  out.reserve(kFixedPart + rest);
  ByteWriter writer(out);
  writer.text(kSignatureV2);
  writer.byte(command);
  writer.byte(protocol);
  put_big_endian(writer, rest);
  return writer;
}

}  // namespace

std::optional<Bytes> encode_tcp(const End& source, const End& destination) {
  auto from = IpAddress::parse(source.ip), to = IpAddress::parse(destination.ip);
  if (!from || !to) return std::nullopt;
  from = from->unmapped();
  to = to->unmapped();
  if (from->family != to->family) {
    from = from->mapped();
    to = to->mapped();
  }
  const auto protocol = from->family == IpAddress::Family::v4 ? kTcp4 : kTcp6;
  Bytes bytes;
  auto out = begin(bytes, kProxy, protocol, 2 * (from->size() + sizeof(uint16_t)));
  out.raw(std::as_bytes(from->used()));
  out.raw(std::as_bytes(to->used()));
  put_big_endian(out, source.port);
  put_big_endian(out, destination.port);
  return bytes;
}

Bytes encode_local() {
  Bytes bytes;
  begin(bytes, kLocal, kUnspecified, 0);
  return bytes;
}

Bytes encode_unix() {
  Bytes bytes;
  begin(bytes, kProxy, kUnix, kUnixAddresses).zeros(kUnixAddresses);
  return bytes;
}

}  // namespace sluice::proxy_protocol
