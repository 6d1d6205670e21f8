// From what a handshake agreed on to the keys of records: RFC 8446, 7.1 to 7.3, and for TLS 1.2
// RFC 5246, 6.3.
#pragma once

#include "common/base/secret.h"
#include "worker/tls/aead.h"
#include "worker/tls/openssl.h"

namespace sluice::tls {

/// What is in RecordsOneWay::secret.
std::size_t secret_size(Version version, Aead aead);

/// How much of the IV comes from the handshake; the rest is in each record (TLS 1.2 with AES-GCM).
std::size_t iv_size(Version version, Aead aead);

/// Key and IV, one behind the other. Empty without memory.
Secret key_and_iv(Version version, Aead aead, const Secret& secret);

/// The traffic secret that comes after `secret` (TLS 1.3). Empty without memory.
Secret next_secret(Aead aead, const Secret& secret);

/// Key and IV of either side's records, of TLS 1.2.
struct KeyBlock {
  Secret client, server;
};
/// Empty secrets without memory.
KeyBlock key_block(Aead aead, const EVP_MD* digest, const Secret& master, ByteSpan client_random,
                   ByteSpan server_random);

}  // namespace sluice::tls
