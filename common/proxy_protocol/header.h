// The PROXY protocol: a header in front of a connection by which one proxy tells the next whom the
// connection is for. Bytes in, values out; no I/O. Whose headers are believed is decided elsewhere.
// Source: HAProxy doc/proxy-protocol.txt.
#pragma once

#include <optional>
#include <string>

#include "common/base/bytes.h"

namespace sluice::proxy_protocol {

/// Of version 1: the longest line that the specification knows (2.1).
inline constexpr std::size_t kMaxLine = 107;
/// Of version 2: the fixed part, and the most that may follow it here (TLVs included). The
/// specification allows 65535; nobody needs it before a login.
inline constexpr std::size_t kFixedPart = 16, kMaxRest = 512;
/// Who holds so many bytes holds any header that parse() takes.
inline constexpr std::size_t kMaxHeader = kFixedPart + kMaxRest;

/// One end of a TCP connection.
struct End {
  std::string ip;  ///< canonical text; a mapped IPv4 address is IPv4
  uint16_t port = 0;
  bool operator==(const End&) const = default;
};

struct Header {
  std::size_t size = 0;  ///< how many bytes of the stream it takes
  /// The sender speaks for itself, or does not know for whom (LOCAL, UNKNOWN, UNSPEC): the real
  /// addresses of the connection hold, and those below are empty.
  bool local = false;
  End source, destination;
};

/// Whether a stream that begins with these bytes may begin with a header. Of nothing: yes.
bool could_be_header(ByteSpan prefix);

/// Reads a header from the beginning of a stream. Nothing: it is right so far, more is needed. An
/// error: it is none, or none that is taken; ParseError::field says what was wrong.
///
/// Taken are TCP over IPv4 and IPv6. A Unix socket's (AF_UNIX) is refused: it would make the client
/// one of this host for the servers. TLVs are skipped, but have to fit.
Parsed<std::optional<Header>> parse(ByteSpan prefix);

/// Version 2, for a client that connected by TCP. One IPv4 and one IPv6 address go as IPv6, the
/// former mapped. Nothing if one of them is not an IP address.
std::optional<Bytes> encode_tcp(const End& source, const End& destination);
/// For a connection of the proxy's own.
Bytes encode_local();
/// For a client of a Unix socket: MariaDB takes it for one of its own host, "localhost"
/// (sql/proxy_protocol.cc parse_v2_header()).
Bytes encode_unix();

}  // namespace sluice::proxy_protocol
