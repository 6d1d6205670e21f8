// What name an address has, as a database server would find it. Blocking: it asks the system's name
// service, which may take as long as it likes.
#pragma once

#include <string>
#include <string_view>

namespace sluice::monitor {

/// The name that the address `ip` has by a reverse lookup, if it does not look like an address
/// itself and a forward lookup leads back to `ip`; else nothing. 127.0.0.1 and ::1 are "localhost"
/// without any lookup; an IPv4-mapped IPv6 address is the IPv4 one. Text that is no address has no
/// name.
/// Source: MariaDB sql/hostname.cc ip_to_hostname(), vio/viosocket.c vio_get_normalized_ip();
/// MySQL sql/hostname_cache.cc, vio/viosocket.cc the same. The servers keep what they found until
/// FLUSH HOSTS; what they find is their own name service's word, ours is this host's.
std::string confirmed_host_name(const std::string& ip);

}  // namespace sluice::monitor
