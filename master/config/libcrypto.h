// Owners and writers for the objects of libcrypto that certificates and keys are.
#pragma once

#include <openssl/bio.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "common/base/secret.h"

namespace sluice::config::libcrypto {

template <auto Function>
struct Free {
  void operator()(auto* object) const noexcept { Function(object); }
};
using Bio = std::unique_ptr<BIO, Free<BIO_free_all>>;
using Certificate = std::unique_ptr<X509, Free<X509_free>>;
using Key = std::unique_ptr<EVP_PKEY, Free<EVP_PKEY_free>>;

/// Reads from `text`, which has to outlive it.
inline Bio reader_of(std::string_view text) {
  return Bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

/// What was written into a memory BIO.
inline std::string_view written(const Bio& bio) {
  char* data = nullptr;
  const auto size = BIO_get_mem_data(bio.get(), &data);
  return {data, static_cast<std::size_t>(size)};
}

inline std::optional<std::string> pem_of(const Certificate& certificate) {
  const Bio out(BIO_new(BIO_s_mem()));
  if (!out || PEM_write_bio_X509(out.get(), certificate.get()) != 1) return std::nullopt;
  return std::string(written(out));
}

/// As PKCS #8, without a passphrase.
inline std::optional<Secret> pem_of(const Key& key) {
  const Bio out(BIO_new(BIO_s_secmem()));  // wiped when it is freed
  if (!out ||
      PEM_write_bio_PrivateKey(out.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr) != 1)
    return std::nullopt;
  return Secret(std::string(written(out)));
}

}  // namespace sluice::config::libcrypto
