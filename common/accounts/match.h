// Which account a client gets: exactly the row that the server itself would choose.
#pragma once

#include <optional>
#include <string_view>

#include "common/accounts/table.h"

namespace sluice::accounts {

/// The client as the table's server sees it: an IPv4-mapped IPv6 address is IPv4, a Unix socket
/// (neither address nor name) is "localhost", and so are 127.0.0.1 and ::1 unless the server has
/// skip_name_resolve, with which no other name counts. Source: MariaDB sql/hostname.cc
/// ip_to_hostname(), sql/sql_connect.cc.
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

/// Whether the server's choice can't be foretold: another row of the same user and rank covers the
/// client too. MySQL leaves the order of such rows to chance (std::sort on the rank alone);
/// MariaDB never does. Source: MySQL sql/auth/sql_auth_cache.cc ACL_compare; manual, "Connection
/// Verification": "the order is indeterminate".
bool undecided(const Table& table, std::string_view user, const Peer& client);

/// The number of the first row of a user, or of where it would stand.
std::size_t first_row_of(const Table& table, std::string_view user);

/// Whether any account covers the client's host. If not, the server answers 1130 (host not allowed)
/// before it looks at the user. Tries every pattern; plain hosts are looked up.
/// Source: MariaDB sql/sql_acl.cc acl_check_host(); MySQL the same.
bool host_allowed(const Table& table, const Peer& client);

/// Whether a resolved name could change which account or privileges a login as `user` gets: the
/// server resolves names, and a row or grant host of that user, or an anonymous one, may cover a
/// name (host.h, may_cover_name()). If not, nobody has to be asked for the names of its clients.
bool names_matter(const Table& table, std::string_view user);

/// Whether two clients of one account have the same privileges: each grant host of the user, and
/// each anonymous one, covers both or neither. Anonymous ones count for everybody.
/// Source: MariaDB sql/sql_acl.cc acl_get(): "if (!acl_db->user || !strcmp(user, acl_db->user))".
bool same_grants(const Table& table, std::string_view user, const Peer& a, const Peer& b);

/// The first grant host that covers only one of the two, for people.
std::optional<Table::Grant> differing_grant(const Table& table, std::string_view user,
                                            const Peer& a, const Peer& b);

/// What a client's own connection has of TLS: what the server would see were it connected directly.
struct ClientTls {
  bool encrypted = false;
  bool verified_certificate = false;  ///< the client showed one, and it is valid
  std::string_view subject, issuer;   ///< of that certificate, in the form of X509_NAME_oneline()
  std::string_view cipher;            ///< as SSL_get_cipher() names it
  bool bad_certificate = false;       ///< it showed one that is not valid (and still was let in)
  bool unix_socket = false;
};

/// Whether the client's TLS is what the account demands. If not, the server refuses the login with
/// error 1045, once the password is right.
///   any        TLS
///   x509       TLS with a valid certificate
///   specified  the same, and whatever is named compares equal byte for byte
///   cipher     TLS, and the cipher; no certificate, or a valid one
/// Source: acl_check_ssl() in MariaDB sql/sql_acl.cc (10.4 to 12) and MySQL
/// sql/auth/sql_authentication.cc (5.7 to 9). They differ in one thing: for CIPHER alone MySQL
/// wants a certificate too.
bool tls_satisfied(const Account& account, const ClientTls& client);

}  // namespace sluice::accounts
