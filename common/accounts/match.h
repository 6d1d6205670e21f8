// Which account a client gets: exactly the row that the server itself would choose.
#pragma once

#include <optional>
#include <string_view>

#include "common/accounts/table.h"

namespace sluice::accounts {

/// The client as the table's server sees it: an IPv4-mapped IPv6 address is IPv4, a Unix socket is
/// "localhost", and so are 127.0.0.1 and ::1 unless the server has skip_name_resolve, with which no
/// other name counts. Source: MariaDB sql/hostname.cc ip_to_hostname(), sql/sql_connect.cc.
Peer as_seen_by(const Table& table, const Peer& client);

/// The row that the server would choose for a login as `user` from `client`; nothing if it would
/// find none. The row may be locked, expired or have a problem: the server chooses first and judges
/// then, and so must whoever calls. Views live as long as the table's bytes.
///
/// The first row of that user that covers the client, or the first anonymous one if that is more
/// specific: ''@'10.0.0.1' beats app@'%'. Takes two binary searches and a walk over the rows of
/// that user. Source: MariaDB sql/sql_acl.cc find_by_username_or_anon(); MySQL
/// sql/auth/sql_auth_cache.cc rebuild_cached_acl_users_for_name().
std::optional<Account> find(const Table& table, std::string_view user, const Peer& client);

/// Whether any account covers the client's host. If not, the server answers 1130 (host not allowed)
/// before it looks at the user. May walk the whole table: ask only when find() found nothing.
/// Source: MariaDB sql/sql_acl.cc acl_check_host().
bool host_allowed(const Table& table, const Peer& client);

}  // namespace sluice::accounts
