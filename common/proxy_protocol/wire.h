// Constants of the PROXY protocol (HAProxy doc/proxy-protocol.txt, 2.1 and 2.2).
#pragma once

#include <cstdint>
#include <string_view>

namespace sluice::proxy_protocol {

using namespace std::string_view_literals;

inline constexpr std::string_view kSignatureV1 = "PROXY ";
inline constexpr std::string_view kLineEnd = "\r\n";
inline constexpr std::string_view kSignatureV2 = "\r\n\r\n\0\r\nQUIT\n"sv;

/// Version 2 and the command.
inline constexpr uint8_t kLocal = 0x20, kProxy = 0x21;
/// Address family and transport.
inline constexpr uint8_t kUnspecified = 0x00, kTcp4 = 0x11, kTcp6 = 0x21, kUnix = 0x31;
/// Both addresses of kUnix.
inline constexpr std::size_t kUnixAddresses = 2 * 108;

}  // namespace sluice::proxy_protocol
