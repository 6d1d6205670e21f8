// What OpenSSL's queue of errors says, in words for people. The queue is one for the whole thread:
// what one connection leaves in it would be taken for another's error. So every call of ours starts
// with ERR_clear_error(), and what failed is read here, once, and emptied.
#pragma once

#include <openssl/ssl.h>

#include <string>
#include <string_view>

#include "common/base/result.h"

namespace sluice::tls {

/// The newest reason in the queue, which is emptied.
std::string take_reason();

/// Why a call on `ssl` failed: the peer's certificate, an alert that the peer sent, or what it did
/// wrong, which is said of `what` ("TLS handshake failed"). Empties the queue.
tl::unexpected<Error> take_failure(const SSL* ssl, std::string_view what);

}  // namespace sluice::tls
