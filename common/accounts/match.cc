#include "common/accounts/match.h"

namespace sluice::accounts {
namespace {

constexpr std::string_view kMappedIpv4 = "::ffff:";
constexpr std::string_view kLocalhost = "localhost";

/// The servers take one pair of quotes off a user name
/// (MariaDB sql/sql_acl.cc parse_client_handshake_packet()).
std::string_view without_quotes(std::string_view user) {
  if (user.size() > 1 && user.front() == '\'' && user.back() == '\'')
    return user.substr(1, user.size() - 2);
  return user;
}

/// The first number from `low` to below `high` for which `below` does not hold, where all for which
/// it holds come first.
std::size_t first_not(std::size_t low, std::size_t high, auto below) {
  while (low < high) {
    const std::size_t middle = low + (high - low) / 2;
    if (below(middle))
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

std::size_t first_grant_of(const Table& table, std::string_view user) {
  return first_not(0, table.grant_hosts(), [&](std::size_t i) {
    const auto grant = table.grant_host(i);
    return grant && grant->user < user;
  });
}

/// Whether the server has a row with this host among those that it compares, and it covers the
/// client.
bool covers(const Table& table, std::string_view host, const Peer& client) {
  const bool ignored =
      table.flavour() == Flavour::mariadb && table.skip_name_resolve() && needs_resolving(host);
  return !ignored && host_matches(table.flavour(), host, client);
}

/// Whether one of the plain hosts is `text`, and covers the client.
bool covered_as(const Table& table, std::string_view text, const Peer& client) {
  std::size_t i = first_not(table.patterns(), table.hosts(), [&](std::size_t at) {
    const auto host = table.host(at);
    return host && compare_folded(*host, text) < 0;
  });
  for (; i < table.hosts(); ++i) {  // more than one if they differ in the case of letters
    const auto host = table.host(i);
    if (!host || compare_folded(*host, text) != 0) return false;
    if (covers(table, *host, client)) return true;
  }
  return false;
}

struct Match {
  std::size_t row;
  uint64_t specificity;
};

/// The first row of `user` from number `from` on that covers the client, as the server sees it.
std::optional<Match> next_match(const Table& table, std::string_view user, const Peer& client,
                                std::size_t from) {
  for (std::size_t i = from; i < table.size(); ++i) {
    const auto key = table.key(i);
    if (!key || key->user != user) break;
    if (key->eligible && covers(table, key->host, client)) return Match{i, key->specificity};
  }
  return std::nullopt;
}

/// The row that the server would choose.
std::optional<Match> choose(const Table& table, std::string_view user, const Peer& seen) {
  const auto named = next_match(table, user, seen, first_row_of(table, user));
  const auto anonymous = next_match(table, "", seen, 0);
  if (anonymous && (!named || anonymous->specificity > named->specificity)) return anonymous;
  return named;
}

/// Whether any row or grant host of exactly this user may cover a name.
bool any_name(const Table& table, std::string_view user) {
  for (std::size_t i = first_row_of(table, user); i < table.size(); ++i) {
    const auto key = table.key(i);
    if (!key || key->user != user) break;
    if (key->eligible && may_cover_name(table.flavour(), key->host)) return true;
  }
  for (std::size_t i = first_grant_of(table, user); i < table.grant_hosts(); ++i) {
    const auto grant = table.grant_host(i);
    if (!grant || grant->user != user) break;
    if (may_cover_name(table.flavour(), grant->host)) return true;
  }
  return false;
}

/// The first grant host of exactly this user that covers only one of the two.
std::optional<Table::Grant> difference(const Table& table, std::string_view user, const Peer& a,
                                       const Peer& b) {
  for (std::size_t i = first_grant_of(table, user); i < table.grant_hosts(); ++i) {
    const auto grant = table.grant_host(i);
    if (!grant || grant->user != user) break;
    if (covers(table, grant->host, a) != covers(table, grant->host, b)) return grant;
  }
  return std::nullopt;
}

/// "If a name is specified, we compare it": nothing named, nothing compared.
bool is_or_unnamed(std::string_view demanded, std::string_view actual) {
  return demanded.empty() || demanded == actual;
}

}  // namespace

std::size_t first_row_of(const Table& table, std::string_view user) {
  return first_not(0, table.size(), [&](std::size_t i) {
    const auto key = table.key(i);
    return key && key->user < user;
  });
}

Peer as_seen_by(const Table& table, const Peer& client) {
  if (client.ip.empty() && client.name.empty()) return {"", std::string(kLocalhost)};
  Peer seen = client;
  if (seen.ip.starts_with(kMappedIpv4) && parse_ipv4(seen.ip.substr(kMappedIpv4.size())))
    seen.ip.erase(0, kMappedIpv4.size());
  if (table.skip_name_resolve() && !client.ip.empty())
    seen.name.clear();
  else if (seen.ip == "127.0.0.1" || seen.ip == "::1")
    seen.name = kLocalhost;
  return seen;
}

std::optional<Account> find(const Table& table, std::string_view user, const Peer& client) {
  const auto match = choose(table, without_quotes(user), as_seen_by(table, client));
  return match ? table.at(match->row) : std::nullopt;
}

bool undecided(const Table& table, std::string_view user, const Peer& client) {
  if (table.flavour() == Flavour::mariadb) return false;
  const Peer seen = as_seen_by(table, client);
  const auto match = choose(table, without_quotes(user), seen);
  if (!match) return false;
  const auto chosen = table.key(match->row);
  const auto next = next_match(table, chosen->user, seen, match->row + 1);
  return next && next->specificity == match->specificity;
}

bool host_allowed(const Table& table, const Peer& client) {
  const Peer seen = as_seen_by(table, client);
  for (std::size_t i = 0; i < table.patterns(); ++i) {
    const auto host = table.host(i);
    if (host && covers(table, *host, seen)) return true;
  }
  return covered_as(table, seen.ip, seen) || covered_as(table, seen.name, seen);
}

bool names_matter(const Table& table, std::string_view user) {
  return !table.skip_name_resolve() &&
         (any_name(table, without_quotes(user)) || any_name(table, ""));
}

bool same_grants(const Table& table, std::string_view user, const Peer& a, const Peer& b) {
  return !differing_grant(table, user, a, b);
}

std::optional<Table::Grant> differing_grant(const Table& table, std::string_view user,
                                            const Peer& a, const Peer& b) {
  const Peer one = as_seen_by(table, a), other = as_seen_by(table, b);
  if (const auto own = difference(table, without_quotes(user), one, other)) return own;
  return difference(table, "", one, other);
}

bool tls_satisfied(const Account& account, const ClientTls& client) {
  switch (account.tls) {
    case TlsRule::none:
      return true;
    case TlsRule::secure:
      return client.encrypted || client.unix_socket;
    case TlsRule::any:
      return client.encrypted;
    case TlsRule::x509:
      return client.encrypted && client.verified_certificate;
    case TlsRule::cipher:
      return client.encrypted && !client.bad_certificate &&
             is_or_unnamed(account.tls_cipher, client.cipher);
    case TlsRule::specified:
      return client.encrypted && client.verified_certificate &&
             is_or_unnamed(account.tls_cipher, client.cipher) &&
             is_or_unnamed(account.tls_issuer, client.issuer) &&
             is_or_unnamed(account.tls_subject, client.subject);
    case TlsRule::unknown:
      return false;
  }
  return false;
}

}  // namespace sluice::accounts
