// caching_sha2_password: the server keeps a hash that is slow to compute, and SHA256(SHA256(pw))
// in its cache once somebody has shown it the password. The fast answer of a client to a scramble
// is SHA256(pw) XOR SHA256(SHA256(SHA256(pw)), scramble). Source: MySQL manual, "Caching SHA-2
// Pluggable Authentication"; MySQL sql/auth/sha2_password_common.cc, Generate_scramble.
#pragma once

#include <array>
#include <optional>

#include "common/base/bytes.h"
#include "common/base/secret.h"

namespace sluice::worker {

using Sha256 = std::array<std::byte, 32>;

/// The fast answer to a scramble; nothing if it can't be computed.
std::optional<Sha256> sha2_response(const Secret& password, ByteSpan scramble);
/// Whether that password gives that answer.
bool sha2_proves(const Secret& password, ByteSpan scramble, ByteSpan response);

}  // namespace sluice::worker
