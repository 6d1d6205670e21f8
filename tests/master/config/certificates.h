// Certificates for the tests of the configuration, valid between two fixed days.
#pragma once

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include <memory>
#include <string>

namespace sluice::config::test {

/// 2026-11-24, noon: when the tests of the configuration take place.
inline constexpr int64_t kNow = 1'795'521'600;
inline constexpr int64_t kDay = 86'400;

struct PemPair {
  std::string certificate, key;
};

/// A key that is good, or one that OpenSSL takes on no level of security but the lowest.
enum class Strength { p256, rsa512 };

/// A self-signed one with a new key.
inline PemPair make_certificate(int64_t not_before_s, int64_t not_after_s,
                                Strength strength = Strength::p256) {
  const std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key(
      strength == Strength::p256 ? EVP_EC_gen("P-256") : EVP_RSA_gen(512), EVP_PKEY_free);
  const std::unique_ptr<X509, decltype(&X509_free)> x509(X509_new(), X509_free);
  ASN1_INTEGER_set(X509_get_serialNumber(x509.get()), 1);
  ASN1_TIME_set(X509_getm_notBefore(x509.get()), not_before_s);
  ASN1_TIME_set(X509_getm_notAfter(x509.get()), not_after_s);
  X509_set_pubkey(x509.get(), key.get());
  X509_NAME* name = X509_get_subject_name(x509.get());
  X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>("test"), -1, -1, 0);
  X509_set_issuer_name(x509.get(), name);
  X509_sign(x509.get(), key.get(), EVP_sha256());

  const auto text_of = [](auto write) {
    const std::unique_ptr<BIO, decltype(&BIO_free)> bio(BIO_new(BIO_s_mem()), BIO_free);
    write(bio.get());
    char* data = nullptr;
    const auto size = BIO_get_mem_data(bio.get(), &data);
    return std::string(data, static_cast<std::size_t>(size));
  };
  return {text_of([&](BIO* bio) { PEM_write_bio_X509(bio, x509.get()); }), text_of([&](BIO* bio) {
            PEM_write_bio_PrivateKey(bio, key.get(), nullptr, nullptr, 0, nullptr, nullptr);
          })};
}

/// The key with a passphrase; in the form of PKCS #8, or in that of old ("Proc-Type: ENCRYPTED").
enum class KeyForm { pkcs8, traditional };
inline std::string encrypt_key(const std::string& pem, KeyForm form) {
  const std::unique_ptr<BIO, decltype(&BIO_free)> in(
      BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())), BIO_free);
  const std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key(
      PEM_read_bio_PrivateKey(in.get(), nullptr, nullptr, nullptr), EVP_PKEY_free);
  const std::unique_ptr<BIO, decltype(&BIO_free)> out(BIO_new(BIO_s_mem()), BIO_free);
  const auto* phrase = reinterpret_cast<const unsigned char*>("s3cret");
  const auto write =
      form == KeyForm::pkcs8 ? PEM_write_bio_PrivateKey : PEM_write_bio_PrivateKey_traditional;
  write(out.get(), key.get(), EVP_aes_256_cbc(), phrase, 6, nullptr, nullptr);
  char* data = nullptr;
  const auto size = BIO_get_mem_data(out.get(), &data);
  return std::string(data, static_cast<std::size_t>(size));
}

}  // namespace sluice::config::test
