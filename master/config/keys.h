// The keys that all workers share, and how they are made: with libcrypto, by the throw-away child
// that reads the configuration.
#pragma once

#include "common/base/result.h"
#include "common/ipc/messages.h"

namespace sluice::config {

struct KeyKinds {
  bool ticket = false;       ///< of TLS session tickets
  bool rsa = false;          ///< for passwords of clients without TLS
  bool certificate = false;  ///< self-signed, with its key
  bool any() const { return ticket || rsa || certificate; }
  bool operator==(const KeyKinds&) const = default;
};

/// Bytes of a ticket key: a name (16), and what encrypts (32) and signs (32) with it.
inline constexpr std::size_t kTicketKeySize = 80;

/// A ticket key always. A server that is reached by TLS wants a password as it is; a client without
/// TLS encrypts it, and with our key then; so does one whose session needs further servers
/// (man/decisions/0006). A service that speaks TLS and names no certificate shows
/// ours.
KeyKinds needed_keys(const Config& config);

/// Makes those of `wanted` that the configuration needs. Nothing if that is none.
Result<std::optional<ipc::KeyMaterial>> make_keys(const Config& config, const KeyKinds& wanted,
                                                  int64_t now_s);

}  // namespace sluice::config
