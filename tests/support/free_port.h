#pragma once

#include <cstdint>
#include <string>

namespace sluice::test {

/// A TCP port that nothing listens on and that no other test gets while this process lives.
///
/// It lies below the kernel's ephemeral range (net.ipv4.ip_local_port_range), so an outgoing
/// connection can't take it between this call and the server's bind(). Two test processes can't
/// pick the same one: the claim is an abstract Unix socket named after the port, which the kernel
/// frees with the process and which leaves no file behind. Throws TestError when none is left.
uint16_t free_port();

/// "127.0.0.1:PORT" with a free port, as a listener or server is written in the configuration.
std::string free_address();

}  // namespace sluice::test
