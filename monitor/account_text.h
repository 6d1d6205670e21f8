// An account in the words of `list accounts` and `explain login`. A password or its hash is never
// in one.
#pragma once

#include <string>
#include <string_view>

#include "common/accounts/table.h"
#include "common/config/config.h"

namespace sluice::monitor {

/// "ed25519 or unix_socket", "caching_sha2_password and authentication_webauthn".
std::string plugins_text(const accounts::Account& account);

/// What it demands of the client's TLS, as REQUIRE says it; empty if nothing.
std::string tls_text(const accounts::Account& account);

/// One word, or two: "usable", "expired" (who logs in can only change the password, or is refused),
/// "locked", "unusable", "role", "left out".
std::string_view state_text(const accounts::Account& account, uint64_t now_s);

/// Why what it demands of TLS can't be had on a connection of sluice to this server: such logins
/// are refused whatever the client does. Empty: it can, as far as sluice is concerned.
std::string_view tls_obstacle(const accounts::Account& account, const config::Server& server);

}  // namespace sluice::monitor
