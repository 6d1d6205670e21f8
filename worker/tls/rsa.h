// Passwords under RSA: how sha256_password and caching_sha2_password send one over a connection
// without TLS. The password with its NUL is XORed with the scramble, again and again from its
// start, and encrypted with OAEP over SHA-1 (MySQL sql-common/client_authentication.cc,
// sha256_password_auth_client(); sql/auth/sql_authentication.cc, sha256_password_authenticate()).
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "common/base/bytes.h"
#include "common/base/result.h"
#include "common/base/secret.h"
#include "common/mysql/packets.h"

struct evp_pkey_st;

namespace sluice::tls {

/// What is taken from a server: MySQL makes keys of 2048 bits, whose PEM is under 500 bytes.
inline constexpr std::size_t kMaxKeyPem = 16 << 10;
inline constexpr int kMinKeyBits = 1024, kMaxKeyBits = 8192;

/// The password for a server that sent its public key, as a "BEGIN PUBLIC KEY" text. Anybody on the
/// way could have sent that text: whoever calls this believes it. Errc::bad_input for a key that is
/// none, or is too small for the password.
Result<Bytes> encrypt_password(std::string_view public_key_pem, const Secret& password,
                               const mysql::Scramble& scramble);

/// Our own pair of keys, for clients.
class RsaKey {
 public:
  static Result<RsaKey> from_pem(const Secret& pem);

  /// "BEGIN PUBLIC KEY", for a client that asks.
  const std::string& public_pem() const { return public_pem_; }

  /// What a client encrypted. Errors don't tell what was wrong with it: whoever can ask often
  /// enough could decrypt with such answers.
  Result<Secret> decrypt_password(ByteSpan encrypted, const mysql::Scramble& scramble) const;

 private:
  RsaKey(std::shared_ptr<evp_pkey_st> key, std::string public_pem)
      : key_(std::move(key)), public_pem_(std::move(public_pem)) {}

  std::shared_ptr<evp_pkey_st> key_;
  std::string public_pem_;
};

}  // namespace sluice::tls
