#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace sluice::test {

/// The plugins that LoginProof knows: mysql_native_password, caching_sha2_password, client_ed25519
/// and mysql_clear_password.
bool knows_plugin(std::string_view plugin);

/// What a client with this password answers to the plugin's first word: a scramble, mostly. Nothing
/// for a plugin that is not known. Source: MySQL manual, "Authentication methods"; for
/// client_ed25519 the plugin of the client library is asked.
std::optional<std::string> first_proof(std::string_view plugin, std::string_view password,
                                       std::string_view scramble);

/// The password as sha-based plugins want it without TLS: encrypted with the server's key.
std::optional<std::string> encrypted_password(std::string_view pem, std::string_view password,
                                              std::string_view scramble);

}  // namespace sluice::test
