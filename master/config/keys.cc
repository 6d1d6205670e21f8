#include "master/config/keys.h"

#include <fmt/format.h>
#include <openssl/rand.h>

#include <algorithm>

#include "master/config/libcrypto.h"

namespace sluice::config {
namespace {

using namespace libcrypto;

constexpr unsigned kRsaBits = 2048;
constexpr int64_t kDayS = 24 * 3600, kValidS = 3653 * kDayS;  // ten years
constexpr int kSerialBits = 127;                              // RFC 5280, 4.1.2.2: 20 bytes at most

tl::unexpected<Error> failed(std::string_view what) {
  return fail(Errc::internal, fmt::format("libcrypto can't make {}", what));
}

bool is_on(const Tls& tls) {
  return tls.mode != TlsMode::off;
}

Result<Secret> make_ticket_key() {
  Secret key(std::string(kTicketKeySize, '\0'));
  auto* bytes = reinterpret_cast<unsigned char*>(key.reveal().data());
  if (RAND_bytes(bytes, kTicketKeySize) != 1) return failed("random bytes");
  return key;
}

Result<Secret> make_rsa_key() {
  const libcrypto::Key key(EVP_RSA_gen(kRsaBits));
  auto pem = key ? pem_of(key) : std::nullopt;
  if (!pem) return failed("an RSA key");
  return std::move(*pem);
}

bool set_serial(X509* x509) {
  const std::unique_ptr<BIGNUM, Free<BN_free>> number(BN_new());
  return number && BN_rand(number.get(), kSerialBits, BN_RAND_TOP_ANY, BN_RAND_BOTTOM_ANY) == 1 &&
         BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(x509)) != nullptr;
}

bool set_names(X509* x509) {
  X509_NAME* name = X509_get_subject_name(x509);
  return X509_NAME_add_entry_by_NID(name, NID_commonName, MBSTRING_ASC,
                                    reinterpret_cast<const unsigned char*>("sluice"), -1, -1,
                                    0) == 1 &&
         X509_set_issuer_name(x509, name) == 1;
}

/// From a day ago: not everybody's clock is right.
bool set_times(X509* x509, int64_t now_s) {
  return ASN1_TIME_set(X509_getm_notBefore(x509), now_s - kDayS) != nullptr &&
         ASN1_TIME_set(X509_getm_notAfter(x509), now_s + kValidS) != nullptr;
}

Result<> make_certificate(ipc::KeyMaterial& made, int64_t now_s) {
  const libcrypto::Key key(EVP_EC_gen("P-256"));
  const Certificate x509(X509_new());
  if (!key || !x509 || X509_set_version(x509.get(), X509_VERSION_3) != 1 ||
      !set_serial(x509.get()) || !set_names(x509.get()) || !set_times(x509.get(), now_s) ||
      X509_set_pubkey(x509.get(), key.get()) != 1 ||
      X509_sign(x509.get(), key.get(), EVP_sha256()) == 0)
    return failed("a certificate");
  auto pem = pem_of(x509);
  auto key_pem = pem_of(key);
  if (!pem || !key_pem) return failed("a certificate");
  made.certificate_pem = std::move(*pem);
  made.certificate_key_pem = std::move(*key_pem);
  return {};
}

}  // namespace

KeyKinds needed_keys(const Config& config) {
  KeyKinds needed{.ticket = true};
  for (const Cluster& cluster : config.clusters)
    for (const Server& server : cluster.servers) needed.rsa |= is_on(server.tls);
  for (const Service& service : config.services) {
    needed.rsa |= service.router == RouterKind::read_write_split;
    needed.certificate |= is_on(service.tls) && service.tls.certificate.empty();
  }
  return needed;
}

Result<std::optional<ipc::KeyMaterial>> make_keys(const Config& config, const KeyKinds& wanted,
                                                  int64_t now_s) {
  const auto needed = needed_keys(config);
  const KeyKinds kinds{wanted.ticket && needed.ticket, wanted.rsa && needed.rsa,
                       wanted.certificate && needed.certificate};
  if (!kinds.any()) return std::nullopt;
  ipc::KeyMaterial made;
  if (kinds.ticket) made.ticket_key = SLUICE_TRY(make_ticket_key());
  if (kinds.rsa) made.rsa_key_pem = SLUICE_TRY(make_rsa_key());
  if (kinds.certificate) SLUICE_TRY(make_certificate(made, now_s));
  return made;
}

}  // namespace sluice::config
