#include "worker/tls/peer.h"

#include <openssl/sha.h>

#include <chrono>

namespace sluice::tls {
namespace {

void free_text(char* text) {
  OPENSSL_free(text);
}
using Text = std::unique_ptr<char, Release<free_text>>;

std::string one_line(const X509_NAME* name) {
  const Text text(X509_NAME_oneline(name, nullptr, 0));
  return text ? text.get() : "";
}

/// Not by timegm(), which would look for a time zone.
int64_t seconds_since_epoch(const ASN1_TIME* time) {
  std::tm parts{};
  if (ASN1_TIME_to_tm(time, &parts) != 1) return 0;
  using namespace std::chrono;
  const sys_days day = year(parts.tm_year + 1900) / (parts.tm_mon + 1) / parts.tm_mday;
  const auto at = day + hours(parts.tm_hour) + minutes(parts.tm_min) + seconds(parts.tm_sec);
  return duration_cast<seconds>(at.time_since_epoch()).count();
}

void describe(const X509* certificate, Info& info) {
  info.peer_subject = one_line(X509_get_subject_name(certificate));
  info.peer_issuer = one_line(X509_get_issuer_name(certificate));
  info.peer_not_after_s = seconds_since_epoch(X509_get0_notAfter(certificate));
  info.peer_fingerprint = fingerprint_of(certificate);
}

}  // namespace

Info info_of(const SSL* ssl) {
  Info info;
  info.version = SSL_get_version(ssl);
  info.cipher = SSL_get_cipher(ssl);
  info.resumed = SSL_session_reused(ssl) == 1;
  const X509* certificate = SSL_get0_peer_certificate(ssl);
  if (certificate == nullptr) return info;
  info.peer_verified =
      (SSL_get_verify_mode(ssl) & SSL_VERIFY_PEER) && SSL_get_verify_result(ssl) == X509_V_OK;
  describe(certificate, info);
  return info;
}

Bytes fingerprint_of(const X509* certificate) {
  Bytes digest(SHA256_DIGEST_LENGTH);
  unsigned size = 0;
  if (X509_digest(certificate, EVP_sha256(), reinterpret_cast<unsigned char*>(digest.data()),
                  &size) != 1)
    digest.clear();
  return digest;
}

bool certificate_still_valid(const SSL_SESSION* session) {
  const X509* certificate = SSL_SESSION_get0_peer(const_cast<SSL_SESSION*>(session));
  return certificate == nullptr || X509_cmp_current_time(X509_get0_notAfter(certificate)) > 0;
}

}  // namespace sluice::tls
