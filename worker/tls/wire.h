#pragma once

#include "common/base/bytes.h"
#include "worker/tls/openssl.h"

namespace sluice::tls {

/// What OpenSSL reads from and appends to during one call: the caller's own buffers, so that a
/// connection at rest has none.
struct Wire {
  ByteSpan in;
  Bytes* out = nullptr;
};

/// A BIO over `wire`, which must outlive it. Null without memory.
Bio make_bio(Wire& wire);

}  // namespace sluice::tls
