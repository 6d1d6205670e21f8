// All that the records of an established TLS connection need, as values: with them the connection
// goes on in this process or in another one (record_layer.h). The socket goes its own way.
#pragma once

#include <cstdint>

#include "common/ipc/codec.h"

namespace sluice::tls {

using ipc::tag;

enum class Role : uint8_t { client, server };
enum class Version : uint8_t { tls_1_2, tls_1_3 };
enum class Aead : uint8_t { aes_128_gcm, aes_256_gcm, chacha20_poly1305 };

/// The longest fragment of plain text in one record (RFC 8446, 5.1), and the shortest that a client
/// may ask us to stay under (RFC 6066, 4).
inline constexpr uint16_t kMaxFragment = 1 << 14, kMinFragment = 1 << 9;

/// One direction.
struct RecordsOneWay {
  /// TLS 1.3: the traffic secret, which key and IV are made of. TLS 1.2: key and IV, one behind the
  /// other.
  Secret secret;
  uint64_t records = 0;  ///< made with it so far
  /// TLS 1.2 with AES-GCM, of what we send: the explicit part of the next record's nonce. It starts
  /// where OpenSSL has stopped, so that none is used twice (RFC 5288, 3).
  uint64_t explicit_nonce = 0;
  bool closed = false;  ///< by close_notify
  static auto fields(auto& m) {
    return std::tuple(tag<1>(m.secret), tag<2>(m.records), tag<3>(m.explicit_nonce),
                      tag<4>(m.closed));
  }
  bool operator==(const RecordsOneWay&) const = default;
};

/// Both directions. Who sends with a copy while another goes on with the original uses nonces
/// twice, which gives the keys away: one of the two must be the only one that goes on.
struct RecordsState {
  Role role{};
  Version version{};
  Aead aead{};
  uint16_t fragment = kMaxFragment;  ///< the longest that the peer takes
  RecordsOneWay ours, theirs;        ///< what we send, what the peer sends
  Bytes record;                      ///< encrypted: what has come of a record whose rest has not
  /// What has come of a handshake message whose rest has not: its header and the byte behind it.
  /// Nobody needs more of one.
  Bytes message;
  uint32_t message_left = 0;  ///< bytes of it that are still to come, once its header is there
  static auto fields(auto& m) {
    return std::tuple(tag<1>(m.role), tag<2>(m.version), tag<3>(m.aead), tag<4>(m.fragment),
                      tag<5>(m.ours), tag<6>(m.theirs), tag<7>(m.record), tag<8>(m.message),
                      tag<9>(m.message_left));
  }
  bool operator==(const RecordsState&) const = default;
};

static_assert(ipc::complete<RecordsState>(),
              "a member has no wire tag, or is of a type that can't cross processes");

}  // namespace sluice::tls

namespace sluice {
template <>
inline constexpr auto kEnumNames<tls::Role> = names("client", "server");
template <>
inline constexpr auto kEnumNames<tls::Version> = names("TLS 1.2", "TLS 1.3");
template <>
inline constexpr auto kEnumNames<tls::Aead> = names("AES-128-GCM", "AES-256-GCM",
                                                    "ChaCha20-Poly1305");
}  // namespace sluice
