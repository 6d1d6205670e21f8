#include <nlohmann/json.hpp>

#include "monitor/accounts_rows.h"

namespace sluice::monitor {
namespace {

using accounts::Row;
using nlohmann::json;

constexpr uint64_t kDay = 86'400;

/// The string at `key`; empty for anything else, as the server reads it.
std::string string_at(const json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

/// Only a JSON true counts.
bool true_at(const json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_boolean() && found->get<bool>();
}

/// The whole part of a number. Text that looks like one is none.
int64_t number_at(const json& object, const char* key, int64_t otherwise) {
  const auto found = object.find(key);
  if (found == object.end() || !found->is_number()) return otherwise;
  if (!found->is_number_float()) return found->get<int64_t>();
  const double value = found->get<double>();
  return value > -1e15 && value < 1e15 ? static_cast<int64_t>(value) : otherwise;
}

Row::Proof proof_of(const json& object) {
  Row::Proof proof{string_at(object, "plugin"), string_at(object, "authentication_string")};
  if (proof.plugin.empty()) proof.plugin = "mysql_native_password";
  return proof;
}

/// Nothing at `key`, or a string: all that the server takes in the list of alternatives.
bool is_string_or_absent(const json& object, const char* key) {
  const auto found = object.find(key);
  return found == object.end() || found->is_string();
}

/// The alternatives of VIA a OR b. One of them stands at the top level, and an object without
/// "plugin" in the list marks its place. Nothing if the server would leave the row out.
std::optional<std::vector<Row::Proof>> proofs_of(const json& account) {
  const auto list = account.find("auth_or");
  if (list == account.end() || !list->is_array()) return std::vector{proof_of(account)};
  std::vector<Row::Proof> proofs;
  for (const json& item : *list) {
    if (!item.is_object() || !is_string_or_absent(item, "plugin")) return std::nullopt;
    if (!item.contains("plugin")) {
      proofs.push_back(proof_of(account));
      continue;
    }
    if (!is_string_or_absent(item, "authentication_string")) return std::nullopt;
    proofs.push_back({string_at(item, "plugin"), string_at(item, "authentication_string")});
  }
  return proofs;
}

/// "(query_start - password_last_changed)/3600/24 >= interval", and no date at all is 1970.
uint64_t expires_s(const json& account, const ServerRules& rules) {
  auto days = number_at(account, "password_lifetime", -1);
  if (days < 0) days = rules.default_password_lifetime;
  if (days == 0) return 0;
  const auto changed = std::max<int64_t>(0, number_at(account, "password_last_changed", 0));
  return static_cast<uint64_t>(changed) + static_cast<uint64_t>(days) * kDay;
}

}  // namespace

Row row_from_json(std::string user, std::string host, std::string_view priv,
                  const ServerRules& rules) {
  Row row{.user = std::move(user), .host = std::move(host)};
  json account = json::parse(priv, nullptr, false);  // without exceptions
  if (!account.is_object()) account = json::object();
  row.is_role = true_at(account, "is_role");
  if (row.is_role) return row;
  row.locked = true_at(account, "account_locked");
  row.password_expired = number_at(account, "password_last_changed", -1) == 0;
  row.expires_s = expires_s(account, rules);
  row.tls_cipher = string_at(account, "ssl_cipher");
  row.tls_issuer = string_at(account, "x509_issuer");
  row.tls_subject = string_at(account, "x509_subject");
  row.tls = tls_rule(number_at(account, "ssl_type", 0), row, rules);
  if (auto proofs = proofs_of(account)) {
    row.proofs = std::move(*proofs);
  } else {
    row.left_out = true;
    row.problem = "the server leaves it out: its alternatives (auth_or) can't be read";
  }
  return row;
}

}  // namespace sluice::monitor
