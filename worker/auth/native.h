// mysql_native_password: the server keeps SHA1(SHA1(password)), the client answers a scramble with
// SHA1(password) XOR SHA1(scramble, SHA1(SHA1(password))). Source: MySQL manual, "Native
// Authentication"; MariaDB sql/password.c.
#pragma once

#include <array>
#include <optional>
#include <string_view>

#include "common/base/bytes.h"
#include "common/base/secret.h"

namespace sluice::worker {

using Sha1 = std::array<std::byte, 20>;

/// What the server keeps, from its text "*6BB4837E…" (40 hexadecimal digits).
std::optional<Sha1> native_hash(std::string_view text);
/// SHA1(password), if the response proves that hash for that scramble. It is as good as the
/// password itself for this plugin: whoever gets it wipes it.
std::optional<Sha1> native_proof(const Sha1& hash, ByteSpan scramble, ByteSpan response);
/// The response of a client that knows SHA1(password).
std::optional<Sha1> native_response(ByteSpan stage1, ByteSpan scramble);
/// The same of one that knows the password itself.
std::optional<Sha1> native_response_of(const Secret& password, ByteSpan scramble);

}  // namespace sluice::worker
