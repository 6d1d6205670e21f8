#include "tests/support/certificates.h"

#include <fmt/format.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>

#include "tests/support/temp_dir.h"
#include "tests/support/test_error.h"

namespace sluice::test {
namespace {

using Bio = std::unique_ptr<BIO, decltype([](BIO* bio) { BIO_free(bio); })>;
using Key = std::shared_ptr<EVP_PKEY>;
using Signed = std::shared_ptr<X509>;

/// Passes on what the library gave, or throws what it says.
template <class T>
T must(T result, std::string_view what) {
  if (result) return result;
  throw TestError(fmt::format("{}: {}", what, ERR_error_string(ERR_get_error(), nullptr)));
}

Key make_key(KeyKind kind) {
  EVP_PKEY* key = kind == KeyKind::p256      ? EVP_EC_gen("P-256")
                  : kind == KeyKind::rsa2048 ? EVP_RSA_gen(2048)
                                             : EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519");
  return {must(key, "make a key"), EVP_PKEY_free};
}

std::string text_of(const Bio& bio) {
  char* text = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &text);
  return {text, static_cast<std::size_t>(size)};
}

std::string pem_of(const Signed& certificate) {
  const Bio bio(must(BIO_new(BIO_s_mem()), "memory"));
  must(PEM_write_bio_X509(bio.get(), certificate.get()), "write a certificate");
  return text_of(bio);
}

std::string pem_of(const Key& key, const std::string& passphrase = "") {
  const Bio bio(must(BIO_new(BIO_s_mem()), "memory"));
  must(PEM_write_bio_PrivateKey(bio.get(), key.get(),
                                passphrase.empty() ? nullptr : EVP_aes_128_cbc(),
                                reinterpret_cast<const unsigned char*>(passphrase.data()),
                                static_cast<int>(passphrase.size()), nullptr, nullptr),
       "write a key");
  return text_of(bio);
}

void add_extension(X509* certificate, X509* issuer, int which, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  X509_EXTENSION* extension =
      must(X509V3_EXT_conf_nid(nullptr, &context, which, value.c_str()), "make an extension");
  const int added = X509_add_ext(certificate, extension, -1);
  X509_EXTENSION_free(extension);
  must(added, "add an extension");
}

std::string alternative_names(const CertificateContents& contents) {
  std::string all;
  for (const auto& name : contents.names) all += fmt::format(",DNS:{}", name);
  for (const auto& address : contents.addresses) all += fmt::format(",IP:{}", address);
  return all.empty() ? all : all.substr(1);
}

/// All but issuer, extensions and signature.
Signed draft(const CertificateContents& contents, const Key& key) {
  Signed made(must(X509_new(), "memory"), X509_free);
  uint64_t serial = 0;
  must(RAND_bytes(reinterpret_cast<unsigned char*>(&serial), sizeof serial) == 1, "random bytes");
  must(X509_set_version(made.get(), X509_VERSION_3), "version");
  must(ASN1_INTEGER_set_uint64(X509_get_serialNumber(made.get()), serial >> 1), "serial number");
  must(X509_gmtime_adj(X509_getm_notBefore(made.get()), contents.starts.count()), "start");
  must(X509_gmtime_adj(X509_getm_notAfter(made.get()), contents.ends.count()), "end");
  must(X509_set_pubkey(made.get(), key.get()), "public key");
  const auto* name = reinterpret_cast<const unsigned char*>(contents.common_name.data());
  must(X509_NAME_add_entry_by_txt(X509_get_subject_name(made.get()), "CN", MBSTRING_UTF8, name,
                                  static_cast<int>(contents.common_name.size()), -1, 0),
       "subject");
  return made;
}

void sign(X509* certificate, X509* issuer, EVP_PKEY* key) {
  must(X509_set_issuer_name(certificate, X509_get_subject_name(issuer)), "issuer");
  const bool own_digest = EVP_PKEY_is_a(key, "ED25519");
  must(X509_sign(certificate, key, own_digest ? nullptr : EVP_sha256()), "sign a certificate");
}

void add_names(X509* certificate, X509* issuer, const CertificateContents& contents) {
  const auto names = alternative_names(contents);
  if (!names.empty()) add_extension(certificate, issuer, NID_subject_alt_name, names);
}

}  // namespace

std::string make_key_pem(KeyKind kind, const std::string& passphrase) {
  return pem_of(make_key(kind), passphrase);
}

CertificateFiles write_files(const TempDir& directory, std::string_view name,
                             const Certificate& certificate) {
  CertificateFiles files{directory / fmt::format("{}.pem", name),
                         directory / fmt::format("{}.key", name)};
  write_file(files.certificate, certificate.pem);
  write_file(files.key, certificate.key_pem);
  return files;
}

CertificateAuthority::CertificateAuthority(std::string_view common_name)
    : CertificateAuthority(common_name, nullptr) {}

CertificateAuthority::CertificateAuthority(std::string_view common_name,
                                           const CertificateAuthority* above)
    : key_(make_key(KeyKind::p256)),
      certificate_(draft({.common_name = std::string(common_name)}, key_)) {
  const auto& issuer = above != nullptr ? above->certificate_ : certificate_;
  add_extension(certificate_.get(), issuer.get(), NID_basic_constraints, "critical,CA:TRUE");
  add_extension(certificate_.get(), issuer.get(), NID_key_usage, "critical,keyCertSign,cRLSign");
  add_extension(certificate_.get(), issuer.get(), NID_subject_key_identifier, "hash");
  sign(certificate_.get(), issuer.get(), (above != nullptr ? above->key_ : key_).get());
  pem_ = pem_of(certificate_);
}

Certificate CertificateAuthority::issue(const CertificateContents& contents) const {
  const Key key = make_key(contents.key);
  const Signed made = draft(contents, key);
  add_extension(made.get(), certificate_.get(), NID_basic_constraints, "critical,CA:FALSE");
  add_names(made.get(), certificate_.get(), contents);
  sign(made.get(), certificate_.get(), key_.get());
  return {pem_of(made), pem_of(key)};
}

CertificateAuthority CertificateAuthority::subordinate(std::string_view common_name) const {
  return {common_name, this};
}

Certificate self_signed(const CertificateContents& contents) {
  const Key key = make_key(contents.key);
  const Signed made = draft(contents, key);
  add_names(made.get(), made.get(), contents);
  sign(made.get(), made.get(), key.get());
  return {pem_of(made), pem_of(key)};
}

}  // namespace sluice::test
