#include "worker/tls/tickets.h"

#include <fmt/format.h>
#include <openssl/core_names.h>
#include <openssl/params.h>
#include <openssl/rand.h>

#include <cstring>

#include "worker/tls/peer.h"

namespace sluice::tls {
namespace {

enum class Direction { open, seal };

const unsigned char* part(const Secret& key, std::size_t at) {
  return reinterpret_cast<const unsigned char*>(key.reveal().data()) + at;
}

bool has_name(const Secret& key, const unsigned char* name) {
  return !key.empty() && std::memcmp(part(key, 0), name, TicketKeys::kNameSize) == 0;
}

bool prepare(const Secret& key, const unsigned char* iv, EVP_CIPHER_CTX* cipher, EVP_MAC_CTX* mac,
             Direction direction) {
  const auto* cipher_key = part(key, TicketKeys::kNameSize);
  auto* mac_key =
      const_cast<unsigned char*>(part(key, TicketKeys::kNameSize + TicketKeys::kCipherKeySize));
  char digest[] = "SHA256";
  const OSSL_PARAM parameters[] = {
      OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, mac_key, TicketKeys::kMacKeySize),
      OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
      OSSL_PARAM_construct_end()};
  return EVP_CipherInit_ex(cipher, EVP_aes_256_cbc(), nullptr, cipher_key, iv,
                           direction == Direction::seal) == 1 &&
         EVP_MAC_CTX_set_params(mac, parameters) == 1;
}

/// SSL_CTX_set_tlsext_ticket_key_evp_cb(3)
int on_key_wanted(SSL* ssl, unsigned char* name, unsigned char* iv, EVP_CIPHER_CTX* cipher,
                  EVP_MAC_CTX* mac, int sealing) noexcept {
  const auto& keys = *static_cast<TicketKeys*>(SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl)));
  if (sealing) return keys.seal(name, iv, cipher, mac) ? 1 : -1;
  return keys.open(name, iv, cipher, mac);
}

/// SSL_CTX_set_session_ticket_cb(3). A new ticket is given with a full handshake, for one of the
/// old key, and in TLS 1.3 always: there a client uses a ticket once (RFC 8446, C.4).
SSL_TICKET_RETURN on_opened(SSL* ssl, SSL_SESSION* session, const unsigned char*, std::size_t,
                            SSL_TICKET_STATUS status, void*) noexcept {
  const bool opened = status == SSL_TICKET_SUCCESS || status == SSL_TICKET_SUCCESS_RENEW;
  if (!opened || !certificate_still_valid(session)) return SSL_TICKET_RETURN_IGNORE_RENEW;
  const bool renew = status == SSL_TICKET_SUCCESS_RENEW || SSL_version(ssl) == TLS1_3_VERSION;
  return renew ? SSL_TICKET_RETURN_USE_RENEW : SSL_TICKET_RETURN_USE;
}

}  // namespace

Result<TicketKeys> TicketKeys::from(const ipc::KeyMaterial& keys) {
  for (const Secret* key : {&keys.ticket_key, &keys.ticket_key_before})
    if (!key->empty() && key->reveal().size() != kSize)
      return fail(Errc::config,
                  fmt::format("the key of session tickets is not of {} bytes", kSize));
  TicketKeys out;
  out.current_ = keys.ticket_key;
  out.before_ = keys.ticket_key_before;
  return out;
}

bool TicketKeys::seal(unsigned char* name, unsigned char* iv, EVP_CIPHER_CTX* cipher,
                      EVP_MAC_CTX* mac) const {
  std::memcpy(name, part(current_, 0), kNameSize);
  return RAND_bytes(iv, EVP_CIPHER_get_iv_length(EVP_aes_256_cbc())) == 1 &&
         prepare(current_, iv, cipher, mac, Direction::seal);
}

TicketKeys::Opened TicketKeys::open(const unsigned char* name, const unsigned char* iv,
                                    EVP_CIPHER_CTX* cipher, EVP_MAC_CTX* mac) const {
  const bool by_current = has_name(current_, name);
  if (!by_current && !has_name(before_, name)) return unknown;
  if (!prepare(by_current ? current_ : before_, iv, cipher, mac, Direction::open)) return broken;
  return by_current ? opened : opened_by_old_key;
}

void use_tickets(SSL_CTX* context, TicketKeys& keys) {
  if (keys.empty()) {
    SSL_CTX_set_options(context, SSL_OP_NO_TICKET);
    SSL_CTX_set_num_tickets(context, 0);
    return;
  }
  SSL_CTX_set_app_data(context, &keys);
  SSL_CTX_set_num_tickets(context, 1);
  SSL_CTX_set_tlsext_ticket_key_evp_cb(context, on_key_wanted);
  SSL_CTX_set_session_ticket_cb(context, nullptr, on_opened, nullptr);
}

}  // namespace sluice::tls
