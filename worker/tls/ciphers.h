#pragma once

#include <string>
#include <string_view>

#include "common/config/config.h"
#include "worker/tls/openssl.h"

namespace sluice::tls {

/// A list of ciphers, taken apart by what OpenSSL keeps apart.
struct CipherList {
  std::string suites;   ///< names of TLS 1.3: those that begin with "TLS_"
  std::string ciphers;  ///< the rest: names and rules of openssl-ciphers(1), for TLS 1.2
};
CipherList split_ciphers(std::string_view list);

/// Sets which versions and ciphers may be spoken. A list that names suites of TLS 1.3 only rules
/// TLS 1.2 out. One that names none leaves TLS 1.3 as it is: that is what such lists, written for
/// other programs, mean. Errc::config for a list that gives nothing.
Result<> use_versions_and_ciphers(SSL_CTX* context, const config::Tls& tls);

}  // namespace sluice::tls
