#include "worker/tls/ciphers.h"

#include <fmt/format.h>
#include <openssl/err.h>

#include "worker/tls/errors.h"

namespace sluice::tls {

CipherList split_ciphers(std::string_view list) {
  constexpr std::string_view kSeparators = ":,; ";  // as in openssl-ciphers(1)
  CipherList out;
  while (!list.empty()) {
    const auto size = std::min(list.find_first_of(kSeparators), list.size());
    const auto name = list.substr(0, size);
    list.remove_prefix(std::min(size + 1, list.size()));
    if (name.empty()) continue;
    auto& to = name.starts_with("TLS_") ? out.suites : out.ciphers;
    if (!to.empty()) to += ':';
    to += name;
  }
  return out;
}

Result<> use_versions_and_ciphers(SSL_CTX* context, const config::Tls& tls) {
  const auto [suites, ciphers] = split_ciphers(tls.ciphers);
  ERR_clear_error();
  if (!tls.ciphers.empty() && suites.empty() && ciphers.empty())
    return fail(Errc::config, fmt::format("ciphers \"{}\" name none", tls.ciphers));
  if ((!suites.empty() && SSL_CTX_set_ciphersuites(context, suites.c_str()) != 1) ||
      (!ciphers.empty() && SSL_CTX_set_cipher_list(context, ciphers.c_str()) != 1))
    return fail(Errc::config, fmt::format("ciphers \"{}\": {}", tls.ciphers, take_reason()));
  const bool only_suites = !suites.empty() && ciphers.empty();
  const int oldest = tls.min_version == "1.3" || only_suites ? TLS1_3_VERSION : TLS1_2_VERSION;
  if (SSL_CTX_set_min_proto_version(context, oldest) != 1 ||
      SSL_CTX_set_max_proto_version(context, TLS1_3_VERSION) != 1)
    return fail(Errc::internal, "the versions of TLS can't be set: " + take_reason());
  return {};
}

}  // namespace sluice::tls
