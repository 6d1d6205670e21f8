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
  const auto list = split_ciphers(tls.ciphers);
  const bool only_suites = !list.suites.empty() && list.ciphers.empty();
  ERR_clear_error();
  if ((!tls.ciphers.empty() && list.suites.empty() && list.ciphers.empty()) ||
      (!list.suites.empty() && SSL_CTX_set_ciphersuites(context, list.suites.c_str()) != 1) ||
      (!list.ciphers.empty() && SSL_CTX_set_cipher_list(context, list.ciphers.c_str()) != 1))
    return fail(Errc::config,
                fmt::format("ciphers \"{}\" give none: {}", tls.ciphers, take_reason()));
  const int oldest = tls.min_version == "1.3" || only_suites ? TLS1_3_VERSION : TLS1_2_VERSION;
  if (SSL_CTX_set_min_proto_version(context, oldest) != 1 ||
      SSL_CTX_set_max_proto_version(context, TLS1_3_VERSION) != 1)
    return fail(Errc::internal, "the versions of TLS can't be set: " + take_reason());
  return {};
}

}  // namespace sluice::tls
