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

/// The first row whose user is not below `user`.
std::size_t first_row_of(const Table& table, std::string_view user) {
  std::size_t low = 0, high = table.size();
  while (low < high) {
    const std::size_t middle = low + (high - low) / 2;
    const auto key = table.key(middle);
    if (key && key->user < user)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

/// Whether the server has this row among those it compares, and it covers the client. A role is no
/// account, and names are left out under skip_name_resolve.
bool covers(const Table& table, const Table::Key& key, const Peer& client) {
  return !key.is_role && host_matches(table.flavour(), key.host, client) &&
         !(table.skip_name_resolve() && needs_resolving(key.host));
}

struct Match {
  std::size_t row;
  uint64_t specificity;
};

/// The first row of `user` that covers the client, as the server sees it.
std::optional<Match> first_match(const Table& table, std::string_view user, const Peer& client) {
  for (std::size_t i = first_row_of(table, user); i < table.size(); ++i) {
    const auto key = table.key(i);
    if (!key || key->user != user) break;
    if (covers(table, *key, client)) return Match{i, key->specificity};
  }
  return std::nullopt;
}

}  // namespace

Peer as_seen_by(const Table& table, const Peer& client) {
  if (client.ip.empty()) return {"", std::string(kLocalhost)};
  Peer seen = client;
  if (seen.ip.starts_with(kMappedIpv4) && parse_ipv4(seen.ip.substr(kMappedIpv4.size())))
    seen.ip.erase(0, kMappedIpv4.size());
  if (table.skip_name_resolve())
    seen.name.clear();
  else if (seen.ip == "127.0.0.1" || seen.ip == "::1")
    seen.name = kLocalhost;
  return seen;
}

std::optional<Account> find(const Table& table, std::string_view user, const Peer& client) {
  const Peer seen = as_seen_by(table, client);
  const auto named = first_match(table, without_quotes(user), seen);
  const auto anonymous = first_match(table, "", seen);
  if (anonymous && (!named || anonymous->specificity > named->specificity))
    return table.at(anonymous->row);
  return named ? table.at(named->row) : std::nullopt;
}

bool host_allowed(const Table& table, const Peer& client) {
  const Peer seen = as_seen_by(table, client);
  for (std::size_t i = 0; i < table.size(); ++i) {
    const auto key = table.key(i);
    if (key && covers(table, *key, seen)) return true;
  }
  return false;
}

}  // namespace sluice::accounts
