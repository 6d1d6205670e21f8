#pragma once

#include "worker/tls/layer.h"
#include "worker/tls/openssl.h"

namespace sluice::tls {

/// What is known of an established connection.
Info info_of(const SSL* ssl);

/// SHA-256 of the certificate as it travels (DER).
Bytes fingerprint_of(const X509* certificate);

/// Whether the session may be taken up again as far as the peer's certificate goes: OpenSSL checks
/// that at the full handshake only, and a session would outlive its certificate.
bool certificate_still_valid(const SSL_SESSION* session);

}  // namespace sluice::tls
