// Where passwords come from: files, systemd credentials, and values encrypted with a key file.
//
// An encrypted value is "encrypted:" and the Base64 text of: format (1 byte, 1), nonce (12), cipher
// text, tag (16); AES-256-GCM. The key file holds the Base64 text of 32 random bytes.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "common/base/result.h"
#include "common/base/secret.h"

namespace sluice::config {

inline constexpr std::string_view kEncryptedPrefix = "encrypted:";

/// A file that holds a secret, and whether every user of the machine may read it.
struct SecretFile {
  Secret text;
  bool others_can_read = false;
};

/// How the parser gets at files with secrets. Tests and the fuzzer give their own.
using ReadSecret = std::function<Result<SecretFile>(const std::string& path)>;

/// Reads a regular file of at most 64 KiB; never waits (a FIFO is refused).
Result<SecretFile> read_secret_file(const std::string& path);
/// The same for PEM files, of at most 1 MiB: a machine's list of authorities has its size.
Result<SecretFile> read_pem_file(const std::string& path);

/// The password in the text of a file: one line, without its newline. Errors: empty, several lines.
Result<Secret> password_of(const Secret& text);

/// Encrypts with the key file, which is made first if it does not exist, with mode 0600.
Result<std::string> encrypt(const Secret& clear, const std::string& key_path);
/// The opposite. A wrong key and a broken value can't be told apart, and are one error.
Result<Secret> decrypt(std::string_view value, const std::string& key_path);
/// Without I/O; `key_text` is the content of the key file.
Result<Secret> decrypt_with(std::string_view value, const Secret& key_text);

}  // namespace sluice::config
