// Rows of grant tables as a hostile server could send them. The first byte chooses the parser.
// Property: whatever comes is a row that can be encoded and read back, and has a reason if it is
// left out.
#include <fuzzer/FuzzedDataProvider.h>

#include <cstdlib>

#include "monitor/accounts_rows.h"

namespace sluice::monitor {
namespace {

ServerRules rules_of(FuzzedDataProvider& data) {
  using accounts::Flavour;
  return {.flavour = data.PickValueInArray({Flavour::mariadb, Flavour::mysql, Flavour::mysql_old}),
          .skip_name_resolve = data.ConsumeBool(),
          .require_secure_transport = data.ConsumeBool(),
          .default_password_lifetime = data.ConsumeIntegral<uint32_t>()};
}

accounts::Row row_of_columns(FuzzedDataProvider& data, const ServerRules& rules) {
  std::vector<std::string> names;
  std::vector<std::optional<std::string>> values;
  for (const char* name :
       {"user", "host", "password", "plugin", "authentication_string", "ssl_type", "ssl_cipher",
        "x509_issuer", "x509_subject", "is_role", "account_locked", "password_expired",
        "password_last_changed", "password_lifetime", "user_attributes"}) {
    if (data.ConsumeBool()) names.push_back(name);
    values.push_back(data.ConsumeBool() ? std::optional(data.ConsumeRandomLengthString(100))
                                        : std::nullopt);
  }
  return row_from_columns({names, values}, rules);
}

void check(accounts::Row row, const ServerRules& rules) {
  judge(row, rules);
  if (row.left_out && row.problem.empty()) std::abort();
  const auto bytes = accounts::encode({.flavour = rules.flavour, .rows = {row}});
  const auto account = accounts::Table::open(bytes)->at(0);
  if (!account || account->host != row.host || account->tls_subject != row.tls_subject ||
      account->expires_s != row.expires_s)
    std::abort();
}

}  // namespace
}  // namespace sluice::monitor

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sluice::monitor;
  FuzzedDataProvider input(data, size);
  const auto rules = rules_of(input);
  if (input.ConsumeBool())
    check(row_of_columns(input, rules), rules);
  else
    check(row_from_json("app", "%", input.ConsumeRemainingBytesAsString(), rules), rules);
  return 0;
}
