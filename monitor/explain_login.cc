#include "monitor/explain_login.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "common/accounts/match.h"
#include "monitor/account_text.h"
#include "monitor/watcher.h"

namespace sluice::monitor {
namespace {

using accounts::Account;
using accounts::Peer;
using accounts::Table;
using ipc::Kind;

constexpr std::string_view kLocalhost = "localhost";

std::string quoted(std::string_view user, std::string_view host) {
  return fmt::format("'{}'@'{}'", user, host);
}

Peer peer_at(const std::string& ip, const Names& names) {
  const auto name = names.find(ip);
  return {ip, ip.empty() || name == names.end() ? "" : name->second};
}

/// On sluice's own host: by TCP over loopback, or by a Unix socket.
bool is_local(const Login& login) {
  return login.host == kLocalhost || login.host == "::1" || login.host.starts_with("127.");
}

Result<Peer> client_of(const Table& table, const Login& login, const Names& names) {
  if (login.host == kLocalhost) return Peer{};
  if (numeric_address({login.host, 0, ""})) return peer_at(login.host, names);
  if (login.host.empty() || accounts::looks_like_address(login.host))
    return fail(Errc::bad_input,
                fmt::format("\"{}\" is no IP address, and no server takes it for a host's name",
                            login.host));
  if (table.skip_name_resolve())
    return fail(Errc::bad_input, "the server has skip_name_resolve on: give an IP address");
  return Peer{"", login.host};
}

/// "10.0.0.9 (web1.example.com)", as the server sees it.
std::string described(const Table& table, const Peer& client) {
  const auto seen = accounts::as_seen_by(table, client);
  if (seen.ip.empty()) return seen.name;
  return seen.name.empty() ? seen.ip : fmt::format("{} ({})", seen.ip, seen.name);
}

/// A row that comes into question, and its place in the server's order.
struct Candidate {
  Account account;
  uint64_t specificity = 0;
};

std::vector<Candidate> candidates(const Table& table, std::string_view user) {
  std::vector<Candidate> out;
  for (std::size_t i = 0; i < table.size(); ++i) {
    const auto key = table.key(i);
    if (!key || (key->user != user && !key->user.empty())) continue;
    if (auto account = table.at(i)) out.push_back({*account, key->specificity});
  }
  std::ranges::stable_sort(out, std::greater{}, &Candidate::specificity);
  return out;
}

bool is_row(const std::optional<Account>& found, const Account& account) {
  return found && found->user == account.user && found->host == account.host;
}

/// What the server picks for the client, and for sluice's address.
struct Picks {
  Peer client, outgoing;
  std::optional<Account> own, through;
};

class Explanation {
 public:
  Explanation(const std::string& cluster, const Table& table, const Login& login,
              const WayToServer& way, ipc::Table& out)
      : cluster_(cluster), table_(table), login_(login), way_(way), out_(out) {}

  void explain(const Picks& picks, uint64_t now_s) {
    for (const auto& [account, specificity] : candidates(table_, login_.user))
      add_row(account, picks, now_s);
    add_outcome(picks);
  }

 private:
  void add_row(const Account& account, const Picks& picks, uint64_t now_s) {
    const bool own = is_row(picks.own, account), through = is_row(picks.through, account);
    out_.rows.push_back(
        {{cluster_, std::string(account.user), std::string(account.host), plugins_text(account),
          tls_text(account), std::string(state_text(account, now_s)), own ? "true" : "false",
          through ? "true" : "false", why(account, own, picks, now_s)}});
  }

  /// Why the server passes over a row or takes it.
  std::string why(const Account& account, bool own, const Picks& picks, uint64_t now_s) const {
    if (account.is_role || account.left_out) return std::string(reason(account));
    const auto seen = accounts::as_seen_by(table_, picks.client);
    if (!accounts::host_matches(table_.flavour(), account.host, seen))
      return "the host does not cover this client";
    if (!own) return "covers this client, but a more specific one comes first";
    std::string text = "the first that covers this client";
    if (const auto problem = reason(account); !problem.empty())
      text += fmt::format(", but: {}", problem);
    else if (expired(account, now_s))
      text += ", but: its password has expired";
    return text;
  }

  void add_outcome(const Picks& picks) {
    if (is_local(login_)) outcome("local", local());
    if (!picks.own) return outcome("no account", nobody(picks.client));
    if (way_.configured != nullptr)
      if (const auto why = tls_obstacle(*picks.own, *way_.configured); !why.empty())
        return outcome("no TLS", std::string(why));
    if (way_.proxy_protocol && !way_.server.empty())
      return outcome("same account", fmt::format("{} is told the client's own address "
                                                 "(proxy_protocol)",
                                                 way_.server));
    if (!way_.outgoing_ip)
      return outcome("not known", "no primary is up: as whom its server sees sluice is not known");
    if (undecided(table_, login_.user, picks.client) ||
        undecided(table_, login_.user, picks.outgoing))
      return outcome("undecided",
                     "MySQL leaves the order of equally specific accounts to chance, and two of "
                     "them cover this client or sluice: drop one");
    compare(picks);
  }

  void compare(const Picks& picks) {
    const auto sees =
        fmt::format("{} sees sluice as {}", way_.server, described(table_, picks.outgoing));
    if (!is_row(picks.through, *picks.own))
      return outcome(
          "other account",
          fmt::format("{} and would take {}: such logins are refused; let it see the client's "
                      "address (proxy_protocol), or make an account that covers both",
                      sees,
                      picks.through ? quoted(picks.through->user, picks.through->host) : "none"));
    const auto grant = differing_grant(table_, login_.user, picks.client, picks.outgoing);
    if (grant)
      return outcome(
          "other grants",
          fmt::format("{}: the same account, but the grants for {} hold for one of the two only; "
                      "let it see the client's address (proxy_protocol), or give them to a host "
                      "that covers both",
                      sees, quoted(grant->user, grant->host)));
    outcome("same account", fmt::format("{} and takes the same account", sees));
  }

  std::string nobody(const Peer& client) const {
    return accounts::host_allowed(table_, client)
               ? "no account matches: the server refuses with error 1045"
               : "no account covers this host: the server refuses with error 1130";
  }

  std::string local() const {
    return way_.outgoing_ip && !way_.outgoing_ip->empty()
               ? fmt::format(
                     "a client on sluice's own host is judged by the address {}, unless "
                     "the service has identity = \"as-connected\"",
                     *way_.outgoing_ip)
               : "a client on sluice's own host is judged by sluice's own address, unless the "
                 "service has identity = \"as-connected\"";
  }

  void outcome(std::string_view word, std::string text) {
    out_.rows.push_back({{cluster_, login_.user, login_.host, "", "", std::string(word), "false",
                          "false", std::move(text)}});
  }

  const std::string& cluster_;
  const Table& table_;
  const Login& login_;
  const WayToServer& way_;
  ipc::Table& out_;
};

}  // namespace

ipc::Table explain_login_table() {
  return {.columns = {{"cluster", Kind::text},
                      {"user", Kind::text},
                      {"host", Kind::text},
                      {"plugins", Kind::text},
                      {"tls", Kind::text},
                      {"state", Kind::text},
                      {"chosen", Kind::boolean},
                      {"through_sluice", Kind::boolean},
                      {"reason", Kind::text}}};
}

Result<> explain_login(const std::string& cluster, const Table& table, const Login& login,
                       const WayToServer& way, const Names& names, uint64_t now_s,
                       ipc::Table& out) {
  Picks picks{.client = SLUICE_TRY(client_of(table, login, names))};
  if (way.outgoing_ip) picks.outgoing = peer_at(*way.outgoing_ip, names);
  if (way.outgoing_ip && is_local(login)) picks.client = picks.outgoing;  // identity = "outgoing"
  picks.own = accounts::find(table, login.user, picks.client);
  if (way.proxy_protocol)
    picks.through = picks.own;
  else if (way.outgoing_ip)
    picks.through = accounts::find(table, login.user, picks.outgoing);
  Explanation(cluster, table, login, way, out).explain(picks, now_s);
  return {};
}

}  // namespace sluice::monitor
