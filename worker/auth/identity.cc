#include "worker/auth/identity.h"

#include <fmt/format.h>

#include "common/mysql/packets.h"

namespace sluice::worker {
namespace {

using Verdict = Judgement::Verdict;

constexpr std::string_view kNative = "mysql_native_password";

bool is_loopback(std::string_view ip) {
  return ip.empty() || ip.starts_with("127.") || ip == "::1" || ip.starts_with("::ffff:127.");
}

bool same_peer(const accounts::Peer& a, const accounts::Peer& b) {
  return a.ip == b.ip && a.name == b.name;
}

std::optional<std::string> native_hash_of(const accounts::Account& account) {
  for (const auto& proof : account.proofs)
    if (proof.plugin == kNative) return std::string(proof.text);
  return std::nullopt;
}

std::string or_localhost(const std::string& ip) {
  return ip.empty() ? "localhost" : ip;
}

using Picked = std::optional<accounts::Account>;

/// Why the server, which will pick `picked`, would not give what it would give to the client
/// itself; empty if it would.
std::string difference(const accounts::Table& table, const ClientIdentity& client,
                       const accounts::Account& own, const Picked& picked) {
  const auto own_name = quoted_account(own.user, own.host);
  if (!picked || picked->user != own.user || picked->host != own.host)
    return fmt::format(
        "the account of this client is {}, but the server sees the proxy's address {} and would "
        "take {}",
        own_name, or_localhost(client.as_seen.ip),
        picked ? quoted_account(picked->user, picked->host) : "none");
  if (!accounts::same_grants(table, client.user, client.as_itself, client.as_seen))
    return fmt::format(
        "the account of this client is {}, but the server sees the proxy's address {}, for which "
        "other privileges are granted",
        own_name, or_localhost(client.as_seen.ip));
  return {};
}

std::string unmet_demand(const accounts::Account& account) {
  return fmt::format("account {} demands TLS that the client's connection has not",
                     quoted_account(account.user, account.host));
}

}  // namespace

bool judged_by_own_address(const config::Service& service, std::string_view client_ip) {
  return service.identity == config::IdentityMode::as_connected || !is_loopback(client_ip);
}

accounts::ClientTls client_tls_of(const SessionState& s) {
  accounts::ClientTls tls{.unix_socket = s.client_ip.empty()};
  if (!s.client_tls) return tls;
  tls.encrypted = true;
  tls.verified_certificate = s.client_tls->peer_verified;
  tls.subject = s.client_tls->peer_subject;
  tls.issuer = s.client_tls->peer_issuer;
  tls.cipher = s.client_tls->cipher;
  return tls;
}

std::string quoted_account(std::string_view user, std::string_view host) {
  return fmt::format("'{}'@'{}'", user, host.empty() ? "localhost" : host);
}

Judgement judge(const accounts::Table& table, const ClientIdentity& client) {
  const bool differs = !same_peer(client.as_itself, client.as_seen);
  const auto own = accounts::find(table, client.user, client.as_itself);
  if (!own) {
    if (!differs) return {Verdict::absent, "no account is known"};
    const bool host = accounts::host_allowed(table, client.as_itself);
    return {host ? Verdict::unknown : Verdict::no_host,
            fmt::format("no account covers {}", quoted_account(client.user, client.as_itself.ip))};
  }
  const auto picked = differs ? accounts::find(table, client.user, client.as_seen) : own;
  const bool secure = !picked || accounts::tls_satisfied(*picked, client.tls);
  if (differs)
    if (auto why = difference(table, client, *own, picked); !why.empty())
      return {Verdict::other, secure ? std::move(why) : why + "; " + unmet_demand(*picked),
              native_hash_of(*own), secure};
  if (!secure) return {Verdict::tls, unmet_demand(*picked)};
  return {};
}

bool proves_account(const SessionState& s, const Judgement& judgement) {
  const auto& login = *s.login;
  const bool native = login.plugin.empty() || login.plugin == kNative;
  if (!judgement.own_hash || login.change_user || !native) return false;
  if (judgement.own_hash->empty()) return !login.with_password;
  const auto hash = native_hash(*judgement.own_hash);
  const auto answer = mysql::parse_handshake_response(login.answer);
  return hash && answer && native_proof(*hash, login.scramble, answer->auth_response);
}

std::optional<Sha1> native_proof_of(const accounts::Table& table, std::string_view user,
                                    ByteSpan scramble, ByteSpan response) {
  for (auto i = accounts::first_row_of(table, user); i < table.size(); ++i) {
    const auto key = table.key(i);
    if (!key || key->user != user) break;
    const auto account = table.at(i);
    if (!account) continue;
    for (const auto& proof : account->proofs) {
      const auto hash =
          proof.plugin == "mysql_native_password" ? native_hash(proof.text) : std::nullopt;
      if (!hash) continue;
      if (auto stage1 = native_proof(*hash, scramble, response)) return stage1;
    }
  }
  return std::nullopt;
}

}  // namespace sluice::worker
