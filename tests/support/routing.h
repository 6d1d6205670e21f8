#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "tests/support/sluice.h"

// What tests of routing ask again and again: who serves, what role a server has and why, and what a
// client is told that is not served. The cluster is called "shop".
namespace sluice::test {

// Errors by their numbers.
inline constexpr unsigned kTooManyConnections = 1040;
inline constexpr unsigned kServerShutdown = 1053;
inline constexpr unsigned kConnectionKilled = 1927;
inline constexpr unsigned kCantConnect = 1429;  // sluice's: no server can serve

/// Services "primary", "replica" and "any" in front of one cluster.
SluiceConfig three_services(const std::string& topology,
                            const std::vector<MariadbServer*>& servers);
/// Service "shop" in front of a single server.
SluiceConfig one_service(MariadbServer& server);

/// @@server_id of a server, and of the one that serves a client.
std::string id_of(const MariadbServer& server);
std::string asked(Client& client);

std::string role_of(const Sluice& sluice, const MariadbServer& server);
std::string reason_of(const Sluice& sluice, const MariadbServer& server);
[[nodiscard]] bool has_role(const Sluice& sluice, const MariadbServer& server,
                            const std::string& role, Milliseconds deadline = 10s);

/// The error of a login that must fail.
SqlError refused(const ClientOptions& endpoint);
/// The error that ends a session, once it has been ended; waits for that.
SqlError end_of(Client& client);

bool contains(const std::string& text, std::string_view what);

}  // namespace sluice::test
