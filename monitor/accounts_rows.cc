#include "monitor/accounts_rows.h"

#include <algorithm>

namespace sluice::monitor {
namespace {

using accounts::Flavour;
using accounts::Row;
using accounts::TlsRule;

constexpr std::string_view kNative = "mysql_native_password";
constexpr std::string_view kBefore41 = "mysql_old_password";

bool is_hex(char c) {
  return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'F') || (c >= 'a' && c <= 'f');
}

/// Whether anybody can prove anything by it. What plugins sluice knows is the worker's business.
/// Source: MariaDB sql/sql_acl.cc native_password_get_salt().
bool usable(const Row::Proof& proof) {
  if (proof.plugin == kBefore41) return false;
  if (proof.plugin != kNative || proof.text.empty()) return true;
  return proof.text.size() == 41 && std::all_of(proof.text.begin() + 1, proof.text.end(), is_hex);
}

bool is_before_41(const Row::Proof& proof) {
  return proof.plugin == kBefore41 || (proof.plugin == kNative && proof.text.size() == 16);
}

std::string_view proof_problem(const Row& row) {
  if (std::ranges::any_of(row.proofs, usable)) return {};
  return std::ranges::any_of(row.proofs, is_before_41)
             ? "its password is stored in the form of before MySQL 4.1: set it anew"
             : "its password hash is malformed: nobody can prove to know the password";
}

}  // namespace

TlsRule tls_rule(int64_t number, const Row& row, const ServerRules& rules) {
  switch (number) {
    case -1:
    case 0:
      return rules.require_secure_transport ? TlsRule::secure : TlsRule::none;
    case 1:
      return TlsRule::any;
    case 2:
      return TlsRule::x509;
    case 3:
      return rules.flavour == Flavour::mariadb && row.tls_issuer.empty() && row.tls_subject.empty()
                 ? TlsRule::cipher
                 : TlsRule::specified;
    default:
      return TlsRule::unknown;
  }
}

void judge(Row& row, const ServerRules& rules) {
  if (row.is_role || !row.problem.empty()) return;
  row.problem = accounts::host_problem(rules.flavour, rules.skip_name_resolve, row.host);
  if (row.problem.empty()) row.problem = proof_problem(row);
  if (row.problem.empty() && row.tls == TlsRule::unknown)
    row.problem = "what it demands of TLS is of another release: the server refuses everybody";
}

}  // namespace sluice::monitor
