#include "worker/auth/identity.h"

#include <fmt/format.h>

#include "common/accounts/match.h"

namespace sluice::worker {
namespace {

bool is_loopback(std::string_view ip) {
  return ip.empty() || ip.starts_with("127.") || ip == "::1" || ip.starts_with("::ffff:127.");
}

accounts::Peer peer_of(std::string_view ip) {
  return ip.empty() ? accounts::Peer{"", "localhost"} : accounts::Peer{std::string(ip), ""};
}

}  // namespace

bool needs_judging(const config::Service& service, std::string_view client_ip) {
  return service.identity == config::IdentityMode::as_connected || !is_loopback(client_ip);
}

std::string quoted_account(std::string_view user, std::string_view host) {
  return fmt::format("'{}'@'{}'", user, host.empty() ? "localhost" : host);
}

Judgement judge(const accounts::Table& table, std::string_view user, std::string_view client_ip,
                std::string_view outgoing_ip) {
  using Verdict = Judgement::Verdict;
  const auto own = accounts::find(table, user, peer_of(client_ip));
  if (!own)
    return {Verdict::unknown, fmt::format("no account covers {}", quoted_account(user, client_ip))};
  const auto picked = accounts::find(table, user, peer_of(outgoing_ip));
  if (picked && picked->user == own->user && picked->host == own->host) return {Verdict::same, {}};
  return {Verdict::other,
          fmt::format(
              "the account of this client is {}, but the server sees the proxy's address {} and "
              "would take {}",
              quoted_account(own->user, own->host), outgoing_ip.empty() ? "localhost" : outgoing_ip,
              picked ? quoted_account(picked->user, picked->host) : "none")};
}

}  // namespace sluice::worker
