#include <time.h>

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>

#include "monitor/accounts_rows.h"

namespace sluice::monitor {
namespace {

using accounts::Flavour;
using accounts::Row;
using nlohmann::json;

constexpr uint64_t kDay = 86'400;
constexpr std::string_view kNative = "mysql_native_password";
constexpr std::string_view kBefore41 = "mysql_old_password";
constexpr std::string_view kSha256 = "sha256_password";
constexpr std::string_view kCachingSha2 = "caching_sha2_password";

int64_t ssl_type(std::string_view text) {
  return text.empty() ? 0 : text == "ANY" ? 1 : text == "X509" ? 2 : 3;
}

uint32_t number(std::string_view text) {
  uint32_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

/// "2026-11-24 16:00:36" in UTC; 0 for NULL and for the date without a day.
int64_t seconds(std::string_view text) {
  tm parts{};
  const std::string terminated(text);
  if (::strptime(terminated.c_str(), "%Y-%m-%d %H:%M:%S", &parts) == nullptr) return 0;
  return std::max<int64_t>(0, ::timegm(&parts));
}

bool is_any_of(std::string_view plugin, std::initializer_list<std::string_view> names) {
  return std::ranges::count(names, plugin) > 0;
}

/// The second after that in which the password's life ends. Only MySQL's own plugins have one.
uint64_t expires_s(const UserColumns& columns, const ServerRules& rules) {
  if (!columns.has("password_lifetime") ||
      !is_any_of(columns.get("plugin"), {kNative, kSha256, kCachingSha2}))
    return 0;
  const auto own = columns.get("password_lifetime");
  const uint32_t days = own.empty() ? rules.default_password_lifetime : number(own);
  const auto changed = seconds(columns.get("password_last_changed"));
  if (days == 0 || changed == 0) return 0;
  return static_cast<uint64_t>(changed) + days * kDay + 1;
}

Row::Proof proof_of(const UserColumns& columns, const ServerRules& rules) {
  Row::Proof proof{std::string(columns.get("plugin")),
                   std::string(columns.get("authentication_string"))};
  if (rules.flavour != Flavour::mariadb) return proof;
  const auto password = columns.get("password");
  if (proof.plugin.empty()) proof.plugin = password.size() == 16 ? kBefore41 : kNative;
  if (proof.text.empty() && is_any_of(proof.plugin, {kNative, kBefore41})) proof.text = password;
  return proof;
}

/// MySQL's attributes: a second password that is as good as the first, and further factors.
void add_attributes(Row& row, std::string_view text) {
  const json attributes = json::parse(text, nullptr, false);  // without exceptions
  if (!attributes.is_object()) return;
  if (const auto second = attributes.find("additional_password");
      second != attributes.end() && second->is_string() && !row.proofs.empty())
    row.proofs.push_back({row.proofs[0].plugin, second->get<std::string>()});
  const auto factors = attributes.find("multi_factor_authentication");
  if (factors == attributes.end() || !factors->is_array()) return;
  for (const json& factor : *factors) {
    if (!factor.is_object() || !factor.contains("plugin") || !factor["plugin"].is_string())
      continue;
    row.more_factors += row.more_factors.empty() ? "" : ", ";
    row.more_factors += factor["plugin"].get<std::string>();
  }
}

/// What the plugin's validate_authentication_string() lets pass.
/// Source: MySQL sql/auth/mysql_native_password.cc, sha2_password.cc.
bool is_valid(const Row::Proof& proof) {
  const std::string_view text = proof.text;
  if (text.empty()) return true;
  if (proof.plugin == kNative) return text.size() == 41 && text[0] == '*';
  if (proof.plugin == kSha256) return text.starts_with("$5$");
  if (proof.plugin == kCachingSha2) return text.starts_with("$A$") && text.size() == 70;
  return true;
}

/// Why MariaDB before 10.4 does not load the row at all; empty if it does.
/// Source: its sql/sql_acl.cc set_user_plugin().
std::string_view why_left_out_by_old_mariadb(const UserColumns& columns) {
  const auto length = columns.get("password").size();
  return length == 0 || length == 16 || length == 41
             ? std::string_view()
             : "the server leaves it out: its password hash has no known length";
}

/// Why MySQL does not load the row at all; empty if it does.
std::string_view why_left_out_by_mysql(const Row& row) {
  if (row.proofs[0].plugin.empty()) return "the server leaves it out: it names no plugin";
  if (!std::ranges::all_of(row.proofs, is_valid))
    return "the server leaves it out: its password hash is malformed";
  if (row.password_expired && !is_any_of(row.proofs[0].plugin, {kNative, kSha256, kCachingSha2}))
    return "the server leaves it out: it has expired, and its plugin knows no expiry";
  return {};
}

}  // namespace

bool UserColumns::has(std::string_view name) const {
  return std::ranges::find(names_, name) != names_.end();
}

std::string_view UserColumns::get(std::string_view name) const {
  for (std::size_t i = 0; i < names_.size(); ++i)
    if (names_[i] == name && i < values_.size() && values_[i]) return *values_[i];
  return {};
}

Row row_from_columns(const UserColumns& columns, const ServerRules& rules) {
  Row row{.user = std::string(columns.get("user")), .host = std::string(columns.get("host"))};
  row.is_role = columns.yes("is_role");
  if (row.is_role) return row;
  row.locked = columns.yes("account_locked");
  row.password_expired = columns.yes("password_expired");
  row.expires_s = expires_s(columns, rules);
  row.tls_cipher = columns.get("ssl_cipher");
  row.tls_issuer = columns.get("x509_issuer");
  row.tls_subject = columns.get("x509_subject");
  row.tls = tls_rule(ssl_type(columns.get("ssl_type")), row, rules);
  row.proofs.push_back(proof_of(columns, rules));
  if (rules.flavour == Flavour::mariadb) {
    row.problem = why_left_out_by_old_mariadb(columns);
  } else {
    add_attributes(row, columns.get("user_attributes"));
    row.problem = why_left_out_by_mysql(row);
  }
  row.left_out = !row.problem.empty();
  return row;
}

}  // namespace sluice::monitor
