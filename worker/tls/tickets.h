// Session tickets (RFC 5077, RFC 8446 4.6.1): what a server wants to remember of a client, sealed
// and kept by the client. All workers have the same keys, so a client can go on at any of them, and
// after a reload.
#pragma once

#include "common/ipc/messages.h"
#include "worker/tls/openssl.h"

namespace sluice::tls {

/// The keys of session tickets: a name that travels with a ticket, a key for AES-256-CBC and one
/// for HMAC-SHA256.
class TicketKeys {
 public:
  static constexpr std::size_t kNameSize = 16, kCipherKeySize = 32, kMacKeySize = 32;
  static constexpr std::size_t kSize = kNameSize + kCipherKeySize + kMacKeySize;

  TicketKeys() = default;
  /// Errc::config when a key is there and has another size.
  static Result<TicketKeys> from(const ipc::KeyMaterial& keys);

  bool empty() const { return current_.empty(); }

  /// Answers of OpenSSL's ticket callback.
  enum Opened { broken = -1, unknown = 0, opened = 1, opened_by_old_key = 2 };
  /// Prepares `cipher` and `mac` to make a ticket; `name` and `iv` will stand in front of it.
  bool seal(unsigned char* name, unsigned char* iv, EVP_CIPHER_CTX* cipher, EVP_MAC_CTX* mac) const;
  /// Prepares `cipher` and `mac` to open the ticket that `name` and `iv` stand in front of.
  Opened open(const unsigned char* name, const unsigned char* iv, EVP_CIPHER_CTX* cipher,
              EVP_MAC_CTX* mac) const;

 private:
  Secret current_, before_;
};

/// Has `context` make tickets with `keys`, which must outlive it, and take them. Without keys there
/// are no tickets.
void use_tickets(SSL_CTX* context, TicketKeys& keys);

}  // namespace sluice::tls
