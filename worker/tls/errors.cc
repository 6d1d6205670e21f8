#include "worker/tls/errors.h"

#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/x509_vfy.h>

namespace sluice::tls {
namespace {

std::string text_of(unsigned long code) {
  const char* text = ERR_reason_error_string(code);
  return text != nullptr ? text : "no reason given";
}

}  // namespace

std::string take_reason() {
  const auto code = ERR_peek_last_error();
  ERR_clear_error();
  return text_of(code);
}

tl::unexpected<Error> take_failure(const SSL* ssl, std::string_view what) {
  const auto code = ERR_peek_last_error();
  ERR_clear_error();
  const int reason = ERR_GET_LIB(code) == ERR_LIB_SSL ? ERR_GET_REASON(code) : 0;
  if (reason == SSL_R_CERTIFICATE_VERIFY_FAILED)
    return fail(Errc::denied,
                fmt::format("certificate verify failed: {}",
                            X509_verify_cert_error_string(SSL_get_verify_result(ssl))));
  if (reason >= SSL_AD_REASON_OFFSET)
    return fail(Errc::bad_input,
                fmt::format("peer sent alert: {}",
                            SSL_alert_desc_string_long(reason - SSL_AD_REASON_OFFSET)));
  return fail(Errc::bad_input, fmt::format("{}: {}", what, text_of(code)));
}

}  // namespace sluice::tls
