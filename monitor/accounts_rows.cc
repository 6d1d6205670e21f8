#include "monitor/accounts_rows.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

namespace sluice::monitor {
namespace {

using accounts::Row;
using accounts::TlsRule;
using nlohmann::json;

constexpr std::string_view kNative = "mysql_native_password";
constexpr std::string_view kBefore41 = "mysql_old_password";

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

int64_t number_at(const json& object, const char* key, int64_t otherwise) {
  const auto found = object.find(key);
  return found != object.end() && found->is_number_integer() ? found->get<int64_t>() : otherwise;
}

Row::Proof proof_of(const json& object) {
  Row::Proof proof{string_at(object, "plugin"), string_at(object, "authentication_string")};
  if (proof.plugin.empty()) proof.plugin = kNative;
  return proof;
}

/// The alternatives of VIA a OR b. The last one stands at the top level, and an object without
/// "plugin" in the list marks its place.
Result<std::vector<Row::Proof>> proofs_of(const json& account) {
  const auto list = account.find("auth_or");
  if (list == account.end() || !list->is_array()) return std::vector{proof_of(account)};
  std::vector<Row::Proof> proofs;
  for (const json& item : *list) {
    if (!item.is_object()) return fail(Errc::bad_input, "auth_or holds what is no object");
    proofs.push_back(proof_of(item.contains("plugin") ? item : account));
  }
  return proofs;
}

bool is_upper_hex(char c) {
  return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'F');
}

/// Whether anybody can prove anything by it. What plugins sluice knows is the worker's business.
bool usable(const Row::Proof& proof) {
  if (proof.plugin == kBefore41) return false;
  if (proof.plugin != kNative || proof.text.empty()) return true;
  return proof.text.size() == 41 && proof.text[0] == '*' &&
         std::all_of(proof.text.begin() + 1, proof.text.end(), is_upper_hex);
}

bool is_before_41(const Row::Proof& proof) {
  return proof.plugin == kBefore41 || (proof.plugin == kNative && proof.text.size() == 16);
}

}  // namespace

Row row_from_json(std::string user, std::string host, std::string_view priv) {
  Row row{.user = std::move(user), .host = std::move(host)};
  const json account = json::parse(priv, nullptr, false);  // without exceptions
  if (!account.is_object()) {
    row.problem = "the server's JSON for it can't be read";
    return row;
  }
  row.is_role = true_at(account, "is_role");
  row.locked = true_at(account, "account_locked");
  row.password_expired = number_at(account, "password_last_changed", -1) == 0;
  const int64_t tls = number_at(account, "ssl_type", 0);
  row.tls = tls < 0 || tls > 3 ? TlsRule::specified : static_cast<TlsRule>(tls);
  auto proofs = proofs_of(account);
  if (!proofs)
    row.problem = proofs.error().message;
  else if (!row.is_role)
    row.proofs = std::move(*proofs);
  return row;
}

std::string_view UserColumns::get(std::string_view name) const {
  for (std::size_t i = 0; i < names_.size(); ++i)
    if (names_[i] == name && i < values_.size() && values_[i]) return *values_[i];
  return {};
}

Row row_from_columns(const UserColumns& columns) {
  Row row{.user = std::string(columns.get("user")), .host = std::string(columns.get("host"))};
  row.is_role = columns.yes("is_role");
  row.locked = columns.yes("account_locked");
  row.password_expired = columns.yes("password_expired");
  const auto tls = columns.get("ssl_type");
  if (!tls.empty())
    row.tls = tls == "ANY" ? TlsRule::any : tls == "X509" ? TlsRule::x509 : TlsRule::specified;
  if (row.is_role) return row;

  Row::Proof proof{std::string(columns.get("plugin")),
                   std::string(columns.get("authentication_string"))};
  const auto password = columns.get("password");  // gone in MySQL 5.7
  if (proof.plugin.empty()) proof.plugin = password.size() == 16 ? kBefore41 : kNative;
  if (proof.text.empty() && (proof.plugin == kNative || proof.plugin == kBefore41))
    proof.text = password;
  row.proofs.push_back(std::move(proof));
  return row;
}

void judge(Row& row, accounts::Flavour flavour, bool skip_name_resolve) {
  if (row.is_role || !row.problem.empty()) return;
  row.problem = accounts::host_problem(flavour, skip_name_resolve, row.host);
  if (!row.problem.empty() || std::ranges::any_of(row.proofs, usable)) return;
  row.problem = std::ranges::any_of(row.proofs, is_before_41)
                    ? "its password is stored in the form of before MySQL 4.1: set it anew"
                    : "its password hash is malformed: nobody can prove to know the password";
}

}  // namespace sluice::monitor
