#include "master/config/tls_judge.h"

#include <dlfcn.h>
#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include <algorithm>
#include <memory>

#include "master/config/libcrypto.h"

namespace sluice::config {
namespace {

using namespace libcrypto;

/// The functions of libssl that are needed here.
struct Libssl {
  decltype(&::TLS_method) method = nullptr;
  decltype(&::SSL_CTX_new) make = nullptr;
  decltype(&::SSL_CTX_free) free = nullptr;
  decltype(&::SSL_CTX_ctrl) control = nullptr;
  decltype(&::SSL_CTX_set_cipher_list) set_ciphers = nullptr;
  decltype(&::SSL_CTX_set_ciphersuites) set_suites = nullptr;
  decltype(&::SSL_CTX_use_certificate) use_certificate = nullptr;
  bool complete = false;
};

Libssl load() {
  Libssl out;
  const auto name = fmt::format("libssl.so.{}", OPENSSL_SHLIB_VERSION);
  void* library = ::dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) return out;
  const auto find = [&](auto& function, const char* symbol) {
    function =
        reinterpret_cast<std::remove_reference_t<decltype(function)>>(::dlsym(library, symbol));
    return function != nullptr;
  };
  out.complete = find(out.method, "TLS_method") && find(out.make, "SSL_CTX_new") &&
                 find(out.free, "SSL_CTX_free") && find(out.control, "SSL_CTX_ctrl") &&
                 find(out.set_ciphers, "SSL_CTX_set_cipher_list") &&
                 find(out.set_suites, "SSL_CTX_set_ciphersuites") &&
                 find(out.use_certificate, "SSL_CTX_use_certificate");
  return out;
}

std::string take_reason() {
  const char* text = ::ERR_reason_error_string(::ERR_peek_last_error());
  ERR_clear_error();
  return text ? text : "no reason given";
}

/// Suites of TLS 1.3 have an interface of their own; all their names begin with "TLS_".
struct CipherList {
  std::string suites, ciphers;
};
CipherList split(std::string_view list) {
  CipherList out;
  while (!list.empty()) {
    const auto end = std::min(list.find_first_of(":,; "), list.size());
    const auto word = list.substr(0, end);
    list.remove_prefix(std::min(end + 1, list.size()));
    auto& to = word.starts_with("TLS_") ? out.suites : out.ciphers;
    if (!word.empty()) to.append(to.empty() ? "" : ":").append(word);
  }
  return out;
}

std::optional<TlsRefusal> judge_ciphers(const Libssl& ssl, SSL_CTX* context, const Tls& tls) {
  if (tls.ciphers.empty()) return std::nullopt;
  const auto [suites, ciphers] = split(tls.ciphers);
  const auto refused = [&](std::string why) {
    return TlsRefusal{
        "ciphers",
        {fmt::format("\"{}\": {}", tls.ciphers, why),
         "names with colons between them, as \"openssl ciphers -s -v LIST\" shows them, such as "
         "\"ECDHE-RSA-AES256-GCM-SHA384\" or, of TLS 1.3, \"TLS_AES_256_GCM_SHA384\""}};
  };
  if (suites.empty() && ciphers.empty()) return refused("names no cipher");
  if ((!suites.empty() && ssl.set_suites(context, suites.c_str()) != 1) ||
      (!ciphers.empty() && ssl.set_ciphers(context, ciphers.c_str()) != 1))
    return refused(take_reason());
  return std::nullopt;
}

/// A chain that is whole can still be too weak: a short key, an old signature.
std::optional<TlsRefusal> judge_chain(const Libssl& ssl, SSL_CTX* context, const Tls& tls) {
  const auto bio = reader_of(tls.certificate_pem);
  for (int number = 1;; ++number) {
    const Certificate one(::PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr));
    if (!one) break;
    ERR_clear_error();
    const bool good = number == 1 ? ssl.use_certificate(context, one.get()) == 1
                                  : ssl.control(context, SSL_CTRL_CHAIN_CERT, 1, one.get()) == 1;
    if (!good)
      return TlsRefusal{"certificate",
                        {fmt::format("{}: certificate {} of the file can't be used: {}",
                                     tls.certificate, number, take_reason()),
                         "have one made with a key of 2048 bits of RSA or P-256, and SHA-256"}};
  }
  ERR_clear_error();  // the end of the text
  return std::nullopt;
}

}  // namespace

std::optional<TlsRefusal> judge_with_libssl(const Tls& tls) {
  if (tls.ciphers.empty() && tls.certificate_pem.empty()) return std::nullopt;
  static const Libssl ssl = load();
  if (!ssl.complete) return std::nullopt;  // then no worker starts either, and says so
  ERR_clear_error();
  const std::unique_ptr<SSL_CTX, decltype(ssl.free)> context(ssl.make(ssl.method()), ssl.free);
  if (!context) return std::nullopt;
  if (auto refused = judge_ciphers(ssl, context.get(), tls)) return refused;
  return judge_chain(ssl, context.get(), tls);
}

}  // namespace sluice::config
