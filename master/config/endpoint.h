// Addresses as people write them: endpoints of servers and listeners, networks.
#pragma once

#include <string>
#include <string_view>

#include "common/config/config.h"
#include "master/config/refusal.h"

namespace sluice::config {

/// Where a server is: "10.0.0.11:3306", "[fd00::1]:3306", "db1.example.org"; port 3306 if none is
/// given. No Unix socket: workers live in an empty root directory.
Taken<Endpoint> parse_server_address(std::string_view text);

/// Where a service listens: "127.0.0.1:3306", "[::1]:3306", "/run/shop.sock". No names (what they
/// mean may change without anybody knowing) and no port 0 (nobody would know where to connect).
Taken<Endpoint> parse_listen_address(std::string_view text);

/// "10.0.0.0/8", "fd00::/8" or one address. Returns it in its canonical form.
Taken<std::string> parse_network(std::string_view text);

/// `wide` is the wildcard of the other's family and port: who connects there gets to it.
bool covers(const Endpoint& wide, const Endpoint& other);

/// Both can't be bound at once: equal, or one is the wildcard of the other's family and port.
bool overlap(const Endpoint& a, const Endpoint& b);

}  // namespace sluice::config
