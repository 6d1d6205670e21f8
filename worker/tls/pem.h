// Certificates and keys from PEM text. Nothing here asks for a passphrase: the library's own way is
// to open the terminal.
#pragma once

#include <string_view>
#include <vector>

#include "common/base/result.h"
#include "common/base/secret.h"
#include "worker/tls/openssl.h"

namespace sluice::tls {

/// All certificates of a text in its order, at least one. Other things in it are skipped. `name` is
/// what an error calls the text.
Result<std::vector<Certificate>> read_certificates(std::string_view pem, std::string_view name);

/// A private key without a passphrase.
Result<Key> read_private_key(const Secret& pem, std::string_view name);

/// A public key ("BEGIN PUBLIC KEY").
Result<Key> read_public_key(std::string_view pem, std::string_view name);

/// The public half as PEM.
Result<std::string> write_public_key(const Key& key);

}  // namespace sluice::tls
