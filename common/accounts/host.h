// The servers' rules for the host part of an account: what a pattern covers, and which of two
// patterns is the more specific one. Small pure functions; each names the place in the servers'
// sources or manuals that it follows. MariaDB's rules have been the same from 10.4 to 12;
// MySQL 8.0.23 brought CIDR and the order by kind of address.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "common/base/enum_names.h"

namespace sluice {
namespace accounts {

/// Whose rules decide; from the server's version.
enum class Flavour : uint8_t {
  mariadb,
  mysql,
  mysql_old,  ///< MySQL before 8.0.23: no CIDR, and a netmask is no less specific than an address
};

/// How the server sees a client.
struct Peer {
  std::string ip;    ///< IPv4 or IPv6 text; empty for a Unix socket
  std::string name;  ///< resolved host name, "localhost" for a Unix socket; empty if there is none
};

enum class Case : uint8_t { exact, fold };

/// Whether `text` fits the pattern: % any bytes, _ one byte, a backslash makes the next byte plain.
/// Source: MariaDB mysys/mf_wcomp.c wild_compare(), sql/sql_acl.cc wild_case_compare().
/// Time is at most pattern times text.
bool like(std::string_view pattern, std::string_view text, Case letters);

/// "a.b.c.d" as a number in host order; nothing for any other text. Takes what the server takes:
/// leading blanks, a sign and zeros before each number.
/// Source: MariaDB sql/sql_acl.cc calc_ip(), strings/str2int.c.
std::optional<uint32_t> parse_ipv4(std::string_view text);

/// A host part that the server compares as a number.
struct Network {
  enum class Kind : uint8_t { address, cidr, netmask };  ///< in MySQL's order of specificity
  uint32_t base = 0;
  uint32_t mask = 0;  ///< never 0: such a row is plain text to the server
  Kind kind = Kind::netmask;
};

/// The host as a network, if the server takes it for one. MariaDB and old MySQL: only
/// address/netmask. MySQL: also a plain address and address/bits. Source: MariaDB sql/sql_acl.cc
/// update_hostname(); MySQL manual, "Specifying Account Names".
std::optional<Network> parse_network(Flavour flavour, std::string_view host);

/// Whether an account's host part covers the client, who is given as the server sees it.
///   1. A network and a client with an IPv4 address: (client & mask) == base, and nothing else is
///      tried. A base with bits outside the mask therefore covers nobody.
///   2. An empty host covers everybody.
///   3. Otherwise the pattern is compared with the name, ignoring case, then with the address.
/// Source: MariaDB sql/sql_acl.cc compare_hostname(); MySQL ACL_HOST_AND_IP::compare_hostname().
bool host_matches(Flavour flavour, std::string_view host, const Peer& client);

/// Whether the host part covers only the clients whose name or address is the same text, letters
/// folded: it can be looked up instead of being tried.
bool is_plain(std::string_view host);

/// -1, 0 or 1: the order of two texts whose letters are folded as the servers fold names.
int compare_folded(std::string_view a, std::string_view b);

/// A number that is greater the earlier the server tries the account among all whose user fits.
/// Named accounts come before anonymous ones of the same host.
/// Source: MariaDB sql/privilege.h get_magic_sort("hu"); MySQL sql/auth/sql_auth_cache.cc
/// ACL_USER_compare and get_sort().
uint64_t specificity(Flavour flavour, std::string_view host, std::string_view user);

/// Whether the host part is a name that the server would have to resolve. With skip_name_resolve
/// MariaDB leaves such accounts and grants out; MySQL only warns, and they never match.
/// Source: MariaDB sql/sql_acl.cc hostname_requires_resolving(), acl_load(); MySQL
/// sql/auth/acl_table_user.cc read_account_name().
bool needs_resolving(std::string_view host);

/// Whether a client that is covered only by its resolved name could be covered by this host part.
/// A name never looks like an address: the servers refuse one that begins with a number and a dot
/// (looks_like_address()). Not for "localhost", which is no name that a name service gives to
/// another host, nor for "%", which needs no name.
bool may_cover_name(Flavour flavour, std::string_view host);

/// Whether a resolved name is refused because it resembles an IPv4 address: "12.example.com".
/// Source: MariaDB sql/hostname.cc is_hostname_valid(); MySQL sql/hostname_cache.cc the same.
bool looks_like_address(std::string_view name);

/// Why no client can ever get an account with this host part through sluice; empty if some can.
/// A literal: it lives for ever.
std::string_view host_problem(Flavour flavour, bool skip_name_resolve, std::string_view host);

}  // namespace accounts

template <>
inline constexpr auto kEnumNames<accounts::Flavour> = names("mariadb", "mysql", "mysql-old");

}  // namespace sluice
