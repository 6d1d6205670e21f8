#include "monitor/account_text.h"

#include <fmt/format.h>

namespace sluice::monitor {

using accounts::TlsRule;

std::string plugins_text(const accounts::Account& account) {
  std::string text;
  std::string_view last;  // MySQL's two passwords are of one plugin
  for (const auto& proof : account.proofs) {
    if (proof.plugin == last) continue;
    text += fmt::format("{}{}", text.empty() ? "" : " or ", proof.plugin);
    last = proof.plugin;
  }
  if (!account.more_factors.empty()) text += fmt::format(" and {}", account.more_factors);
  return text;
}

std::string tls_text(const accounts::Account& account) {
  switch (account.tls) {
    case TlsRule::none:
      return {};
    case TlsRule::any:
      return "SSL";
    case TlsRule::x509:
      return "X509";
    case TlsRule::secure:
      return "SSL or a Unix socket";
    case TlsRule::unknown:
      return "?";
    case TlsRule::specified:
    case TlsRule::cipher:
      break;
  }
  std::string text;
  const auto add = [&](std::string_view what, std::string_view value) {
    if (!value.empty()) text += fmt::format("{}{} '{}'", text.empty() ? "" : " AND ", what, value);
  };
  add("SUBJECT", account.tls_subject);
  add("ISSUER", account.tls_issuer);
  add("CIPHER", account.tls_cipher);
  if (!text.empty()) return text;
  return account.tls == TlsRule::cipher ? "SSL" : "X509";
}

std::string_view tls_obstacle(const accounts::Account& account, const config::Server& server) {
  const auto rule = account.tls;
  if (rule == TlsRule::none || rule == TlsRule::unknown) return {};
  if (rule == TlsRule::secure && !server.address.path.empty()) return {};
  if (server.tls.mode == config::TlsMode::off)
    return "it demands TLS, and towards its server tls.mode is \"off\": the server refuses it";
  const bool shows = rule == TlsRule::x509 || rule == TlsRule::specified;
  if (shows && server.tls.certificate.empty())
    return "it demands a certificate, and sluice has none to show (tls.certificate): the server "
           "refuses it";
  return {};
}

std::string_view state_text(const accounts::Account& account, uint64_t now_s) {
  if (account.is_role) return "role";
  if (account.left_out) return "left out";
  if (!account.problem.empty()) return "unusable";
  if (account.locked) return "locked";
  return expired(account, now_s) ? "expired" : "usable";
}

}  // namespace sluice::monitor
